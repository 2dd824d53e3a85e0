//! The AUTH payload (RFC 7296 2.15, 2.16; RFC 7427).

use super::message::Identity;
use crate::crypto::{Hash, Prf, Secret, SignatureError, Signer};

/// AUTH method numbers.
#[allow(missing_docs)]
pub mod method {
    pub const RSA: u8 = 1;
    pub const SHARED_KEY: u8 = 2;
    pub const ECDSA_256: u8 = 9;
    pub const ECDSA_384: u8 = 10;
    pub const ECDSA_521: u8 = 11;
    pub const DIGITAL_SIGNATURE: u8 = 14;
}

/// RealMessage | NonceOfPeer | prf(SK_p, RestOfIDPayload).
pub fn signed_octets(_prf: Prf, _sk_p: &Secret, _message: &[u8], _peer_nonce: &[u8], _id: &Identity) -> Vec<u8> {
    todo!()
}

/// prf(prf(key, "Key Pad for IKEv2"), octets): method 2. With EAP methods that give no key, `key` is SK_pi or SK_pr.
pub fn shared_key_auth(_prf: Prf, _key: &[u8], _octets: &[u8]) -> Secret {
    todo!()
}

/// Verifies an AUTH payload made with a certificate's key, whatever the method. Method 1: the DigestInfo names the hash, any
/// of SHA-256/384/512, SHA-1 only where allowed. Method 14 only with a hash that we announced.
pub fn verify_signature(
    _method: u8,
    _data: &[u8],
    _octets: &[u8],
    _spki: &[u8],
    _allow_sha1: bool,
) -> Result<(), SignatureError> {
    todo!()
}

/// Signs; returns method and data. `peer_hashes`: the peer's SIGNATURE_HASH_ALGORITHMS (RFC 7427 with the best common one),
/// or `None` where it sent none (methods 1, 9, 10; method 1 with `rsa_hash`, by the dialect that of the PRF).
pub fn sign(
    _signer: &dyn Signer,
    _octets: &[u8],
    _peer_hashes: Option<&[Hash]>,
    _rsa_hash: Hash,
) -> Result<(u8, Vec<u8>), SignatureError> {
    todo!()
}

/// The data of our SIGNATURE_HASH_ALGORITHMS notify: SHA-256, SHA-384, SHA-512.
pub fn our_hash_algorithms() -> Vec<u8> {
    todo!()
}

/// Reads a SIGNATURE_HASH_ALGORITHMS notify; unknown numbers are left out.
pub fn read_hash_algorithms(_data: &[u8]) -> Vec<Hash> {
    todo!()
}
