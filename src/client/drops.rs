//! Datagrams that were thrown away: counted, and told in few lines.

use super::{Client, Event};
use crate::time::Instant;
use std::time::Duration;

/// Lines about thrown-away datagrams come at most once in this time.
pub(super) const DROP_REPORT: Duration = Duration::from_secs(10);

impl Client {
    pub(super) fn count_drop(&mut self, now: Instant, reason: &str) {
        self.drops += 1;
        self.last_drop.clear();
        self.last_drop.push_str(reason);
        self.report_drops(now);
    }

    /// One line for many: the first at once, the rest counted.
    pub(super) fn report_drops(&mut self, now: Instant) {
        let (reported, at) = self.drops_reported;
        let count = self.drops - reported;
        if count == 0 || at.is_some_and(|at| now.since(at) < DROP_REPORT) {
            return;
        }
        self.drops_reported = (self.drops, Some(now));
        self.events.push_back(Event::Dropped { count, reason: self.last_drop.clone() });
    }
}
