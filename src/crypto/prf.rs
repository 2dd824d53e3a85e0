//! Hashes and pseudo-random functions (RFC 7296 2.13, RFC 4868).

use super::Secret;

/// A hash function, as RFC 7427 numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// 1
    Sha1,
    /// 2
    Sha256,
    /// 3
    Sha384,
    /// 4
    Sha512,
}

impl Hash {
    /// The digest of the concatenated parts.
    pub fn digest(self, _parts: &[&[u8]]) -> Vec<u8> {
        todo!()
    }
    /// The number of RFC 7427 SIGNATURE_HASH_ALGORITHMS.
    pub fn number(self) -> u16 {
        todo!()
    }
    /// The other way round; `None` for a number we do not know.
    pub fn from_number(_number: u16) -> Option<Self> {
        todo!()
    }
}

/// A PRF (IKEv2 transform type 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Prf {
    /// 2, only to check the NIST file with: never offered, never accepted.
    HmacSha1,
    /// 5
    HmacSha256,
    /// 6
    HmacSha384,
    /// 7
    HmacSha512,
}

impl Prf {
    /// IANA transform ID.
    pub fn id(self) -> u16 {
        todo!()
    }
    /// From the IANA transform ID (HmacSha1 is not among them).
    pub fn from_id(_id: u16) -> Option<Self> {
        todo!()
    }
    /// Length of output and preferred key, octets.
    pub fn len(self) -> usize {
        todo!()
    }
    /// The hash below it.
    pub fn hash(self) -> Hash {
        todo!()
    }
    /// prf(key, part | part | ..).
    pub fn compute(self, _key: &[u8], _parts: &[&[u8]]) -> Secret {
        todo!()
    }
    /// prf+(key, seed parts), `len` octets (RFC 7296 2.13; at most 255 rounds).
    pub fn plus(self, _key: &[u8], _seed: &[&[u8]], _len: usize) -> Secret {
        todo!()
    }
}
