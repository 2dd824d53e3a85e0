//! Names inside the tunnel: asked of the tunnel's own DNS servers, never of the machine's.
//!
//! It has an interface of its own, and with it random numbers of its own: what the peers of TCP connections see of theirs
//! tells nothing about ports and numbers of queries.

use super::link::Link;
use super::stack::{interface, poll_at, set_addresses, stack_time};
use crate::esp::inner::{InnerPacket, protocol};
use crate::time::Instant;
use smoltcp::iface::{Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::dns;
use smoltcp::wire::{DnsQueryType, IpAddress};
use std::net::IpAddr;

const DNS_PORT: u16 = 53;

/// A question under way. Whoever has it asks for the answer until it is there, or cancels it.
pub struct Query(dns::QueryHandle);

/// What became of a question.
pub enum Answer {
    /// Not there yet.
    Pending(Query),
    /// The addresses; none where the name has none, or no server answered (ten seconds each).
    Done(Vec<IpAddr>),
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A
    V4,
    /// AAAA
    V6,
}

/// See the module.
pub struct Resolver {
    interface: Interface,
    sockets: SocketSet<'static>,
    link: Link,
    socket: SocketHandle,
}

impl Resolver {
    /// A resolver without servers; `seed` comes from strong randomness.
    pub fn new(seed: u64) -> Self {
        let mut link = Link::default();
        let interface = interface(&mut link, seed);
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(dns::Socket::new(&[], Vec::new()));
        Self { interface, sockets, link, socket }
    }

    /// Our addresses and the servers. Of the servers those count that can be reached from our addresses, four at most.
    pub fn configure(&mut self, addresses: &[IpAddr], servers: &[IpAddr]) {
        set_addresses(&mut self.interface, addresses);
        let reachable = |server: &&IpAddr| {
            addresses.iter().any(|own| own.is_ipv4() == server.is_ipv4())
                && IpAddress::from(**server).is_unicast()
        };
        let servers: Vec<IpAddress> = servers.iter().filter(reachable).map(|ip| (*ip).into()).collect();
        self.sockets.get_mut::<dns::Socket<'_>>(self.socket).update_servers(&servers);
    }

    /// Asks. `None`: this is no name, or too long for one.
    pub fn ask(&mut self, name: &str, kind: Kind) -> Option<Query> {
        let kind = match kind {
            Kind::V4 => DnsQueryType::A,
            Kind::V6 => DnsQueryType::Aaaa,
        };
        // Servers answer with the name in its usual form, and the stack compares octets.
        let name = name.to_ascii_lowercase();
        let socket = self.sockets.get_mut::<dns::Socket<'_>>(self.socket);
        socket.start_query(self.interface.context(), &name, kind).ok().map(Query)
    }

    /// What became of it.
    pub fn answer(&mut self, query: Query) -> Answer {
        let socket = self.sockets.get_mut::<dns::Socket<'_>>(self.socket);
        match socket.get_query_result(query.0) {
            Ok(addresses) => Answer::Done(addresses.into_iter().map(IpAddr::from).collect()),
            Err(dns::GetQueryResultError::Pending) => Answer::Pending(query),
            Err(dns::GetQueryResultError::Failed) => Answer::Done(Vec::new()),
        }
    }

    /// The answer is not wanted any more.
    pub fn cancel(&mut self, query: Query) {
        self.sockets.get_mut::<dns::Socket<'_>>(self.socket).cancel_query(query.0);
    }

    /// True where an inner packet is for a resolver.
    pub fn wants(packet: &[u8]) -> bool {
        InnerPacket::parse(packet).is_some_and(|inner| {
            inner.protocol == Some(protocol::UDP) && inner.ports.is_some_and(|(from, _)| from == DNS_PORT)
        })
    }

    /// Takes an inner packet.
    pub fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        self.link.put(packet);
        self.interface.poll_ingress_single(stack_time(now), &mut self.link, &mut self.sockets);
    }

    /// Asks and repeats what is due.
    pub fn poll(&mut self, now: Instant) {
        let now = stack_time(now);
        while self.interface.poll_egress(now, &mut self.link, &mut self.sockets) != PollResult::None {}
    }

    /// The next frame: [`crate::esp::HEADROOM`] free octets, then an IP packet.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.link.take()
    }

    /// True where [`Resolver::poll_transmit`] has a frame.
    pub fn has_transmit(&self) -> bool {
        !self.link.is_empty()
    }

    /// When to call [`Resolver::poll`] next.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        poll_at(&mut self.interface, &self.sockets, now)
    }
}
