//! The gateway's certificate: fail-closed (PROTOCOL section 2, end).
//!
//! Path building and signatures are rustls-webpki's. What it leaves to its caller is decided here: which extended key usages
//! do, the common name, pins, the root's own validity, and the lab's public test keys.

mod elsewhere;
mod error;
mod facts;
mod key;
mod login_name;
mod names;
mod own;
mod pkcs12;
pub mod pkcs7;
mod shape;
mod test_keys;
mod user;

pub use elsewhere::{chain_of, is_authority};
pub use error::CertError;
pub use facts::{Facts, UNREADABLE};
pub use login_name::user_name;
pub use own::{OwnCertificate, OwnCertificateError};
pub use shape::{Shape, shape};
pub use test_keys::is_public_test_key;
pub use user::{VerifiedUser, verify_user};

use crate::crypto::Hash;
use crate::time::UnixTime;
pub(super) use names::server_name;
use names::{IdrMatch, Named, clean, show_name};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use std::cell::RefCell;
use std::time::Duration;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, VerifiedPath};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Certificates taken from one answer of a gateway.
pub const MAX_CERTIFICATES: usize = 16;

/// What may sign a certificate: RSA PKCS#1 v1.5 of 2048 to 8192 bits, ECDSA on P-256 and P-384, SHA-256 or better.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 7] = [
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
];

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
    /// SHA-1 of the public key of the root that the chain ends at: what [`Trust::certreq`] takes next time.
    pub root_key: [u8; 20],
}

impl Trust {
    /// SHA-1 hashes of the roots' public keys (SubjectPublicKeyInfo, RFC 7296 3.7) for CERTREQ: configured roots, and
    /// `last_matching` ([`Verified::root_key`] of last time) where a root of the system's still has that key; never the whole
    /// system store. 20 octets each, none twice; empty where there is neither.
    pub fn certreq(&self, last_matching: Option<[u8; 20]>) -> Vec<u8> {
        let mut keys: Vec<[u8; 20]> = Vec::new();
        for root in &self.roots {
            if !root.configured && last_matching.is_none() {
                continue;
            }
            let Some(key) = parse(&root.der).ok().map(|c| spki_sha1(c.public_key().raw)) else { continue };
            if (root.configured || last_matching == Some(key)) && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.concat()
    }

    /// Every check of the chain and the name. `certs`: DER, leaf first, as received (the rest in any order, extra ones do no
    /// harm). `host`: the profile's HostAddress, a DNS name or an IP address.
    ///
    /// A CA's certificate is refused as a leaf. A certificate that is none of a CA's but configured as a root vouches for itself
    /// only, and has to pass every other check.
    pub fn verify(&self, certs: &[Vec<u8>], host: &str, now: UnixTime) -> Result<Verified, CertError> {
        self.verify_for(Usage::GATEWAY, certs, host, now)
    }

    /// The same for an EAP server: its extended key usage has to be that of a TLS server (or any, or absent: RFC 5216 5.3).
    ///
    /// # Errors
    /// As [`Trust::verify`]; the texts speak of a gateway.
    pub fn verify_tls_server(
        &self,
        certs: &[Vec<u8>],
        host: &str,
        now: UnixTime,
    ) -> Result<Verified, CertError> {
        self.verify_for(Usage::TLS_SERVER, certs, host, now)
    }

    fn verify_for(
        &self,
        usage: Usage,
        certs: &[Vec<u8>],
        host: &str,
        now: UnixTime,
    ) -> Result<Verified, CertError> {
        let (leaf_der, others) = certs.split_first().ok_or(CertError::Missing)?;
        if certs.len() > MAX_CERTIFICATES {
            return Err(CertError::TooMany(certs.len()));
        }
        let leaf = parse(leaf_der)?;
        let leaf_der = CertificateDer::from(leaf_der.as_slice());
        let entity = EndEntityCert::try_from(&leaf_der).map_err(|e| CertError::Malformed(e.to_string()))?;
        let others: Vec<CertificateDer<'_>> =
            others.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let roots: Vec<CertificateDer<'_>> =
            self.roots.iter().map(|root| CertificateDer::from(root.der.as_slice())).collect();
        // A system's store may hold what webpki cannot read; such a root vouches for nobody.
        let anchored: Vec<(TrustAnchor<'_>, &Root)> = roots
            .iter()
            .zip(&self.roots)
            .filter_map(|(der, root)| Some((webpki::anchor_from_trusted_cert(der).ok()?, root)))
            .collect();
        let anchors: Vec<TrustAnchor<'_>> = anchored.iter().map(|(anchor, _)| anchor.clone()).collect();

        let check = PathCheck {
            trust: self,
            anchored: &anchored,
            leaf: &leaf,
            named: names::names_host(&entity, &leaf, &names::server_name(host)?),
            host,
            now,
            outcome: RefCell::new(None),
        };
        let time = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()));
        let path = entity.verify_for_usage(
            &ALGORITHMS,
            &anchors,
            &others,
            time,
            usage,
            None,
            Some(&|path: &VerifiedPath<'_>| check.path(path)),
        );
        // Where a path held but broke a rule of ours, that rule is the reason, not the last other path that was tried.
        let error = match (path.map(drop), check.outcome.into_inner()) {
            (Ok(()), Some(Ok(root_key))) => {
                return Ok(Verified {
                    spki: leaf.public_key().raw.to_vec(),
                    subject: show_name(leaf.subject()),
                    fingerprint: array(&Hash::Sha256.digest(&[&leaf_der])),
                    not_after: unix_time(leaf.validity().not_after.timestamp()),
                    root_key,
                });
            }
            (_, Some(Err(error))) => return Err(error),
            (Ok(()), None) => return Err(CertError::Chain("it was not checked".into())),
            (Err(error), _) => error,
        };
        Err(chain_error(&error, certs, &leaf, now))
    }

    /// Is `idr` (type and data of the IDr payload) allowed beside this leaf? Never replaces the host check. An address that the
    /// certificate does not carry passes with [`IdrCheck::CertOrAddress`]; the caller logs it.
    pub fn check_idr(&self, leaf: &[u8], idr: &super::message::Identity) -> Result<(), CertError> {
        let parsed = parse(leaf)?;
        match (names::match_idr(&CertificateDer::from(leaf), &parsed, idr), self.idr_check) {
            (IdrMatch::InCertificate, _) | (IdrMatch::Address, IdrCheck::CertOrAddress) => Ok(()),
            (IdrMatch::Address, IdrCheck::Cert) | (IdrMatch::No, _) => {
                Err(CertError::Idr { idr: names::show_idr(idr), found: names::show_names(&parsed) })
            }
        }
    }
}

/// Our own rules, applied to every path whose signatures, validity, basic constraints, name constraints and usages hold.
struct PathCheck<'a> {
    trust: &'a Trust,
    anchored: &'a [(TrustAnchor<'a>, &'a Root)],
    leaf: &'a X509Certificate<'a>,
    named: Option<Named>,
    host: &'a str,
    now: UnixTime,
    /// Of the last path: the root's key, or the rule it broke.
    outcome: RefCell<Option<Result<[u8; 20], CertError>>>,
}

impl PathCheck<'_> {
    fn path(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        // Two roots may share name and key (a renewed one, or one configured beside the system's): any of them will do.
        let mut outcome = Err(CertError::Chain("its root is unknown".into()));
        for (_, root) in self.anchored.iter().filter(|(anchor, _)| anchor == path.anchor()) {
            outcome = self.root(path, root);
            if outcome.is_ok() {
                break;
            }
        }
        let ok = outcome.is_ok();
        *self.outcome.borrow_mut() = Some(outcome);
        if ok { Ok(()) } else { Err(webpki::Error::UnknownIssuer) }
    }

    fn root(&self, path: &VerifiedPath<'_>, root: &Root) -> Result<[u8; 20], CertError> {
        let root_cert = parse(&root.der)?;
        let is_ca = root_cert.is_ca() || root_cert.version() != x509_parser::x509::X509Version::V3;
        if !is_ca && root.der != path.end_entity().der().as_ref() {
            return Err(CertError::RootNotCa(show_name(root_cert.subject())));
        }
        check_validity(&root_cert, self.now)?;
        let mut keys = vec![self.leaf.public_key().raw.to_vec(), root_cert.public_key().raw.to_vec()];
        let mut constrained = has_name_constraints(&root_cert);
        for intermediate in path.intermediate_certificates() {
            keys.push(intermediate.subject_public_key_info().as_ref().to_vec());
            constrained |= has_name_constraints(&parse(&intermediate.der())?);
        }
        self.name(root.configured, constrained)?;
        self.test_keys(root, &root_cert, &keys)?;
        self.pins(&keys)?;
        Ok(spki_sha1(root_cert.public_key().raw))
    }

    fn name(&self, configured: bool, constrained: bool) -> Result<(), CertError> {
        match self.named {
            Some(Named::AlternativeName) => Ok(()),
            // Name constraints say nothing about common names: a constrained CA could name anybody there.
            Some(Named::CommonName) if configured && !constrained => Ok(()),
            Some(Named::CommonName) => Err(CertError::CommonNameOnly { expected: clean(self.host) }),
            None => Err(CertError::Name { expected: clean(self.host), found: names::show_names(self.leaf) }),
        }
    }

    /// The lab's keys count only below the lab's own CA, and only where the user named that.
    fn test_keys(&self, root: &Root, cert: &X509Certificate<'_>, keys: &[Vec<u8>]) -> Result<(), CertError> {
        let named = root.configured && is_public_test_key(cert.public_key().raw);
        if !named && keys.iter().any(|key| is_public_test_key(key)) {
            return Err(CertError::TestKey);
        }
        Ok(())
    }

    fn pins(&self, keys: &[Vec<u8>]) -> Result<(), CertError> {
        let pins = &self.trust.pins;
        let pinned = |key: &Vec<u8>| pins.iter().any(|pin| pin.as_slice() == Hash::Sha512.digest(&[key]));
        if pins.is_empty() || keys.iter().any(pinned) {
            return Ok(());
        }
        Err(CertError::Pin { leaf: hex(&Hash::Sha512.digest(&[self.leaf.public_key().raw])) })
    }
}

/// What a certificate, and those of the CAs between it and the root, may be used for: extended key usage absent, or one of these.
struct Usage(&'static [KeyPurposeId<'static>]);

impl Usage {
    /// A gateway: any, serverAuth, 1.3.6.1.5.5.8.2.2 (ikeIntermediate) or 1.3.6.1.5.5.7.3.17 (id-kp-ipsecIKE, RFC 4945 5.1.3.12).
    const GATEWAY: Self =
        Self(&[ANY, kp(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01]), INTERMEDIATE, IPSEC_IKE]);
    /// An EAP server: any or serverAuth.
    const TLS_SERVER: Self = Self(&[ANY, kp(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01])]);
    /// A user: clientAuth instead.
    const USER: Self =
        Self(&[ANY, kp(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]), INTERMEDIATE, IPSEC_IKE]);
}

const fn kp(oid: &'static [u8]) -> KeyPurposeId<'static> {
    KeyPurposeId::new(oid)
}

const ANY: KeyPurposeId<'static> = kp(&[0x55, 0x1d, 0x25, 0x00]);
const INTERMEDIATE: KeyPurposeId<'static> = kp(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x08, 0x02, 0x02]);
const IPSEC_IKE: KeyPurposeId<'static> = kp(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x11]);

impl ExtendedKeyUsageValidator for Usage {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for id in iter {
            let id = id?;
            if self.0.contains(&id) {
                return Ok(());
            }
            present.push(id.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = webpki::KeyUsage::server_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(webpki::RequiredEkuNotFoundContext {
            required,
            present,
        }))
    }
}

/// webpki's reason in our words.
fn chain_error(
    error: &webpki::Error,
    certs: &[Vec<u8>],
    leaf: &X509Certificate<'_>,
    now: UnixTime,
) -> CertError {
    use webpki::Error as E;
    let parsed = || certs.iter().filter_map(|der| parse(der).ok());
    match error {
        E::CertExpired { .. } | E::CertNotValidYet { .. } => {
            let invalid = parsed().find_map(|cert| check_validity(&cert, now).err());
            invalid.unwrap_or_else(|| CertError::Chain(error.to_string()))
        }
        E::UnknownIssuer => {
            let issuer = missing_issuer(leaf, &parsed().skip(1).collect::<Vec<_>>());
            CertError::UnknownIssuer { subject: show_name(leaf.subject()), issuer }
        }
        E::RequiredEkuNotFoundContext(context) => {
            let found: Vec<String> = context.present.iter().map(|oid| dotted(oid)).collect();
            CertError::Usage { found: clean(&found.join(", ")) }
        }
        E::CaUsedAsEndEntity => CertError::CaAsLeaf(show_name(leaf.subject())),
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => {
            CertError::Signature(error.to_string())
        }
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            CertError::Algorithm(show_algorithm(leaf))
        }
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertError::Malformed(error.to_string()),
        other => CertError::Chain(other.to_string()),
    }
}

/// The first issuer, going up from the leaf, of which no certificate was sent.
fn missing_issuer(leaf: &X509Certificate<'_>, others: &[X509Certificate<'_>]) -> String {
    let mut at = leaf;
    for _ in 0..others.len() {
        match others.iter().find(|o| o.subject().as_raw() == at.issuer().as_raw()) {
            Some(above) if above.issuer().as_raw() != above.subject().as_raw() => at = above,
            _ => break,
        }
    }
    show_name(at.issuer())
}

fn show_algorithm(leaf: &X509Certificate<'_>) -> String {
    let oid = &leaf.signature_algorithm.algorithm;
    match x509_parser::objects::oid2sn(oid, x509_parser::objects::oid_registry()) {
        Ok(name) => name.to_owned(),
        Err(_) => clean(&oid.to_id_string()),
    }
}

fn check_validity(cert: &X509Certificate<'_>, now: UnixTime) -> Result<(), CertError> {
    let (from, until) = (cert.validity().not_before.timestamp(), cert.validity().not_after.timestamp());
    let at = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (subject, now) = (show_name(cert.subject()), show_time(at));
    match at {
        _ if at < from => Err(CertError::NotYetValid { subject, from: show_time(from), now }),
        _ if at > until => Err(CertError::Expired { subject, since: show_time(until), now }),
        _ => Ok(()),
    }
}

fn has_name_constraints(cert: &X509Certificate<'_>) -> bool {
    cert.extensions().iter().any(|e| e.oid == x509_parser::oid_registry::OID_X509_EXT_NAME_CONSTRAINTS)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertError> {
    match X509Certificate::from_der(der) {
        Ok(([], cert)) => Ok(cert),
        Ok(_) => Err(CertError::Malformed("octets follow its end".into())),
        Err(error) => Err(CertError::Malformed(error.to_string())),
    }
}

fn spki_sha1(spki: &[u8]) -> [u8; 20] {
    array(&Hash::Sha1.digest(&[spki]))
}

/// A digest as an array; the lengths are those of the hash.
fn array<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(digest);
    out
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn dotted(oid: &[usize]) -> String {
    oid.iter().map(usize::to_string).collect::<Vec<_>>().join(".")
}

fn unix_time(seconds: i64) -> UnixTime {
    UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn show_time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => "a time beyond the calendar".into(),
    }
}
