//! Signatures over octets (RFC 7296 2.15, RFC 4754, RFC 7427).

mod signer;
mod verify;

use super::Hash;

pub use signer::{Signer, SigningKey};
pub use verify::verify;

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
    /// Ed25519 (method 14, RFC 8420): made by clients, not taken from gateways.
    Ed25519,
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

#[cfg(test)]
mod tests;
