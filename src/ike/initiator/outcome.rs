//! The end of IKE_AUTH: what the gateway gave.

use super::super::established::mobike_offer;
use super::super::keys::ChildKeying;
use super::super::message::{AuthLifetime, ConfigAttribute, Delete, Exchange, Payload};
use super::super::proposal::proposals;
use super::auth::{Auth, Stop};
use super::init::describe;
use super::{Failure, InitiatorConfig, InitiatorEvent, Outcome};
use crate::crypto::{Random, Secret};
use crate::plan::Plan;
use crate::time::Now;
use std::collections::VecDeque;
use std::time::Duration;

impl Auth {
    /// Both sides are authenticated. Where no Child SA came of it the IKE SA is of no use and the gateway is told so, unless
    /// that would end the session (dialect `delete_ends_session`).
    pub(super) fn finish_or_delete(
        &mut self,
        now: Now,
        config: &InitiatorConfig,
        payloads: &[Payload],
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let finished = self.finish(config, payloads, events);
        let may_delete = config.credentials.is_login() || !config.dialect.delete_ends_session;
        if let (Err(Stop::Failed(Failure::Child(_))), true, Some(sa)) =
            (&finished, may_delete, self.sa.as_mut())
        {
            let delete = Delete { protocol: 1, spis: Vec::new() };
            sa.request(now.at, Exchange::Informational, vec![Payload::Delete(delete)], random);
        }
        finished
    }

    fn finish(
        &mut self,
        config: &InitiatorConfig,
        payloads: &[Payload],
        events: &mut VecDeque<InitiatorEvent>,
    ) -> Result<(), Stop> {
        let (gateway, gateway_id) = match (self.gateway.clone(), self.resumed.clone()) {
            (Some((gateway, id)), _) => (Some(gateway), id),
            (None, Some(id)) => (None, id),
            (None, None) => return Err(Failure::GatewayAuth.into()),
        };
        if let Some(n) = payloads.iter().find_map(|p| match p {
            Payload::Notify(n) if n.kind < 16384 => Some(n),
            _ => None,
        }) {
            return Err(Failure::Child(describe(n)).into());
        }
        let (esp, spi_out) = proposals(payloads)
            .and_then(|p| config.esp.accept_esp(p, false))
            .ok_or_else(|| Failure::Child("no ESP proposal of ours in the answer".into()))?;
        let selectors = |initiator: bool| {
            payloads
                .iter()
                .find_map(|p| match p {
                    Payload::TsI(ts) if initiator => Some(ts.clone()),
                    Payload::TsR(ts) if !initiator => Some(ts.clone()),
                    _ => None,
                })
                .filter(|ts| !ts.is_empty())
                .ok_or_else(|| Failure::Child("no traffic selectors in the answer".into()))
        };
        let (local, remote) = (selectors(true)?, selectors(false)?);
        let keyed = &self.keyed;
        let keying = ChildKeying {
            prf: keyed.suite.prf,
            sk_d: &keyed.keys.sk_d,
            ni: &keyed.ni,
            nr: &keyed.nr,
            shared: None,
        };
        let child = keying.derive(&esp, true, self.child_spi, spi_out, local, remote);
        let attributes: &[ConfigAttribute] = payloads
            .iter()
            .find_map(|p| match p {
                Payload::Cp(c) if c.kind == 2 => Some(c.attributes.as_slice()),
                _ => None,
            })
            .unwrap_or_default();
        let dialect = &config.dialect;
        let ours = [dialect.session_id_attribute, dialect.session_token_attribute];
        let timers = [dialect.window_attribute, dialect.dpd_interval_attribute];
        let of_the_plan = |a: &&ConfigAttribute| !ours.contains(&a.kind) && !timers.contains(&Some(a.kind));
        let of_the_plan = attributes.iter().filter(of_the_plan);
        let (plan, plan_notes) = Plan::from_reply(of_the_plan.map(|a| (a.kind, a.value.as_slice())));
        if plan.addresses().is_empty() {
            return Err(Failure::Child("the gateway assigned no address".into()).into());
        }
        let value = |kind: u16| {
            attributes.iter().find(|a| a.kind == kind && !a.value.is_empty()).map(|a| a.value.as_slice())
        };
        let seconds = |kind: Option<u16>| {
            let value = value(kind?)?;
            let secs = value.iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)))?;
            Some(Duration::from_secs(secs.clamp(1, 24 * 3600)))
        };
        let token = value(dialect.session_token_attribute);
        let long_enough = |token: &&[u8]| token.len() >= dialect.token_min_length;
        let session_token = token.filter(long_enough).map(Secret::from);
        // An ID that came with a token that is not kept belongs to no token of ours.
        let session_id =
            value(dialect.session_id_attribute).filter(|_| token.is_some() == session_token.is_some());
        let outcome = Outcome {
            child,
            esp,
            plan,
            plan_notes,
            session_id: session_id.map(<[u8]>::to_vec),
            session_token,
            resumable: self.resumable(&gateway_id, payloads).filter(|_| config.ticket),
            window: seconds(dialect.window_attribute),
            dpd_interval: seconds(dialect.dpd_interval_attribute),
            ppk: self.ppk.is_mixed(),
            mobike: mobike_offer(payloads).filter(|_| config.mobike),
            auth_lifetime: AuthLifetime::find(payloads).map(|lifetime| lifetime.0),
            gateway,
            gateway_id: gateway_id.to_string(),
            round_trips: self.round_trips,
            round_trip: self.round_trip,
        };
        events.push_back(InitiatorEvent::Established(Box::new(outcome)));
        Ok(())
    }
}
