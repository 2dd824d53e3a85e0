//! Waiting for a network: nothing is sent, the window's clock runs (law 2).

use super::super::{Action, Context, OnSuspend, Policy, Trigger};
use super::{State, Why};
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_waiting_for_network(
        &mut self,
        now: Instant,
        trigger: Trigger,
        context: &Context,
    ) {
        let State::WaitingForNetwork { cause, since } = self.state else { return };
        match trigger {
            Trigger::Path { usable: true } => {
                if context.old_sa {
                    self.act(Action::CheckOld);
                }
                if !self.rules.auto_reconnect && context.old_sa {
                    self.act(Action::DropAttempt); // of the user's reconnect, before the network went
                    self.state = State::Connected;
                    return;
                }
                self.lost(now, cause, context);
                if let State::Reconnecting(r) = &mut self.state {
                    r.since = since;
                }
            }
            Trigger::Suspend => self.suspend(now, context),
            Trigger::Resume if self.rules.on_suspend == OnSuspend::Disconnect => {
                self.end_for_sleep(now, context);
            }
            Trigger::GatewayDeleted | Trigger::Outage if !context.has_token(now) && !context.old_sa => {
                self.give_up(Why::NoToken);
            }
            _ => {}
        }
    }
}
