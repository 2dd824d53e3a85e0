//! A TCP/IP stack without IO: packets in, packets out, time as an argument.
//!
//! The proxy has one for the connections it opens, the network behind the embedded gateway has one for those it accepts. It
//! never gives a connection up because nobody answers: how long an outage may last is for its owner to say. What a packet
//! costs does not depend on how many connections there are: `flows`.

mod flows;
mod listener;
mod outgoing;
mod smol;
mod windows;

use super::link::Link;
use crate::crypto::Random;
use crate::time::Instant;
use flows::{Flows, ends};
use listener::Listener;
use smol::new_socket;
pub(super) use smol::{interface, poll_at, set_addresses, stack_time};
use smoltcp::iface::{Interface, PollResult, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, IpCidr, Ipv4Address, Ipv6Address};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use windows::Windows;

/// Local ports of connections that we open (the range that Linux uses).
const PORTS: std::ops::Range<u16> = 32_768..61_000;
/// Draws of a free local port before giving up.
const DRAWS: u32 = 64;
/// A connection whose owner has let go of it has so long to deliver the rest.
const ORPHAN: Duration = Duration::from_secs(600);
/// Connections without an owner that are kept at most; the oldest go first.
const ORPHANS: usize = 1024;
/// What is not acknowledged is sent again after this long at the latest (RFC 6298 lets it grow to a minute): after an outage
/// the wait for it is what a person notices. Linux has `tcp_rto_max_ms` for the same.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Octets of buffer for each connection at most; where there are many, those that come later have less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffers {
    /// What the peer may send before it is read: the receive window.
    pub receive: usize,
    /// What waits to be sent or acknowledged.
    pub send: usize,
}

/// A connection. Whoever has it lets go of it with [`Stack::release`]; it belongs to the stack that made it.
#[derive(PartialEq, Eq, Debug)]
pub struct Handle(u64);

impl Handle {
    /// What [`Stack::next_touched`] calls it.
    pub fn id(&self) -> u64 {
        self.0
    }
}

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
    flows: Flows,
    windows: Windows,
    /// For packets that are no connection's.
    nobody: SocketSet<'static>,
    link: Link,
    random: Box<dyn Random>,
    buffers: Buffers,
    listeners: Vec<Listener>,
    /// Connections that nobody owns any more and how long they may stay, oldest first; some of them are gone, not many more
    /// than [`ORPHANS`].
    orphans: VecDeque<(Instant, u64)>,
    /// Those of them that are not.
    orphaned: usize,
}

impl Stack {
    /// A stack without addresses.
    pub fn new(mut random: Box<dyn Random>, buffers: Buffers) -> Self {
        let mut link = Link::default();
        let interface = interface(&mut link, random.u64());
        Self {
            interface,
            flows: Flows::default(),
            windows: Windows::default(),
            nobody: SocketSet::new(Vec::new()),
            link,
            random,
            buffers,
            listeners: Vec::new(),
            orphans: VecDeque::new(),
            orphaned: 0,
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
        self.flows.touch_all();
    }

    /// Takes an inner packet.
    pub fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        self.windows.tick(now);
        let found = match ends(&packet) {
            Some(ends) => match self.flows.find(ends) {
                Some(key) => Some(key),
                None => match self.listeners.iter().find(|listener| listener.port == ends.0.port()) {
                    Some(listener) if listener.is_busy() => return,
                    Some(listener) => listener.spare,
                    None => None,
                },
            },
            None => None,
        };
        self.link.put(packet);
        let Some((key, flow)) = found.and_then(|key| Some((key, self.flows.get_mut(key)?))) else {
            self.interface.poll_ingress_single(stack_time(now), &mut self.link, &mut self.nobody);
            return;
        };
        let time = stack_time(now + flow.ahead);
        let waiting = self.link.len();
        self.interface.poll_ingress_single(time, &mut self.link, &mut flow.sockets);
        self.windows.heard(&mut flow.heard);
        if let Some(answer) = self.link.last_of(waiting) {
            outgoing::finish_answer(answer, flow, self.windows.part(self.buffers).receive);
        }
        let opening = flow.opening;
        self.flows.touch(key);
        self.flows.wake(key);
        if opening {
            let ends = self.ends(key).filter(|_| !self.flows.is_named(key));
            if let Some(ends) = ends {
                self.flows.name(key, ends, None);
            }
            self.tend_listeners(now);
        }
    }

    /// Does what is due, and lets connections send until 64 frames wait in [`Stack::poll_transmit`].
    pub fn poll(&mut self, now: Instant) {
        self.windows.tick(now);
        self.flows.ring(now);
        while self.link.has_room() {
            let Some(key) = self.flows.next_due() else { break };
            self.send(now, key);
        }
        if self.listeners.iter().any(|listener| listener.timer().is_some_and(|until| until <= now)) {
            self.tend_listeners(now);
        }
        while let Some((until, key)) = self.orphans.front().copied() {
            if until > now && self.flows.get(key).is_some() {
                break;
            }
            self.orphans.pop_front();
            self.bury(key);
        }
    }

    /// Lets one connection send one packet. Where it has none, its timer is set.
    fn send(&mut self, now: Instant, key: u64) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        if flow.closing {
            let socket = flow.socket_mut();
            if socket.state() != tcp::State::CloseWait || socket.send_queue() == 0 {
                socket.close();
                flow.closing = false;
            }
        }
        let (own, waiting) = (now + flow.ahead, self.link.len());
        let sent = self.interface.poll_egress(stack_time(own), &mut self.link, &mut flow.sockets);
        if sent != PollResult::None {
            if let Some(frame) = self.link.last_of(waiting) {
                outgoing::finish(frame, flow, self.windows.part(self.buffers).receive);
            }
            self.flows.wake(key);
            return;
        }
        // With an endpoint left a reset is still to be sent.
        let (socket, orphan) = (flow.socket(), flow.orphan);
        if socket.state() == tcp::State::Closed && socket.remote_endpoint().is_none() {
            // Its address may be gone.
            self.flows.touch(key);
            if orphan {
                self.bury(key);
            }
            return;
        }
        let at = poll_at(&mut self.interface, &flow.sockets, own);
        let at = flow.not_later(at, now, LONGEST_WAIT);
        self.flows.set_timer(key, at);
    }

    /// The next connection to which something has happened since it was last named here: octets, room for octets, a change of
    /// its stage. [`Handle::id`] says which it is.
    pub fn next_touched(&mut self) -> Option<u64> {
        self.flows.next_touched()
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
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = self.flows.is_due().then_some(now);
        let half_open = self.listeners.iter().filter_map(Listener::timer);
        let orphans = self.orphans.front().map(|(until, _)| *until);
        [due, self.flows.timer(), orphans].into_iter().flatten().chain(half_open).min()
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
        let mut socket = new_socket(self.windows.share(self.buffers, &self.flows));
        socket
            .connect(self.interface.context(), to, (own, port))
            .map_err(|_| ConnectError::NoDestination(to))?;
        let key = self.flows.add(socket, self.windows.second());
        self.flows.name(key, (SocketAddr::new(own.into(), port), to), Some(port));
        self.flows.wake(key);
        Ok(Handle(key))
    }

    /// Takes connections to `port` of any of our addresses, so many at the same time; more are refused.
    pub fn listen(&mut self, port: u16, limit: usize) {
        self.listeners.push(Listener::new(self.listeners.len(), port, limit));
        // Without half-open connections the time does not matter.
        self.tend_listeners(Instant::default());
    }

    /// The next connection that a peer has opened.
    pub fn accept(&mut self) -> Option<Handle> {
        self.listeners.iter_mut().find_map(|listener| listener.ready.pop_front()).map(Handle)
    }

    /// How far it is.
    pub fn stage(&self, handle: &Handle) -> Stage {
        match self.socket(handle).map(tcp::Socket::state) {
            Some(tcp::State::SynSent | tcp::State::SynReceived) => Stage::Connecting,
            None | Some(tcp::State::Closed | tcp::State::Listen) => Stage::Closed,
            Some(_) => Stage::Open,
        }
    }

    /// Our end, while there is a connection.
    pub fn local(&self, handle: &Handle) -> Option<SocketAddr> {
        self.socket(handle)?.local_endpoint().map(Into::into)
    }

    /// The peer's end, while there is a connection.
    pub fn remote(&self, handle: &Handle) -> Option<SocketAddr> {
        self.socket(handle)?.remote_endpoint().map(Into::into)
    }

    /// True where octets can be handed to [`Stack::send_with`] now.
    pub fn can_send(&self, handle: &Handle) -> bool {
        self.socket(handle).is_some_and(|socket| socket.can_send() && socket.send_queue() < self.may_wait())
    }

    /// True where our side is open, be there room or not.
    pub fn may_send(&self, handle: &Handle) -> bool {
        self.socket(handle).is_some_and(tcp::Socket::may_send)
    }

    /// Octets that may wait in each send buffer.
    fn may_wait(&self) -> usize {
        self.windows.part(self.buffers).send
    }

    /// `fill` writes into the free part of the send buffer that lies in one piece and says how much; the same is returned.
    /// Where many connections are busy the part that is offered is smaller.
    pub fn send_with(&mut self, handle: &Handle, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let may_wait = self.may_wait();
        let Some(socket) = self.socket_mut(handle) else { return 0 };
        let open = may_wait.saturating_sub(socket.send_queue());
        let sent = socket.send(|room| {
            let length = room.len().min(open);
            let room = &mut room[..length];
            let filled = fill(room).min(room.len());
            (filled, filled)
        });
        sent.unwrap_or_default()
    }

    /// Octets that wait to be sent or acknowledged.
    pub fn unsent(&self, handle: &Handle) -> usize {
        self.socket(handle).map_or(0, tcp::Socket::send_queue)
    }

    /// Octets that came and were not read.
    pub fn unread(&self, handle: &Handle) -> usize {
        self.socket(handle).map_or(0, tcp::Socket::recv_queue)
    }

    /// `read` takes from the front of what came, as far as it lies in one piece, and says how much it took; the same is
    /// returned. What it leaves comes again.
    pub fn receive_with(&mut self, handle: &Handle, read: impl FnOnce(&[u8]) -> usize) -> usize {
        let Some(socket) = self.socket_mut(handle) else { return 0 };
        let taken = socket.recv(|octets| {
            let taken = read(octets).min(octets.len());
            (taken, taken)
        });
        taken.unwrap_or_default()
    }

    /// What may still come on a connection that is, or was, open.
    pub fn inward(&mut self, handle: &Handle) -> Inward {
        let Some(flow) = self.flows.get_mut(handle.0) else { return Inward::Aborted };
        match flow.socket_mut().recv(|_| (0, ())) {
            Ok(()) => Inward::Open,
            Err(tcp::RecvError::Finished) => Inward::Finished,
            Err(tcp::RecvError::InvalidState) => Inward::Aborted,
        }
    }

    /// Nothing more will be sent: FIN follows what waits. Receiving goes on.
    pub fn close(&mut self, handle: &Handle) {
        self.flows.wake(handle.0);
        let Some(flow) = self.flows.get_mut(handle.0) else { return };
        let socket = flow.socket_mut();
        // In LAST-ACK smoltcp does not hear that a window which was closed is open again.
        if socket.state() == tcp::State::CloseWait && socket.send_queue() > 0 {
            flow.closing = true;
        } else {
            socket.close();
        }
    }

    /// Resets the connection.
    pub fn abort(&mut self, handle: &Handle) {
        self.flows.wake(handle.0);
        if let Some(flow) = self.flows.get_mut(handle.0) {
            flow.socket_mut().abort();
        }
    }

    /// Lets go of a connection. Where both sides have closed, the rest is still delivered (ten minutes at most); else it is
    /// reset.
    pub fn release(&mut self, now: Instant, handle: Handle) {
        let Handle(own) = handle;
        self.flows.wake(own);
        let Some(flow) = self.flows.get_mut(own) else { return };
        flow.orphan = true;
        let (listener, closing) = (flow.listener, flow.closing);
        let socket = flow.socket_mut();
        let opening = matches!(socket.state(), tcp::State::SynSent | tcp::State::SynReceived);
        if opening || socket.may_recv() || socket.may_send() && !closing {
            socket.abort();
        }
        self.orphans.push_back((now + ORPHAN, own));
        self.orphaned += 1;
        if self.orphans.len() > 2 * ORPHANS {
            let flows = &self.flows;
            self.orphans.retain(|(_, key)| flows.get(*key).is_some());
        }
        while self.orphaned > ORPHANS
            && let Some((_, oldest)) = self.orphans.pop_front()
        {
            self.bury(oldest);
        }
        if let Some(listener) = listener.and_then(|index| self.listeners.get_mut(index)) {
            listener.taken = listener.taken.saturating_sub(1);
            self.tend_listeners(now);
        }
    }

    /// Nothing is left of one that nobody owns.
    fn bury(&mut self, key: u64) {
        if self.flows.get(key).is_some() {
            self.orphaned = self.orphaned.saturating_sub(1);
            self.flows.remove(key);
        }
    }

    fn tend_listeners(&mut self, now: Instant) {
        for listener in &mut self.listeners {
            listener.tend(now, &mut self.flows, &self.windows, self.buffers);
        }
    }

    /// Its randomness.
    pub(super) fn random(&mut self) -> &mut dyn Random {
        &mut *self.random
    }

    /// A local port that no connection has.
    fn free_port(&mut self) -> Option<u16> {
        (0..DRAWS).find_map(|_| {
            let offset = u16::try_from(self.random.below(PORTS.len() as u64)).unwrap_or_default();
            let port = PORTS.start + offset;
            self.flows.is_free(port).then_some(port)
        })
    }

    /// Both ends of a connection.
    fn ends(&self, key: u64) -> Option<flows::Ends> {
        let socket = self.flows.get(key)?.socket();
        Some((socket.local_endpoint()?.into(), socket.remote_endpoint()?.into()))
    }

    /// Its socket; `None`: it is none of this stack's.
    fn socket(&self, handle: &Handle) -> Option<&tcp::Socket<'static>> {
        self.flows.get(handle.0).map(flows::Flow::socket)
    }

    /// The same to be changed, after which it may have something to send.
    fn socket_mut(&mut self, handle: &Handle) -> Option<&mut tcp::Socket<'static>> {
        self.flows.wake(handle.0);
        self.flows.get_mut(handle.0).map(flows::Flow::socket_mut)
    }
}

#[cfg(test)]
mod tests;
