//! Which certificate a login is made with.

use super::TargetError;
use crate::agent::clock::Clock;
use crate::client::{Settings, Way, choice};
use crate::config::{Gateway, certificate_files, read_certificate};
use crate::ike::cert::{Facts, OwnCertificate};
use crate::ipc::Connect;
use crate::profile::{AuthMethod, CertificateMatch, HostEntry};
use std::sync::Arc;

/// Reads the certificates that wishes or config name, and chooses the one to log in with, where the profile wants one or the
/// gateway may ask for one. One that is named by the wishes is used whatever the profile's CertificateMatch says.
///
/// # Errors
/// The profile wants one and none is named, none can be used, or its key is of another kind than the profile says; the one that
/// the wishes name cannot be read.
pub(super) fn choose(
    settings: &mut Settings,
    rules: &CertificateMatch,
    host: &HostEntry,
    wishes: &Connect,
    gateway: &Gateway,
    warnings: &mut Vec<String>,
) -> Result<(), TargetError> {
    let method = host.auth_method().unwrap_or_default();
    if let Way::Eap(_) = settings.way {
        if wishes.certificate.is_some() {
            warnings
                .push(format!("the profile wants {method} for {}: the certificate is not used", host.name));
        }
        return Ok(());
    }
    let wrong = |what: String| TargetError::Certificate { host: host.name.clone(), method, what };
    let needed = matches!(settings.way, Way::Certificate(_));
    let own = if let Some(file) = &wishes.certificate {
        let own = read_certificate(file, wishes.key.as_ref().unwrap_or(file)).map_err(wrong)?;
        let fits =
            Facts::read(leaf(&own)).map(|facts| choice::fits(&facts, rules, Clock::system().now().wall));
        if let Ok(Err(misfit)) = fits {
            let subject = own.subject();
            warnings.push(format!("the certificate of {subject} is not what the profile wants: {misfit}"));
        }
        own
    } else {
        let (found, problems) = configured(gateway, method, needed);
        let chosen = matching(&found, rules);
        match chosen {
            Ok(at) => {
                warnings.extend(problems);
                // It is one of them.
                let Some(own) = found.into_iter().nth(at) else { return Ok(()) };
                own
            }
            Err(misfits) => {
                let all = [misfits, problems].concat();
                if !needed {
                    warnings.extend(all.into_iter().map(|why| format!("a certificate is not used: {why}")));
                    return Ok(());
                }
                return Err(wrong(match &all[..] {
                    [] => format!(
                        "name your certificate with --certificate FILE --key FILE, or in the config file, as certificate and \
                         key of [gateway.\"{}\"]",
                        host.address
                    ),
                    [only] => only.clone(),
                    _ => format!("none of your certificates does: {}", all.join("; ")),
                }));
            }
        }
    };
    if needed {
        is_of_kind(&own, method).map_err(wrong)?;
        settings.way = Way::Certificate(Some(Arc::new(own)));
    } else {
        settings.login.own = Some(Arc::new(own));
    }
    Ok(())
}

/// Those of the config file that can be read and, where the login `needs` one, have a key of the kind that the profile says; and what
/// is wrong with the others.
fn configured(gateway: &Gateway, method: AuthMethod, needed: bool) -> (Vec<OwnCertificate>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut take = |read: Result<OwnCertificate, String>| {
        let fit = read.and_then(|own| if needed { is_of_kind(&own, method).map(|()| own) } else { Ok(own) });
        match fit {
            Ok(own) => found.push(own),
            Err(problem) => problems.push(problem),
        }
    };
    if let Some(file) = &gateway.certificate {
        take(read_certificate(file, gateway.key.as_ref().unwrap_or(file)));
    }
    for place in &gateway.certificates {
        match certificate_files(place) {
            Ok(files) => files.iter().for_each(|file| take(read_certificate(file, file))),
            Err(problem) => take(Err(problem)),
        }
    }
    (found, problems)
}

/// The first that the profile's rules allow.
fn matching(found: &[OwnCertificate], rules: &CertificateMatch) -> Result<usize, Vec<String>> {
    let facts: Result<Vec<Facts>, _> = found.iter().map(|own| Facts::read(leaf(own))).collect();
    let facts = facts.map_err(|error| vec![error.to_string()])?;
    choice::choose(&facts, rules, Clock::system().now().wall).map_err(|misfits| {
        let reason = |(own, misfit): (&OwnCertificate, &choice::Misfit)| {
            format!("that of {}: {misfit}", own.subject())
        };
        found.iter().zip(&misfits).map(reason).collect()
    })
}

fn leaf(own: &OwnCertificate) -> &[u8] {
    own.chain().first().map(Vec::as_slice).unwrap_or_default()
}

fn is_of_kind(own: &OwnCertificate, method: AuthMethod) -> Result<(), String> {
    if own.is_rsa() == (method == AuthMethod::IkeRsa) {
        return Ok(());
    }
    let has = if own.is_rsa() { "an RSA key" } else { "none" };
    Err(format!("that takes {}, and the certificate of {} has {has}", kind(method), own.subject()))
}

fn kind(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::IkeRsa => "an RSA key",
        _ => "a key on an elliptic curve",
    }
}
