//! The user's own certificate and key: what proves who they are where the profile says IKE-RSA or IKE-ECDSA.

use super::super::message::{Identity, id_type};
use super::elsewhere::Elsewhere;
use super::names::show_name;
use super::{CertError, MAX_CERTIFICATES, UnixTime, check_validity, key, parse, pkcs12};
use crate::crypto::{Scheme, Secret, Signer, SigningKey, verify};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::extensions::GeneralName;

/// A certificate with those between it and its root, and its key.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    chain: Vec<Vec<u8>>,
    key: Key,
    identity: Identity,
    subject: String,
}

/// What signs.
#[derive(Clone, Debug)]
enum Key {
    Here(Arc<SigningKey>),
    Elsewhere(Elsewhere),
}

/// The key is that of the certificate, and it is in the same place.
impl PartialEq for OwnCertificate {
    fn eq(&self, other: &Self) -> bool {
        let same_place = match (&self.key, &other.key) {
            (Key::Here(_), Key::Here(_)) => true,
            (Key::Elsewhere(own), Key::Elsewhere(others)) => own == others,
            _ => false,
        };
        same_place && self.chain == other.chain
    }
}

impl Eq for OwnCertificate {}

/// Why a certificate cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnCertificateError {
    /// Not PEM, or no certificate in it.
    #[error(
        "it is neither a PKCS#12 file nor does it hold a certificate in PEM form (-----BEGIN CERTIFICATE-----)"
    )]
    NoCertificate,
    /// A PKCS#12 file without one.
    #[error(
        "the PKCS#12 file holds a key and no certificate: openssl pkcs12 -export -inkey KEY -in CERTIFICATE makes one with both"
    )]
    NoCertificateInside,
    /// Beside a PKCS#12 file another one is named.
    #[error(
        "a PKCS#12 file holds the certificate and its key: name it as the certificate, and no key beside it"
    )]
    Apart,
    /// More than are ever sent.
    #[error(
        "it holds more than {MAX_CERTIFICATES} certificates: keep your own and those that issued it, without the root"
    )]
    TooMany,
    /// A certificate that cannot be read.
    #[error("its certificate is damaged: {0}")]
    Damaged(String),
    /// The key is protected by a passphrase, and none was given.
    #[error("its key is protected by a passphrase")]
    Locked,
    /// The passphrase is another one's.
    #[error("that is not the passphrase of its key")]
    Passphrase,
    /// The key is protected in a way that is not taken.
    #[error(
        "its key is protected in a way that is not safe or not known ({0}): openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out OTHER, \
         and chmod 600 OTHER"
    )]
    Protection(&'static str),
    /// No key in it, or none that can sign.
    #[error(
        "it holds no private key that can be used: RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519, in PEM form as \
         PKCS#8 (-----BEGIN PRIVATE KEY-----, with a passphrase -----BEGIN ENCRYPTED PRIVATE KEY-----); openssl pkey -in FILE \
         -out OTHER makes that"
    )]
    NoKey,
    /// The token has the key, and no way to sign with it that a gateway takes.
    #[error(
        "the token cannot sign with its key: that takes RSA (CKM_RSA_PKCS_PSS or CKM_RSA_PKCS, 2048 bits or more), ECDSA on P-256 or \
         P-384 (CKM_ECDSA), or Ed25519 (CKM_EDDSA); pkcs11-tool --list-mechanisms tells what it has"
    )]
    Mechanism,
    /// Its time is over, or has not begun.
    #[error("{0}: ask whoever issued it for a new one, or set the clock where that is wrong")]
    Time(String),
    /// The key is another one's.
    #[error("the key does not belong to the certificate of {0}")]
    Mismatch(String),
}

impl OwnCertificate {
    /// Reads PEM or, told by its content, a PKCS#12 file, which has both. `certificates`: the user's own first, then those between
    /// it and the root; a root is left out. `key` may be the same text. `passphrase`: of a key that is protected by one; for another key it does not count. With one it takes as long as
    /// whoever made the file wanted, up to seconds.
    ///
    /// # Errors
    /// See [`OwnCertificateError`].
    pub fn read(
        certificates: &[u8],
        key: &[u8],
        passphrase: Option<&Secret>,
    ) -> Result<Self, OwnCertificateError> {
        use OwnCertificateError::*;
        let is_pkcs12 = [certificates, key].map(pkcs12::is_meant);
        if is_pkcs12.contains(&true) && certificates != key {
            return Err(Apart);
        }
        let (chain, key) = match is_pkcs12 {
            [true, _] => pkcs12::read(certificates, passphrase)?,
            _ => (read_chain(certificates)?, key::read(key, passphrase)?),
        };
        let leaf = parse(chain.first().ok_or(NoCertificate)?).map_err(|error| Damaged(error.to_string()))?;
        if !key.belongs_to(leaf.public_key().raw) {
            return Err(Mismatch(show_name(leaf.subject())));
        }
        Self::of(&chain, Key::Here(Arc::new(key)))
    }

    /// A certificate whose key signs somewhere else, on a token. `chain`: DER, the user's own first; a root is left out.
    /// `schemes`: what the token can make; those that the certificate's key has nothing to do with are left out.
    ///
    /// # Errors
    /// See [`OwnCertificateError`].
    pub fn with_key_elsewhere(chain: &[Vec<u8>], schemes: &[Scheme]) -> Result<Self, OwnCertificateError> {
        use OwnCertificateError::{Damaged, NoCertificate, TooMany};
        if chain.len() > MAX_CERTIFICATES {
            return Err(TooMany);
        }
        let leaf = parse(chain.first().ok_or(NoCertificate)?).map_err(|error| Damaged(error.to_string()))?;
        let key = Elsewhere::of(leaf.public_key(), schemes)?;
        Self::of(chain, Key::Elsewhere(key))
    }

    fn of(chain: &[Vec<u8>], key: Key) -> Result<Self, OwnCertificateError> {
        use OwnCertificateError::{Damaged, NoCertificate};
        let leaf_der = chain.first().ok_or(NoCertificate)?;
        let leaf = parse(leaf_der).map_err(|error| Damaged(error.to_string()))?;
        let subject = show_name(leaf.subject());
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
        Ok(Self { chain, key, identity, subject })
    }

    /// Whether it counts at `now`: `None` where it does for longer than `soon`, else a warning for people.
    ///
    /// # Errors
    /// [`OwnCertificateError::Time`]: its time is over, or has not begun.
    pub fn check_time(&self, now: UnixTime, soon: Duration) -> Result<Option<String>, OwnCertificateError> {
        use OwnCertificateError::{Damaged, Time};
        let leaf = parse(&self.chain[0]).map_err(|error| Damaged(error.to_string()))?;
        check_validity(&leaf, now).map_err(|error| {
            Time(match error {
                CertError::Expired { subject, since, now } => {
                    format!("your certificate, {subject}, expired on {since}, and this machine's clock says {now}")
                }
                CertError::NotYetValid { subject, from, now } => {
                    format!("your certificate, {subject}, is valid from {from}, and this machine's clock says {now}")
                }
                error => error.to_string(),
            })
        })?;
        let until = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
        let left = Duration::from_secs(until.saturating_sub(now.as_secs()));
        let days = left.as_secs() / 86_400;
        let subject = &self.subject;
        Ok((left < soon).then(|| {
            format!(
                "your certificate, {subject}, expires in {days} days: ask whoever issued it for a new one"
            )
        }))
    }

    /// DER, the user's own first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// What signs.
    pub fn signer(&self) -> &dyn Signer {
        match &self.key {
            Key::Here(key) => &**key,
            Key::Elsewhere(key) => key,
        }
    }

    /// The key is not in memory: its signer knows its schemes and signs nothing.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self.key, Key::Elsewhere(_))
    }

    /// Whether this is a signature of the certificate's key.
    pub fn verifies(&self, scheme: Scheme, octets: &[u8], signature: &[u8]) -> bool {
        let leaf = self.chain.first().and_then(|der| parse(der).ok());
        leaf.is_some_and(|leaf| verify(leaf.public_key().raw, scheme, octets, signature).is_ok())
    }

    /// True for an RSA key.
    pub fn is_rsa(&self) -> bool {
        matches!(self.signer().schemes().first(), Some(Scheme::RsaPss(_) | Scheme::RsaPkcs1(_)))
    }

    /// True for an Ed25519 key: a gateway has to announce that it can check its signatures (RFC 8420).
    pub fn is_ed25519(&self) -> bool {
        self.signer().schemes().first() == Some(&Scheme::Ed25519)
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

/// The certificates of PEM, as they stand there.
fn read_chain(pem: &[u8]) -> Result<Vec<Vec<u8>>, OwnCertificateError> {
    use OwnCertificateError::{NoCertificate, TooMany};
    let mut chain: Vec<Vec<u8>> = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| NoCertificate)?;
        if chain.len() == MAX_CERTIFICATES {
            return Err(TooMany);
        }
        chain.push(certificate.to_vec());
    }
    if chain.is_empty() { Err(NoCertificate) } else { Ok(chain) }
}

#[cfg(test)]
mod tests;
