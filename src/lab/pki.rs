//! The lab's certificate authority: fixed public test keys, certificates issued at run time.
//!
//! The keys lie in the tree (`keys/*.pem`), so everybody has them and they protect nothing. The agent refuses them unless the
//! user names the lab's CA as a root ([`crate::ike::cert::is_public_test_key`]). RSA signatures are deterministic: the same
//! time and parameters give the same certificates.

use crate::crypto::{Signer, SigningKey};
use crate::time::UnixTime;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use crate::ike::cert::is_public_test_key;

/// How long the lab's certificates are valid unless asked otherwise; they begin a day before `now`.
pub const VALIDITY: Duration = Duration::from_secs(365 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);
/// 9999-12-31T23:59:59Z: X.509 knows no later time.
const LAST_SECOND: u64 = 253_402_300_799;

/// A certificate could not be issued, or a key not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A name that cannot stand in a certificate, or the library's refusal.
    #[error("cannot issue the lab's certificate for {subject}: {source}")]
    Issue {
        /// For whom.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
    /// A key of the tree is damaged.
    #[error("the lab's test key {0:?} is damaged: restore src/lab/keys")]
    Key(TestKey),
}

/// The keys of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TestKey {
    /// The lab's root.
    Ca,
    /// Another root, which nobody trusts.
    OtherCa,
    /// A CA below the root.
    Intermediate,
    /// The gateway, RSA-2048.
    Gateway,
    /// The gateway, P-256.
    GatewayP256,
    /// A user.
    User,
}

impl TestKey {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ca, Self::OtherCa, Self::Intermediate, Self::Gateway, Self::GatewayP256, Self::User];

    /// The PEM file (PKCS#8), its warning included.
    pub fn pem(self) -> &'static str {
        match self {
            Self::Ca => include_str!("keys/ca.pem"),
            Self::OtherCa => include_str!("keys/other-ca.pem"),
            Self::Intermediate => include_str!("keys/intermediate.pem"),
            Self::Gateway => include_str!("keys/gateway.pem"),
            Self::GatewayP256 => include_str!("keys/gateway-p256.pem"),
            Self::User => include_str!("keys/user.pem"),
        }
    }

    /// PKCS#8, DER.
    pub fn pkcs8(self) -> Result<Vec<u8>, PkiError> {
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(self.pem().as_bytes()).map_err(|_| PkiError::Key(self))?;
        Ok(key.secret_pkcs8_der().to_vec())
    }

    /// For signing AUTH payloads.
    pub fn signing_key(self) -> Result<SigningKey, PkiError> {
        SigningKey::from_pkcs8(&self.pkcs8()?).map_err(|_| PkiError::Key(self))
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(self) -> Result<Vec<u8>, PkiError> {
        use rcgen::PublicKeyData;
        Ok(self.key_pair()?.subject_public_key_info())
    }

    fn key_pair(self) -> Result<KeyPair, PkiError> {
        KeyPair::try_from(self.pkcs8()?).map_err(|_| PkiError::Key(self))
    }
}

/// Who signs a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IssuedBy {
    /// The lab's root.
    #[default]
    Ca,
    /// A CA below the root; it is sent along.
    Intermediate,
    /// The root that nobody trusts.
    OtherCa,
    /// Itself.
    SelfSigned,
}

/// Extended key usages a test may want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// 2.5.29.37.0
    Any,
    /// 1.3.6.1.5.5.7.3.1
    ServerAuth,
    /// 1.3.6.1.5.5.7.3.2
    ClientAuth,
    /// 1.3.6.1.5.5.7.3.17
    Ike,
    /// 1.3.6.1.5.5.8.2.2
    IkeIntermediate,
}

impl Usage {
    fn to_rcgen(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Any => ExtendedKeyUsagePurpose::Any,
            Self::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            Self::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            Self::Ike => ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]),
            Self::IkeIntermediate => ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 8, 2, 2]),
        }
    }
}

/// What a leaf certificate says. Start from [`Pki::leaf`] and change fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Common name.
    pub common_name: String,
    /// Subject alternative names: DNS names (also `*.example.com`) and IP addresses. None: no such extension.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: UnixTime,
    /// Valid until.
    pub not_after: UnixTime,
    /// Extended key usages; none: no such extension.
    pub usages: Vec<Usage>,
    /// The key.
    pub key: TestKey,
    /// The issuer.
    pub issuer: IssuedBy,
    /// Basic constraints say that it is a CA.
    pub is_ca: bool,
}

/// A certificate chain and the key of its leaf.
#[derive(Clone)]
pub struct Identity {
    /// DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's key.
    pub signer: Arc<dyn Signer>,
    /// The same key as PKCS#8 DER, for programs that want files.
    pub pkcs8: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// The lab's CA at one point in time.
pub struct Pki {
    now: UnixTime,
    ca: Authority,
    other: Authority,
    intermediate: Authority,
}

/// A CA certificate and what signs with it.
struct Authority {
    der: Vec<u8>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Certificates are valid from a day before `now`.
    pub fn new(now: UnixTime) -> Result<Self, PkiError> {
        let ca = Authority::new("ikeep lab CA", TestKey::Ca, now, None)?;
        let other = Authority::new("another CA", TestKey::OtherCa, now, None)?;
        let intermediate =
            Authority::new("ikeep lab intermediate CA", TestKey::Intermediate, now, Some(&ca.issuer))?;
        Ok(Self { now, ca, other, intermediate })
    }

    /// The root, DER.
    pub fn ca(&self) -> &[u8] {
        &self.ca.der
    }

    /// The root, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca.pem
    }

    /// Another root, DER: issuer of [`IssuedBy::OtherCa`].
    pub fn other_ca(&self) -> &[u8] {
        &self.other.der
    }

    /// The intermediate CA, DER.
    pub fn intermediate(&self) -> &[u8] {
        &self.intermediate.der
    }

    /// What [`Pki::gateway`] issues: CN and alternative name are `host` (a DNS name or an IP address), usage serverAuth,
    /// RSA-2048, straight below the root.
    pub fn leaf(&self, host: &str) -> Leaf {
        Leaf {
            common_name: host.to_owned(),
            names: vec![host.to_owned()],
            not_before: a_day_before(self.now),
            not_after: self.now + VALIDITY,
            usages: vec![Usage::ServerAuth],
            key: TestKey::Gateway,
            issuer: IssuedBy::Ca,
            is_ca: false,
        }
    }

    /// The certificate of an honest gateway.
    pub fn gateway(&self, host: &str) -> Result<Identity, PkiError> {
        self.issue(&self.leaf(host))
    }

    /// A user's certificate (usage clientAuth, no alternative name).
    pub fn user(&self, name: &str) -> Result<Identity, PkiError> {
        self.issue(&Leaf {
            names: Vec::new(),
            usages: vec![Usage::ClientAuth],
            key: TestKey::User,
            ..self.leaf(name)
        })
    }

    /// Issues whatever the test asks for.
    pub fn issue(&self, leaf: &Leaf) -> Result<Identity, PkiError> {
        let wrong = |source| PkiError::Issue { subject: leaf.common_name.clone(), source };
        let mut params = params(&leaf.common_name, leaf.not_before, leaf.not_after);
        params.subject_alt_names =
            leaf.names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>().map_err(wrong)?;
        params.extended_key_usages = leaf.usages.iter().map(|usage| usage.to_rcgen()).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca =
            if leaf.is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        let key = leaf.key.key_pair()?;
        let certificate = match leaf.issuer {
            IssuedBy::Ca => params.signed_by(&key, &self.ca.issuer),
            IssuedBy::Intermediate => params.signed_by(&key, &self.intermediate.issuer),
            IssuedBy::OtherCa => params.signed_by(&key, &self.other.issuer),
            IssuedBy::SelfSigned => params.self_signed(&key),
        }
        .map_err(wrong)?;
        let mut chain = vec![certificate.der().to_vec()];
        if leaf.issuer == IssuedBy::Intermediate {
            chain.push(self.intermediate.der.clone());
        }
        Ok(Identity { chain, signer: Arc::new(leaf.key.signing_key()?), pkcs8: leaf.key.pkcs8()? })
    }
}

impl Authority {
    fn new(
        name: &str,
        key: TestKey,
        now: UnixTime,
        above: Option<&Issuer<'static, KeyPair>>,
    ) -> Result<Self, PkiError> {
        let mut params = params(name, a_day_before(now), now + 10 * VALIDITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key.key_pair()?;
        let certificate = match above {
            None => params.self_signed(&key),
            Some(above) => params.signed_by(&key, above),
        }
        .map_err(|source| PkiError::Issue { subject: name.to_owned(), source })?;
        Ok(Self { der: certificate.der().to_vec(), pem: certificate.pem(), issuer: Issuer::new(params, key) })
    }
}

fn params(common_name: &str, not_before: UnixTime, not_after: UnixTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(not_before.as_secs().min(LAST_SECOND));
    params.not_after = epoch + Duration::from_secs(not_after.as_secs().min(LAST_SECOND));
    params.use_authority_key_identifier_extension = true;
    params
}

fn alternative_name(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

fn a_day_before(now: UnixTime) -> UnixTime {
    UnixTime::from_secs(now.as_secs().saturating_sub(DAY.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    #[test]
    fn every_key_of_the_tree_is_marked_and_known_as_public() {
        for key in TestKey::ALL {
            assert!(key.pem().starts_with("PUBLIC TEST KEY"), "{key:?}");
            assert!(is_public_test_key(&key.spki().unwrap()), "{key:?} is not in the list of the core");
        }
        assert!(!is_public_test_key(b"any other key"));
    }

    #[test]
    fn the_same_time_gives_the_same_certificates() {
        let (a, b) = (Pki::new(NOW).unwrap(), Pki::new(NOW).unwrap());
        assert_eq!(a.ca(), b.ca());
        assert_eq!(a.gateway("gw.example.com").unwrap().chain, b.gateway("gw.example.com").unwrap().chain);
        assert_ne!(a.gateway("gw.example.com").unwrap().chain, a.gateway("other.example.com").unwrap().chain);
    }

    #[test]
    fn a_chain_through_the_intermediate_carries_it() {
        let pki = Pki::new(NOW).unwrap();
        let leaf = Leaf { issuer: IssuedBy::Intermediate, ..pki.leaf("10.9.0.1") };
        let identity = pki.issue(&leaf).unwrap();
        assert_eq!(identity.chain.len(), 2);
        assert_eq!(identity.chain[1], pki.intermediate());
    }

    #[test]
    fn a_name_that_no_certificate_can_carry_is_an_error() {
        assert!(Pki::new(NOW).unwrap().gateway("gätewäy.example.com").is_err());
        assert!(Pki::new(UnixTime::from_millis(u64::MAX)).is_ok(), "times are clamped to the year 9999");
    }
}
