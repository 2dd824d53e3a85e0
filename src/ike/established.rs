//! An authenticated IKE SA with its Child SA: liveness, DELETE and rekeys, both roles.

use super::proposal::Algorithms;
use super::sa::{Dropped, IkeSa};
use crate::crypto::Random;
use crate::esp::SaParams;
use crate::time::Instant;
use std::time::Duration;

/// Lifetimes and what may be negotiated in a rekey.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaPolicy {
    /// For rekeys of the IKE SA.
    pub ike: Algorithms,
    /// For rekeys of the Child SA.
    pub esp: Algorithms,
    /// We start a rekey of the IKE SA after this, `None` never.
    pub ike_lifetime: Option<Duration>,
    /// We start a rekey of the Child SA after this, `None` never.
    pub child_lifetime: Option<Duration>,
}

/// What happened.
#[derive(Debug)]
pub enum SaEvent {
    /// A Child SA is up: install it. `replaces` is our inbound SPI of the one it replaces, which goes on receiving until
    /// `ChildDown`. `send`: we may send on it at once (we started the rekey); else once the peer used it or deleted the old.
    ChildUp {
        /// Keys and selectors.
        child: Box<SaParams>,
        /// The pair it replaces.
        replaces: Option<u32>,
        /// Send on it at once.
        send: bool,
    },
    /// A Child SA is gone (deleted by either side); our inbound SPI.
    ChildDown {
        /// Our inbound SPI.
        spi_in: u32,
    },
    /// The IKE SA was rekeyed: new SPIs, same Child SAs.
    Rekeyed,
    /// An authenticated answer to one of our requests.
    Answered {
        /// Round trip, where the request was sent once only.
        round_trip: Option<Duration>,
    },
    /// The peer deleted the IKE SA.
    DeletedByPeer,
    /// Our DELETE was answered, or given up.
    Deleted,
    /// A request of ours stayed unanswered to the end.
    Dead,
}

/// See the module.
pub struct Established {}

impl Established {
    /// `child`: the Child SA of IKE_AUTH (already installed by the owner).
    pub fn new(_now: Instant, _sa: IkeSa, _child: Option<&SaParams>, _policy: SaPolicy) -> Self {
        todo!()
    }
    /// True where a datagram with these header SPIs belongs here (the rekeyed and the replaced SA too).
    pub fn owns(&self, _spi_i: &[u8; 8], _spi_r: &[u8; 8]) -> bool {
        todo!()
    }
    /// The SPIs in use: initiator's, responder's.
    pub fn spis(&self) -> ([u8; 8], [u8; 8]) {
        todo!()
    }
    /// Takes a datagram. An `Ok` means that it was authenticated and new.
    pub fn handle_datagram(
        &mut self,
        _now: Instant,
        _datagram: &[u8],
        _random: &mut dyn Random,
    ) -> Result<(), Dropped> {
        todo!()
    }
    /// What is due: retransmissions, rekeys.
    pub fn handle_timeout(&mut self, _now: Instant, _random: &mut dyn Random) {
        todo!()
    }
    /// When and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        todo!()
    }
    /// The next datagram, no marker.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        todo!()
    }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<SaEvent> {
        todo!()
    }
    /// An empty INFORMATIONAL now; where a request is outstanding it is repeated at once instead.
    pub fn check_liveness(&mut self, _now: Instant, _random: &mut dyn Random) {
        todo!()
    }
    /// Starts a DELETE of the IKE SA.
    pub fn delete(&mut self, _now: Instant, _random: &mut dyn Random) {
        todo!()
    }
    /// Starts a rekey of the Child SA with this inbound SPI.
    pub fn rekey_child(&mut self, _now: Instant, _spi_in: u32, _random: &mut dyn Random) {
        todo!()
    }
    /// Starts a rekey of the IKE SA.
    pub fn rekey_ike(&mut self, _now: Instant, _random: &mut dyn Random) {
        todo!()
    }
}
