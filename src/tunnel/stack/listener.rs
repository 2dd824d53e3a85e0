//! A port that takes connections.

use super::Buffers;
use super::flows::Flows;
use super::smol::new_socket;
use super::windows::Windows;
use crate::time::Instant;
use smoltcp::socket::tcp;
use std::collections::VecDeque;
use std::time::Duration;

/// A client that began to connect has so long to finish.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Half-open connections at most, beside those that the owner allowed.
pub(super) const HALF_OPEN: usize = 128;

/// See the module.
pub(super) struct Listener {
    /// Its place among the stack's.
    index: usize,
    pub(super) port: u16,
    /// Connections at most.
    limit: usize,
    /// The one that the next SYN takes.
    pub(super) spare: Option<u64>,
    /// Between SYN and ACK, and until when.
    half_open: VecDeque<(Instant, u64)>,
    /// Nobody has taken them yet.
    pub(super) ready: VecDeque<u64>,
    /// Ready or taken, and not released.
    pub(super) taken: usize,
}

impl Listener {
    pub(super) fn new(index: usize, port: u16, limit: usize) -> Self {
        let (half_open, ready) = (VecDeque::new(), VecDeque::new());
        Self { index, port, limit, spare: None, half_open, ready, taken: 0 }
    }

    /// When the next half-open connection is forgotten.
    pub(super) fn timer(&self) -> Option<Instant> {
        self.half_open.front().map(|(until, _)| *until)
    }

    /// True where a SYN finds nobody though more connections are wanted: it comes again, and is not to be refused.
    pub(super) fn is_busy(&self) -> bool {
        self.spare.is_none() && self.taken < self.limit
    }

    /// Sorts connections by how far they are, and has a spare one as long as more are wanted.
    pub(super) fn tend(&mut self, now: Instant, flows: &mut Flows, windows: &Windows, buffers: Buffers) {
        let state = |flows: &Flows, key| flows.get(key).map(|flow| flow.socket().state());
        if let Some(spare) = self.spare
            && state(flows, spare) != Some(tcp::State::Listen)
        {
            self.half_open.push_back((now + HANDSHAKE, spare));
            self.spare = None;
        }
        let Self { half_open, ready, taken, .. } = self;
        half_open.retain(|(until, key)| {
            match state(flows, *key) {
                Some(tcp::State::SynReceived) if now < *until => return true,
                None | Some(tcp::State::SynReceived | tcp::State::Listen | tcp::State::Closed) => {
                    flows.remove(*key);
                }
                Some(_) => {
                    if let Some(flow) = flows.get_mut(*key) {
                        flow.opening = false;
                    }
                    ready.push_back(*key);
                    *taken += 1;
                }
            }
            false
        });
        let more = self.taken < self.limit && self.half_open.len() < HALF_OPEN;
        if more && self.spare.is_none() {
            let mut socket = new_socket(windows.share(buffers, flows));
            // The port is not 0 and the socket is new.
            if socket.listen(self.port).is_ok() {
                let key = flows.add(socket, windows.second());
                if let Some(flow) = flows.get_mut(key) {
                    (flow.listener, flow.opening) = (Some(self.index), true);
                }
                self.spare = Some(key);
            }
        } else if !more && let Some(spare) = self.spare.take() {
            flows.remove(spare);
        }
    }
}
