//! Where packets enter and leave: a user-space TCP/IP stack behind a local proxy, nothing at all, or (a later room) a TUN
//! device. All of them get the same [`Ports`].

pub mod access;
mod association;
mod clients;
mod connection;
mod datagrams;
pub mod greeting;
pub mod http;
mod link;
pub mod proxy;
mod relay;
pub mod resolver;
pub mod socks;
pub mod stack;
#[cfg(test)]
mod testing;
pub mod tun;

pub use link::MTU;

use crate::plan::Plan;
use tokio::sync::{mpsc, watch};

/// What a tunnel has to do with ESP. The tunnel ends when `inward` ends.
#[derive(Debug)]
pub struct Ports {
    /// Packets to be sealed: [`crate::esp::HEADROOM`] free octets, then an IP packet. A full queue loses them, as any link
    /// does.
    pub outward: mpsc::Sender<Vec<u8>>,
    /// Authenticated IP packets from the gateway.
    pub inward: mpsc::Receiver<Vec<u8>>,
    /// What the gateway assigned; it stays while the connection is being brought back. `None` until there is one. Sent again,
    /// be it the same, it makes a tunnel look at the clock: timers of the runtime stand still while the machine sleeps.
    pub plan: watch::Receiver<Option<Plan>>,
}

/// `--tunnel none`: packets from the gateway are taken and thrown away, so that the connection lives and nothing fills up.
pub async fn none(mut ports: Ports) {
    while ports.inward.recv().await.is_some() {}
}
