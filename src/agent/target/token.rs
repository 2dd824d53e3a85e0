//! The user's certificates on a token: which are meant, and whether its PIN has to be asked for.

use super::{Locked, TargetError};
use crate::agent::pkcs11::{Place, TokenKey, schemes};
use crate::config::read_chain;
use crate::ike::cert::{OwnCertificate, chain_of, is_authority};
use crate::ipc::Connect;
use crate::pkcs11::{DEFAULT_MODULE, Found, Login, TokenError, Tries, Uri, is_uri};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a question about a token's PIN has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinOf {
    /// The token's name.
    pub token: String,
    /// What it tells of wrong PINs before.
    pub tries: Tries,
}

/// Whether certificate or key is on a token.
pub(super) fn is_meant(certificate: &Path, key: &Path) -> bool {
    is_uri(certificate) || is_uri(key)
}

/// The certificates that are meant, with their keys: at least one.
pub(super) fn find(
    certificate: &Path,
    key: &Path,
    module: Option<&PathBuf>,
) -> Result<Vec<TokenKey>, TargetOrText> {
    if !is_uri(key) {
        return Err(TargetOrText::Text(format!(
            "the certificate is on a token and its key in {}: leave --key, or key in the config file, out",
            key.display()
        )));
    }
    // One URI, or one for each.
    if certificate != key && is_uri(certificate) {
        self::place(certificate, module)?;
        let what = "certificate and key are both named on a token: one URI for both does (certificate)";
        return Err(TargetOrText::Text(what.into()));
    }
    let place = place(key, module)?;
    let listed = place.list()?;
    if !is_uri(certificate) {
        let chain = read_chain(certificate).map_err(TargetOrText::Text)?;
        let own = OwnCertificate::with_key_elsewhere(&chain, &schemes(&listed));
        let own = own.map_err(|error| TargetOrText::Text(format!("{}: {error}", certificate.display())))?;
        return Ok(vec![TokenKey::new(place, None, own, &listed)]);
    }
    let person = |found: &&Found| found.meant && !is_authority(&found.der);
    let issuers: Vec<&[u8]> = listed.certificates.iter().map(|found| &found.der[..]).collect();
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for found in listed.certificates.iter().filter(person) {
        match OwnCertificate::with_key_elsewhere(&chain_of(&found.der, &issuers), &schemes(&listed)) {
            Ok(own) => keys.push(TokenKey::new(place.clone(), Some(found.id.clone()), own, &listed)),
            Err(error) => problems.push(error.to_string()),
        }
    }
    match problems.first() {
        Some(problem) if keys.is_empty() => {
            Err(TargetOrText::Text(format!("on the token {}: {problem}", listed.token)))
        }
        None if keys.is_empty() => {
            Err(TokenError::NoCertificate { token: listed.token, wanted: place.uri }.into())
        }
        _ => Ok(keys),
    }
}

fn place(uri: &Path, module: Option<&PathBuf>) -> Result<Place, TokenError> {
    let text = uri.to_str().unwrap_or_default();
    let uri: Uri =
        text.parse().map_err(|error: crate::pkcs11::UriError| TokenError::Uri(error.to_string()))?;
    let module = uri.module.or_else(|| module.cloned()).unwrap_or_else(|| PathBuf::from(DEFAULT_MODULE));
    Ok(Place { module, uri: text.to_owned() })
}

/// Gives the token its PIN where it is known, or tells what to ask.
///
/// # Errors
/// The token does not take it. It is not tried again.
pub(super) fn unlock(key: &Arc<TokenKey>, wishes: &Connect) -> Result<Option<Locked>, TokenError> {
    let Login::Pin(tries) = key.login() else { return Ok(None) };
    match &wishes.passphrase {
        Some(pin) => key.unlock(pin).map(|()| None),
        None => {
            let pin = PinOf { token: key.token().to_owned(), tries };
            Ok(Some(Locked { file: PathBuf::new(), wrong: false, pin: Some(pin) }))
        }
    }
}

/// Of a token, or of something beside it.
pub(super) enum TargetOrText {
    Token(TokenError),
    Text(String),
}

impl From<TokenError> for TargetOrText {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl TargetOrText {
    /// As a whole connect fails with it.
    pub(super) fn for_host(self, host: &str, wrong: impl Fn(String) -> TargetError) -> TargetError {
        match self {
            Self::Token(error) => TargetError::Token { host: host.to_owned(), error },
            Self::Text(text) => wrong(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The module is nowhere: no token is asked.
    #[test]
    fn a_wrong_uri_of_a_certificate_is_told_beside_a_good_one_of_its_key() {
        let key = Path::new("pkcs11:token=A?module-path=/nowhere/x.so");
        let told = |certificate: &str| match find(Path::new(certificate), key, None) {
            Err(TargetOrText::Token(error)) => error.to_string(),
            Err(TargetOrText::Text(text)) => text,
            Ok(_) => String::new(),
        };
        assert!(told("pkcs11:colour=red").contains("colour"), "{}", told("pkcs11:colour=red"));
        assert!(told("pkcs11:token=A").contains("one URI for both"), "{}", told("pkcs11:token=A"));
    }
}
