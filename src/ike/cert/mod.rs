//! The gateway's certificate: fail-closed (PROTOCOL section 2, end).

mod test_keys;

use crate::time::UnixTime;
pub use test_keys::is_public_test_key;

/// A root certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root {
    /// X.509 DER.
    pub der: Vec<u8>,
    /// Named by the user (config, `--trust`), not from the system's store.
    pub configured: bool,
}

/// How IDr is checked (dialect-like, config key `idr_check`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdrCheck {
    /// In the certificate, or an address (then only logged).
    #[default]
    CertOrAddress,
    /// In the certificate.
    Cert,
}

/// Whom we trust to be the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trust {
    /// Roots.
    pub roots: Vec<Root>,
    /// SHA-512 of SubjectPublicKeyInfo; where not empty, one certificate of the verified chain must match one of them.
    pub pins: Vec<[u8; 64]>,
    /// IDr rule.
    pub idr_check: IdrCheck,
}

/// A gateway certificate that passed every check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// SubjectPublicKeyInfo, DER, of the leaf.
    pub spki: Vec<u8>,
    /// Subject of the leaf, for people.
    pub subject: String,
    /// SHA-256 of the leaf.
    pub fingerprint: [u8; 32],
    /// End of the leaf's validity.
    pub not_after: UnixTime,
}

/// Why the gateway's certificate is refused. Exit code 5.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// No certificate in the answer.
    #[error("the gateway sent no certificate")]
    Missing,
}

impl Trust {
    /// SHA-1 hashes of the roots' public keys for CERTREQ: configured roots, and `last_matching` (the hash that verified last
    /// time) of the system's; never the whole system store.
    pub fn certreq(&self, _last_matching: Option<[u8; 20]>) -> Vec<u8> {
        todo!()
    }
    /// `certs`: DER, leaf first, as received. `host`: the profile's HostAddress, a DNS name or an IP address.
    pub fn verify(&self, _certs: &[Vec<u8>], _host: &str, _now: UnixTime) -> Result<Verified, CertError> {
        todo!()
    }
    /// Is `idr` (type and data of the IDr payload) allowed beside this leaf? Never replaces the host check.
    pub fn check_idr(&self, _leaf: &[u8], _idr: &super::message::Identity) -> Result<(), CertError> {
        todo!()
    }
}
