//! Connecting: a login is under way. It is never repeated by itself (law 5).

use super::super::{Action, Context, Policy, Trigger};
use super::{State, Why};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_connecting(&mut self, _now: Instant, trigger: Trigger, _context: &Context) {
        match trigger {
            Trigger::Up => self.state = State::Connected,
            Trigger::Failed(_) => self.disconnected(Some(Why::LoginFailed)),
            Trigger::Path { usable: true } | Trigger::Resume => self.act(Action::RepeatAttempt),
            _ => {}
        }
    }
}
