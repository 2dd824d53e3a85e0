//! What the tests of this room share.

use super::Random;

/// Octets from hex; blanks are skipped.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hex digit") as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "half an octet in {text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Gives out octets that were written down, and fails the test that asks for more.
pub(super) struct Replay(pub(super) Vec<u8>);

impl Random for Replay {
    fn fill(&mut self, out: &mut [u8]) {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
    }
}

/// A seeded generator.
pub(super) struct Seeded(rand_chacha::ChaCha20Rng);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(rand_chacha::rand_core::SeedableRng::seed_from_u64(seed))
    }
}

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        rand_chacha::rand_core::Rng::fill_bytes(&mut self.0, out);
    }
}
