//! Connected: everything that can end it.

use super::super::{Action, Context, OnSuspend, Policy, Trigger};
use super::{Cause, Pause, State, Why};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_connected(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        let auto = self.rules.auto_reconnect;
        match trigger {
            Trigger::Path { usable: false } => {
                self.state = State::WaitingForNetwork { cause: Cause::NetworkChange, since: now };
            }
            Trigger::Path { usable: true } | Trigger::Resume => {
                if trigger == Trigger::Resume && self.rules.on_suspend == OnSuspend::Disconnect {
                    self.end_for_sleep(now, context);
                    return;
                }
                // Both leave at once: the question to the old SA, and the beginning of a new one (law 3).
                self.act(Action::CheckOld);
                if auto {
                    let cause = if trigger == Trigger::Resume { Cause::Resume } else { Cause::NetworkChange };
                    self.lost(now, cause, context);
                }
            }
            Trigger::Suspend => self.suspend(now, context),
            Trigger::Reconnect if context.has_token(now) => self.lost(now, Cause::User, context),
            // Make before break: the old SA serves meanwhile. Its answer is what we go back to where the token is refused.
            Trigger::Renew if context.has_token(now) => {
                self.act(Action::CheckOld);
                self.lost(now, Cause::Renewal, context);
            }
            // Without a token a new SA would need the person; the old one is asked whether it lives.
            Trigger::Reconnect => self.act(Action::CheckOld),
            Trigger::Outage if auto => self.lost(now, Cause::Outage, context),
            Trigger::GatewayDeleted if auto => self.lost(now, Cause::GatewayDelete, context),
            Trigger::ChildDeleted if auto => self.lost(now, Cause::ChildDelete, context),
            Trigger::Outage | Trigger::GatewayDeleted | Trigger::ChildDeleted => {
                self.act(Action::EraseSession);
                self.disconnected(Some(Why::NoAutoReconnect));
            }
            _ => {}
        }
    }

    /// Before sleep: by the profile the session ends, or waits.
    pub(in super::super) fn suspend(&mut self, now: Instant, context: &Context) {
        match self.rules.on_suspend {
            OnSuspend::Disconnect => self.end_for_sleep(now, context),
            OnSuspend::Reconnect => {
                self.act(Action::DropAttempt);
                self.state = State::Suspended { since: now, pause: Pause::Sleep };
            }
        }
    }

    pub(in super::super) fn end_for_sleep(&mut self, now: Instant, context: &Context) {
        self.end(now, context, Why::Suspend);
    }
}
