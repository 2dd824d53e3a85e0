//! Disconnecting: DELETE is out; clean-up happens whatever becomes of it.

use super::super::{Context, Policy, State, Trigger};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_disconnecting(&mut self, now: Instant, trigger: Trigger, context: &Context) {
        let why = match &self.state {
            State::Disconnecting { why, .. } => *why,
            _ => None,
        };
        match trigger {
            Trigger::Deleted
            | Trigger::GatewayDeleted
            | Trigger::Outage
            | Trigger::Suspend
            | Trigger::Resume => {
                self.disconnected(why);
            }
            Trigger::Path { usable: false } => self.disconnected(why),
            Trigger::Connect => {
                self.disconnected(None);
                self.connect(now, &Context { token_until: None, old_sa: false, ..*context });
            }
            _ => {}
        }
    }
}
