//! How much goes through the tunnel: rates from the counters of the Child SA.

use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Over less time a rate is a wild guess.
const LEAST: Duration = Duration::from_millis(900);
/// Two counts with more between them say nothing about the seconds in between.
const GAP: Duration = Duration::from_secs(5);
/// Rates that are kept of each direction, one a second.
const KEPT: usize = 300;

/// In and out, octets or octets a second.
pub(super) type InOut = [u64; 2];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    mark: Option<Mark>,
    rates: Option<InOut>,
    history: VecDeque<InOut>,
}

/// The counters at one time.
#[derive(Debug)]
struct Mark {
    at: Instant,
    /// Whose counters these are: each SA begins with nothing.
    sa: String,
    counts: InOut,
}

impl Traffic {
    /// What the SA of this name has carried so far.
    pub(super) fn counted(&mut self, at: Instant, sa: &str, counts: InOut) {
        let Some(mark) = &self.mark else {
            self.mark = Some(Mark { at, sa: sa.to_owned(), counts });
            return;
        };
        let passed = at.since(mark.at);
        if passed < LEAST {
            return;
        }
        let before = if mark.sa == sa { mark.counts } else { [0; 2] };
        let rate = |n: usize| {
            let octets = u128::from(counts[n].saturating_sub(before[n]));
            u64::try_from(octets * 1000 / passed.as_millis().max(1)).unwrap_or(u64::MAX)
        };
        let rates = [rate(0), rate(1)];
        if passed > GAP {
            self.history.clear();
        }
        if self.history.len() == KEPT {
            self.history.pop_front();
        }
        self.history.push_back(rates);
        self.rates = Some(rates);
        self.mark = Some(Mark { at, sa: sa.to_owned(), counts });
    }

    /// There is no SA, or nobody who counts.
    pub(super) fn nothing(&mut self) {
        (self.mark, self.rates) = (None, None);
        self.history.clear();
    }

    /// The last rates, once two counts have come.
    pub(super) fn rates(&self) -> Option<InOut> {
        self.rates
    }

    /// The latest rates of one direction, at most so many, the newest last.
    pub(super) fn history(&self, direction: usize, most: usize) -> Vec<u64> {
        let skipped = self.history.len().saturating_sub(most);
        self.history.iter().skip(skipped).filter_map(|rates| rates.get(direction).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_millis(millis))
    }

    #[test]
    fn a_rate_is_what_came_over_the_time_it_took() {
        let mut traffic = Traffic::default();
        traffic.counted(at(0), "a", [1000, 0]);
        assert_eq!(traffic.rates(), None);
        traffic.counted(at(2000), "a", [5000, 100]);
        assert_eq!(traffic.rates(), Some([2000, 50]));
        // Too soon: it counts with the next one.
        traffic.counted(at(2100), "a", [9000, 100]);
        traffic.counted(at(3000), "a", [9000, 100]);
        assert_eq!(traffic.rates(), Some([4000, 0]));
        assert_eq!(traffic.history(0, 9), [2000, 4000]);
        assert_eq!(traffic.history(1, 1), [0]);
    }

    #[test]
    fn a_new_sa_counts_from_nothing_and_a_long_silence_begins_anew() {
        let mut traffic = Traffic::default();
        traffic.counted(at(0), "a", [1_000_000, 7]);
        traffic.counted(at(1000), "b", [500, 0]);
        assert_eq!(traffic.rates(), Some([500, 0]));
        // Counters that go back are nobody's fault.
        traffic.counted(at(2000), "b", [400, 0]);
        assert_eq!(traffic.rates(), Some([0, 0]));
        traffic.counted(at(3_602_000), "b", [3_600_400, 0]);
        assert_eq!(traffic.history(0, 9), [1000]);
        traffic.nothing();
        assert_eq!((traffic.rates(), traffic.history(0, 9)), (None, vec![]));
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let mut traffic = Traffic::default();
        for second in 0..1000 {
            traffic.counted(at(second * 1000), "a", [second * 10, 0]);
        }
        assert_eq!(traffic.history(0, usize::MAX).len(), KEPT);
    }
}
