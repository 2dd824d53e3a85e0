//! Signatures over octets (RFC 7296 2.15, RFC 4754, RFC 7427).

use super::Hash;

/// How a signature was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(Hash),
    /// RSASSA-PSS, salt as long as the hash.
    RsaPss(Hash),
    /// ECDSA with r and s as fixed-length octets (methods 9 to 11: P-256/SHA-256, P-384/SHA-384, P-521/SHA-512).
    EcdsaFixed(Hash),
    /// ECDSA as a DER sequence (method 14); the curve is that of the key.
    EcdsaDer(Hash),
}

/// Why a signature does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// Wrong signature.
    #[error("the signature does not verify")]
    Invalid,
    /// The key is of another kind, too weak (RSA below 2048 bits), or not readable.
    #[error("the key cannot verify this kind of signature")]
    Key,
}

/// Checks `signature` over `message` with the key of a certificate (`spki`: DER SubjectPublicKeyInfo).
pub fn verify(_spki: &[u8], _scheme: Scheme, _message: &[u8], _signature: &[u8]) -> Result<(), SignatureError> {
    todo!()
}

/// Something that can sign: a key in memory now, a token later.
pub trait Signer: Send + Sync {
    /// The schemes it can make, best first.
    fn schemes(&self) -> &[Scheme];
    /// Signs `message`.
    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignatureError>;
}

/// A private key in memory (RSA, ECDSA P-256 or P-384), from PKCS#8.
pub struct SigningKey {}

impl SigningKey {
    /// Reads PKCS#8 DER.
    pub fn from_pkcs8(_der: &[u8]) -> Result<Self, SignatureError> {
        todo!()
    }
}

impl Signer for SigningKey {
    fn schemes(&self) -> &[Scheme] {
        todo!()
    }
    fn sign(&self, _scheme: Scheme, _message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        todo!()
    }
}
