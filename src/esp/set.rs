//! The SA pairs that serve one tunnel: one sends, all receive, old ones retire.

use super::{OpenError, SaPair, SaStats, SealError};
use crate::crypto::Random;
use crate::time::Instant;
use std::ops::Range;

/// Pairs by inbound SPI; hand-over on rekey and reconnect without loss.
#[derive(Default)]
pub struct SaSet {}

impl SaSet {
    /// Adds a pair and makes it the one that sends; the others go on receiving.
    pub fn install(&mut self, _pair: SaPair) {
        todo!()
    }
    /// Adds a pair that receives only, until `promote` (a responder sends on the new pair once it was used).
    pub fn install_inbound(&mut self, _pair: SaPair) {
        todo!()
    }
    /// Makes the pair with this inbound SPI the one that sends. False where there is none.
    pub fn promote(&mut self, _spi_in: u32) -> bool {
        todo!()
    }
    /// The pair goes on receiving until `at`, then it is gone. Where it was the sender and another is left, the newest sends.
    pub fn retire(&mut self, _spi_in: u32, _at: Instant) {
        todo!()
    }
    /// Removes at once.
    pub fn remove(&mut self, _spi_in: u32) {
        todo!()
    }
    /// Drops what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }
    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// The pair that sends.
    pub fn current(&self) -> Option<&SaPair> {
        todo!()
    }
    /// The pair with this inbound SPI.
    pub fn get(&self, _spi_in: u32) -> Option<&SaPair> {
        todo!()
    }
    /// Inbound SPIs of all pairs, oldest first.
    pub fn spis(&self) -> Vec<u32> {
        todo!()
    }
    /// Seals with the pair that sends, see [`SaPair::seal`].
    pub fn seal(&mut self, _frame: &mut Vec<u8>, _random: &mut dyn Random) -> Result<Range<usize>, SealError> {
        todo!()
    }
    /// Opens with the pair the SPI names; also that SPI.
    pub fn open(&mut self, _packet: &mut [u8]) -> Result<(u32, Range<usize>), OpenError> {
        todo!()
    }
    /// Sums over all pairs there were.
    pub fn stats(&self) -> SaStats {
        todo!()
    }
}
