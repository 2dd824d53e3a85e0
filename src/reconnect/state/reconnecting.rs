//! Reconnecting: an attempt is under way, or the next one is waited for.

use super::super::backoff::delay;
use super::super::{Action, Context, Failed, OnSuspend, Policy, Proof, RESET_SPACING, Trigger};
use super::{Cause, State, Why};
use crate::crypto::Random;
use crate::time::Instant;

impl Policy {
    pub(in super::super) fn in_reconnecting(
        &mut self,
        now: Instant,
        trigger: Trigger,
        context: &Context,
        random: &mut dyn Random,
    ) {
        match trigger {
            Trigger::Up => self.state = State::Connected,
            Trigger::InitAnswered => {
                if let State::Reconnecting(r) = &mut self.state {
                    r.past_init = true;
                }
            }
            Trigger::OldProved => self.take_proof(now, context),
            Trigger::Failed(failed) => self.attempt_failed(now, failed, context, random),
            Trigger::Path { usable: false } => {
                if let State::Reconnecting(r) = &self.state {
                    // Whatever was wanted before, what is wanted now is the way back.
                    let wished = matches!(r.cause, Cause::User | Cause::Renewal);
                    let cause = if wished { Cause::NetworkChange } else { r.cause };
                    self.state = State::WaitingForNetwork { cause, since: r.since };
                }
            }
            Trigger::Path { usable: true } => {
                if context.old_sa {
                    self.act(Action::CheckOld);
                }
                self.again(now, context);
            }
            Trigger::Resume if self.rules.on_suspend == OnSuspend::Disconnect => {
                self.end_for_sleep(now, context);
            }
            Trigger::Resume => {
                if context.old_sa {
                    self.act(Action::CheckOld);
                }
                self.again(now, context);
            }
            Trigger::Portal { captive: true } => self.enter_portal(),
            Trigger::Connect | Trigger::Reconnect | Trigger::Portal { captive: false } => {
                self.again(now, context);
            }
            Trigger::Suspend => self.suspend(now, context),
            Trigger::Outage | Trigger::GatewayDeleted | Trigger::ChildDeleted => {
                // Without a token the old SA was the last hope.
                let gone = trigger != Trigger::Outage || !context.old_sa;
                if !context.has_token(now) && (gone || trigger == Trigger::Outage) {
                    self.give_up(Why::NoToken);
                }
            }
            Trigger::Disconnect | Trigger::Deleted | Trigger::Renew | Trigger::Trusted(_) => {}
        }
    }

    /// A reason to try at once: the attempt under way sends its octets again, or a new one begins.
    fn again(&mut self, now: Instant, context: &Context) {
        let may_reset = self.last_reset.is_none_or(|at| now.since(at) >= RESET_SPACING);
        let State::Reconnecting(r) = &mut self.state else { return };
        if may_reset {
            r.failures = 0;
            self.last_reset = Some(now);
        }
        if r.in_flight {
            self.act(Action::RepeatAttempt);
            return;
        }
        if !may_reset && r.next.is_some() && r.failures > 0 {
            return; // flapping: the back-off goes on
        }
        if context.has_token(now) {
            self.start_token(now);
        }
    }

    /// Law 3: a proof counts until the IKE_SA_INIT answer. After a refusal even an IKE answer on a new address counts: the
    /// gateway gives no new SA while it holds the old one, and here it answers on that. Without a token there is nothing better
    /// to wait for.
    fn take_proof(&mut self, now: Instant, context: &Context) {
        let State::Reconnecting(r) = &self.state else { return };
        let last_hope = r.rejected || !context.has_token(now);
        let enough = if last_hope { Proof::Weak } else { Proof::Strong };
        let wants_new = matches!(r.cause, Cause::User | Cause::Renewal) && !last_hope;
        if (r.in_flight && r.past_init) || wants_new || context.proof < enough {
            return;
        }
        self.act(Action::DropAttempt);
        self.state = State::Connected;
    }

    fn attempt_failed(&mut self, now: Instant, failed: Failed, context: &Context, random: &mut dyn Random) {
        let State::Reconnecting(r) = &mut self.state else { return };
        r.in_flight = false;
        r.past_init = false;
        r.rejected |= matches!(failed, Failed::Refused | Failed::NoChild);
        // Nothing was wrong with the old SA: idle, it must not be given up unasked when the gaps run out.
        let wished = matches!(r.cause, Cause::User | Cause::Renewal);
        if !context.has_token(now) {
            // It has outlived the window: no other follows, and only the old SA may still say something.
            if !context.old_sa {
                let refused = failed == Failed::Refused && !self.expired;
                return self.give_up(if refused { Why::TokenRefused } else { Why::NoToken });
            }
            if context.proof == Proof::None {
                self.act(Action::CheckOld);
            }
        } else if failed == Failed::OtherWay {
            self.start_token(now);
        } else if failed == Failed::Refused {
            // An extra try (the user's, or a new path's) does not use up a gap: the gaps together outlast the gateway's DPD.
            if let Some(at) = r.gap.filter(|at| *at > now) {
                r.next = Some(at);
            } else {
                let gap = self.rules.refusal_retry.get(r.refusals).copied();
                r.refusals += 1;
                match gap {
                    Some(gap) => {
                        r.gap = Some(now + gap);
                        r.next = r.gap;
                    }
                    None => return self.give_up(Why::TokenRefused),
                }
            }
        } else {
            let wait = delay(&self.rules, r.failures, random);
            r.failures = r.failures.saturating_add(1);
            r.next = Some(now + wait);
        }
        if context.proof > Proof::None {
            match failed {
                // The proof may be as old as the attempt, which went on for many seconds: the old SA is asked again, and its
                // answer counts.
                Failed::NoAnswer => self.act(Action::CheckOld),
                _ => self.take_proof(now, context),
            }
        } else if wished && context.old_sa && failed == Failed::Refused {
            self.act(Action::CheckOld);
        }
    }
}
