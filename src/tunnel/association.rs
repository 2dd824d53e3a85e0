//! One client's UDP ASSOCIATE (RFC 1928 7): a socket on this machine, a port inside the tunnel, and names that are looked up.

use super::connection::{Tunnel, is_covered};
use super::resolver::{Answer, Query};
use super::socks::{Datagram, Target};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Context;
use tokio::net::UdpSocket;

/// Datagrams handled in one go, each way.
const BATCH: usize = 32;
/// Datagrams that wait for the address of their name.
const UNRESOLVED: usize = 16;
/// The longest datagram of a client: header, name, and more than any packet holds.
const LONGEST: usize = 4096;

/// See the module.
pub(super) struct Association {
    socket: UdpSocket,
    /// The first that has sent something, or that was announced: nobody else is heard.
    client: Option<SocketAddr>,
    /// Inside the tunnel.
    port: u16,
    unresolved: Vec<Unresolved>,
}

struct Unresolved {
    pending: Vec<Query>,
    found: Vec<IpAddr>,
    port: u16,
    payload: Vec<u8>,
}

impl Association {
    /// A socket on the address that the client's connection has here. `from`: the port that its datagrams come from; 0: unknown.
    ///
    /// # Errors
    /// The kernel's; or no port is left inside the tunnel.
    pub(super) fn open(here: IpAddr, there: IpAddr, from: u16, tunnel: &mut Tunnel<'_>) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((here, 0))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let port = tunnel.datagrams.open(tunnel.stack.random());
        let port = port.ok_or_else(|| io::Error::other("no port is left in the tunnel"))?;
        let client = (from != 0).then(|| SocketAddr::new(there, from));
        Ok(Self { socket, client, port, unresolved: Vec::new() })
    }

    /// Where the client sends its datagrams.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// True where [`Association::step`] has something to do; else the task is woken when it has.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>, has_answers: bool) -> bool {
        let readable = self.socket.poll_recv_ready(context).is_ready();
        let writable = has_answers && self.socket.poll_send_ready(context).is_ready();
        readable || writable
    }

    /// The port inside the tunnel.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Does what can be done now. `there`: the address of the client's connection.
    pub(super) fn step(&mut self, there: IpAddr, tunnel: &mut Tunnel<'_>) {
        self.look_up(tunnel);
        let mut buffer = [0; LONGEST];
        for _ in 0..BATCH {
            let Ok((length, from)) = self.socket.try_recv_from(&mut buffer) else { break };
            if from.ip() != there || length == LONGEST {
                continue;
            }
            if let Some(datagram) = Datagram::parse(&buffer[..length])
                && *self.client.get_or_insert(from) == from
            {
                self.outward(datagram, tunnel);
            }
        }
        let Some(client) = self.client else { return };
        for _ in 0..BATCH {
            let Some((from, payload)) = tunnel.datagrams.take(self.port) else { break };
            let message = [Datagram::head(from), payload].concat();
            // A client that does not read loses what does not fit, as on any link.
            if let Err(error) = self.socket.try_send_to(&message, client) {
                tracing::trace!(%error, "a datagram for the proxy's client is lost");
            }
        }
    }

    fn outward(&mut self, datagram: Datagram<'_>, tunnel: &mut Tunnel<'_>) {
        match datagram.target {
            Target::Address(to) => self.send(to, datagram.payload, tunnel),
            Target::Name(name, port) if self.unresolved.len() < UNRESOLVED => {
                let pending = tunnel.ask(&name);
                let payload = datagram.payload.to_vec();
                self.unresolved.push(Unresolved { pending, found: Vec::new(), port, payload });
            }
            Target::Name(..) => {}
        }
    }

    fn send(&self, to: SocketAddr, payload: &[u8], tunnel: &mut Tunnel<'_>) {
        let Some(plan) = tunnel.plan.filter(|plan| is_covered(plan, to.ip(), tunnel.everything)) else {
            return;
        };
        if let Err(error) = tunnel.datagrams.send(self.port, &plan.addresses(), to, payload) {
            tracing::debug!(%error, "a datagram of the proxy's client does not go");
        }
    }

    /// Sends what has waited for an address.
    fn look_up(&mut self, tunnel: &mut Tunnel<'_>) {
        for mut one in std::mem::take(&mut self.unresolved) {
            for query in std::mem::take(&mut one.pending) {
                match tunnel.resolver.answer(query) {
                    Answer::Pending(query) => one.pending.push(query),
                    Answer::Done(addresses) => one.found.extend(addresses),
                }
            }
            match one.found.first() {
                // There is one to be had already: datagrams do not wait for the other family.
                Some(address) => {
                    self.send(SocketAddr::new(*address, one.port), &one.payload, tunnel);
                    one.pending.into_iter().for_each(|query| tunnel.resolver.cancel(query));
                }
                None if one.pending.is_empty() => {}
                None => self.unresolved.push(one),
            }
        }
    }

    /// Lets go of everything in the tunnel.
    pub(super) fn end(self, tunnel: &mut Tunnel<'_>) {
        let pending = self.unresolved.into_iter().flat_map(|one| one.pending);
        pending.for_each(|query| tunnel.resolver.cancel(query));
        tunnel.datagrams.close(self.port);
    }
}
