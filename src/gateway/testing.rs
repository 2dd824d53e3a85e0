//! What the tests of this room share.

use super::GatewayConfig;
use crate::crypto::{Random, Scheme, SignatureError, Signer};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::Arc;

/// Seeded randomness.
pub(super) struct Dice(ChaCha12Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }
}

impl Random for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// A key that cannot sign.
struct NoKey;

impl Signer for NoKey {
    fn schemes(&self) -> &[Scheme] {
        &[]
    }
    fn sign(&self, _: Scheme, _: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Err(SignatureError::Key)
    }
}

/// The seed's router without a key.
pub(super) fn config() -> GatewayConfig {
    GatewayConfig::seed([10, 9, 0, 1].into(), vec![vec![0x30, 0]], Arc::new(NoKey))
}
