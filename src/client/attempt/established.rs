//! An attempt has worked: its IKE SA serves from here on.

use super::super::liveness::Liveness;
use super::super::serving::Serving;
use super::super::{Client, Event};
use crate::esp::SaPair;
use crate::ike::established::{Established, SaPolicy};
use crate::ike::initiator::Outcome;
use crate::ike::sa::Retransmission;
use crate::reconnect::{Proof, Trigger};
use crate::time::Now;
use std::time::Duration;

impl Client {
    pub(super) fn established(&mut self, now: Now, mut outcome: Outcome) {
        let Some(attempt) = self.attempt.take() else { return };
        let (auth, nat, moved) = (attempt.auth, attempt.nat, attempt.moved);
        let handshake = now.at.since(attempt.initiator.started());
        let Some(sa) = attempt.initiator.finish() else { return };
        let settings = &self.settings;
        let group = sa.suite().group.id();
        let policy = SaPolicy {
            ike: settings.ike.without_ml_kem(),
            esp: settings.esp.clone(),
            ike_lifetime: Some(jittered(settings.ike_lifetime, &mut *self.random)),
            child_lifetime: Some(jittered(settings.child_lifetime, &mut *self.random)),
        };
        let mut ike = Established::new(now.at, sa, Some(&outcome.child), policy);
        ike.set_retransmission(Retransmission::from_round_trip(outcome.round_trip));
        if let Some(addresses) = outcome.mobike {
            ike.set_mobike(addresses);
        }
        self.tell_esp_keys(&outcome.child);
        let replaced = self.serving.as_ref().filter(|_| !auth.is_login()).and_then(|s| s.authentication);
        self.retire_serving(now);
        self.esp.install(SaPair::new(outcome.child));
        self.serving = Some(Serving {
            ike,
            first: nat.ip(),
            remote: nat,
            auth,
            esp: outcome.esp,
            ppk: outcome.ppk,
            since: now.at,
            round_trip: outcome.round_trip,
            authentication: None,
            replaced,
            tickets: None,
        });
        self.doubt.renewed();
        self.forget_refusals(now);
        if let Some(lifetime) = outcome.auth_lifetime {
            self.authentication_ends(now, lifetime);
        }
        self.liveness = Some(Liveness::new(
            now.at,
            outcome.dpd_interval.filter(|d| !d.is_zero()).unwrap_or(self.settings.dpd_interval),
        ));
        (self.answered_last, self.strangers) = (Some(nat.ip()), false);
        self.proof = Proof::Strong;
        self.proved_path = self.serving_path().filter(|_| !moved);
        self.distrust_esp = false;
        self.since.get_or_insert(now.at);
        self.error = None;
        self.keep_session(
            now,
            auth,
            nat,
            group,
            outcome.session_id,
            outcome.session_token,
            outcome.window,
            outcome.resumable,
            outcome.gateway.map(|gateway| gateway.root_key),
            outcome.plan.addresses(),
        );
        self.refusal = None;
        self.answers.clear();
        self.replay.clear();
        outcome.plan_notes.extend(outcome.plan.leave_here(nat.ip()));
        let changed = self.plan.as_ref().map(|old| old.differs(&outcome.plan)).unwrap_or_default();
        self.plan = Some(outcome.plan.clone());
        self.events.push_back(Event::Plan {
            plan: Box::new(outcome.plan),
            changed,
            notes: outcome.plan_notes,
        });
        self.events.push_back(Event::Established { auth, round_trips: outcome.round_trips });
        let cause = super::super::cause_of(self.policy.state());
        if let Some(cause) = cause {
            self.trouble.get_or_insert((now.at, now.at));
            self.end_trouble(now, cause, Some((handshake, outcome.round_trips)));
        }
        self.trigger(now, Trigger::Up);
        // The gateway's DPD is on demand: one that never heard ours would never notice our death, and a strict one would
        // then refuse the token for ever (PROTOCOL section 5).
        if let Some(serving) = self.serving.as_mut().filter(|serving| !moved || !serving.ike.has_mobike()) {
            serving.ike.check_liveness(now.at, &mut *self.random);
            self.pump_serving(now);
        } else {
            // With MOBIKE it sends to where IKE_AUTH came from, until it is told better (RFC 4555 3.5).
            self.ask_serving(now, Retransmission::from_round_trip(outcome.round_trip));
        }
    }
}

/// Up to a tenth less: many clients of one gateway must not rekey together.
fn jittered(lifetime: Duration, random: &mut dyn crate::crypto::Random) -> Duration {
    let tenth = u64::try_from(lifetime.as_millis() / 10).unwrap_or(u64::MAX);
    lifetime.saturating_sub(Duration::from_millis(random.below(tenth.saturating_add(1))))
}
