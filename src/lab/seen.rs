//! What the client's events have told so far.

use crate::client::{AuthKind, Event, Reconnected};
use crate::ike::initiator::Failure;
use crate::plan::Plan;
use crate::reconnect::{State, Why};
use crate::session::Session;
use crate::time::Instant;
use std::net::IpAddr;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The last state told.
    pub(super) state: Option<State>,
    /// Every state, and when.
    pub(super) states: Vec<(Instant, State)>,
    /// Forms shown.
    pub(super) prompts: u32,
    /// The gateway had proved itself before every form.
    pub(super) asked_unproved: bool,
    gateway_proved: bool,
    /// The session as the client gave it to the store.
    pub(super) session: Option<Session>,
    /// "Connected" was told only after the session was stored.
    pub(super) announced_unstored: bool,
    plan: Option<Plan>,
    pub(super) first_address: Option<IpAddr>,
    /// Each new SA.
    pub(super) established: Vec<(Instant, AuthKind, u32)>,
    /// Each return.
    pub(super) reconnected: Vec<Reconnected>,
    /// When the last SA came up, or an old one was proved.
    pub(super) back: Option<Instant>,
    /// Failed attempts.
    pub(super) failures: Vec<(Instant, Failure)>,
    pub(super) ended: Option<Why>,
    /// Rekeys of the Child SA, and of the IKE SA.
    pub(super) child_rekeys: u32,
    pub(super) ike_rekeys: u32,
    /// What the user was told.
    pub(super) notices: Vec<String>,
}

impl Seen {
    /// `stored`: a session was on disk at that moment.
    pub(super) fn event(&mut self, at: Instant, event: Event, stored: bool) {
        match event {
            Event::State(state) => {
                self.announced_unstored |= matches!(state, State::Connected) && !stored;
                self.states.push((at, state.clone()));
                self.state = Some(state);
            }
            Event::Ask(_) => {
                self.prompts += 1;
                self.asked_unproved |= !self.gateway_proved;
            }
            Event::GatewayVerified(_) => self.gateway_proved = true,
            Event::StoreSession(session) => self.session = Some(*session),
            Event::EraseSession => self.session = None,
            Event::Established { auth, round_trips } => {
                self.gateway_proved = false;
                self.back = Some(at);
                self.established.push((at, auth, round_trips));
            }
            Event::Plan { plan, .. } => self.plan = Some(*plan),
            Event::Reconnected(report) => {
                self.reconnected.push(report);
                self.back = Some(at);
            }
            Event::Failed(failure) => self.failures.push((at, failure)),
            Event::Ended(why) => self.ended = Some(why),
            Event::ChildRekeyed => self.child_rekeys += 1,
            Event::IkeRekeyed => self.ike_rekeys += 1,
            _ => {}
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, Some(State::Connected))
    }

    /// When this state was entered last.
    pub(super) fn entered(&self, name: &str) -> Option<Instant> {
        self.states.iter().rev().find(|(_, state)| state.name() == name).map(|(at, _)| *at)
    }

    /// The inner IPv4 address, while there is a plan.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.plan.as_ref().and_then(|plan| plan.address4).map(Into::into)
    }

    /// For a failed promise.
    pub(super) fn told(&self) -> String {
        let state = self.state.as_ref().map_or("no state", State::name);
        let last = self.failures.last().map(|(_, failure)| failure.to_string());
        format!("{state}{}", last.map(|text| format!(", {text}")).unwrap_or_default())
    }
}
