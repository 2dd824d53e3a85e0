//! A file of the user's certificate and key, PEM or PKCS#12: whatever it holds, what is read is a certificate with its own key, and
//! a passphrase does not make another one of it.

use ikeep::crypto::Secret;
use ikeep::ike::cert::OwnCertificate;

/// One input.
pub(crate) fn check(file: &[u8]) {
    let Ok(plain) = OwnCertificate::read(file, file, None) else { return };
    let given = OwnCertificate::read(file, file, Some(&Secret::from(&b"word"[..]))).expect("it has none");
    assert_eq!(plain.chain(), given.chain());
    assert!(!plain.chain().is_empty());
}
