//! How much each connection may have under way: buffers when it opens, windows while it lasts.
//!
//! A ring buffer has its size for good, and is resident where octets have passed, which in time is everywhere: with many
//! connections it is their sum that counts, so that those which come later get less. What moves at the same time has an equal
//! part of it nevertheless: a connection offers, and takes from its owner, no more than its part, be its buffers ever so large.

use super::Buffers;
use super::flows::Flows;
use super::outgoing::Segment;
use crate::time::Instant;

/// Beside fewer others than the number says a connection has this part of the full size, and the smallest part where there are more.
const PARTS: [(usize, usize); 5] = [(1, 1), (2, 2), (6, 4), (16, 16), (64, 128)];
/// The smallest part.
const LEAST: usize = 256;
/// The smallest buffers, octets: a handful of segments. Those of a thousand connections are most of what the agent needs.
const SMALLEST: Buffers = Buffers { receive: 8 << 10, send: 4 << 10 };
/// One on which nothing has come for so long is idle, seconds.
const IDLE: u64 = 10;
/// So many idle ones count as one: a browser keeps dozens.
const IDLE_AS_ONE: usize = 8;

/// RFC 7323 2.3.
const LARGEST_SCALE: u32 = 14;

/// How many connections move octets at the same time, counted by the second.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Since boot.
    second: u64,
    /// In this second, and in the one before.
    busy: usize,
    before: usize,
}

impl Windows {
    /// The time now.
    pub(super) fn tick(&mut self, now: Instant) {
        let second = now.since_boot().as_secs();
        if second != self.second {
            self.before = if second == self.second + 1 { self.busy } else { 0 };
            (self.second, self.busy) = (second, 0);
        }
    }

    /// A segment came for a connection for which the last came in `heard`.
    pub(super) fn heard(&mut self, heard: &mut u64) {
        if *heard != self.second {
            *heard = self.second;
            self.busy += 1;
        }
    }

    /// This second.
    pub(super) fn second(&self) -> u64 {
        self.second
    }

    /// What a connection may have under way of buffers that would be `full` if it were alone.
    pub(super) fn part(&self, full: Buffers) -> Buffers {
        cut(full, self.busy.max(self.before).saturating_sub(1))
    }

    /// How large the buffers of a further connection are.
    pub(super) fn share(&self, full: Buffers, flows: &Flows) -> Buffers {
        let idle = flows.heard().filter(|heard| heard + IDLE < self.second).count();
        let others = flows.len() - idle + idle / IDLE_AS_ONE;
        cut(full, others)
    }
}

/// Of `full` what one has beside so many others.
fn cut(full: Buffers, others: usize) -> Buffers {
    let part = PARTS.iter().find(|(below, _)| others < *below).map_or(LEAST, |(_, part)| *part);
    let cut = |full: usize, smallest: usize| (full / part).max(smallest).min(full);
    Buffers { receive: cut(full.receive, SMALLEST.receive), send: cut(full.send, SMALLEST.send) }
}

/// Makes the window that a segment of ours offers no larger than `part` octets, where `free` can be received: smoltcp offers all of
/// that. The peer may have been offered more before: what it sends of that is received. True where it was changed.
pub(super) fn narrow(segment: &mut Segment<'_>, free: usize, part: usize) -> bool {
    // The window of a SYN is never scaled (RFC 7323 2.2), and a reset has none.
    if part >= free || segment.syn() || segment.rst() {
        return false;
    }
    let offered = usize::from(segment.window_len());
    // Scaled or not is for the peer to say: the scale is the one that makes of what is free what stands there.
    let in_header = |scale: &u32| (free >> scale).min(usize::from(u16::MAX));
    let Some(scale) = (0..=LARGEST_SCALE).find(|scale| in_header(scale) == offered) else { return false };
    let narrowed = u16::try_from(part >> scale).unwrap_or(u16::MAX);
    let is_less = usize::from(narrowed) < offered;
    if is_less {
        segment.set_window_len(narrowed);
    }
    is_less
}

#[cfg(test)]
mod tests;
