//! Hashes and pseudo-random functions (RFC 7296 2.13, RFC 4868).

use ring::{digest, hmac};

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
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = digest::Context::new(match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        });
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().to_vec()
    }
    /// The number of RFC 7427 SIGNATURE_HASH_ALGORITHMS.
    pub fn number(self) -> u16 {
        match self {
            Self::Sha1 => 1,
            Self::Sha256 => 2,
            Self::Sha384 => 3,
            Self::Sha512 => 4,
        }
    }
    /// The other way round; `None` for a number we do not know.
    pub fn from_number(number: u16) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|h| h.number() == number)
    }
    /// Octets of the digest.
    #[allow(clippy::len_without_is_empty)] // a digest is never empty
    pub fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
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
        match self {
            Self::HmacSha1 => 2,
            Self::HmacSha256 => 5,
            Self::HmacSha384 => 6,
            Self::HmacSha512 => 7,
        }
    }
    /// From the IANA transform ID (HmacSha1 is not among them).
    pub fn from_id(id: u16) -> Option<Self> {
        [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512].into_iter().find(|prf| prf.id() == id)
    }
    /// Length of output and preferred key, octets.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(self) -> usize {
        self.hash().len()
    }
    /// The hash below it.
    pub fn hash(self) -> Hash {
        match self {
            Self::HmacSha1 => Hash::Sha1,
            Self::HmacSha256 => Hash::Sha256,
            Self::HmacSha384 => Hash::Sha384,
            Self::HmacSha512 => Hash::Sha512,
        }
    }
    fn key(self, key: &[u8]) -> hmac::Key {
        let algorithm = match self {
            Self::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, key)
    }
    /// prf(key, part | part | ..). A key of any length: HMAC hashes one that is longer than the block of its hash.
    pub fn compute(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        let mut context = hmac::Context::with_key(&self.key(key));
        parts.iter().for_each(|part| context.update(part));
        Secret::from(context.sign().as_ref())
    }
    /// prf+(key, seed parts), `len` octets (RFC 7296 2.13; at most 255 rounds).
    ///
    /// # Panics
    /// Where `len` needs more than 255 rounds: lengths come from suites, never from a peer.
    pub fn plus(self, key: &[u8], seed: &[&[u8]], len: usize) -> Secret {
        assert!(len <= 255 * self.len(), "prf+ ends after 255 rounds");
        let key = self.key(key);
        // With all the room it needs from the start, so that no copy is left behind by a growing vector.
        let mut out = Vec::with_capacity(len);
        let mut previous: Option<hmac::Tag> = None;
        for round in 1..=u8::MAX {
            if out.len() == len {
                break;
            }
            let mut context = hmac::Context::with_key(&key);
            if let Some(previous) = &previous {
                context.update(previous.as_ref());
            }
            seed.iter().for_each(|part| context.update(part));
            context.update(&[round]);
            let block = context.sign();
            let take = self.len().min(len - out.len());
            out.extend_from_slice(&block.as_ref()[..take]);
            previous = Some(block);
        }
        Secret::new(out)
    }
}

#[cfg(test)]
mod tests;
