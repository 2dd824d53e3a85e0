//! Only a person can go on, but a refused token is kept and tried once after each change of network (law 5).

use super::super::{Action, Context, OnSuspend, OnTrusted, Policy, Trigger};
use super::{Cause, State, Why};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_auth_required(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        match trigger {
            Trigger::Connect => {
                self.state = State::Connecting;
                self.act(Action::StartLogin);
            }
            Trigger::Path { .. } | Trigger::Resume
                if self.trusted && self.rules.on_trusted != OnTrusted::Stay => {}
            Trigger::Path { usable: true } if context.has_token(now) => {
                self.once(now, Cause::NetworkChange, context)
            }
            Trigger::Resume if context.has_token(now) && self.rules.on_suspend == OnSuspend::Reconnect => {
                self.once(now, Cause::Resume, context)
            }
            Trigger::Reconnect if context.has_token(now) => self.once(now, Cause::User, context),
            _ => {}
        }
    }

    /// One attempt; its refusal leads back here at once.
    pub(super) fn once(&mut self, now: Instant, cause: Cause, context: &Context) {
        let refused = matches!(self.state, State::AuthRequired { why: Why::TokenRefused });
        self.lost(now, cause, context);
        let spent = self.rules.refusal_retry.len();
        if let State::Reconnecting(r) = &mut self.state
            && refused
        {
            r.refusals = spent;
        }
    }
}
