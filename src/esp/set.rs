//! The SA pairs that serve one tunnel: one sends, all receive, old ones retire.

use super::{OpenError, SaPair, SaStats, SealError, spi_of};
use crate::crypto::Random;
use crate::time::Instant;
use std::ops::Range;

/// Pairs by inbound SPI; hand-over on rekey and reconnect without loss.
#[derive(Default, Debug)]
pub struct SaSet {
    /// Oldest first.
    pairs: Vec<Member>,
    /// Inbound SPI of the pair that sends.
    sender: Option<u32>,
    /// Counters of the pairs that are gone, and of packets that belonged to none.
    gone: SaStats,
}

#[derive(Debug)]
struct Member {
    pair: SaPair,
    retires: Option<Instant>,
}

impl SaSet {
    /// Adds a pair and makes it the one that sends; the others go on receiving. A pair with the same inbound SPI is removed
    /// first.
    pub fn install(&mut self, pair: SaPair) {
        let spi_in = pair.spi_in();
        self.install_inbound(pair);
        self.sender = Some(spi_in);
    }

    /// Adds a pair that receives only, until `promote` (a responder sends on the new pair once it was used).
    pub fn install_inbound(&mut self, pair: SaPair) {
        self.remove(pair.spi_in());
        self.pairs.push(Member { pair, retires: None });
    }

    /// Makes the pair with this inbound SPI the one that sends. False where there is none. A pair that is to retire still
    /// does.
    pub fn promote(&mut self, spi_in: u32) -> bool {
        let found = self.get(spi_in).is_some();
        if found {
            self.sender = Some(spi_in);
        }
        found
    }

    /// The pair goes on receiving until `at`, then it is gone. Where it was the sender and another is left, the newest sends;
    /// where none is left it sends to its end. Of two calls the earlier `at` counts.
    pub fn retire(&mut self, spi_in: u32, at: Instant) {
        let Some(member) = self.pairs.iter_mut().find(|m| m.pair.spi_in() == spi_in) else { return };
        member.retires = Some(member.retires.map_or(at, |before| before.min(at)));
        if self.sender == Some(spi_in)
            && let Some(heir) = self.pairs.iter().rev().find(|m| m.retires.is_none())
        {
            self.sender = Some(heir.pair.spi_in());
        }
    }

    /// Removes at once. Where it was the sender, the newest that is left sends.
    pub fn remove(&mut self, spi_in: u32) {
        self.remove_where(|member| member.pair.spi_in() == spi_in);
    }

    /// Drops what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.remove_where(|member| member.retires.is_some_and(|at| at <= now));
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pairs.iter().filter_map(|member| member.retires).min()
    }

    /// The pair that sends.
    pub fn current(&self) -> Option<&SaPair> {
        self.get(self.sender?)
    }

    /// The pair with this inbound SPI.
    pub fn get(&self, spi_in: u32) -> Option<&SaPair> {
        self.pairs.iter().map(|member| &member.pair).find(|pair| pair.spi_in() == spi_in)
    }

    /// Inbound SPIs of all pairs, oldest first.
    pub fn spis(&self) -> Vec<u32> {
        self.pairs.iter().map(|member| member.pair.spi_in()).collect()
    }

    /// True where no pair is left.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Seals with the pair that sends, see [`SaPair::seal`].
    pub fn seal(&mut self, frame: &mut Vec<u8>, random: &mut dyn Random) -> Result<Range<usize>, SealError> {
        let sender = self.sender.ok_or(SealError::NoSa)?;
        self.get_mut(sender).ok_or(SealError::NoSa)?.seal(frame, random)
    }

    /// [`SaPair::lead`] and [`SaPair::sealed_len`] of the pair that sends, for an inner packet of `length`.
    pub fn room_for(&self, length: usize) -> Option<(usize, usize)> {
        self.current().map(|pair| (pair.lead(), pair.sealed_len(length)))
    }

    /// Seals with the pair that sends, see [`SaPair::seal_slice`].
    pub fn seal_slice(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        random: &mut dyn Random,
    ) -> Result<usize, SealError> {
        let sender = self.sender.ok_or(SealError::NoSa)?;
        self.get_mut(sender).ok_or(SealError::NoSa)?.seal_slice(buffer, length, random)
    }

    /// Opens with the pair the SPI names; also that SPI. After [`OpenError::Dummy`] the packet still holds it: [`spi_of`].
    pub fn open(&mut self, packet: &mut [u8]) -> Result<(u32, Range<usize>), OpenError> {
        let Some(spi_in) = spi_of(packet) else {
            self.gone.drops += 1;
            return Err(OpenError::Malformed);
        };
        let Some(pair) = self.get_mut(spi_in) else {
            self.gone.drops += 1;
            return Err(OpenError::UnknownSpi(spi_in));
        };
        Ok((spi_in, pair.open(packet)?))
    }

    /// Sums over all pairs there were.
    pub fn stats(&self) -> SaStats {
        let mut sum = self.gone;
        for member in &self.pairs {
            sum.add(member.pair.stats());
        }
        sum
    }

    fn get_mut(&mut self, spi_in: u32) -> Option<&mut SaPair> {
        self.pairs.iter_mut().map(|member| &mut member.pair).find(|pair| pair.spi_in() == spi_in)
    }

    fn remove_where(&mut self, mut is_due: impl FnMut(&Member) -> bool) {
        let gone = &mut self.gone;
        self.pairs.retain(|member| {
            let due = is_due(member);
            if due {
                gone.add(member.pair.stats());
            }
            !due
        });
        if self.sender.is_some_and(|sender| self.get(sender).is_none()) {
            // One that stays, or else one that at least is still there.
            let heir = self.pairs.iter().rev().find(|m| m.retires.is_none()).or(self.pairs.last());
            self.sender = heir.map(|member| member.pair.spi_in());
        }
    }
}

#[cfg(test)]
mod tests;
