//! CaptivePortal: Reconnecting, where something between us and the gateway wants a person at a browser first. Attempts go on
//! at their pace: a finding may be wrong.

use super::super::{Context, Policy, Trigger};
use super::State;
use crate::crypto::Random;
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_captive_portal(
        &mut self,
        now: Instant,
        trigger: Trigger,
        context: &Context,
        random: &mut dyn Random,
    ) {
        match trigger {
            // Of another network nothing is known yet.
            Trigger::Path { .. } | Trigger::Portal { captive: false } => {
                self.leave_portal();
                self.in_reconnecting(now, trigger, context, random);
            }
            _ => self.behind_portal(|policy| policy.in_reconnecting(now, trigger, context, random)),
        }
    }

    /// Does what Reconnecting would; the portal stays where it is.
    pub(in super::super) fn behind_portal(&mut self, act: impl FnOnce(&mut Self)) {
        self.leave_portal();
        act(self);
        self.enter_portal();
    }

    pub(in super::super) fn enter_portal(&mut self) {
        if let State::Reconnecting(reconnecting) = &self.state {
            self.state = State::CaptivePortal(reconnecting.clone());
        }
    }

    fn leave_portal(&mut self) {
        if let State::CaptivePortal(reconnecting) = &self.state {
            self.state = State::Reconnecting(reconnecting.clone());
        }
    }
}
