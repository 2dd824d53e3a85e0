//! Connecting: a login is under way. It is never repeated by itself (law 5).

use super::super::{Action, Context, OnSuspend, Policy, Trigger};
use super::{State, Why};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_connecting(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        match trigger {
            Trigger::Up => self.state = State::Connected,
            Trigger::Failed(_) => self.disconnected(Some(Why::LoginFailed)),
            Trigger::Suspend | Trigger::Resume if self.rules.on_suspend == OnSuspend::Disconnect => {
                self.end_for_sleep(now, context);
            }
            Trigger::Path { usable: true } | Trigger::Resume | Trigger::Portal { captive: false } => {
                self.act(Action::RepeatAttempt);
            }
            _ => {}
        }
    }
}
