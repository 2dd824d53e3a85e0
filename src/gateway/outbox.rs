//! What waits for the owner: datagrams, events, counters.

use super::event::{Counters, DropReason, GatewayEvent, GatewayTransmit, Port, Refusal};
use super::limiter::Limiter;
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Events kept for an owner who does not take them.
const EVENTS: usize = 1024;
/// The non-ESP marker in front of IKE on the NAT port (RFC 3948 2.2).
const MARKER: [u8; 4] = [0; 4];

/// The address and port pair a client is reached by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Path {
    /// The client.
    pub(super) peer: SocketAddr,
    /// Our port.
    pub(super) port: Port,
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) counters: Counters,
    transmits: VecDeque<GatewayTransmit>,
    events: VecDeque<GatewayEvent>,
    limiter: Limiter,
}

impl Outbox {
    /// An IKE message; the marker is added on the NAT port.
    pub(super) fn send_ike(&mut self, path: Path, message: &[u8]) {
        let payload = match path.port {
            Port::Ike => message.to_vec(),
            Port::Nat => [&MARKER, message].concat(),
        };
        self.transmits.push_back(GatewayTransmit { to: path.peer, from: path.port, payload });
    }

    /// An ESP packet: always in UDP, always on the NAT port.
    pub(super) fn send_esp(&mut self, to: SocketAddr, payload: Vec<u8>) {
        self.transmits.push_back(GatewayTransmit { to, from: Port::Nat, payload });
    }

    pub(super) fn next_transmit(&mut self) -> Option<GatewayTransmit> {
        self.transmits.pop_front()
    }

    /// Throws away what was not sent yet; how many.
    pub(super) fn discard_transmits(&mut self) -> usize {
        let count = self.transmits.len();
        self.transmits.clear();
        count
    }

    /// Tells an event; the oldest goes where nobody takes them.
    pub(super) fn tell(&mut self, event: GatewayEvent) {
        if self.events.len() >= EVENTS {
            self.events.pop_front();
            self.counters.events_lost += 1;
        }
        self.events.push_back(event);
    }

    pub(super) fn next_event(&mut self) -> Option<GatewayEvent> {
        self.events.pop_front()
    }

    /// Counts a thrown away datagram.
    pub(super) fn dropped(&mut self, why: DropReason) {
        *self.counters.drops.entry(why).or_default() += 1;
    }

    /// Counts a refusal, and tells it where this peer has not been talked about too much.
    pub(super) fn refused(&mut self, now: Instant, peer: SocketAddr, why: Refusal) {
        *self.counters.refusals.entry(why).or_default() += 1;
        if self.limiter.allow(now, peer.ip()) {
            self.tell(GatewayEvent::Refused { peer, why });
        }
    }
}
