//! A TCP/IP stack without IO: packets in, packets out, time as an argument.
//!
//! The proxy has one for the connections it opens, the network behind the embedded gateway has one for those it accepts. It
//! never gives a connection up because nobody answers: how long an outage may last is for its owner to say.

use super::link::Link;
use crate::crypto::Random;
use crate::time::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::{Socket, tcp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv6Address};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Local ports of connections that we open (the range that Linux uses).
const PORTS: std::ops::Range<u16> = 32_768..61_000;
/// Draws of a free local port before giving up.
const DRAWS: u32 = 64;
/// A connection whose owner has let go of it has so long to deliver the rest.
const ORPHAN: Duration = Duration::from_secs(600);
/// Connections without an owner that are kept at most; the oldest go first.
const ORPHANS: usize = 64;
/// A client that began to connect has so long to finish.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Half-open connections at most, beside those that the owner allowed.
const HALF_OPEN: usize = 32;
/// What is not acknowledged is sent again after this long at the latest (RFC 6298 lets it grow to a minute): after an outage
/// the wait for it is what a person notices. Linux has `tcp_rto_max_ms` for the same.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Octets of buffer for each connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffers {
    /// What the peer may send before it is read: the receive window.
    pub receive: usize,
    /// What waits to be sent or acknowledged.
    pub send: usize,
}

/// A connection. Whoever has it lets go of it with [`Stack::release`]; it belongs to the stack that made it.
#[derive(PartialEq, Eq, Debug)]
pub struct Handle(SocketHandle);

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Waiting for the peer's SYN.
    Connecting,
    /// Up, or half closed.
    Open,
    /// Over: refused, reset, closed by both, or its address is gone.
    Closed,
}

/// What may still come from the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inward {
    /// Octets, now or later.
    Open,
    /// Nothing: the peer has closed its side, and everything was read.
    Finished,
    /// Nothing: the connection was reset, and what came before was read.
    Aborted,
}

/// Why a connection cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectError {
    /// We have no address of this family.
    #[error("no inner address of the family of {0}")]
    NoAddress(IpAddr),
    /// Not an address and port of one host.
    #[error("{0} is no destination")]
    NoDestination(SocketAddr),
    /// Too many connections.
    #[error("no local port is left")]
    NoPort,
}

/// See the module.
pub struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    link: Link,
    random: Box<dyn Random>,
    buffers: Buffers,
    listeners: Vec<Listener>,
    /// Connections that nobody owns any more and how long they may stay, oldest first.
    orphans: VecDeque<(Instant, SocketHandle)>,
    /// To be closed once everything is acknowledged.
    closing: Vec<SocketHandle>,
    /// So much is the clock of the interface ahead: it was put forward where its next timer was further away than
    /// [`LONGEST_WAIT`].
    ahead: Duration,
}

/// A port that takes connections.
struct Listener {
    port: u16,
    /// Connections at most.
    limit: usize,
    /// The one that the next SYN takes.
    spare: Option<SocketHandle>,
    /// Between SYN and ACK, and until when.
    half_open: Vec<(Instant, SocketHandle)>,
    /// Nobody has taken them yet.
    ready: VecDeque<SocketHandle>,
    /// Ready or taken, and not released.
    taken: Vec<SocketHandle>,
}

impl Stack {
    /// A stack without addresses.
    pub fn new(mut random: Box<dyn Random>, buffers: Buffers) -> Self {
        let mut link = Link::default();
        let interface = interface(&mut link, random.u64());
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            link,
            random,
            buffers,
            listeners: Vec::new(),
            orphans: VecDeque::new(),
            closing: Vec::new(),
            ahead: Duration::ZERO,
        }
    }

    /// Whatever address a packet is for, it is for us.
    pub fn own_everything(&mut self) {
        // Addresses of documentation (RFC 5737, 3849): our "routers", which nobody sees.
        let (four, six) = (Ipv4Address::new(192, 0, 2, 1), Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
        self.set_addresses(&[four.into(), six.into()]);
        let routes = self.interface.routes_mut();
        let routed = routes.add_default_ipv4_route(four).and(routes.add_default_ipv6_route(six));
        debug_assert!(routed.is_ok(), "room for one route of each family");
        self.interface.set_any_ip(true);
    }

    /// Our addresses: the first of each family. A connection of an address that is gone is over with the next
    /// [`Stack::poll`].
    pub fn set_addresses(&mut self, addresses: &[IpAddr]) {
        set_addresses(&mut self.interface, addresses);
    }

    /// Takes an inner packet.
    pub fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        self.link.put(packet);
        let time = stack_time(now + self.ahead);
        self.interface.poll_ingress_single(time, &mut self.link, &mut self.sockets);
        self.tend_listeners(now);
    }

    /// Does what is due, and lets connections send until 64 frames wait in [`Stack::poll_transmit`].
    pub fn poll(&mut self, now: Instant) {
        self.close_the_done();
        let time = stack_time(now + self.ahead);
        while self.interface.poll_egress(time, &mut self.link, &mut self.sockets) != PollResult::None {}
        self.tend_listeners(now);
        self.bury(now);
        if let Some(at) = poll_at(&mut self.interface, &self.sockets, now + self.ahead) {
            self.ahead = self.ahead + at.since(now + self.ahead).saturating_sub(LONGEST_WAIT);
        }
    }

    /// The next frame: [`crate::esp::HEADROOM`] free octets, then an IP packet.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.link.take()
    }

    /// True where [`Stack::poll_transmit`] has a frame.
    pub fn has_transmit(&self) -> bool {
        !self.link.is_empty()
    }

    /// When to call [`Stack::poll`] next; `now` or earlier: at once.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let timer = poll_at(&mut self.interface, &self.sockets, now + self.ahead).map(|at| at - self.ahead);
        let half_open =
            self.listeners.iter().flat_map(|listener| &listener.half_open).map(|(until, _)| *until);
        let orphans = self.orphans.iter().map(|(until, _)| *until);
        timer.into_iter().chain(half_open).chain(orphans).min()
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// There is no way to it from here.
    pub fn connect(&mut self, to: SocketAddr) -> Result<Handle, ConnectError> {
        let addresses = self.interface.ip_addrs().iter().map(IpCidr::address);
        let same_family = |own: &IpAddress| IpAddr::from(*own).is_ipv4() == to.is_ipv4();
        let own = addresses.into_iter().find(same_family).ok_or(ConnectError::NoAddress(to.ip()))?;
        if !IpAddress::from(to.ip()).is_unicast() {
            return Err(ConnectError::NoDestination(to));
        }
        let port = self.free_port().ok_or(ConnectError::NoPort)?;
        let mut socket = new_socket(self.buffers);
        socket
            .connect(self.interface.context(), to, (own, port))
            .map_err(|_| ConnectError::NoDestination(to))?;
        Ok(Handle(self.sockets.add(socket)))
    }

    /// Takes connections to `port` of any of our addresses, so many at the same time; more are refused.
    pub fn listen(&mut self, port: u16, limit: usize) {
        self.listeners.push(Listener {
            port,
            limit,
            spare: None,
            half_open: Vec::new(),
            ready: VecDeque::new(),
            taken: Vec::new(),
        });
        // Without half-open connections the time does not matter.
        self.tend_listeners(Instant::default());
    }

    /// The next connection that a peer has opened.
    pub fn accept(&mut self) -> Option<Handle> {
        self.listeners.iter_mut().find_map(|listener| listener.ready.pop_front()).map(Handle)
    }

    /// How far it is.
    pub fn stage(&self, handle: &Handle) -> Stage {
        match self.socket(handle).state() {
            tcp::State::SynSent | tcp::State::SynReceived => Stage::Connecting,
            tcp::State::Closed | tcp::State::Listen => Stage::Closed,
            _ => Stage::Open,
        }
    }

    /// Our end, while there is a connection.
    pub fn local(&self, handle: &Handle) -> Option<SocketAddr> {
        self.socket(handle).local_endpoint().map(Into::into)
    }

    /// The peer's end, while there is a connection.
    pub fn remote(&self, handle: &Handle) -> Option<SocketAddr> {
        self.socket(handle).remote_endpoint().map(Into::into)
    }

    /// True where octets can be handed to [`Stack::send_with`] now.
    pub fn can_send(&self, handle: &Handle) -> bool {
        self.socket(handle).can_send()
    }

    /// True where our side is open, be there room or not.
    pub fn may_send(&self, handle: &Handle) -> bool {
        self.socket(handle).may_send()
    }

    /// `fill` writes into the free part of the send buffer that lies in one piece and says how much; the same is returned.
    pub fn send_with(&mut self, handle: &Handle, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let socket = self.socket_mut(handle);
        let sent = socket.send(|room| {
            let filled = fill(room).min(room.len());
            (filled, filled)
        });
        sent.unwrap_or_default()
    }

    /// Octets that wait to be sent or acknowledged.
    pub fn unsent(&self, handle: &Handle) -> usize {
        self.socket(handle).send_queue()
    }

    /// Octets that came and were not read.
    pub fn unread(&self, handle: &Handle) -> usize {
        self.socket(handle).recv_queue()
    }

    /// `read` takes from the front of what came, as far as it lies in one piece, and says how much it took; the same is
    /// returned. What it leaves comes again.
    pub fn receive_with(&mut self, handle: &Handle, read: impl FnOnce(&[u8]) -> usize) -> usize {
        let socket = self.socket_mut(handle);
        let taken = socket.recv(|octets| {
            let taken = read(octets).min(octets.len());
            (taken, taken)
        });
        taken.unwrap_or_default()
    }

    /// What may still come on a connection that is, or was, open.
    pub fn inward(&mut self, handle: &Handle) -> Inward {
        match self.socket_mut(handle).recv(|_| (0, ())) {
            Ok(()) => Inward::Open,
            Err(tcp::RecvError::Finished) => Inward::Finished,
            Err(tcp::RecvError::InvalidState) => Inward::Aborted,
        }
    }

    /// Nothing more will be sent: FIN follows what waits. Receiving goes on.
    pub fn close(&mut self, handle: &Handle) {
        let socket = self.socket_mut(handle);
        // In LAST-ACK smoltcp does not hear that a window which was closed is open again.
        if socket.state() == tcp::State::CloseWait && socket.send_queue() > 0 {
            self.closing.push(handle.0);
        } else {
            socket.close();
        }
    }

    fn close_the_done(&mut self) {
        let sockets = &mut self.sockets;
        self.closing.retain(|handle| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
            let waits = socket.state() == tcp::State::CloseWait && socket.send_queue() > 0;
            if !waits {
                socket.close();
            }
            waits
        });
    }

    /// Resets the connection.
    pub fn abort(&mut self, handle: &Handle) {
        self.socket_mut(handle).abort();
    }

    /// Lets go of a connection. Where both sides have closed, the rest is still delivered (ten minutes at most); else it is
    /// reset.
    pub fn release(&mut self, now: Instant, handle: Handle) {
        let Handle(own) = handle;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(own);
        let opening = matches!(socket.state(), tcp::State::SynSent | tcp::State::SynReceived);
        let closing = self.closing.contains(&own);
        if opening || socket.may_recv() || socket.may_send() && !closing {
            socket.abort();
        }
        self.orphans.push_back((now + ORPHAN, own));
        if self.orphans.len() > ORPHANS
            && let Some((_, oldest)) = self.orphans.pop_front()
        {
            self.closing.retain(|closing| *closing != oldest);
            self.sockets.remove(oldest);
        }
        for listener in &mut self.listeners {
            listener.taken.retain(|taken| *taken != own);
        }
        self.tend_listeners(now);
    }

    /// Removes the dead among those that nobody owns.
    fn bury(&mut self, now: Instant) {
        let Self { sockets, closing, .. } = self;
        self.orphans.retain(|(until, handle)| {
            let socket = sockets.get::<tcp::Socket<'_>>(*handle);
            // With an endpoint left a reset is still to be sent.
            let closed = socket.state() == tcp::State::Closed && socket.remote_endpoint().is_none();
            let dead = closed || *until <= now;
            if dead {
                closing.retain(|closing| closing != handle);
                sockets.remove(*handle);
            }
            !dead
        });
    }

    fn tend_listeners(&mut self, now: Instant) {
        for listener in &mut self.listeners {
            listener.tend(now, &mut self.sockets, self.buffers);
        }
    }

    /// Its randomness.
    pub(super) fn random(&mut self) -> &mut dyn Random {
        &mut *self.random
    }

    /// A local port that no connection has.
    fn free_port(&mut self) -> Option<u16> {
        for _ in 0..DRAWS {
            let offset = u16::try_from(self.random.below(PORTS.len() as u64)).unwrap_or_default();
            let port = PORTS.start + offset;
            let is_free = self.sockets.iter().all(|(_, socket)| match socket {
                Socket::Tcp(socket) => socket.local_endpoint().is_none_or(|local| local.port != port),
                _ => true,
            });
            if is_free {
                return Some(port);
            }
        }
        None
    }

    fn socket(&self, handle: &Handle) -> &tcp::Socket<'static> {
        self.sockets.get(handle.0)
    }

    fn socket_mut(&mut self, handle: &Handle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle.0)
    }
}

impl Listener {
    /// Sorts connections by how far they are, and has a spare one as long as more are wanted.
    fn tend(&mut self, now: Instant, sockets: &mut SocketSet<'static>, buffers: Buffers) {
        if let Some(spare) = self.spare
            && sockets.get::<tcp::Socket<'_>>(spare).state() != tcp::State::Listen
        {
            self.half_open.push((now + HANDSHAKE, spare));
            self.spare = None;
        }
        let Self { half_open, ready, taken, .. } = self;
        half_open.retain(|(until, handle)| {
            match sockets.get::<tcp::Socket<'_>>(*handle).state() {
                tcp::State::SynReceived if now < *until => return true,
                tcp::State::SynReceived | tcp::State::Listen | tcp::State::Closed => {
                    sockets.remove(*handle);
                }
                _ => {
                    ready.push_back(*handle);
                    taken.push(*handle);
                }
            }
            false
        });
        let more = self.taken.len() < self.limit && self.half_open.len() < HALF_OPEN;
        if more && self.spare.is_none() {
            let mut socket = new_socket(buffers);
            // The port is not 0 and the socket is new.
            if socket.listen(self.port).is_ok() {
                self.spare = Some(sockets.add(socket));
            }
        } else if !more && let Some(spare) = self.spare.take() {
            sockets.remove(spare);
        }
    }
}

fn new_socket(buffers: Buffers) -> tcp::Socket<'static> {
    // Zeroed memory of this size is not resident before it is used.
    let buffer = |octets| tcp::SocketBuffer::new(vec![0; octets]);
    let mut socket = tcp::Socket::new(buffer(buffers.receive), buffer(buffers.send));
    socket.set_congestion_control(tcp::CongestionControl::Cubic);
    socket.set_nagle_enabled(false);
    socket
}

/// An interface on `link`; `seed` decides initial sequence numbers, and ports and numbers of DNS queries.
pub(super) fn interface(link: &mut Link, seed: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    Interface::new(config, link, StackInstant::ZERO)
}

/// Host addresses: the first of each family that can be one.
pub(super) fn set_addresses(interface: &mut Interface, addresses: &[IpAddr]) {
    let usable = |four: bool| {
        let own = addresses.iter().filter(move |address| address.is_ipv4() == four);
        own.map(|address| IpAddress::from(*address)).find(IpAddress::is_unicast)
    };
    interface.update_ip_addrs(|own| {
        own.clear();
        own.extend(usable(true).map(|address| IpCidr::new(address, 32)));
        own.extend(usable(false).map(|address| IpCidr::new(address, 128)));
    });
}

/// When the interface wants to be polled; at once is `now`.
pub(super) fn poll_at(
    interface: &mut Interface,
    sockets: &SocketSet<'static>,
    now: Instant,
) -> Option<Instant> {
    let at = interface.poll_at(stack_time(now), sockets)?;
    let micros = u64::try_from(at.total_micros()).unwrap_or_default();
    Some(Instant::from_boot(Duration::from_micros(micros)).max(now))
}

pub(super) fn stack_time(now: Instant) -> StackInstant {
    StackInstant::from_micros(i64::try_from(now.since_boot().as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
