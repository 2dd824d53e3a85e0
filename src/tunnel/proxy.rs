//! `--tunnel proxy`: SOCKS5 and HTTP on a loopback port, without privileges.
//!
//! One task owns the clients' sockets and the TCP/IP stack, so octets go from one to the other without a queue between them:
//! a client that reads slowly leaves them in the stack's receive buffer, which closes the TCP window; a slow tunnel
//! leaves the send buffer full, and the client's socket is not read. Only those that have something to do are looked at.

use super::Ports;
use super::access::Access;
use super::clients::Clients;
use super::connection::{Connection, Tunnel};
use super::datagrams::Datagrams;
use super::resolver::Resolver;
use super::stack::{Buffers, Stack};
use crate::crypto::Random;
use crate::plan::Plan;
use crate::time::Instant;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Sleep;

/// Connections through the tunnel at most; more are refused.
const CONNECTIONS: usize = 4096;
/// Clients that are being asked what they want, or told that they are refused; more wait in the kernel's queue.
const VISITORS: usize = 64;
/// Where every place is taken, a client that is silent for longer gives its own to the next.
const SILENT: Duration = Duration::from_secs(1);
/// Packets of the tunnel handled in one go.
const BATCH: usize = 64;
/// A path of 40 ms needs the receive buffer for 400 Mbit/s, and much of it where it loses: until a lost packet comes again, what
/// follows it waits there.
const BUFFERS: Buffers = Buffers { receive: 2 << 20, send: 1 << 20 };
/// After the kernel had no descriptor for a client, the next is taken after this long.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);
/// A timer of the runtime is never set further than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// The proxy cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Whoever reaches the proxy is inside the company's network.
    #[error(
        "the proxy listens on loopback addresses only, and {0} is none: use --proxy 127.0.0.1:{port}",
        port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// Another program has the port.
    #[error(
        "{0} is taken by another program, perhaps by another agent: choose another port with --proxy ADDR:PORT"
    )]
    Taken(SocketAddr),
    /// Anything else the kernel says.
    #[error("the proxy cannot listen on {address}: {source}; choose another with --proxy ADDR:PORT")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What may go through it.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Who may use it; `None`: whoever reaches the port.
    pub access: Option<Access>,
    /// Into the tunnel goes also what the gateway's routes do not lead there.
    pub everything: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Proxy {
    listener: TcpListener,
    address: SocketAddr,
    admission: Admission,
    /// [`CONNECTIONS`], and fewer in tests.
    most: usize,
}

impl Proxy {
    /// Listens on `address` (port 0: any). Clients are served from [`Proxy::run`] on.
    ///
    /// # Errors
    /// The address is not a loopback address, or it cannot be listened on.
    pub async fn bind(address: SocketAddr) -> Result<Self, ProxyError> {
        if !address.ip().to_canonical().is_loopback() {
            return Err(ProxyError::NotLoopback(address));
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ProxyError::Taken(address),
            _ => ProxyError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, admission: Admission::default(), most: CONNECTIONS })
    }

    /// Lets in so much; without it everybody, to where the gateway's routes lead.
    #[must_use]
    pub fn with(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// Where clients find it.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the tunnel ends. `now` is the suspend-aware clock.
    pub async fn run(self, ports: Ports, now: impl Fn() -> Instant, mut random: impl Random + 'static) {
        let resolver = Resolver::new(random.u64());
        let stack = Stack::new(Box::new(random), BUFFERS);
        let mut server = Server {
            listener: self.listener,
            ports,
            now,
            stack,
            resolver,
            datagrams: Datagrams::default(),
            most: self.most,
            access: self.admission.access.map(Arc::new),
            everything: self.admission.everything,
            plan: None,
            addresses: Vec::new(),
            plan_ended: false,
            clients: Clients::default(),
            accept_at: None,
            timer: None,
        };
        server.configure();
        while server.wait().await {
            server.work();
        }
    }
}

/// What ended a wait.
enum Wake {
    Packet(Vec<u8>),
    /// False: there will be no further plan.
    Plan(bool),
    Ready,
    Client(io::Result<TcpStream>),
    Time,
    End,
}

struct Server<N> {
    listener: TcpListener,
    ports: Ports,
    now: N,
    stack: Stack,
    resolver: Resolver,
    datagrams: Datagrams,
    /// Connections at most.
    most: usize,
    access: Option<Arc<Access>>,
    everything: bool,
    plan: Option<Plan>,
    /// Of the plan.
    addresses: Vec<IpAddr>,
    /// Nobody will send a plan any more.
    plan_ended: bool,
    clients: Clients,
    /// The kernel had no descriptor: clients wait until then.
    accept_at: Option<Instant>,
    /// The runtime's timer and the deadline it was set for.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<N: Fn() -> Instant> Server<N> {
    /// Waits for something to do, and takes it; false where the tunnel has ended.
    async fn wait(&mut self) -> bool {
        let now = (self.now)();
        let stuck = self.has_transmit();
        let next_place = self.make_place(now);
        self.arm(now, stuck, next_place);
        let visitors = !self.is_full() && self.accept_at.is_none();
        let Self { listener, ports, clients, timer, plan_ended, .. } = self;
        let wake = tokio::select! {
            biased;
            packet = ports.inward.recv() => packet.map_or(Wake::End, Wake::Packet),
            changed = ports.plan.changed(), if !*plan_ended => Wake::Plan(changed.is_ok()),
            // The driver has taken something: there is room again.
            room = ports.outward.reserve(), if stuck => if room.is_ok() { Wake::Ready } else { Wake::End },
            () = clients.ready() => Wake::Ready,
            client = listener.accept(), if visitors => Wake::Client(client.map(|(client, _)| client)),
            () = elapsed(timer) => Wake::Time,
        };
        let now = (self.now)();
        match wake {
            Wake::Packet(packet) => self.deliver(now, packet),
            Wake::Plan(true) => self.configure(),
            Wake::Plan(false) => self.plan_ended = true,
            Wake::Ready => {}
            Wake::Client(Ok(client)) => {
                self.clients.add(Connection::new(client, self.access.clone(), now));
            }
            Wake::Client(Err(error)) => {
                tracing::warn!(%error, "the proxy cannot take a client");
                self.accept_at = Some(now + ACCEPT_AGAIN);
            }
            Wake::Time => self.timer = None,
            Wake::End => return false,
        }
        true
    }

    fn is_full(&self) -> bool {
        self.clients.len() >= self.most + VISITORS
    }

    /// Where every place is taken, the client that has been silent for longest is cut off, at the time returned where that is not now:
    /// who opens connections and says nothing must not keep the others out.
    fn make_place(&mut self, now: Instant) -> Option<Instant> {
        let (at, id) = self.clients.most_silent(SILENT).filter(|_| self.is_full())?;
        if at > now {
            return Some(at);
        }
        self.clients.cut_off(id);
        None
    }

    /// Sets the runtime's timer to the earliest deadline. One that moved away leaves the timer as it is: it fires early and
    /// is set anew, which is cheaper than a new timer with each packet.
    fn arm(&mut self, now: Instant, stuck: bool, next_place: Option<Instant>) {
        // While frames wait for the driver, the stack would want to be polled for ever.
        let stack = if stuck { None } else { self.stack.poll_timeout(now) };
        let resolver = if stuck { None } else { self.resolver.poll_timeout(now) };
        let deadlines = [stack, resolver, self.clients.deadline(), self.accept_at, next_place];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            self.timer = None;
            return;
        };
        if self.timer.as_ref().is_none_or(|(set_for, _)| deadline < *set_for) {
            let left = deadline.since(now).min(LONGEST_SLEEP);
            self.timer = Some((deadline, Box::pin(tokio::time::sleep(left))));
        }
    }

    /// Does everything that can be done now.
    fn work(&mut self) {
        let now = (self.now)();
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept_at = None;
        }
        for _ in 0..BATCH {
            let Ok(packet) = self.ports.inward.try_recv() else { break };
            self.deliver(now, packet);
        }
        if self.resolver.poll_timeout(now).is_some_and(|at| at <= now) {
            // A question may be given up.
            self.clients.tell_listening();
        }
        // Addresses that are gone and timers that are due come first, so that connections see what became of them.
        self.send(now);
        while let Some(flow) = self.stack.next_touched() {
            self.clients.touch(flow);
        }
        self.clients.ring(now);
        let mut tunnel = Tunnel {
            stack: &mut self.stack,
            resolver: &mut self.resolver,
            datagrams: &mut self.datagrams,
            plan: self.plan.as_ref(),
            everything: self.everything,
            room: self.most.saturating_sub(self.clients.open()),
            now,
        };
        self.clients.serve(&mut tunnel);
        self.send(now);
    }

    /// Hands over what the stack wants to send, as long as the driver has room for it.
    fn send(&mut self, now: Instant) {
        loop {
            self.stack.poll(now);
            self.resolver.poll(now);
            if !self.has_transmit() {
                return;
            }
            while self.has_transmit() {
                let permit = match self.ports.outward.try_reserve() {
                    Ok(permit) => permit,
                    Err(TrySendError::Full(()) | TrySendError::Closed(())) => return,
                };
                let frame = self.resolver.poll_transmit().or_else(|| self.datagrams.poll_transmit());
                if let Some(frame) = frame.or_else(|| self.stack.poll_transmit()) {
                    permit.send(frame);
                }
            }
        }
    }

    /// Takes over what the gateway assigned.
    fn configure(&mut self) {
        self.plan = self.ports.plan.borrow_and_update().clone();
        let addresses = self.plan.as_ref().map(Plan::addresses).unwrap_or_default();
        let servers = self.plan.as_ref().map(|plan| plan.dns.as_slice()).unwrap_or_default();
        self.stack.set_addresses(&addresses);
        self.resolver.configure(&addresses, servers);
        self.addresses = addresses;
    }

    fn deliver(&mut self, now: Instant, packet: Vec<u8>) {
        if self.datagrams.receive(&self.addresses, &packet) {
            self.clients.tell_listening();
            return;
        }
        if Resolver::wants(&packet) {
            self.clients.tell_listening();
            self.resolver.receive(now, packet);
        } else {
            self.stack.receive(now, packet);
        }
    }

    /// True where packets wait for the driver.
    fn has_transmit(&self) -> bool {
        self.stack.has_transmit() || self.resolver.has_transmit() || self.datagrams.has_transmit()
    }
}

async fn elapsed(timer: &mut Option<(Instant, Pin<Box<Sleep>>)>) {
    match timer {
        Some((_, sleep)) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
