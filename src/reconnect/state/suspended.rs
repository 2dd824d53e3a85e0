//! Suspended: between the signal before sleep and the one after it, or in a network where the profile wants no tunnel.

use super::super::{Action, Context, OnSuspend, OnTrusted, Policy, Trigger};
use super::{Cause, Pause, State, Why};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_suspended(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        let State::Suspended { pause, .. } = self.state else { return };
        match trigger {
            Trigger::Resume if pause == Pause::Sleep => {
                if context.old_sa && self.path {
                    self.act(Action::CheckOld);
                }
                if !self.rules.auto_reconnect && context.old_sa && self.path {
                    self.state = State::Connected;
                } else {
                    self.lost(now, Cause::Resume, context);
                }
            }
            Trigger::Suspend | Trigger::Resume if self.rules.on_suspend == OnSuspend::Disconnect => {
                self.end_for_sleep(now, context);
            }
            // Whoever asks is awake: the end of the sleep was missed.
            Trigger::Connect | Trigger::Reconnect if pause == Pause::Sleep => {
                if context.old_sa && self.path {
                    self.act(Action::CheckOld);
                }
                self.lost(now, Cause::Resume, context);
                self.log_in(now, trigger, context);
            }
            Trigger::Connect | Trigger::Reconnect => {
                self.lost(now, Cause::User, context);
                self.log_in(now, trigger, context);
            }
            _ => {}
        }
    }

    /// Whoever asks for a connection that needs a person is one.
    fn log_in(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        if trigger == Trigger::Connect && matches!(self.state, State::AuthRequired { .. }) {
            self.in_auth_required(now, trigger, context);
        }
    }

    /// Trusted network detection: the machine came into such a network, or left it.
    pub(in super::super) fn trusted(&mut self, now: Instant, trusted: bool, context: &Context) {
        let left = std::mem::replace(&mut self.trusted, trusted) && !trusted;
        let pause = match &self.state {
            State::Suspended { pause, .. } => Some(*pause),
            _ => None,
        };
        let up = !matches!(
            self.state,
            State::Disconnected { .. } | State::AuthRequired { .. } | State::Disconnecting { .. }
        );
        match (trusted, self.rules.on_trusted) {
            (true, OnTrusted::Disconnect) if up => self.end(now, context, Why::TrustedNetwork),
            (true, OnTrusted::Pause) if up && pause != Some(Pause::TrustedNetwork) => {
                // A login under way is the person's own wish.
                if self.state == State::Connecting {
                    return;
                }
                if !context.has_token(now) {
                    return self.end(now, context, Why::TrustedNetwork);
                }
                self.act(Action::DropAttempt);
                self.act(Action::Close);
                self.state = State::Suspended { since: now, pause: Pause::TrustedNetwork };
            }
            // What the network's change could not begin there begins now.
            (false, OnTrusted::Disconnect | OnTrusted::Pause)
                if left
                    && self.path
                    && context.has_token(now)
                    && matches!(self.state, State::AuthRequired { .. }) =>
            {
                self.once(now, Cause::NetworkChange, context);
            }
            (false, _) if pause == Some(Pause::TrustedNetwork) => {
                self.lost(now, Cause::NetworkChange, context);
            }
            _ => {}
        }
    }
}
