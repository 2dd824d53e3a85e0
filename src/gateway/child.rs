//! The first Child SA and the configuration of a new IKE SA: what the client asked for, and what it gets.

use super::event::Refusal;
use super::modecfg::AddressRequest;
use super::sessions::Session;
use crate::esp::TrafficSelector;
use crate::ike::established::mobike_offer;
use crate::ike::message::{Configuration, Payload, Proposal, cfg_kind, find_notify, notify};
use crate::ike::proposal::{Algorithms, EspSuite, proposals};

/// Selectors of ours in one answer.
const SELECTORS: usize = 16;

/// CP, SA, TSi and TSr of the request that wants a Child SA.
#[derive(Clone, Debug)]
pub(super) struct ChildRequest {
    pub(super) cp: Configuration,
    pub(super) addresses: AddressRequest,
    /// The client offers MOBIKE.
    pub(super) mobike: bool,
    /// The client asks for a ticket.
    pub(super) ticket: bool,
    offered: Vec<Proposal>,
    ts_i: Vec<TrafficSelector>,
    ts_r: Vec<TrafficSelector>,
}

/// What both sides agree on.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) suite: EspSuite,
    pub(super) spi_out: u32,
    pub(super) answer: Proposal,
    /// The client's side: the assigned addresses.
    pub(super) ts_i: Vec<TrafficSelector>,
    /// Our side.
    pub(super) ts_r: Vec<TrafficSelector>,
}

impl ChildRequest {
    /// `None` where a payload is missing.
    pub(super) fn read(payloads: &[Payload]) -> Option<Self> {
        let (mut cp, mut ts_i, mut ts_r) = (None, None, None);
        for payload in payloads {
            match payload {
                Payload::Cp(request) if request.kind == cfg_kind::REQUEST => cp = Some(request.clone()),
                Payload::TsI(selectors) => ts_i = Some(selectors.clone()),
                Payload::TsR(selectors) => ts_r = Some(selectors.clone()),
                _ => {}
            }
        }
        let cp = cp?;
        let addresses = AddressRequest::of(&cp);
        let mobike = mobike_offer(payloads).is_some();
        let ticket = find_notify(payloads, notify::TICKET_REQUEST).is_some();
        let offered = proposals(payloads)?.to_vec();
        Some(Self { cp, addresses, mobike, ticket, offered, ts_i: ts_i?, ts_r: ts_r? })
    }

    /// Chooses a suite and narrows the selectors to the session's addresses (RFC 7296 2.9); the error notify otherwise.
    pub(super) fn agree(
        &self,
        algorithms: &Algorithms,
        spi_in: u32,
        session: &Session,
    ) -> Result<Agreed, (Refusal, u16)> {
        let chosen = algorithms.choose_esp(&self.offered, spi_in, false);
        let (suite, spi_out, answer) = chosen.ok_or((Refusal::Proposal, notify::NO_PROPOSAL_CHOSEN))?;
        let hosts: Vec<_> = session.addresses().into_iter().map(TrafficSelector::host).collect();
        let ts_i = narrow(&self.ts_i, &hosts);
        let families = [TrafficSelector::any_v4(), TrafficSelector::any_v6()];
        let served = families
            .into_iter()
            .filter(|any| ts_i.iter().any(|ts| ts.addresses.0.is_ipv4() == any.addresses.0.is_ipv4()));
        let ts_r = narrow(&self.ts_r, &served.collect::<Vec<_>>());
        if ts_i.is_empty() || ts_r.is_empty() {
            return Err((Refusal::Selectors, notify::TS_UNACCEPTABLE));
        }
        Ok(Agreed { suite, spi_out, answer, ts_i, ts_r })
    }
}

fn narrow(offered: &[TrafficSelector], own: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut narrowed = Vec::new();
    for part in offered.iter().flat_map(|o| own.iter().filter_map(|s| o.intersect(s))) {
        if !narrowed.contains(&part) && narrowed.len() < SELECTORS {
            narrowed.push(part);
        }
    }
    narrowed
}

#[cfg(test)]
mod tests;
