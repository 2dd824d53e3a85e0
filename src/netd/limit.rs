//! How often something may happen.

use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Tokens, in parts of a second each is worth.
    level: Duration,
    last: Instant,
    each: Duration,
    full: Duration,
}

impl Bucket {
    /// `burst` at once, and one more after each `each`.
    pub(super) fn new(now: Instant, burst: u32, each: Duration) -> Self {
        let full = each * burst;
        Self { level: full, last: now, each, full }
    }

    /// Takes one, where there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.level = (self.level + now.since(self.last)).min(self.full);
        self.last = now;
        match self.level.checked_sub(self.each) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.level + now.since(self.last) >= self.full
    }
}

/// A bucket for each user, for so many users at a time.
#[derive(Debug)]
pub(super) struct PerUser {
    users: BTreeMap<u32, (Bucket, u64)>,
    burst: u32,
    each: Duration,
}

/// Users that are told apart. More can only be on purpose.
const MAX_USERS: usize = 256;

impl PerUser {
    pub(super) fn new(burst: u32, each: Duration) -> Self {
        Self { users: BTreeMap::new(), burst, each }
    }

    /// Takes one of this user's: how many were refused since the last one that was there; `None`: there is none.
    pub(super) fn take(&mut self, now: Instant, uid: u32) -> Option<u64> {
        if self.users.len() >= MAX_USERS && !self.users.contains_key(&uid) {
            self.users.retain(|_, (bucket, _)| !bucket.is_full(now));
            if self.users.len() >= MAX_USERS {
                return None;
            }
        }
        let (burst, each) = (self.burst, self.each);
        let (bucket, refused) = self.users.entry(uid).or_insert_with(|| (Bucket::new(now, burst, each), 0));
        if bucket.take(now) {
            return Some(std::mem::take(refused));
        }
        *refused = refused.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_millis(millis))
    }

    #[test]
    fn a_burst_and_then_one_by_one() {
        let mut bucket = Bucket::new(at(0), 3, Duration::from_millis(20));
        assert_eq!([0, 0, 0, 0, 19].map(|time| bucket.take(at(time))), [true, true, true, false, false]);
        assert!(bucket.take(at(20)) && !bucket.take(at(39)) && bucket.take(at(40)));
        assert_eq!(
            (0..10).filter(|_| bucket.take(at(100_000))).count(),
            3,
            "no more than a burst is saved up"
        );
    }

    #[test]
    fn each_user_has_an_own_one_and_hears_what_was_refused() {
        let mut users = PerUser::new(1, Duration::from_secs(1));
        assert_eq!(users.take(at(0), 1), Some(0));
        assert_eq!(users.take(at(0), 1), None);
        assert_eq!(users.take(at(0), 1), None);
        assert_eq!(users.take(at(0), 2), Some(0));
        assert_eq!(users.take(at(1000), 1), Some(2));
        for uid in 0..1000 {
            users.take(at(1000), uid);
        }
        assert_eq!(users.users.len(), MAX_USERS);
        assert_eq!(users.take(at(10_000), 1000), Some(0), "who was quiet is forgotten");
    }
}
