//! The one place that reads a clock: suspend-aware time for every deadline, civil time for certificates and log lines.

use crate::crypto::Random;
use crate::time::{Instant, Now, UnixTime};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// CLOCK_BOOTTIME and CLOCK_REALTIME. Clones share one offset, so that a simulated sleep makes time jump for all of them, as
/// it does for every process of a machine after a real one.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Nanoseconds.
    ahead: Arc<AtomicU64>,
}

impl Clock {
    /// The machine's clocks as they are.
    pub fn system() -> Self {
        Self::default()
    }

    /// Both clocks.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads them")]
    pub fn now(&self) -> Now {
        let ahead = Duration::from_nanos(self.ahead.load(Ordering::Relaxed));
        let boot = since_zero(clock_gettime(ClockId::Boottime)) + ahead;
        let wall = since_zero(clock_gettime(ClockId::Realtime)) + ahead;
        Now {
            at: Instant::from_boot(boot),
            wall: UnixTime::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// How long the machine has been asleep since it started.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads them")]
    pub fn slept(&self) -> Duration {
        let awake = since_zero(clock_gettime(ClockId::Monotonic));
        let ahead = Duration::from_nanos(self.ahead.load(Ordering::Relaxed));
        (since_zero(clock_gettime(ClockId::Boottime)) + ahead).saturating_sub(awake)
    }

    /// A simulated sleep: both clocks go forward by `asleep` at once, and no timer of the runtime notices.
    pub fn leap(&self, asleep: Duration) {
        let nanos = u64::try_from(asleep.as_nanos()).unwrap_or(u64::MAX);
        self.ahead.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// A point before zero (a civil clock before 1970) counts as zero.
fn since_zero(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The operating system's randomness.
#[derive(Clone, Debug)]
pub struct OsRandom(SystemRandom);

impl OsRandom {
    /// Ready at once.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for OsRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for OsRandom {
    /// Panics where the kernel has no randomness to give: keys from anything else would be worse than none.
    fn fill(&mut self, out: &mut [u8]) {
        self.0
            .fill(out)
            .unwrap_or_else(|_| panic!("the operating system gave no random octets (getrandom failed)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_moves_both_clocks_of_every_clone_and_of_nobody_else() {
        let (clock, other) = (Clock::system(), Clock::system());
        let clone = clock.clone();
        let before = clone.now();
        clock.leap(Duration::from_secs(7800));
        let after = clone.now();
        assert!(after.at.since(before.at) >= Duration::from_secs(7800));
        assert!(
            after.wall.since(before.wall) >= Duration::from_secs(7799),
            "the wall clock may be set meanwhile"
        );
        assert!(other.now().at.since(before.at) < Duration::from_secs(600));
    }

    #[test]
    fn random_octets_are_not_constant() {
        let mut random = OsRandom::new();
        assert_ne!(random.u64(), random.u64());
    }
}
