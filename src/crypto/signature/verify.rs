//! Checking: ring where it has the combination, RustCrypto's ECDSA for P-521 and for SHA-512 below the smaller curves.

use p256::ecdsa::{self, signature::hazmat::PrehashVerifier};
use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::der_parser::oid::Oid;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::super::Hash;
use super::{Scheme, SignatureError};

/// RSA moduli we accept, bits: below is weak, above is a way to waste our time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Checks `signature` over `message` with the key of a certificate (`spki`: DER SubjectPublicKeyInfo).
///
/// RSA keys of 2048 to 8192 bits (rsaEncryption) and keys on P-256, P-384 or P-521. SHA-1 counts in
/// `Scheme::RsaPkcs1(Hash::Sha1)` only, which a caller chooses where AUTH method 1 demands it.
pub fn verify(spki: &[u8], scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    match (scheme, Key::read(spki)?) {
        (Scheme::RsaPkcs1(hash), Key::Rsa(key)) => {
            let algorithm = match hash {
                Hash::Sha1 => &ring_signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
                Hash::Sha256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
                Hash::Sha384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
                Hash::Sha512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
            };
            by_ring(algorithm, &key, message, signature)
        }
        (Scheme::RsaPss(hash), Key::Rsa(key)) => {
            let algorithm = match hash {
                Hash::Sha1 => return Err(SignatureError::Key),
                Hash::Sha256 => &ring_signature::RSA_PSS_2048_8192_SHA256,
                Hash::Sha384 => &ring_signature::RSA_PSS_2048_8192_SHA384,
                Hash::Sha512 => &ring_signature::RSA_PSS_2048_8192_SHA512,
            };
            by_ring(algorithm, &key, message, signature)
        }
        (Scheme::EcdsaFixed(hash), Key::Ec(curve, point)) => fixed(curve, hash, &point, message, signature),
        (Scheme::EcdsaDer(hash), Key::Ec(curve, point)) => der(curve, hash, &point, message, signature),
        _ => Err(SignatureError::Key),
    }
}

/// Methods 9 to 11 name one hash for each curve (RFC 4754 7).
fn fixed(
    curve: Curve,
    hash: Hash,
    point: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    match (curve, hash) {
        (Curve::P256, Hash::Sha256) => {
            by_ring(&ring_signature::ECDSA_P256_SHA256_FIXED, point, message, signature)
        }
        (Curve::P384, Hash::Sha384) => {
            by_ring(&ring_signature::ECDSA_P384_SHA384_FIXED, point, message, signature)
        }
        (Curve::P521, Hash::Sha512) => {
            use p521::ecdsa::{Signature, VerifyingKey};
            let key = VerifyingKey::from_sec1_bytes(point);
            by_rust_crypto(key, curve.number(hash, message), Signature::from_slice(signature))
        }
        _ => Err(SignatureError::Key),
    }
}

/// Method 14 takes any hash with any curve (RFC 7427).
fn der(
    curve: Curve,
    hash: Hash,
    point: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let algorithm = match (curve, hash) {
        (_, Hash::Sha1) => return Err(SignatureError::Key),
        (Curve::P256, Hash::Sha256) => &ring_signature::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, Hash::Sha384) => &ring_signature::ECDSA_P256_SHA384_ASN1,
        (Curve::P384, Hash::Sha256) => &ring_signature::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, Hash::Sha384) => &ring_signature::ECDSA_P384_SHA384_ASN1,
        (Curve::P256, Hash::Sha512) => {
            use p256::ecdsa::{Signature, VerifyingKey};
            let key = VerifyingKey::from_sec1_bytes(point);
            return by_rust_crypto(key, curve.number(hash, message), Signature::from_der(signature));
        }
        (Curve::P384, Hash::Sha512) => {
            use p384::ecdsa::{Signature, VerifyingKey};
            let key = VerifyingKey::from_sec1_bytes(point);
            return by_rust_crypto(key, curve.number(hash, message), Signature::from_der(signature));
        }
        (Curve::P521, _) => {
            use p521::ecdsa::{Signature, VerifyingKey};
            let key = VerifyingKey::from_sec1_bytes(point);
            return by_rust_crypto(key, curve.number(hash, message), Signature::from_der(signature));
        }
    };
    by_ring(algorithm, point, message, signature)
}

fn by_ring(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).map_err(|_| SignatureError::Invalid)
}

fn by_rust_crypto<K: PrehashVerifier<S>, S>(
    key: Result<K, ecdsa::Error>,
    digest: Vec<u8>,
    signature: Result<S, ecdsa::Error>,
) -> Result<(), SignatureError> {
    let key = key.map_err(|_| SignatureError::Key)?;
    let signature = signature.map_err(|_| SignatureError::Invalid)?;
    key.verify_prehash(&digest, &signature).map_err(|_| SignatureError::Invalid)
}

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// Octets of a coordinate.
    fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
    /// The digest of `message`, at least as long as a coordinate. Zeros in front do not change it as a number, and without
    /// them RustCrypto refuses what is shorter than half of the field: SHA-256 below P-521.
    fn number(self, hash: Hash, message: &[u8]) -> Vec<u8> {
        let digest = hash.digest(&[message]);
        let mut number = vec![0; self.field_len().saturating_sub(digest.len())];
        number.extend_from_slice(&digest);
        number
    }
}

enum Key {
    /// DER RSAPublicKey
    Rsa(Vec<u8>),
    /// An uncompressed point, still to be checked
    Ec(Curve, Vec<u8>),
}

impl Key {
    fn read(spki: &[u8]) -> Result<Self, SignatureError> {
        let (rest, spki) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| SignatureError::Key)?;
        let key = spki.subject_public_key;
        if !rest.is_empty() || key.unused_bits != 0 {
            return Err(SignatureError::Key);
        }
        let kind = &spki.algorithm.algorithm;
        if *kind == OID_PKCS1_RSAENCRYPTION {
            rsa(&key.data)
        } else if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let parameters = spki.algorithm.parameters.ok_or(SignatureError::Key)?;
            ec(&Oid::try_from(parameters).map_err(|_| SignatureError::Key)?, &key.data)
        } else {
            Err(SignatureError::Key)
        }
    }
}

fn rsa(der: &[u8]) -> Result<Key, SignatureError> {
    let (rest, key) = RSAPublicKey::from_der(der).map_err(|_| SignatureError::Key)?;
    // Of the modulus as DER has it: one octet of zeros where its first bit would be a sign.
    let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
    let bits = 8 * modulus.len() - modulus.first().map_or(0, |octet| octet.leading_zeros() as usize);
    if rest.is_empty() && RSA_BITS.contains(&bits) {
        Ok(Key::Rsa(der.to_vec()))
    } else {
        Err(SignatureError::Key)
    }
}

fn ec(curve: &Oid<'_>, point: &[u8]) -> Result<Key, SignatureError> {
    let curve = if *curve == OID_EC_P256 {
        Curve::P256
    } else if *curve == OID_NIST_EC_P384 {
        Curve::P384
    } else if *curve == OID_NIST_EC_P521 {
        Curve::P521
    } else {
        return Err(SignatureError::Key);
    };
    // 4: uncompressed, the one form that RFC 5480 2.2 demands of everyone.
    if point.len() == 1 + 2 * curve.field_len() && point[0] == 4 {
        Ok(Key::Ec(curve, point.to_vec()))
    } else {
        Err(SignatureError::Key)
    }
}
