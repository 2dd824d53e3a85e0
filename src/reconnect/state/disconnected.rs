//! Disconnected: only the user begins.

use super::super::{Action, Context, OnTrusted, Policy, Trigger};
use super::{Cause, Pause, State, Why};
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
            match self.rules.on_trusted {
                // An agent that starts in a trusted network; whoever asks for a connection there is not told of trust.
                OnTrusted::Pause if self.trusted => {
                    self.state = State::Suspended { since: now, pause: Pause::TrustedNetwork };
                }
                OnTrusted::Disconnect if self.trusted => self.end(now, context, Why::TrustedNetwork),
                _ => self.lost(now, Cause::AgentStart, context),
            }
        } else {
            self.state = State::Connecting;
            self.act(Action::StartLogin);
        }
    }
}
