//! Law 8: is anybody there? Counted from what was sent and what came back, authenticated.

use crate::time::Instant;
use std::time::Duration;

/// Unanswered sending for this long asks for a liveness request.
pub const PROBE_AFTER: Duration = Duration::from_secs(3);
/// Silence for this long after the first unanswered packet (or the end of the DPD interval) is an outage.
pub const OUTAGE_AFTER: Duration = Duration::from_secs(7);

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Send a liveness request.
    Probe,
    /// Declare the outage.
    Outage,
}

/// The clocks of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    interval: Duration,
    last_in: Instant,
    first_unanswered: Option<Instant>,
    probed: bool,
    declared: bool,
}

impl Liveness {
    /// Everything was heard just now. `interval`: of DPD when idle.
    pub fn new(now: Instant, interval: Duration) -> Self {
        Self { interval, last_in: now, first_unanswered: None, probed: false, declared: false }
    }

    /// When the peer was last heard.
    pub fn last_in(&self) -> Instant {
        self.last_in
    }

    /// The first sign of trouble: the first unanswered packet, else the last sign of life.
    pub fn trouble_since(&self) -> Instant {
        self.first_unanswered.unwrap_or(self.last_in)
    }

    /// Something authenticated and new arrived.
    pub fn heard(&mut self, now: Instant) {
        *self = Self::new(now, self.interval);
    }

    /// Something was sent that wants an answer.
    pub fn sent(&mut self, now: Instant) {
        self.first_unanswered.get_or_insert(now);
    }

    /// The owner has sent a liveness request by itself. `anew` (a new path, a resume): what was unanswered before does not count.
    pub fn asked(&mut self, now: Instant, anew: bool) {
        if anew {
            self.first_unanswered = None;
        }
        self.first_unanswered.get_or_insert(now);
        self.probed = true;
        self.declared = false;
    }

    /// Heard within the DPD interval and its patience.
    pub fn is_confirmed(&self, now: Instant) -> bool {
        !self.declared && now < self.outage_at()
    }

    fn probe_at(&self) -> Instant {
        let idle = self.last_in + self.interval;
        self.first_unanswered.map_or(idle, |at| idle.min(at + PROBE_AFTER))
    }

    /// When the silence counts as an outage.
    pub fn outage_at(&self) -> Instant {
        let idle = self.last_in + self.interval + OUTAGE_AFTER;
        self.first_unanswered.map_or(idle, |at| idle.min(at + OUTAGE_AFTER))
    }

    /// The next deadline.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match (self.declared, self.probed) {
            (true, _) => None,
            (false, true) => Some((self.outage_at(), "outage, unless the gateway answers")),
            (false, false) => Some((self.probe_at(), "liveness check")),
        }
    }

    /// What is due now; each thing once.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if self.declared {
            return None;
        }
        if now >= self.outage_at() {
            self.declared = true;
            return Some(Due::Outage);
        }
        if now >= self.probe_at() && !self.probed {
            self.probed = true;
            return Some(Due::Probe);
        }
        None
    }
}
