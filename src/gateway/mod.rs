//! The embedded gateway: a sans-IO responder that behaves as the seed's router.
//!
//! It authenticates itself with a certificate and its users with EAP-AnyConnect, hands out an address, a session ID and a
//! token, keeps lost sessions in an inactive database, and takes them back by token without asking AAA.

pub mod behind;
mod config;
mod event;
mod faults;

pub use config::{Dpd, GatewayConfig, User, address_identity};
pub use event::{Counters, DownReason, DropReason, GatewayEvent, GatewayTransmit, Port, Refusal};
pub use faults::{Faults, TokenFault};

use crate::crypto::Random;
use crate::time::{Instant, Now};
use std::net::SocketAddr;

/// See the module.
pub struct Gateway {}

impl Gateway {
    /// A gateway without sessions.
    pub fn new(_config: GatewayConfig, _now: Now, _random: Box<dyn Random>) -> Self {
        todo!()
    }
    /// Takes a datagram; ESP is opened in place.
    pub fn handle_datagram(&mut self, _now: Now, _from: SocketAddr, _to: Port, _datagram: &mut [u8]) {
        todo!()
    }
    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Now) {
        todo!()
    }
    /// When something is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        todo!()
    }
    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<GatewayTransmit> {
        todo!()
    }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<GatewayEvent> {
        todo!()
    }
    /// Sends an inner packet from behind the gateway to the session that owns its destination.
    pub fn send_packet(&mut self, _now: Now, _inner: &[u8]) {
        todo!()
    }
    /// The faults, to be set.
    pub fn faults(&mut self) -> &mut Faults {
        todo!()
    }
    /// All SAs are gone without a word. The sessions are kept as inactive, or lost with their addresses.
    pub fn restart(&mut self, _now: Now, _keep_databases: bool) {
        todo!()
    }
    /// The counters.
    pub fn counters(&self) -> Counters {
        todo!()
    }
    /// `show crypto session detail`, in the seed's form.
    pub fn show_session_detail(&self, _now: Now) -> String {
        todo!()
    }
    /// `show crypto ikev2 session detailed`, in the seed's form.
    pub fn show_ikev2_session_detailed(&self, _now: Now) -> String {
        todo!()
    }
    /// `show crypto ikev2 stats reconnect`, in the seed's form.
    pub fn show_stats_reconnect(&self) -> String {
        todo!()
    }
}
