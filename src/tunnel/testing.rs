//! What the tests of this room share.

use crate::crypto::Random;
use std::net::IpAddr;

/// A seeded generator.
pub(super) struct Seeded(rand_chacha::ChaCha20Rng);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(rand_chacha::rand_core::SeedableRng::seed_from_u64(seed))
    }

    pub(super) fn boxed(seed: u64) -> Box<dyn Random> {
        Box::new(Self::new(seed))
    }
}

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        rand_chacha::rand_core::Rng::fill_bytes(&mut self.0, out);
    }
}

/// The octet at `position` of a stream that never repeats itself, so that a shifted or doubled part is seen.
pub(super) fn octet(position: u64) -> u8 {
    let mixed = (position / 8).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).to_be_bytes()[(position % 8) as usize]
}

/// `length` octets of that stream.
pub(super) fn octets(from: u64, length: usize) -> Vec<u8> {
    (from..).take(length).map(octet).collect()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
