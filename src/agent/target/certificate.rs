//! Which certificate a login is made with.

use super::TargetError;
use crate::client::Way;
use crate::config::{Gateway, read_certificate};
use crate::ipc::Connect;
use crate::profile::{AuthMethod, HostEntry};
use std::sync::Arc;

/// Reads the certificate that wishes or config name, where the profile wants one.
///
/// # Errors
/// None is named, it cannot be used, or its key is of another kind than the profile says.
pub(super) fn choose(
    way: &mut Way,
    host: &HostEntry,
    wishes: &Connect,
    gateway: &Gateway,
    warnings: &mut Vec<String>,
) -> Result<(), TargetError> {
    let method = host.auth_method().unwrap_or_default();
    if !matches!(way, Way::Certificate(_)) {
        if wishes.certificate.is_some() {
            warnings
                .push(format!("the profile wants {method} for {}: the certificate is not used", host.name));
        }
        return Ok(());
    }
    let wrong = |what: String| TargetError::Certificate { host: host.name.clone(), method, what };
    let (certificate, key) = match (&wishes.certificate, &gateway.certificate) {
        (Some(file), _) => (file, wishes.key.as_ref()),
        (None, Some(file)) => (file, gateway.key.as_ref()),
        (None, None) => {
            let what = "name your certificate with --certificate FILE --key FILE, or in the config file";
            return Err(wrong(format!("{what}, as certificate and key of [gateway.\"{}\"]", host.address)));
        }
    };
    let own = read_certificate(certificate, key.unwrap_or(certificate)).map_err(wrong)?;
    if own.is_rsa() != (method == AuthMethod::IkeRsa) {
        let has = if own.is_rsa() { "an RSA key" } else { "none" };
        return Err(wrong(format!(
            "that takes {}, and the certificate of {} has {has}",
            kind(method),
            own.subject()
        )));
    }
    *way = Way::Certificate(Some(Arc::new(own)));
    Ok(())
}

fn kind(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::IkeRsa => "an RSA key",
        _ => "a key on an elliptic curve",
    }
}
