//! When each ping left and came back, and what the client said meanwhile, on one clock for all processes.

use anyhow::{Context, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two pings.
pub(crate) const INTERVAL: Duration = Duration::from_millis(2);

/// Nanoseconds of the machine's monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads a clock")]
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Sleeps until this point of [`now`].
#[expect(clippy::disallowed_methods, reason = "a benchmark paces what it sends")]
pub(crate) fn sleep_until(due: u64) {
    let left = due.saturating_sub(now());
    if left > 0 {
        std::thread::sleep(Duration::from_nanos(left));
    }
}

/// Sleeps.
pub(crate) fn pause(time: Duration) {
    sleep_until(now() + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2));
}

#[derive(Default)]
struct Seen {
    /// When sent, when answered, in the order of the answers.
    pings: Vec<(u64, u64)>,
    events: Vec<(u64, String)>,
}

/// See the module. Clones see the same.
#[derive(Clone, Default)]
pub(crate) struct Track(Arc<(Mutex<Seen>, Condvar)>);

impl Track {
    /// A ping came back.
    pub(crate) fn answered(&self, sent: u64, answered: u64) {
        self.locked().pings.push((sent, answered));
        self.0.1.notify_all();
    }

    /// The client said something.
    pub(crate) fn said(&self, at: u64, what: &str) {
        self.locked().events.push((at, what.to_owned()));
        self.0.1.notify_all();
    }

    /// When the first ping came back of those sent at `since` or later.
    pub(crate) fn alive_after(&self, since: u64, patience: Duration) -> Result<u64> {
        let first = |seen: &Seen| {
            let after = seen.pings.iter().rev().take_while(|(_, answered)| *answered >= since);
            after.filter(|(sent, _)| *sent >= since).last().map(|(_, answered)| *answered)
        };
        self.wait(patience, first).with_context(|| format!("no ping came back within {patience:?}"))
    }

    /// When the client first said `what`, at `since` or later.
    pub(crate) fn told_after(&self, since: u64, what: &str, patience: Duration) -> Result<u64> {
        let first = |seen: &Seen| {
            seen.events.iter().find(|(at, text)| *at >= since && text == what).map(|(at, _)| *at)
        };
        self.wait(patience, first).with_context(|| format!("{what:?} was not told within {patience:?}"))
    }

    /// The longest time without an answer, from the last answer before `from` to the first after `until`.
    pub(crate) fn longest_gap(&self, from: u64, until: u64) -> Duration {
        let seen = self.locked();
        let gaps = seen.pings.windows(2).filter_map(|pair| match pair {
            [(_, before), (_, after)] if *after >= from && *before <= until => Some(after - before),
            _ => None,
        });
        Duration::from_nanos(gaps.max().unwrap_or_default())
    }

    /// Everything said since, for an error.
    pub(crate) fn events_since(&self, since: u64) -> String {
        let seen = self.locked();
        let line =
            |(at, text): &(u64, String)| format!("{:10.3} ms {text}\n", (*at as f64 - since as f64) / 1e6);
        seen.events.iter().filter(|(at, _)| *at + 1_000_000_000 >= since).map(line).collect()
    }

    fn wait<T>(&self, patience: Duration, find: impl Fn(&Seen) -> Option<T>) -> Option<T> {
        let missing = |seen: &mut Seen| find(seen).is_none();
        let waited = self.0.1.wait_timeout_while(self.locked(), patience, missing);
        let (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
        find(&seen)
    }

    fn locked(&self) -> MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
