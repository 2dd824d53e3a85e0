//! The user's private key from PEM: PKCS#8 (RFC 5958) in clear or protected by a passphrase (PBES2, RFC 8018), PKCS#1, and the
//! older form of elliptic curves (SEC1, RFC 5915).

use super::OwnCertificateError as Error;
use crate::crypto::{Secret, SigningKey};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// Rounds of PBKDF2 that a file may ask for: seconds. OpenSSL writes 2048.
const MAX_ROUNDS: u32 = 10_000_000;
/// Memory that scrypt may take, octets: 128 N r. OpenSSL's default is 16 MiB.
const MAX_MEMORY: u64 = 256 << 20;
/// Work of scrypt in all: 128 N r p.
const MAX_WORK: u64 = 4 * MAX_MEMORY;

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// What stands before an ECPrivateKey in PKCS#8, after the outer length: version 0, id-ecPublicKey and the curve.
const P256: &[u8] =
    b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";

/// The first private key in `pem`. A passphrase for a key without one does not count.
pub(super) fn read(pem: &[u8], passphrase: Option<&Secret>) -> Result<SigningKey, Error> {
    let has = |words: &str| pem.windows(words.len()).any(|window| window == words.as_bytes());
    if has("Proc-Type: 4,ENCRYPTED") {
        return Err(Error::Protection("OpenSSL's old form, MD5"));
    }
    if has(BEGIN) {
        let clear = unlock(pem, passphrase)?;
        return SigningKey::from_pkcs8(clear.as_bytes()).map_err(|_| Error::NoKey);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| Error::NoKey)?;
    let key = match &key {
        PrivateKeyDer::Pkcs8(key) => SigningKey::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => SigningKey::from_pkcs1(key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let on = |curve| SigningKey::from_pkcs8(&wrap(curve, key.secret_sec1_der()));
            on(P256).or_else(|_| on(P384))
        }
        _ => return Err(Error::NoKey),
    };
    key.map_err(|_| Error::NoKey)
}

/// The key in clear. Of a wrong passphrase and a damaged file the first is told: nobody can tell them apart.
fn unlock(pem: &[u8], passphrase: Option<&Secret>) -> Result<SecretDocument, Error> {
    let text = std::str::from_utf8(pem).map_err(|_| Error::NoKey)?;
    let from = text.find(BEGIN).ok_or(Error::NoKey)?;
    let length = text[from..].find(END).ok_or(Error::NoKey)? + END.len();
    let (_, document) = SecretDocument::from_pem(&text[from..from + length]).map_err(|_| Error::NoKey)?;
    let locked = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|_| Error::Protection("not PBES2"))?;
    let EncryptionScheme::Pbes2(parameters) = &locked.encryption_algorithm else {
        return Err(Error::Protection("PBES1"));
    };
    let work = parameters.kdf.scrypt().map(|scrypt| {
        let memory = scrypt.cost_parameter.checked_mul(128 * u64::from(scrypt.block_size));
        (memory, memory.and_then(|memory| memory.checked_mul(scrypt.parallelization.into())))
    });
    let within = |size: Option<u64>, most| size.is_some_and(|size| size <= most);
    if parameters.kdf.pbkdf2().is_some_and(|pbkdf2| pbkdf2.iteration_count > MAX_ROUNDS)
        || work.is_some_and(|(memory, all)| !within(memory, MAX_MEMORY) || !within(all, MAX_WORK))
    {
        return Err(Error::Protection("its passphrase takes too much work"));
    }
    let passphrase = passphrase.ok_or(Error::Locked)?;
    locked.decrypt(passphrase.expose()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => {
            Error::Protection("3DES, DES or SHA-1")
        }
        _ => Error::Passphrase,
    })
}

/// An ECPrivateKey as PKCS#8. One of 2^16 octets or more becomes what nobody reads.
fn wrap(curve: &[u8], sec1: &[u8]) -> Zeroizing<Vec<u8>> {
    let long = |tag: u8, length: usize| {
        let [high, low] = u16::try_from(length).unwrap_or(0).to_be_bytes();
        [tag, 0x82, high, low]
    };
    let short = |tag: u8, length: usize| match u8::try_from(length) {
        Ok(length @ ..0x80) => vec![tag, length],
        Ok(length) => vec![tag, 0x81, length],
        Err(_) => long(tag, length).to_vec(),
    };
    let octets = short(0x04, sec1.len());
    let outer = short(0x30, curve.len() + octets.len() + sec1.len());
    let mut out = Zeroizing::new(Vec::with_capacity(outer.len() + curve.len() + octets.len() + sec1.len()));
    for part in [&outer[..], curve, &octets, sec1] {
        out.extend_from_slice(part);
    }
    out
}
