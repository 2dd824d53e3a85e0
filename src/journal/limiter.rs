//! Keeps repeated lines from filling the log: so many per interval and key, then a count.

use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most keys that are counted apart; the others are held back together until a place is free.
const MAX_KEYS: usize = 256;

/// Lets `most` events per `interval` and key pass, counts the rest, and tells the counts when the interval is over.
#[derive(Clone, Debug)]
pub struct Limiter<K> {
    most: u32,
    interval: Duration,
    keys: BTreeMap<K, Window>,
    crowded_out: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    until: Instant,
    passed: u32,
    held: u64,
}

/// What to do with an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Write it.
    Pass,
    /// Do not; it is counted.
    Held,
}

impl<K: Ord + Clone> Limiter<K> {
    /// `most` events of each key in `interval`, which begins with a key's first event.
    pub fn new(most: u32, interval: Duration) -> Self {
        Self { most, interval, keys: BTreeMap::new(), crowded_out: 0 }
    }

    /// An event of this key. Ask [`Limiter::due`] first: where it was not asked, an interval that is over with events held
    /// back goes on for them.
    pub fn check(&mut self, now: Instant, key: &K) -> Verdict {
        let over = |window: &Window| window.until <= now && window.held == 0;
        if !self.keys.contains_key(key) && self.keys.len() >= MAX_KEYS {
            self.keys.retain(|_, window| !over(window));
            if self.keys.len() >= MAX_KEYS {
                self.crowded_out += 1;
                return Verdict::Held;
            }
        }
        let fresh = Window { until: now + self.interval, passed: 0, held: 0 };
        let window = self.keys.entry(key.clone()).or_insert(fresh);
        if over(window) {
            *window = fresh;
        }
        if window.passed < self.most {
            window.passed += 1;
            Verdict::Pass
        } else {
            window.held += 1;
            Verdict::Held
        }
    }

    /// The keys whose interval is over and whose events were held back, with how many; they start anew.
    pub fn due(&mut self, now: Instant) -> Vec<(K, u64)> {
        let over = |window: &Window| window.until <= now;
        let told = self.keys.iter().filter(|(_, window)| over(window) && window.held > 0);
        let told = told.map(|(key, window)| (key.clone(), window.held)).collect();
        self.keys.retain(|_, window| !over(window));
        told
    }

    /// Events that were held back uncounted by key, because too many keys were in use; zero afterwards.
    pub fn take_crowded_out(&mut self) -> u64 {
        std::mem::take(&mut self.crowded_out)
    }

    /// When [`Limiter::due`] has something to tell, and why to wake.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let held = self.keys.values().filter(|window| window.held > 0);
        held.map(|window| window.until).min().map(|at| (at, "count of repeated log lines"))
    }
}
