//! Which certificate a login is made with.

use super::{Locked, TargetError, token};
use crate::agent::clock::Clock;
use crate::agent::pkcs11::TokenKey;
use crate::client::{Settings, Way, choice};
use crate::config::{Gateway, Unusable, certificate_files, read_certificate};
use crate::crypto::Secret;
use crate::ike::cert::{Facts, OwnCertificate};
use crate::ipc::Connect;
use crate::pkcs11::TokenError;
use crate::profile::{AuthMethod, CertificateMatch, HostEntry};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// From when on a certificate that expires is told.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// What names certificates.
pub(super) struct Named<'a> {
    /// The wishes.
    pub(super) wishes: &'a Connect,
    /// The gateway's section of the config file.
    pub(super) gateway: &'a Gateway,
    /// The PKCS#11 module of the config file.
    pub(super) module: Option<&'a PathBuf>,
    /// A login may follow. Without one no token is touched: what comes back by itself needs no card.
    pub(super) to_log_in: bool,
    /// The wish itself names it: it is not remembered.
    pub(super) named_now: bool,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Choice {
    /// The key whose passphrase, or the token whose PIN, has to be asked for first, where there is one.
    pub(super) locked: Option<Locked>,
    /// The key on a token.
    pub(super) token: Option<Arc<TokenKey>>,
    /// Why there is no certificate, where the login may do without one.
    pub(super) problem: Option<String>,
}

/// As [`choose_one`]. What is wrong with a certificate is no hindrance where the gateway may not ask for one, unless the wish names
/// it itself (`named_now`; else it is remembered, or in the config file), or a PIN was answered that is none.
///
/// # Errors
/// As there.
pub(super) fn choose(
    settings: &mut Settings,
    rules: &CertificateMatch,
    host: &HostEntry,
    named: &Named<'_>,
    warnings: &mut Vec<String>,
) -> Result<Choice, TargetError> {
    let needed = matches!(settings.way, Way::Certificate(_) | Way::EapTls(_)) || named.named_now;
    match choose_one(settings, rules, host, named, warnings) {
        Ok((locked, token)) => Ok(Choice { locked, token, problem: None }),
        Err(problem) if needed || was_answered(&problem) => Err(problem),
        Err(problem) => {
            let problem = problem.to_string();
            warnings.push(format!("the certificate is not used: {problem}"));
            Ok(Choice { problem: Some(problem), ..Choice::default() })
        }
    }
}

/// The person has just typed what the token did not take.
fn was_answered(problem: &TargetError) -> bool {
    let TargetError::Token { error, .. } = problem else { return false };
    matches!(error, TokenError::PinTooLong { .. })
        || error.is_about_pin() && !matches!(error, TokenError::Locked { .. })
}

/// Reads the certificates that wishes or config name, and chooses the one to log in with, where the profile wants one or the
/// gateway may ask for one. One that is named by the wishes, or alone by the config file, is used whatever the
/// profile's CertificateMatch says.
/// The key whose passphrase, or the token whose PIN, has to be asked for first, where there is one; and the key on a token.
///
/// # Errors
/// The profile wants one and none is named, none can be used, or its key is of another kind than the profile says; the one that
/// the wishes name cannot be read, or does not count now.
fn choose_one(
    settings: &mut Settings,
    rules: &CertificateMatch,
    host: &HostEntry,
    &Named { wishes, gateway, module, to_log_in, .. }: &Named<'_>,
    warnings: &mut Vec<String>,
) -> Result<(Option<Locked>, Option<Arc<TokenKey>>), TargetError> {
    let method = host.auth_method().unwrap_or_default();
    if let Way::Eap(_) = settings.way {
        if wishes.certificate.is_some() {
            warnings
                .push(format!("the profile wants {method} for {}: the certificate is not used", host.name));
        }
        return Ok((None, None));
    }
    let is_tls = matches!(settings.way, Way::EapTls(_));
    let wanted = match is_tls {
        true => "EAP-TLS (login in the config file)".to_owned(),
        false => format!("{method} (AuthMethodDuringIKENegotiation)"),
    };
    let wrong =
        |what: String| TargetError::Certificate { host: host.name.clone(), method: wanted.clone(), what };
    // With TLS any kind of key will do.
    let of_kind = matches!(settings.way, Way::Certificate(_));
    let needed = of_kind || is_tls;
    let mut tokens: Vec<TokenKey> = Vec::new();
    let names = match &wishes.certificate {
        Some(file) => Some((file, wishes.key.as_ref())),
        None => gateway.certificate.as_ref().map(|file| (file, gateway.key.as_ref())),
    };
    let names = names.map(|(file, key)| (file, key.unwrap_or(file)));
    if let Some((file, key)) = names.filter(|(file, key)| token::is_meant(file, key)) {
        if !to_log_in {
            return Ok((None, None));
        }
        if is_tls {
            return Err(wrong(
                "a key on a token cannot sign inside EAP-TLS: take a certificate with its key in a file, or log in without login = \
                 \"eap-tls\""
                    .into(),
            ));
        }
        tokens = token::find(file, key, module).map_err(|error| error.for_host(&host.name, wrong))?;
    }
    let own = if let Some(file) = wishes.certificate.as_ref().filter(|_| tokens.is_empty()) {
        let key = wishes.key.as_ref().unwrap_or(file);
        let own = match read_certificate(file, key, wishes.passphrase.as_ref()) {
            Ok(own) => own,
            Err(Unusable::Locked { file, wrong }) => {
                return Ok((Some(Locked { file, wrong, pin: None }), None));
            }
            Err(Unusable::Wrong(what)) => return Err(wrong(what)),
        };
        let fits =
            Facts::read(leaf(&own)).map(|facts| choice::fits(&facts, rules, Clock::system().now().wall));
        if let Ok(Err(misfit)) = fits {
            let subject = own.subject();
            warnings.push(format!("the certificate of {subject} is not what the profile wants: {misfit}"));
        }
        own
    } else {
        let passphrase = wishes.passphrase.as_ref();
        // What the wishes name is all that counts.
        let more = if wishes.certificate.is_some() { &[][..] } else { &gateway.certificates };
        let named = (gateway.certificate.as_ref(), more);
        let Found { found, problems, locked } =
            configured(named, gateway.key.as_ref(), &tokens, method, of_kind, passphrase);
        if locked.is_some() {
            return Ok((locked, None));
        }
        let chosen = match (matching(&found, rules), &found[..]) {
            // The only one, which the config file names: as one that the wishes name.
            (Err(misfits), [_]) if gateway.certificates.is_empty() || wishes.certificate.is_some() => {
                warnings.extend(
                    misfits.iter().map(|why| format!("not what the profile wants: the certificate, {why}")),
                );
                Ok(0)
            }
            (chosen, _) => chosen,
        };
        match chosen {
            Ok(at) => {
                warnings.extend(problems);
                // It is one of them.
                let Some(own) = found.into_iter().nth(at) else { return Ok((None, None)) };
                own
            }
            Err(misfits) => {
                let all = [misfits, problems].concat();
                if !needed {
                    warnings.extend(all.into_iter().map(|why| format!("a certificate is not used: {why}")));
                    return Ok((None, None));
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
    match own.check_time(Clock::system().now().wall, SOON) {
        Ok(warning) => warnings.extend(warning),
        Err(error) if needed || wishes.certificate.is_some() => return Err(wrong(error.to_string())),
        Err(error) => {
            warnings.push(format!("a certificate is not used: {error}"));
            return Ok((None, None));
        }
    }
    let key = tokens.into_iter().find(|key| *key.own() == own).map(Arc::new);
    let locked = key.as_ref().map(|key| token::unlock(key, wishes)).transpose();
    let locked = locked.map_err(|error| TargetError::Token { host: host.name.clone(), error })?.flatten();
    if is_tls {
        settings.way = Way::EapTls(Some(Arc::new(own)));
    } else if of_kind {
        is_of_kind(&own, method).map_err(wrong)?;
        settings.way = Way::Certificate(Some(Arc::new(own)));
    } else {
        settings.login.own = Some(Arc::new(own));
    }
    Ok((locked, key))
}

/// What the config file names.
struct Found {
    found: Vec<OwnCertificate>,
    /// What is wrong with the others.
    problems: Vec<String>,
    /// The passphrase of the key that is named has to be asked for; of a folder's keys none is.
    locked: Option<Locked>,
}

/// Those of the config file that can be read and, where it has to be `of_kind`, have a key of the kind that the profile says.
fn configured(
    (certificate, more): (Option<&PathBuf>, &[PathBuf]),
    key: Option<&PathBuf>,
    tokens: &[TokenKey],
    method: AuthMethod,
    of_kind: bool,
    passphrase: Option<&Secret>,
) -> Found {
    let (mut found, mut problems, mut locked) = (Vec::new(), Vec::new(), None);
    let mut take = |read: Result<OwnCertificate, String>| {
        let readable = |own: OwnCertificate| match Facts::read(leaf(&own)) {
            Ok(_) => Ok(own),
            Err(error) => Err(format!("that of {}: {error}", own.subject())),
        };
        let fits = |own| if of_kind { is_of_kind(&own, method).map(|()| own) } else { Ok(own) };
        let fit = read.and_then(readable).and_then(fits);
        match fit {
            Ok(own) => found.push(own),
            Err(problem) => problems.push(problem),
        }
    };
    // Where one is named on a token, no file is in its place.
    tokens.iter().for_each(|key| take(Ok(key.own().clone())));
    if let Some(file) = certificate.filter(|_| tokens.is_empty()) {
        match read_certificate(file, key.unwrap_or(file), passphrase) {
            Err(Unusable::Locked { file, wrong }) => locked = Some(Locked { file, wrong, pin: None }),
            read => take(read.map_err(|error| error.to_string())),
        }
    }
    for place in more {
        match certificate_files(place) {
            Ok(files) => files.iter().for_each(|file| {
                take(read_certificate(file, file, None).map_err(|error| error.to_string()));
            }),
            Err(problem) => take(Err(problem)),
        }
    }
    Found { found, problems, locked }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CustomExtension, KeyPair};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    #[test]
    fn one_that_cannot_be_read_is_told_and_left_out() {
        let folder = TempDir::with_prefix("ikeep-certificates-").unwrap();
        let save = |name: &str, key_usage: &[u8]| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&[2, 5, 29, 15], key_usage.to_vec())];
            let pem = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
            let file = folder.path().join(format!("{name}.pem"));
            fs::write(&file, pem).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        };
        save("damaged", &[0xff]);
        save("good", &[3, 2, 7, 0x80]);
        let places = [folder.path().to_owned()];
        let Found { found, problems, .. } =
            configured((None, &places), None, &[], AuthMethod::default(), false, None);
        assert_eq!((found.len(), problems.len()), (1, 1), "{problems:?}");
    }
}
