//! What the policy wants, done.

use super::{Client, Event};
use crate::ike::sa::Retransmission;
use crate::reconnect::{Action, Proof};
use crate::time::Now;

impl Client {
    pub(super) fn execute(&mut self, now: Now, action: Action) {
        match action {
            Action::CheckOld => self.check_old(now),
            Action::StartLogin => self.start_login(now),
            Action::StartToken => self.start_token(now),
            Action::RepeatAttempt => self.repeat_attempt(now),
            Action::DropAttempt => {
                self.attempt = None;
                self.redirects.stop_waiting();
            }
            Action::Delete => {
                if let Some(serving) = self.serving.as_mut() {
                    serving.ike.delete(now.at, &mut *self.random);
                }
                self.pump_serving(now);
            }
            Action::Close => {
                self.finish_retiring(now);
                self.drop_serving(now, false);
                for spi in self.esp.spis() {
                    self.esp.remove(spi);
                }
                self.plan = None;
                self.since = None;
                self.proved_path = None;
            }
            Action::EraseSession => {
                self.token_until = None;
                self.stored_at = None;
                if self.strip_session() {
                    self.events.push_back(Event::EraseSession);
                }
            }
        }
    }

    /// A question to the old SA at once, from the present path; the round trip is known, so its repetition is quick (law 4).
    fn check_old(&mut self, now: Now) {
        self.proof = Proof::None;
        let Some(serving) = &self.serving else { return };
        // Where the new network does not carry the family of its address nothing leaves, and nothing will be answered.
        self.ask_serving(now, Retransmission::from_round_trip(serving.round_trip));
        // What was sent from another place or before a sleep says nothing about this one; else the clock of law 8 goes on.
        let anew = self.distrust_esp || self.proved_path != self.serving_path();
        if let Some(liveness) = self.liveness.as_mut() {
            liveness.asked(now.at, anew);
        }
    }
}
