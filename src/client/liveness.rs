//! Law 8: is anybody there? Counted from what was sent and what came back, authenticated.

use crate::time::Instant;
use std::time::Duration;

/// Unanswered sending for this long asks for a liveness request.
pub const PROBE_AFTER: Duration = Duration::from_secs(3);
/// Silence for this long after the first unanswered packet (or the end of the DPD interval) is an outage.
pub const OUTAGE_AFTER: Duration = Duration::from_secs(7);

/// After a move that only an IKE answer has proved (MOBIKE), traffic has to come back within this time.
const CARRIED_WITHIN: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Send a liveness request.
    Probe,
    /// Declare the outage.
    Outage,
    /// The gateway has agreed to a move and answers, but nothing of what is sent comes back: its ESP goes elsewhere.
    NotCarried,
}

/// The clocks of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    interval: Duration,
    last_in: Instant,
    /// Idleness counts from here: the last sign of life, or the first moment since at which one could be heard.
    idle_since: Instant,
    first_unanswered: Option<Instant>,
    probed: bool,
    declared: bool,
    moved: Moved,
}

/// How far a move is proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Moved {
    /// There was none, or ESP has come back since.
    #[default]
    Carried,
    /// Nothing was sent since.
    Agreed,
    /// Something was sent then, and no ESP has come back.
    Sent(Instant),
}

impl Liveness {
    /// Everything was heard just now. `interval`: of DPD when idle.
    pub fn new(now: Instant, interval: Duration) -> Self {
        Self {
            interval,
            last_in: now,
            idle_since: now,
            first_unanswered: None,
            probed: false,
            declared: false,
            moved: Moved::Carried,
        }
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
        *self = Self { moved: self.moved, ..Self::new(now, self.interval) };
    }

    /// The gateway has agreed to send to another address of ours.
    pub fn moved(&mut self) {
        self.moved = Moved::Agreed;
    }

    /// ESP has come in.
    pub fn carried(&mut self) {
        self.moved = Moved::Carried;
    }

    /// Something was sent that wants an answer.
    pub fn sent(&mut self, now: Instant) {
        self.first_unanswered.get_or_insert(now);
        if self.moved == Moved::Agreed {
            self.moved = Moved::Sent(now);
        }
    }

    /// The owner has sent a liveness request by itself. `anew` (a new path, a resume): what was unanswered before does not count.
    pub fn asked(&mut self, now: Instant, anew: bool) {
        if anew {
            self.first_unanswered = None;
            self.idle_since = now;
        }
        self.first_unanswered.get_or_insert(now);
        self.probed = true;
        self.declared = false;
    }

    /// Heard within the DPD interval and its patience.
    pub fn is_confirmed(&self, now: Instant) -> bool {
        !self.declared && now < self.outage_at() && now < self.last_in + self.interval + OUTAGE_AFTER
    }

    fn probe_at(&self) -> Instant {
        let idle = self.idle_since + self.interval;
        self.first_unanswered.map_or(idle, |at| idle.min(at + PROBE_AFTER))
    }

    /// When the silence counts as an outage.
    pub fn outage_at(&self) -> Instant {
        let idle = self.idle_since + self.interval + OUTAGE_AFTER;
        self.first_unanswered.map_or(idle, |at| idle.min(at + OUTAGE_AFTER))
    }

    /// The next deadline.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let next = match (self.declared, self.probed) {
            (true, _) => return None,
            (false, true) => (self.outage_at(), "outage, unless the gateway answers"),
            (false, false) => (self.probe_at(), "liveness check"),
        };
        let carried = self.carried_by().map(|at| (at, "traffic after the move"));
        [Some(next), carried].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn carried_by(&self) -> Option<Instant> {
        match self.moved {
            Moved::Sent(at) => Some(at + CARRIED_WITHIN),
            Moved::Carried | Moved::Agreed => None,
        }
    }

    /// What is due now; each thing once.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if self.declared {
            return None;
        }
        if let Moved::Sent(at) = self.moved
            && now >= at + CARRIED_WITHIN
        {
            self.first_unanswered = Some(at);
            self.moved = Moved::Carried; // once for each move
            return Some(Due::NotCarried);
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
