//! AlgorithmIdentifier of RFC 7427's AUTH payloads.
//!
//! The identifiers that can be verified are few, and DER has one encoding for each (two where parameters may be NULL or absent,
//! RFC 4055): they are built and compared, nothing of the peer's is parsed.

use crate::crypto::{Hash, Scheme};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
/// A context-specific, constructed tag: `[n] EXPLICIT`.
const EXPLICIT: u8 = 0xa0;
const NULL: [u8; 2] = [0x05, 0x00];

/// 1.2.840.113549.1.1: the last octet follows.
const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const RSASSA_PSS: u8 = 10;
const MGF1: u8 = 8;
/// 1.2.840.10045.4.3, ecdsa-with-SHA2: the last octet follows.
const ECDSA: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// 1.3.101, Edwards curves: the last octet follows (RFC 8410 3).
const EDWARDS: [u8; 2] = [0x2b, 0x65];
/// 2.16.840.1.101.3.4.2, the hash functions: the last octet follows.
const HASHES: [u8; 8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// Hashes that RFC 7427 signatures may use here.
const ALLOWED: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

/// The identifier as we send it (RFC 7427 appendix A): NULL parameters for RSA and the hashes, none for ECDSA. `None` for
/// schemes that method 14 has no name for here (SHA-1, r and s of fixed length).
pub(super) fn encode(scheme: Scheme) -> Option<Vec<u8>> {
    accepted(scheme).into_iter().next()
}

/// The scheme with exactly this identifier.
pub(super) fn decode(der: &[u8]) -> Option<Scheme> {
    ALLOWED
        .into_iter()
        .flat_map(|hash| [Scheme::RsaPkcs1(hash), Scheme::RsaPss(hash), Scheme::EcdsaDer(hash)])
        .find(|scheme| accepted(*scheme).iter().any(|encoding| encoding == der))
}

/// Every encoding that is taken for a scheme, ours first.
fn accepted(scheme: Scheme) -> Vec<Vec<u8>> {
    match scheme {
        Scheme::RsaPkcs1(hash) => match hash {
            Hash::Sha1 => Vec::new(),
            Hash::Sha256 => null_or_absent(&oid(&PKCS1, 11)),
            Hash::Sha384 => null_or_absent(&oid(&PKCS1, 12)),
            Hash::Sha512 => null_or_absent(&oid(&PKCS1, 13)),
        },
        Scheme::RsaPss(hash) => hash_identifiers(hash)
            .iter()
            .flat_map(|ours| hash_identifiers(hash).into_iter().map(|masks| pss(ours, &masks, hash)))
            .collect(),
        Scheme::EcdsaDer(hash) => match hash {
            Hash::Sha1 => Vec::new(),
            Hash::Sha256 => vec![der(SEQUENCE, &[&oid(&ECDSA, 2)])],
            Hash::Sha384 => vec![der(SEQUENCE, &[&oid(&ECDSA, 3)])],
            Hash::Sha512 => vec![der(SEQUENCE, &[&oid(&ECDSA, 4)])],
        },
        Scheme::EcdsaFixed(_) => Vec::new(),
        Scheme::Ed25519 => vec![der(SEQUENCE, &[&oid(&EDWARDS, 112)])],
    }
}

/// id-RSASSA-PSS with all its parameters (RFC 4055 3.1): hash, MGF1 with the same hash, salt as long as the hash; the trailer
/// field is 1, its default, and therefore absent.
fn pss(hash_id: &[u8], mask_hash_id: &[u8], hash: Hash) -> Vec<u8> {
    let salt = match hash {
        Hash::Sha1 => 20,
        Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    };
    let mask = der(SEQUENCE, &[&oid(&PKCS1, MGF1), mask_hash_id]);
    let parameters = der(
        SEQUENCE,
        &[
            &der(EXPLICIT, &[hash_id]),
            &der(EXPLICIT | 1, &[&mask]),
            &der(EXPLICIT | 2, &[&[INTEGER, 1, salt]]),
        ],
    );
    der(SEQUENCE, &[&oid(&PKCS1, RSASSA_PSS), &parameters])
}

fn hash_identifiers(hash: Hash) -> Vec<Vec<u8>> {
    match hash {
        Hash::Sha1 => Vec::new(),
        Hash::Sha256 => null_or_absent(&oid(&HASHES, 1)),
        Hash::Sha384 => null_or_absent(&oid(&HASHES, 2)),
        Hash::Sha512 => null_or_absent(&oid(&HASHES, 3)),
    }
}

fn null_or_absent(oid: &[u8]) -> Vec<Vec<u8>> {
    vec![der(SEQUENCE, &[oid, &NULL]), der(SEQUENCE, &[oid])]
}

fn oid(arc: &[u8], last: u8) -> Vec<u8> {
    der(OID, &[arc, &[last]])
}

/// Tag, length in one octet (everything here is shorter than 128), content.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    debug_assert!(content.len() < 128);
    [&[tag, content.len() as u8], content.as_slice()].concat()
}
