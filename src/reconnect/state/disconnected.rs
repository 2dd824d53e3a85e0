//! Disconnected: only the user begins.

use super::super::{Action, Context, Policy, Trigger};
use super::{Cause, State};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_disconnected(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        if trigger == Trigger::Connect {
            self.connect(now, context);
        }
    }

    /// With a live session the token is tried, without one the login begins.
    pub(in super::super) fn connect(&mut self, now: Instant, context: &Context) {
        if context.has_token(now) {
            self.lost(now, Cause::AgentStart, context);
        } else {
            self.state = State::Connecting;
            self.act(Action::StartLogin);
        }
    }
}
