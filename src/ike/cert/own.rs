//! The user's own certificate and key: what proves who they are where the profile says IKE-RSA or IKE-ECDSA.

use super::super::message::{Identity, id_type};
use super::names::show_name;
use super::{MAX_CERTIFICATES, parse};
use crate::crypto::{Signer, SigningKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use x509_parser::extensions::GeneralName;

/// A certificate with those between it and its root, and its key.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    chain: Vec<Vec<u8>>,
    key: Arc<SigningKey>,
    identity: Identity,
    subject: String,
}

/// The key is that of the certificate.
impl PartialEq for OwnCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for OwnCertificate {}

/// Why a certificate cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnCertificateError {
    /// Not PEM, or no certificate in it.
    #[error(
        "it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----); of a PKCS#12 file: openssl pkcs12 -in FILE -nodes"
    )]
    NoCertificate,
    /// More than are ever sent.
    #[error(
        "it holds more than {MAX_CERTIFICATES} certificates: keep your own and those that issued it, without the root"
    )]
    TooMany,
    /// A certificate that cannot be read.
    #[error("its certificate is damaged: {0}")]
    Damaged(String),
    /// The key is protected by a passphrase.
    #[error(
        "its key is protected by a passphrase, for which this version does not ask: openssl pkey -in FILE -out OTHER, on an \
         encrypted disk, and chmod 600 OTHER"
    )]
    Encrypted,
    /// No key in it, or none that can sign.
    #[error(
        "it holds no private key that can be used: RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519, in PEM form as \
         PKCS#8 (-----BEGIN PRIVATE KEY-----); openssl pkey -in FILE -out OTHER makes that"
    )]
    NoKey,
    /// The key is another one's.
    #[error("the key does not belong to the certificate of {0}")]
    Mismatch(String),
}

impl OwnCertificate {
    /// Reads PEM. `certificates`: the user's own first, then those between it and the root; a root is left out. `key` may be the
    /// same text.
    ///
    /// # Errors
    /// See [`OwnCertificateError`].
    pub fn read(certificates: &[u8], key: &[u8]) -> Result<Self, OwnCertificateError> {
        use OwnCertificateError::*;
        let mut chain: Vec<Vec<u8>> = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(certificates) {
            let certificate = certificate.map_err(|_| NoCertificate)?;
            if chain.len() == MAX_CERTIFICATES {
                return Err(TooMany);
            }
            chain.push(certificate.to_vec());
        }
        let leaf_der = chain.first().ok_or(NoCertificate)?;
        let leaf = parse(leaf_der).map_err(|error| Damaged(error.to_string()))?;
        let key = signing_key(key)?;
        let subject = show_name(leaf.subject());
        if !key.belongs_to(leaf.public_key().raw) {
            return Err(Mismatch(subject));
        }
        let identity = if leaf.subject().iter().next().is_some() {
            Identity::new(id_type::DER_ASN1_DN, leaf.subject().as_raw())
        } else {
            let names = leaf.subject_alternative_name().ok().flatten();
            let mut names = names.iter().flat_map(|names| &names.value.general_names);
            let named = names.find_map(|name| match name {
                GeneralName::RFC822Name(name) => Some(Identity::new(id_type::RFC822_ADDR, *name)),
                GeneralName::DNSName(name) => Some(Identity::fqdn(name)),
                _ => None,
            });
            named.ok_or_else(|| Damaged("it names nobody".into()))?
        };
        let is_root = |der: &Vec<u8>| parse(der).is_ok_and(|cert| cert.subject() == cert.issuer());
        let rest: Vec<Vec<u8>> = chain.iter().skip(1).filter(|der| !is_root(der)).cloned().collect();
        let chain = std::iter::once(leaf_der.clone()).chain(rest).collect();
        Ok(Self { chain, key: Arc::new(key), identity, subject })
    }

    /// DER, the user's own first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// What signs.
    pub fn signer(&self) -> &dyn Signer {
        &*self.key
    }

    /// True for an RSA key.
    pub fn is_rsa(&self) -> bool {
        self.key.is_rsa()
    }

    /// True for an Ed25519 key: a gateway has to announce that it can check its signatures (RFC 8420).
    pub fn is_ed25519(&self) -> bool {
        self.key.is_ed25519()
    }

    /// IDi unless the config says another one: the subject, or an alternative name where there is no subject.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The subject, for people.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

fn signing_key(pem: &[u8]) -> Result<SigningKey, OwnCertificateError> {
    let has = |words: &[u8]| pem.windows(words.len()).any(|window| window == words);
    if has(b"ENCRYPTED") {
        return Err(OwnCertificateError::Encrypted);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| OwnCertificateError::NoKey)?;
    let key = match &key {
        PrivateKeyDer::Pkcs8(key) => SigningKey::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => SigningKey::from_pkcs1(key.secret_pkcs1_der()),
        _ => return Err(OwnCertificateError::NoKey),
    };
    key.map_err(|_| OwnCertificateError::NoKey)
}
