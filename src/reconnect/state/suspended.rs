//! Suspended: between the signal before sleep and the one after it.

use super::super::{Action, Context, Policy, Trigger};
use super::{Cause, State};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_suspended(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        match trigger {
            Trigger::Resume => {
                if context.old_sa && self.path {
                    self.act(Action::CheckOld);
                }
                if self.rules.auto_reconnect {
                    self.lost(now, Cause::Resume, context);
                } else {
                    self.state = State::Connected;
                }
            }
            // Whoever asks or moves us is awake.
            Trigger::Connect | Trigger::Reconnect => self.lost(now, Cause::User, context),
            _ => {}
        }
    }
}
