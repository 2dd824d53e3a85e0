//! The deadlines of all SAs in one table.

use crate::ike::message::Spi;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Whose deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// A half-open login, by our SPI.
    HalfOpen(Spi),
    /// A live connection, by its number.
    Live(u64),
}

/// At most one deadline each.
#[derive(Default)]
pub(super) struct Timers {
    due: BTreeSet<(Instant, Timer)>,
    by_timer: BTreeMap<Timer, (Instant, &'static str)>,
}

impl Timers {
    /// Sets, moves or (with `None`) takes away a deadline.
    pub(super) fn set(&mut self, timer: Timer, deadline: Option<(Instant, &'static str)>) {
        let old = match deadline {
            Some(new) => self.by_timer.insert(timer, new),
            None => self.by_timer.remove(&timer),
        };
        if let Some((at, _)) = old {
            self.due.remove(&(at, timer));
        }
        if let Some((at, _)) = deadline {
            self.due.insert((at, timer));
        }
    }

    /// The next deadline and its reason.
    pub(super) fn next(&self) -> Option<(Instant, &'static str)> {
        self.due.first().and_then(|(_, timer)| self.by_timer.get(timer).copied())
    }

    /// All that are due.
    pub(super) fn due(&self, now: Instant) -> Vec<Timer> {
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, timer)| *timer).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.due.len().max(self.by_timer.len())
    }

    /// Takes all away.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_deadline_each_earliest_first() {
        let at = |s| Instant::from_boot(Duration::from_secs(s));
        let mut timers = Timers::default();
        timers.set(Timer::Live(1), Some((at(9), "a")));
        timers.set(Timer::Live(2), Some((at(5), "b")));
        timers.set(Timer::Live(1), Some((at(3), "c")));
        assert_eq!(timers.next(), Some((at(3), "c")));
        assert_eq!(timers.due(at(4)), [Timer::Live(1)]);
        timers.set(Timer::Live(1), None);
        assert_eq!(timers.next(), Some((at(5), "b")));
        timers.clear();
        assert_eq!(timers.next(), None);
    }
}
