//! Moves bytes, time and signals in and out of one [`Client`].
//!
//! One task owns everything and waits in one place: for an order or signal, for datagrams, for packets of the tunnel, for the
//! owner to take an event, or for the client's next deadline. Nothing that a peer or an owner does can hold it up: what finds
//! no room is lost and counted, as on any link.

mod bulk;

use super::clock::Clock;
use super::pump::Pump;
use super::socket::Udp;
use crate::client::{Client, Event, Order, PathId, Paths, Signal, Status};
use crate::crypto::wipe_stack;
use crate::esp;
use crate::session::Session;
use crate::time::{Instant, Now};
use crate::tunnel::tun::Device;
use bulk::Bulk;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

/// Packets of the tunnel handled in one go.
const BATCH: usize = 64;
/// Orders and signals that may wait.
const COMMANDS: usize = 64;
/// Packets that may wait, each way.
const PACKETS: usize = 512;
/// Events that may wait in the channel; more wait in the driver.
const EVENTS: usize = 64;
/// A socket goes on receiving for so long after another took its place: the old SA serves up to 5 s (law 3), and its last
/// packets are on their way.
const LINGER: Duration = Duration::from_secs(10);
/// Sockets kept at most, the oldest go first.
const SOCKETS: usize = 8;
/// Octets of stack that are written over after each event; nothing that the client does goes deeper.
const STACK: usize = 128 << 10;
/// A timer of the runtime is never set further than this, whatever the client wants.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// What the owner wants.
#[derive(Debug)]
pub enum Command {
    /// Of the user.
    Order(Order),
    /// From these local addresses the gateway can be reached now, the first of each family counts; empty: it cannot. Where
    /// one is as it was, its socket stays.
    Paths(Vec<Local>),
    /// Sleep is near.
    Suspend,
    /// Sleep is over, or time has jumped as if.
    Resume,
    /// The gateway's name was looked up anew.
    Addresses(Vec<IpAddr>),
    /// A captive portal was found on the way, or is gone.
    Portal {
        /// Found.
        captive: bool,
    },
    /// The machine came into a network that the profile trusts, or left it.
    Trusted(bool),
    /// What came of a scan of this machine: see [`Signal::Scanned`].
    Scanned {
        /// Of the scan.
        id: u64,
        /// What goes to the gateway, or why there is nothing.
        token: Result<String, String>,
    },
    /// What came of a signature: see [`Signal::Signed`].
    Signed {
        /// Of the question.
        id: u64,
        /// The signature, or why there is none.
        made: Result<Vec<u8>, String>,
    },
    /// The answer to [`Event::LookUp`].
    LookedUp {
        /// The host name.
        name: String,
        /// Its addresses, none where it has none.
        addresses: Vec<IpAddr>,
    },
    /// The tunnel is this device now, or (`None`) none: packets go to and come from the owner's ends.
    Device(Option<Arc<Device>>),
    /// A picture, please.
    Status(oneshot::Sender<Picture>),
    /// The session as it is, for an owner that ends and keeps it.
    Session(oneshot::Sender<Option<Session>>),
}

/// Our end of a way to the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Local {
    /// Source address (port 0: any).
    pub address: SocketAddr,
    /// Index of the interface that packets leave by; 0 where it is not known. Another one is another way.
    pub interface: u32,
    /// What the way carries as far as this machine knows, octets; `None`: as Ethernet does. Another value is no other way.
    pub mtu: Option<u32>,
}

impl Local {
    fn is_same(&self, other: &Self) -> bool {
        (self.address, self.interface) == (other.address, other.interface)
    }
}

impl From<SocketAddr> for Local {
    fn from(address: SocketAddr) -> Self {
        Self { address, interface: 0, mtu: None }
    }
}

/// A picture of everything that the driver moves.
#[derive(Debug)]
pub struct Picture {
    /// When.
    pub now: Now,
    /// The client's own.
    pub status: Status,
    /// Our end of the path.
    pub local: Option<SocketAddr>,
    /// What did not find its way.
    pub losses: Losses,
}

/// What the driver says.
#[derive(Debug)]
pub enum Output {
    /// Of the client, and when.
    Event(Now, Event),
    /// The local address of a path could not be used; the client was told that there is no path.
    NoSocket {
        /// The address.
        local: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The device is gone or down; packets go to the owner's ends again.
    NoDevice(io::Error),
    /// The largest inner packet that the present path carries in one piece is another one now, octets.
    Mtu(u32),
}

/// Where sockets come from.
#[derive(Debug, Default)]
pub enum Sockets {
    /// They are made here.
    #[default]
    Own,
    /// Somebody with more rights makes them: marked ones, not bound, of IPv4 and IPv6, a few in advance.
    Made {
        /// Of IPv4.
        ipv4: mpsc::Receiver<OwnedFd>,
        /// Of IPv6.
        ipv6: mpsc::Receiver<OwnedFd>,
    },
}

impl Sockets {
    fn open(&mut self, local: SocketAddr) -> io::Result<Udp> {
        let raw = match self {
            Self::Own => None,
            Self::Made { ipv4, ipv6 } => {
                let made = if local.is_ipv4() { ipv4 } else { ipv6 };
                let none = || io::Error::other("the helper has made no socket yet");
                Some(made.try_recv().map_err(|_| none())?)
            }
        };
        Udp::open(local, raw)
    }
}

/// What did not find its way. Counted since the driver began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Losses {
    /// Datagrams that the kernel did not take: no route, a full buffer.
    pub unsent: u64,
    /// Packets for the tunnel whose owner did not keep up.
    pub inward: u64,
    /// Packets from the tunnel without an SA or a path, or outside the selectors.
    pub outward: u64,
}

/// The owner's ends. The driver ends when `commands` and all its clones are dropped.
#[derive(Debug)]
pub struct Ends {
    /// Orders, signals, questions.
    pub commands: mpsc::Sender<Command>,
    /// Events, in order.
    pub outputs: mpsc::Receiver<Output>,
    /// Packets into the tunnel: [`esp::HEADROOM`] free octets, then an IP packet.
    pub outward: mpsc::Sender<Vec<u8>>,
    /// IP packets out of the tunnel.
    pub inward: mpsc::Receiver<Vec<u8>>,
}

/// One way to the gateway.
struct Path {
    id: PathId,
    local: Local,
    socket: Udp,
    /// What an ICMP message told of the way, and when.
    told_mtu: Option<(u32, Instant)>,
    /// Another one took its place: until when it still receives.
    until: Option<Instant>,
}

/// See the module.
pub struct Driver {
    client: Client,
    clock: Clock,
    paths: Vec<Path>,
    next_path: u32,
    commands: mpsc::Receiver<Command>,
    outputs: mpsc::Sender<Output>,
    outward: mpsc::Receiver<Vec<u8>>,
    inward: mpsc::Sender<Vec<u8>>,
    /// What the owner has not taken yet.
    backlog: VecDeque<Output>,
    bulk: Bulk,
    sockets: Sockets,
    losses: Losses,
    /// The runtime's timer and the deadline it was set for.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// What ended a wait.
enum Wake {
    Command(Command),
    Packet(Vec<u8>),
    Readable,
    Delivered,
    Time,
    End,
}

impl Driver {
    /// A driver for `client`, and the owner's ends. It does nothing until [`Driver::run`] is polled.
    pub fn new(client: Client, clock: Clock, sockets: Sockets) -> (Self, Ends) {
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (outputs, outputs_out) = mpsc::channel(EVENTS);
        let (outward_in, outward) = mpsc::channel(PACKETS);
        let (inward, inward_out) = mpsc::channel(PACKETS);
        let driver = Self {
            client,
            clock,
            paths: Vec::new(),
            next_path: 0,
            commands,
            outputs,
            outward,
            inward,
            backlog: VecDeque::new(),
            bulk: Bulk::default(),
            sockets,
            losses: Losses::default(),
            timer: None,
        };
        let ends =
            Ends { commands: commands_in, outputs: outputs_out, outward: outward_in, inward: inward_out };
        (driver, ends)
    }

    /// Runs until the owner has dropped its `commands`; the client and what was lost, for the last words.
    pub async fn run(mut self) -> (Client, Losses) {
        loop {
            if self.flush() {
                wipe_stack::<STACK>();
            }
            let wake = self.wait().await;
            let now = self.clock.now();
            match wake {
                Wake::Command(command) => self.command(now, command),
                Wake::Packet(packet) => self.send_packet(now, packet),
                Wake::Readable | Wake::Delivered | Wake::Time => {}
                Wake::End => break,
            }
            self.receive(now);
            self.send_packets(now);
            self.read_device(now);
            self.due(now);
            if self.inward.capacity() < PACKETS / 2 {
                // The tunnel is on the same thread, perhaps: it gets its turn before the queue is full. What comes meanwhile
                // waits in the kernel, which has more room than we.
                tokio::task::yield_now().await;
            }
        }
        self.flush();
        wipe_stack::<STACK>();
        let losses = self.losses();
        (self.client, losses)
    }

    async fn wait(&mut self) -> Wake {
        self.arm();
        let Self { commands, outputs, outward, paths, backlog, timer, bulk, .. } = self;
        tokio::select! {
            biased;
            command = commands.recv() => command.map_or(Wake::End, Wake::Command),
            permit = outputs.reserve(), if !backlog.is_empty() => {
                match (permit, backlog.pop_front()) {
                    (Ok(permit), Some(output)) => permit.send(output),
                    // Nobody listens any more; the connection goes on until the owner ends it.
                    _ => backlog.clear(),
                }
                Wake::Delivered
            }
            () = elapsed(timer) => Wake::Time,
            () = readable(paths, bulk) => Wake::Readable,
            Some(packet) = outward.recv() => Wake::Packet(packet),
        }
    }

    /// Sets the runtime's timer. It stands still while the machine sleeps, the client's deadlines do not: after a sleep
    /// [`Command::Resume`] wakes the driver, and what is due by the suspend-aware clock is done at once.
    ///
    /// A deadline that moved away leaves the timer as it is: it fires early, finds nothing due, and is set anew; that is
    /// cheaper than a new timer with each packet.
    fn arm(&mut self) {
        let lingering = self.paths.iter().filter_map(|path| path.until).min();
        let deadline = [self.client.poll_timeout().map(|(at, _)| at), lingering].into_iter().flatten().min();
        let Some(deadline) = deadline else {
            self.timer = None;
            return;
        };
        if self.timer.as_ref().is_none_or(|(set_for, _)| deadline < *set_for) {
            let left = deadline.since(self.clock.now().at).min(LONGEST_SLEEP);
            self.timer = Some((deadline, Box::pin(tokio::time::sleep(left))));
        }
    }

    fn due(&mut self, now: Now) {
        if self.timer.as_ref().is_some_and(|(at, timer)| *at <= now.at || timer.is_elapsed()) {
            self.timer = None;
        }
        if self.client.poll_timeout().is_some_and(|(at, _)| at <= now.at) {
            self.client.handle_timeout(now);
        }
        self.paths.retain(|path| path.until.is_none_or(|until| now.at < until));
    }

    fn command(&mut self, now: Now, command: Command) {
        match command {
            Command::Order(order) => self.client.order(now, order),
            Command::Paths(locals) => self.paths(now, &locals),
            Command::Suspend => self.client.signal(now, Signal::Suspend),
            Command::Resume => self.client.signal(now, Signal::Resume),
            Command::Addresses(addresses) => self.client.signal(now, Signal::Addresses(addresses)),
            Command::Signed { id, made } => self.client.signal(now, Signal::Signed { id, made }),
            Command::Scanned { id, token } => self.client.signal(now, Signal::Scanned { id, token }),
            Command::LookedUp { name, addresses } => {
                self.client.signal(now, Signal::LookedUp { name, addresses });
            }
            Command::Portal { captive } => self.client.signal(now, Signal::Portal { captive }),
            Command::Trusted(trusted) => self.client.signal(now, Signal::Trusted(trusted)),
            Command::Device(device) => {
                self.drop_device();
                self.bulk.pump = device.map(Pump::new);
            }
            // An owner that no longer wants the answer is no error.
            Command::Status(answer) => {
                let status = self.client.status(now.at);
                let family = status.gateway.map(|gateway| gateway.is_ipv4());
                let mut live = self.paths.iter().filter(|path| path.until.is_none());
                let path = live.find(|path| family.is_none_or(|ipv4| path.local.address.is_ipv4() == ipv4));
                let local = path.and_then(|path| path.socket.local_addr().ok());
                drop(answer.send(Picture { now, status, local, losses: self.losses() }));
            }
            Command::Session(answer) => drop(answer.send(self.client.session().cloned())),
        }
    }

    fn paths(&mut self, now: Now, locals: &[Local]) {
        let first = |ipv4: bool| locals.iter().copied().find(|local| local.address.is_ipv4() == ipv4);
        let wanted = [first(true), first(false)];
        let is_wanted = |path: &Path| wanted.iter().flatten().any(|local| local.is_same(&path.local));
        for path in self.paths.iter_mut().filter(|path| !is_wanted(path)) {
            path.until.get_or_insert(now.at + LINGER);
        }
        let [ipv4, ipv6] = wanted.map(|local| self.path(local?));
        self.client.signal(now, Signal::Paths(Paths { ipv4, ipv6 }));
    }

    /// The socket of a way, the one that is there or a new one.
    fn path(&mut self, local: Local) -> Option<PathId> {
        let same = |path: &&mut Path| path.local.is_same(&local) && path.until.is_none();
        if let Some(path) = self.paths.iter_mut().find(same) {
            path.local = local;
            return Some(path.id);
        }
        match self.sockets.open(local.address) {
            Ok(socket) => {
                let id = PathId(self.next_path);
                self.next_path = self.next_path.wrapping_add(1);
                self.paths.push(Path { id, local, socket, told_mtu: None, until: None });
                if self.paths.len() > SOCKETS {
                    // The oldest, of those that nobody uses any more.
                    let old = self.paths.iter().position(|path| path.until.is_some()).unwrap_or_default();
                    self.paths.remove(old);
                }
                Some(id)
            }
            Err(error) => {
                self.backlog.push_back(Output::NoSocket { local: local.address, error });
                None
            }
        }
    }

    fn send_packets(&mut self, now: Now) {
        for _ in 0..BATCH {
            let Ok(packet) = self.outward.try_recv() else { return };
            self.send_packet(now, packet);
        }
    }

    fn send_packet(&mut self, now: Now, mut frame: Vec<u8>) {
        if frame.len() <= esp::HEADROOM {
            self.losses.outward += 1;
            return;
        }
        match self.client.send_packet(now, &mut frame) {
            Ok(Some(sealed)) => {
                let datagram = frame.get(sealed.range).unwrap_or_default();
                send(&self.paths, &mut self.losses, sealed.path, sealed.to, datagram);
            }
            Ok(None) => self.losses.outward += 1,
            Err(error) => {
                tracing::trace!(%error, "packet not sent");
                self.losses.outward += 1;
            }
        }
    }

    /// Sends what the client wants to send, and takes its events; whether there were any.
    fn flush(&mut self) -> bool {
        while let Some(transmit) = self.client.poll_transmit() {
            send(&self.paths, &mut self.losses, transmit.path, transmit.to, &transmit.payload);
        }
        let now = self.clock.now();
        // Before the plan that it belongs to.
        self.measure(now.at);
        let before = self.backlog.len();
        while let Some(event) = self.client.poll_event() {
            self.backlog.push_back(Output::Event(now, event));
        }
        self.backlog.len() > before
    }
}

/// A datagram that cannot leave is lost: what matters is repeated.
fn send(paths: &[Path], losses: &mut Losses, path: PathId, to: SocketAddr, datagram: &[u8]) {
    let Some(path) = paths.iter().find(|known| known.id == path) else {
        losses.unsent += 1;
        return;
    };
    if let Err(error) = path.socket.send(datagram, to) {
        tracing::debug!(%error, %to, octets = datagram.len(), "datagram not sent");
        losses.unsent += 1;
    }
}

async fn elapsed(timer: &mut Option<(Instant, Pin<Box<Sleep>>)>) {
    match timer {
        Some((_, sleep)) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Waits until one of the sockets or the device has something, or a full socket has room.
async fn readable(paths: &[Path], bulk: &Bulk) {
    poll_fn(|context| {
        let mut ready = paths.iter().filter(|path| path.socket.poll_readable(context).is_ready()).count();
        let blocked = bulk.blocked().and_then(|id| paths.iter().find(|path| path.id == id));
        let device = match blocked {
            Some(path) => path.socket.poll_writable(context),
            None => bulk.pump.as_ref().map_or(Poll::Pending, |pump| pump.poll_readable(context)),
        };
        ready += usize::from(device.is_ready());
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests;
