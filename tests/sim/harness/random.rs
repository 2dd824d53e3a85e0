//! A seeded generator (splitmix64): good enough to simulate with, and the same on every machine.

use ikeep::crypto::Random;

#[derive(Clone)]
pub(crate) struct Seeded(u64, bool);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d, false)
    }

    /// As if a back-off had no jitter: each delay is as long as it may be.
    pub(crate) fn steady(seed: u64) -> Self {
        Self(Self::new(seed).0, true)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True in `per_mille` of a thousand cases.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Uniform in `from..=to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }
}

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let octets = self.next().to_le_bytes();
            chunk.copy_from_slice(&octets[..chunk.len()]);
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        let drawn = ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64;
        // Only delays are counted in nanoseconds.
        if self.1 && bound > 1_000_000 { bound - 1 } else { drawn }
    }
}
