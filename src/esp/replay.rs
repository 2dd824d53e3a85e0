//! The anti-replay window and the high half of extended sequence numbers (RFC 4303 3.4.3 and appendix A).

/// Packets behind the highest one seen that are still accepted.
pub(super) const WINDOW: u32 = 1024;
const BLOCK_BITS: u64 = u64::BITS as u64;
/// Blocks of the ring. Larger than the window by more than one block, so that moving it on clears whole blocks and never
/// shifts bits (RFC 6479); a power of two, so that the place in the ring is a mask.
const BLOCKS: u64 = 32;

/// Which sequence numbers were seen. [`check`](Self::check) before authentication, [`mark`](Self::mark) after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ReplayWindow {
    /// The highest number authenticated; 0 before the first packet.
    highest: u64,
    /// A ring of blocks: bit `n % 64` of block `n / 64 % BLOCKS` stands for number `n`.
    seen: [u64; BLOCKS as usize],
}

impl ReplayWindow {
    /// Nothing seen yet: the first packet of an SA carries 1.
    pub(super) fn new() -> Self {
        Self { highest: 0, seen: [0; BLOCKS as usize] }
    }

    /// The highest sequence number authenticated.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// The whole extended sequence number that a packet with these low 32 bits must have (RFC 4303 A2.2); `None` where that
    /// lies before the first packet or after the last.
    pub(super) fn extend(&self, low: u32) -> Option<u64> {
        let (high, top) = ((self.highest >> 32) as u32, self.highest as u32);
        let bottom = top.wrapping_sub(WINDOW - 1);
        let high = match (bottom <= top, low >= bottom) {
            // The window lies within one run of 2^32: what is below it belongs to the next run.
            (true, true) => high,
            (true, false) => high.checked_add(1)?,
            // It spans two: its lower part is at the end of the run before.
            (false, true) => high.checked_sub(1)?,
            (false, false) => high,
        };
        Some(u64::from(high) << 32 | u64::from(low))
    }

    /// True where `sequence` is new: above the window, or in it and not seen. 0 is never sent.
    pub(super) fn check(&self, sequence: u64) -> bool {
        if sequence > self.highest {
            return true;
        }
        sequence != 0
            && self.highest - sequence < u64::from(WINDOW)
            && self.seen[block(sequence)] & bit(sequence) == 0
    }

    /// Notes an authenticated number that passed [`check`](Self::check), and moves the window on.
    pub(super) fn mark(&mut self, sequence: u64) {
        if sequence > self.highest {
            let steps = (sequence / BLOCK_BITS - self.highest / BLOCK_BITS).min(BLOCKS);
            for step in 0..steps {
                self.seen[block(sequence - step * BLOCK_BITS)] = 0;
            }
            self.highest = sequence;
        }
        self.seen[block(sequence)] |= bit(sequence);
    }
}

fn block(sequence: u64) -> usize {
    (sequence / BLOCK_BITS % BLOCKS) as usize
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % BLOCK_BITS)
}

#[cfg(test)]
mod tests;
