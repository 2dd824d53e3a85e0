//! The AUTH payload (RFC 7296 2.15, 2.16; RFC 7427).

mod algorithm;
#[cfg(test)]
mod tests;

use super::message::Identity;
use crate::crypto::{Hash, Prf, Scheme, Secret, SignatureError, Signer, verify};

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

/// The hashes of our SIGNATURE_HASH_ALGORITHMS.
const OUR_HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

/// RealMessage | NonceOfPeer | prf(SK_p, RestOfIDPayload).
pub fn signed_octets(prf: Prf, sk_p: &Secret, message: &[u8], peer_nonce: &[u8], id: &Identity) -> Vec<u8> {
    let maced_id = prf.compute(sk_p.expose(), &[&[id.kind, 0, 0, 0], &id.data]);
    [message, peer_nonce, maced_id.expose()].concat()
}

/// prf(prf(key, "Key Pad for IKEv2"), octets): method 2. With EAP methods that give no key, `key` is SK_pi or SK_pr.
pub fn shared_key_auth(prf: Prf, key: &[u8], octets: &[u8]) -> Secret {
    let padded = prf.compute(key, &[b"Key Pad for IKEv2"]);
    prf.compute(padded.expose(), &[octets])
}

/// prf(SK_p, octets): method 2 in a resumed IKE SA, SK_p being the maker's SK_pi or SK_pr of the new one. The octets are those
/// of every AUTH, with IKE_SESSION_RESUME in the place of IKE_SA_INIT (RFC 5723 4.3.3).
pub fn resumed_auth(prf: Prf, sk_p: &Secret, octets: &[u8]) -> Secret {
    prf.compute(sk_p.expose(), &[octets])
}

/// Verifies an AUTH payload made with a certificate's key, whatever the method. Method 1: the DigestInfo names the hash, any
/// of SHA-256/384/512, SHA-1 only where allowed. Method 14 only with a hash that we announced.
///
/// `SignatureError::Key` for a method or algorithm that is not known here, too.
pub fn verify_signature(
    method: u8,
    data: &[u8],
    octets: &[u8],
    spki: &[u8],
    allow_sha1: bool,
) -> Result<(), SignatureError> {
    match method {
        method::RSA => verify_rsa(data, octets, spki, allow_sha1),
        method::ECDSA_256 => verify(spki, Scheme::EcdsaFixed(Hash::Sha256), octets, data),
        method::ECDSA_384 => verify(spki, Scheme::EcdsaFixed(Hash::Sha384), octets, data),
        method::ECDSA_521 => verify(spki, Scheme::EcdsaFixed(Hash::Sha512), octets, data),
        method::DIGITAL_SIGNATURE => {
            let (scheme, signature) = read_digital_signature(data).ok_or(SignatureError::Key)?;
            verify(spki, scheme, octets, signature)
        }
        _ => Err(SignatureError::Key),
    }
}

/// Method 1. Which hash the DigestInfo names shows only when the signature is checked, so each is tried; at most one can hold.
fn verify_rsa(data: &[u8], octets: &[u8], spki: &[u8], allow_sha1: bool) -> Result<(), SignatureError> {
    let hashes = OUR_HASHES.into_iter().chain(allow_sha1.then_some(Hash::Sha1));
    let mut last = Err(SignatureError::Invalid);
    for hash in hashes {
        last = verify(spki, Scheme::RsaPkcs1(hash), octets, data);
        if last != Err(SignatureError::Invalid) {
            break;
        }
    }
    last
}

/// How an AUTH payload is signed.
pub struct Signing {
    /// AUTH method.
    pub method: u8,
    /// What the key makes.
    pub scheme: Scheme,
    /// AlgorithmIdentifier of method 14.
    algorithm: Option<Vec<u8>>,
}

impl Signing {
    /// Method and data of the payload with this signature.
    pub fn data(&self, signature: &[u8]) -> (u8, Vec<u8>) {
        let data = match &self.algorithm {
            Some(algorithm) => digital_signature(algorithm, signature),
            None => signature.to_vec(),
        };
        (self.method, data)
    }
}

/// How a key that can make `schemes` signs. `peer_hashes`: the peer's SIGNATURE_HASH_ALGORITHMS (RFC 7427 with the best common
/// one), or `None` where it sent none (methods 1, 9, 10; method 1 with `rsa_hash`, by the dialect that of the PRF). Where no
/// hash is common the older methods serve, too.
///
/// # Errors
/// `SignatureError::Key`: the peer takes none of them.
pub fn signing(
    schemes: &[Scheme],
    peer_hashes: Option<&[Hash]>,
    rsa_hash: Hash,
) -> Result<Signing, SignatureError> {
    if let Some(hashes) = peer_hashes {
        let common = schemes.iter().find_map(|scheme| {
            let common = match *scheme {
                Scheme::RsaPkcs1(hash) | Scheme::RsaPss(hash) | Scheme::EcdsaDer(hash) => {
                    hashes.contains(&hash)
                }
                Scheme::Ed25519 => true,
                Scheme::EcdsaFixed(_) => false,
            };
            let algorithm = common.then(|| algorithm::encode(*scheme))??;
            Some((*scheme, algorithm))
        });
        if let Some((scheme, algorithm)) = common {
            return Ok(Signing { method: method::DIGITAL_SIGNATURE, scheme, algorithm: Some(algorithm) });
        }
    }
    let (method, scheme) = schemes
        .iter()
        .find_map(|scheme| match scheme {
            Scheme::RsaPkcs1(hash) if *hash == rsa_hash => Some((method::RSA, *scheme)),
            Scheme::EcdsaFixed(Hash::Sha256) => Some((method::ECDSA_256, *scheme)),
            Scheme::EcdsaFixed(Hash::Sha384) => Some((method::ECDSA_384, *scheme)),
            Scheme::EcdsaFixed(Hash::Sha512) => Some((method::ECDSA_521, *scheme)),
            _ => None,
        })
        .ok_or(SignatureError::Key)?;
    Ok(Signing { method, scheme, algorithm: None })
}

/// Signs as [`signing`] says; method and data.
///
/// # Errors
/// The peer takes nothing that this key makes, or the key makes no signature.
pub fn sign(
    signer: &dyn Signer,
    octets: &[u8],
    peer_hashes: Option<&[Hash]>,
    rsa_hash: Hash,
) -> Result<(u8, Vec<u8>), SignatureError> {
    let signing = signing(signer.schemes(), peer_hashes, rsa_hash)?;
    Ok(signing.data(&signer.sign(signing.scheme, octets)?))
}

/// The AUTH data of method 14 (RFC 7427 3): length of the AlgorithmIdentifier, the identifier, the signature.
fn digital_signature(algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    debug_assert!(algorithm.len() < 128);
    [&[algorithm.len() as u8], algorithm, signature].concat()
}

/// Cuts the AUTH data of method 14.
fn read_digital_signature(data: &[u8]) -> Option<(Scheme, &[u8])> {
    let (length, rest) = data.split_first()?;
    let (identifier, signature) = rest.split_at_checked(usize::from(*length))?;
    Some((algorithm::decode(identifier)?, signature))
}

/// How an AUTH payload proves, for people. It is not verified here.
pub(super) fn describe(number: u8, data: &[u8]) -> String {
    let name = match number {
        method::RSA => "RSA signature",
        method::SHARED_KEY => "shared key",
        3 => "DSS signature",
        method::ECDSA_256 => "ECDSA P-256 with SHA-256",
        method::ECDSA_384 => "ECDSA P-384 with SHA-384",
        method::ECDSA_521 => "ECDSA P-521 with SHA-512",
        13 => "no authentication",
        method::DIGITAL_SIGNATURE => {
            let scheme = read_digital_signature(data).map(|(scheme, _)| format!("{scheme:?}"));
            let scheme = scheme.as_deref().unwrap_or("an algorithm that is not known here");
            return format!("digital signature: {scheme} (method 14)");
        }
        _ => "unknown",
    };
    format!("{name} (method {number})")
}

/// The data of our SIGNATURE_HASH_ALGORITHMS notify: SHA-256, SHA-384, SHA-512.
pub fn our_hash_algorithms() -> Vec<u8> {
    OUR_HASHES.iter().flat_map(|hash| hash.number().to_be_bytes()).collect()
}

/// Whether a SIGNATURE_HASH_ALGORITHMS notify has "Identity", without which no Ed25519 signature may be sent (RFC 8420 2).
pub fn takes_ed25519(data: &[u8]) -> bool {
    data.chunks_exact(2).any(|number| number == [0, 5])
}

/// Reads a SIGNATURE_HASH_ALGORITHMS notify; unknown numbers are left out, and an odd octet at the end.
pub fn read_hash_algorithms(data: &[u8]) -> Vec<Hash> {
    data.chunks_exact(2).filter_map(|n| Hash::from_number(u16::from_be_bytes([n[0], n[1]]))).collect()
}
