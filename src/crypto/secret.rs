//! Octets that must not be printed, copied about or left in memory.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A key, token or password: zeroized when dropped, compared in constant time, `Debug` prints a short salted tag.
///
/// The tag is equal for equal secrets within one process, so a log can show that two places hold the same key; its salt
/// is new in every process, so tags cannot be compared with a list of guesses afterwards. Secrets of different length
/// are unequal, and the length is no secret.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes ownership of the octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }
    /// The octets, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// Length in octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// True where there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Secret {
    fn from(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}
impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = salted_tag(&self.0);
        write!(f, "Secret({} octets, tag {tag:04x})", self.0.len())
    }
}

/// Writes over the stack below the caller, where ciphers and their libraries leave round keys behind that no `Drop` knows of.
///
/// Whoever had keys used by what it has called calls it once that has returned: 128 KiB take some 3 µs.
#[inline(never)]
pub fn wipe_stack<const OCTETS: usize>() {
    let below = [0_u8; OCTETS];
    std::hint::black_box(&below);
}

#[expect(clippy::disallowed_types, reason = "it salts a tag for people and decides nothing")]
fn salted_tag(octets: &[u8]) -> u16 {
    use std::collections::hash_map::RandomState;
    static SALT: OnceLock<RandomState> = OnceLock::new();
    (SALT.get_or_init(RandomState::new).hash_one(octets) & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_only_when_length_and_octets_are() {
        let a = Secret::from(&b"token"[..]);
        assert_eq!(a, a.clone());
        assert_ne!(a, Secret::from(&b"tokem"[..]));
        assert_ne!(a, Secret::from(&b"token\0"[..]));
        assert_ne!(a, Secret::new(Vec::new()));
        assert_eq!(Secret::new(Vec::new()), Secret::new(Vec::new()));
    }

    #[test]
    fn debug_shows_a_tag_and_no_octets() {
        let secret = Secret::from(&b"correct horse"[..]);
        let shown = format!("{secret:?}");
        assert_eq!(shown, format!("{:?}", secret.clone()));
        assert!(shown.starts_with("Secret(13 octets, tag "), "{shown}");
        assert_eq!(shown.len(), "Secret(13 octets, tag 0000)".len());
        assert!(!shown.contains("horse"));
        // Sixteen other secrets cannot all have the same tag (chance 2^-256).
        assert!((0..16u8).any(|n| format!("{:?}", Secret::new(vec![n; 13])) != shown));
    }
}
