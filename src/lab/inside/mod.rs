//! The network behind the embedded gateway: a small HTTP server and a DNS responder on every address of it.
//!
//! No IO: inner packets of clients go in ([`crate::gateway::GatewayEvent::Inner`]), packets for
//! [`crate::gateway::Gateway::send_packet`] come out. Its TCP waits for a silent client as long as servers with patience do:
//! an outage of minutes, or a laptop that sleeps over lunch, ends no download.

mod dns;
pub mod http;
pub mod pattern;

pub use pattern::octet;

use crate::crypto::Random;
use crate::esp::HEADROOM;
use crate::esp::inner::InnerPacket;
use crate::plan::Net;
use crate::time::Instant;
use crate::tunnel::stack::{Buffers, Handle, Inward, Stack, Stage};
use http::Conversation;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

const HTTP_PORT: u16 = 80;
/// Connections at the same time; more are refused.
const CONNECTIONS: usize = 8192;
/// A connection on which nothing moves is given up after this long.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);
/// After the last answer the client has so long to close.
const GOODBYE: Duration = Duration::from_secs(600);
/// What a client on a path of 40 ms needs for 100 Mbit/s.
const BUFFERS: Buffers = Buffers { receive: 16 << 10, send: 512 << 10 };
/// The name that is there from the beginning.
const NAME: &str = "www.inside.example.com";
/// Answers of the DNS responder that wait to be sent.
const ANSWERS: usize = 64;

/// See the module.
pub struct Inside {
    networks: Vec<Net>,
    /// What the DNS responder knows.
    names: Vec<(String, IpAddr)>,
    stack: Stack,
    clients: BTreeMap<u64, Client>,
    /// No client is given up before.
    patient_until: Option<Instant>,
    answers: VecDeque<Vec<u8>>,
}

/// One connection to the HTTP server.
struct Client {
    handle: Handle,
    conversation: Conversation,
    /// FIN is sent.
    closed: bool,
    /// When it is given up.
    until: Instant,
}

impl Inside {
    /// Servers on every address of `networks`. `www.inside.example.com` is the first host of the first one.
    pub fn new(networks: Vec<Net>, random: Box<dyn Random>) -> Self {
        let mut stack = Stack::new(random, BUFFERS);
        stack.own_everything();
        stack.listen(HTTP_PORT, CONNECTIONS);
        let first = networks.first().map(first_host);
        let names = first.map(|host| (NAME.to_owned(), host)).into_iter().collect();
        Self {
            networks,
            names,
            stack,
            clients: BTreeMap::new(),
            patient_until: None,
            answers: VecDeque::new(),
        }
    }

    /// A further name of the DNS responder.
    pub fn add_name(&mut self, name: &str, address: IpAddr) {
        self.names.push((name.to_ascii_lowercase(), address));
    }

    /// Takes an inner packet. What is not for one of the networks is lost: there is no way on from here.
    pub fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        let Some(inner) = InnerPacket::parse(&packet) else { return };
        if !self.networks.iter().any(|net| net.contains(inner.destination)) {
            return;
        }
        if let Some(answer) = dns::answer(&self.names, &packet) {
            if self.answers.len() < ANSWERS {
                self.answers.push_back(answer);
            }
        } else {
            self.stack.receive(now, packet);
        }
    }

    /// Serves what can be served now; then [`Inside::poll_transmit`] until it has nothing more.
    pub fn poll(&mut self, now: Instant) {
        self.stack.poll(now);
        let mut due = Vec::new();
        while let Some(handle) = self.stack.accept() {
            let (id, conversation, until) = (handle.id(), Conversation::new(), now + PATIENCE);
            self.clients.insert(id, Client { handle, conversation, closed: false, until });
            self.patient_until.get_or_insert(until);
            due.push(id);
        }
        due.extend(std::iter::from_fn(|| self.stack.next_touched()));
        if self.patient_until.is_some_and(|until| until <= now) {
            due.extend(self.clients.keys());
        }
        for id in due {
            self.serve(now, id);
        }
        if self.patient_until.is_some_and(|until| until <= now) {
            self.patient_until = self.clients.values().map(|client| client.until).min();
        }
        self.stack.poll(now);
    }

    fn serve(&mut self, now: Instant, id: u64) {
        let Some(mut client) = self.clients.remove(&id) else { return };
        if client.serve(now, &mut self.stack) {
            self.patient_until = self.patient_until.map(|until| until.min(client.until));
            self.clients.insert(id, client);
        } else {
            self.stack.release(now, client.handle);
        }
    }

    /// The next IP packet for a client. After the last one [`Inside::poll`] may have more.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.answers.pop_front().or_else(|| {
            let mut frame = self.stack.poll_transmit()?;
            frame.drain(..HEADROOM);
            Some(frame)
        })
    }

    /// When [`Inside::poll`] is due.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        [self.stack.poll_timeout(now), self.patient_until].into_iter().flatten().min()
    }
}

impl Client {
    /// Moves octets both ways; false where the connection has come to its end.
    fn serve(&mut self, now: Instant, stack: &mut Stack) -> bool {
        if self.until <= now || stack.stage(&self.handle) == Stage::Closed {
            return false;
        }
        let mut moved = 0;
        loop {
            let before = moved;
            while self.conversation.wants_input() && stack.unread(&self.handle) > 0 {
                moved += stack.receive_with(&self.handle, |octets| self.conversation.receive(octets));
            }
            while self.conversation.has_output() && stack.can_send(&self.handle) {
                moved += stack.send_with(&self.handle, |room| self.conversation.send(room));
            }
            if moved == before {
                break;
            }
        }
        if moved > 0 {
            self.until = now + PATIENCE;
        }
        let inward = stack.inward(&self.handle);
        if self.conversation.is_over() && !self.closed {
            stack.close(&self.handle);
            self.closed = true;
            self.until = now + GOODBYE;
        }
        match inward {
            Inward::Aborted => false,
            // The client sends no more; it gets what it has asked for.
            Inward::Finished if self.conversation.has_output() => true,
            Inward::Finished => {
                stack.close(&self.handle);
                false
            }
            Inward::Open => {
                if self.closed {
                    while stack.receive_with(&self.handle, <[u8]>::len) > 0 {}
                }
                true
            }
        }
    }
}

/// The address after the network's own.
fn first_host(net: &Net) -> IpAddr {
    match net.address {
        IpAddr::V4(address) if net.prefix < 31 => IpAddr::V4(u32::from(address).saturating_add(1).into()),
        IpAddr::V6(address) if net.prefix < 127 => IpAddr::V6(u128::from(address).saturating_add(1).into()),
        host => host,
    }
}

#[cfg(test)]
mod tests;
