//! An attempt under way, and another path.

use super::super::{AuthKind, Client};
use super::Attempt;
use crate::ike::initiator::Failure;
use crate::reconnect::ATTEMPT_SPACING;
use crate::time::{Instant, Now};

impl Attempt {
    /// The last octets again, as after a change of path.
    fn repeat(&mut self, now: Instant) {
        self.moved |= !self.initiator.is_in_init();
        self.initiator.repeat(now);
    }

    /// Before this time no other begins (law 2).
    fn spaced_until(&self) -> Instant {
        self.begun + ATTEMPT_SPACING
    }

    /// When it begins anew elsewhere.
    pub(in super::super) fn poll_anew(&self) -> Option<Instant> {
        self.anew_at
    }
}

impl Client {
    /// The attempt under way sends its octets again, from another path or to another address of the same gateway (law 3).
    pub(in super::super) fn repeat_attempt(&mut self, now: Now) {
        let Some(attempt) = &self.attempt else { return };
        if self.paths.to(attempt.remote()).is_none() {
            let candidates = match attempt.auth {
                AuthKind::Token | AuthKind::Ticket => self.token_candidates(),
                AuthKind::AnyConnect | AuthKind::Eap(_) | AuthKind::Certificate => self.login_candidates(),
            };
            let Some(to) = self.candidate(candidates) else {
                return self.attempt_failed(now, Failure::NoAnswer { hint: None });
            };
            let nat_port = self.settings.nat_port;
            match self.attempt.as_mut() {
                Some(attempt) if attempt.initiator.is_in_init() => attempt.retarget(to, nat_port),
                // The gateway has an SA half done with an address that is out of reach: it begins anew. A token's attempts are
                // spaced by the policy.
                Some(attempt) if attempt.auth.is_login() && attempt.spaced_until() > now.at => {
                    attempt.anew_at = Some(attempt.spaced_until());
                    return;
                }
                attempt => {
                    if let Some(attempt) = attempt {
                        attempt.slow = true; // not the person's fault: known answers serve again
                    }
                    return self.attempt_failed(now, Failure::NoAnswer { hint: None });
                }
            }
        }
        self.begin_race(now);
        if let Some(attempt) = self.attempt.as_mut() {
            attempt.anew_at = None;
            attempt.repeat(now.at);
        }
        self.pump_attempt(now);
    }
}
