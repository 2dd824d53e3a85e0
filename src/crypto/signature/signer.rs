//! Making signatures.
//!
//! The salt of PSS, the nonce of ECDSA and the blinding of RSA come from ring's own generator, not from a passed
//! [`Random`](crate::crypto::Random): a repeated ECDSA nonce would give the key away, and no test needs these octets
//! to repeat.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaKeyPair,
};

use super::super::Hash;
use super::{Scheme, SignatureError, verify};

/// Something that can sign: a key in memory now, a token later.
pub trait Signer: Send + Sync {
    /// The schemes it can make, best first.
    fn schemes(&self) -> &[Scheme];
    /// Signs `message`. `SignatureError::Key` for a scheme that is not among `schemes`.
    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignatureError>;
}

/// A private key in memory (RSA of 2048 to 4096 bits, ECDSA P-256 or P-384), from PKCS#8. `Debug` prints its kind.
pub struct SigningKey(Kind);

enum Kind {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<Ecdsa>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// ring binds a key to one form of signature, so one key is held twice.
struct Ecdsa {
    schemes: [Scheme; 2],
    fixed: EcdsaKeyPair,
    der: EcdsaKeyPair,
}

/// SubjectPublicKeyInfo of an Ed25519 key, but for its 32 octets (RFC 8410 4).
const ED25519_SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

const RSA_SCHEMES: [Scheme; 6] = [
    Scheme::RsaPss(Hash::Sha256),
    Scheme::RsaPss(Hash::Sha384),
    Scheme::RsaPss(Hash::Sha512),
    Scheme::RsaPkcs1(Hash::Sha256),
    Scheme::RsaPkcs1(Hash::Sha384),
    Scheme::RsaPkcs1(Hash::Sha512),
];

impl SigningKey {
    /// Reads PKCS#8 DER; the kind of key is found out. An EC key must hold its public key too, as OpenSSL writes it.
    /// `SignatureError::Key` for everything else.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SignatureError> {
        if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            return Ok(Self(Kind::Rsa(Box::new(key))));
        }
        let p256 = || {
            Ecdsa::read(der, Hash::Sha256, &ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_ASN1_SIGNING)
        };
        let p384 = || {
            Ecdsa::read(der, Hash::Sha384, &ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING)
        };
        if let Ok(key) = p256().or_else(|_| p384()) {
            return Ok(Self(Kind::Ecdsa(Box::new(key))));
        }
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| SignatureError::Key)?;
        Ok(Self(Kind::Ed25519(Box::new(key))))
    }

    /// Reads an RSA key in its own form, PKCS#1 DER.
    pub fn from_pkcs1(der: &[u8]) -> Result<Self, SignatureError> {
        RsaKeyPair::from_der(der).map(|key| Self(Kind::Rsa(Box::new(key)))).map_err(|_| SignatureError::Key)
    }

    /// True for an RSA key.
    pub fn is_rsa(&self) -> bool {
        matches!(self.0, Kind::Rsa(_))
    }

    /// True for an Ed25519 key.
    pub fn is_ed25519(&self) -> bool {
        matches!(self.0, Kind::Ed25519(_))
    }

    /// Whether this is the key of the certificate with this SubjectPublicKeyInfo (DER).
    pub fn belongs_to(&self, spki: &[u8]) -> bool {
        if let Kind::Ed25519(key) = &self.0 {
            return spki.strip_prefix(ED25519_SPKI) == Some(key.public_key().as_ref());
        }
        let proof = |scheme: &Scheme| {
            verify(spki, *scheme, ED25519_SPKI, &self.sign(*scheme, ED25519_SPKI).ok()?).ok()
        };
        self.schemes().first().and_then(proof).is_some()
    }
}

impl Ecdsa {
    fn read(
        der: &[u8],
        hash: Hash,
        fixed: &'static EcdsaSigningAlgorithm,
        asn1: &'static EcdsaSigningAlgorithm,
    ) -> Result<Self, SignatureError> {
        let read = |algorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new()).map_err(|_| SignatureError::Key)
        };
        Ok(Self {
            schemes: [Scheme::EcdsaDer(hash), Scheme::EcdsaFixed(hash)],
            fixed: read(fixed)?,
            der: read(asn1)?,
        })
    }
}

impl Signer for SigningKey {
    fn schemes(&self) -> &[Scheme] {
        match &self.0 {
            Kind::Rsa(_) => &RSA_SCHEMES,
            Kind::Ecdsa(key) => &key.schemes,
            Kind::Ed25519(_) => &[Scheme::Ed25519],
        }
    }
    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let random = SystemRandom::new();
        match (&self.0, scheme) {
            (Kind::Rsa(key), Scheme::RsaPkcs1(_) | Scheme::RsaPss(_)) => {
                let encoding: &dyn ring::signature::RsaEncoding = match scheme {
                    Scheme::RsaPkcs1(Hash::Sha256) => &RSA_PKCS1_SHA256,
                    Scheme::RsaPkcs1(Hash::Sha384) => &RSA_PKCS1_SHA384,
                    Scheme::RsaPkcs1(Hash::Sha512) => &RSA_PKCS1_SHA512,
                    Scheme::RsaPss(Hash::Sha256) => &RSA_PSS_SHA256,
                    Scheme::RsaPss(Hash::Sha384) => &RSA_PSS_SHA384,
                    Scheme::RsaPss(Hash::Sha512) => &RSA_PSS_SHA512,
                    _ => return Err(SignatureError::Key),
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(encoding, &random, message, &mut signature).map_err(|_| SignatureError::Key)?;
                Ok(signature)
            }
            (Kind::Ecdsa(key), _) if key.schemes.contains(&scheme) => {
                let pair = if matches!(scheme, Scheme::EcdsaFixed(_)) { &key.fixed } else { &key.der };
                let signature = pair.sign(&random, message).map_err(|_| SignatureError::Key)?;
                Ok(signature.as_ref().to_vec())
            }
            (Kind::Ed25519(key), Scheme::Ed25519) => Ok(key.sign(message).as_ref().to_vec()),
            _ => Err(SignatureError::Key),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Rsa(_) => "SigningKey(RSA)",
            Kind::Ed25519(_) => "SigningKey(Ed25519)",
            Kind::Ecdsa(key) if key.schemes[0] == Scheme::EcdsaDer(Hash::Sha256) => "SigningKey(ECDSA P-256)",
            Kind::Ecdsa(_) => "SigningKey(ECDSA P-384)",
        })
    }
}
