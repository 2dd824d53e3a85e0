//! One client of the proxy: its request, the connection made for it, and the octets of both sides.

use super::access::Access;
use super::association::Association;
use super::datagrams::Datagrams;
use super::greeting::{Greeting, Step, Voice};
use super::relay::{Broken, download, has_ended, lead, prepare, reset_on_drop, upload};
use super::resolver::{Answer, Kind, Query, Resolver};
use super::socks::{Reply, Target};
use super::stack::{ConnectError, Handle, Stack, Stage as Progress};
use crate::plan::Plan;
use crate::time::Instant;
use rustix::net::Shutdown;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// A client has so long for its request, and the destination for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// An address has so long where another one is left to try.
const NEXT_ADDRESS: Duration = Duration::from_secs(5);
/// After a refusal the client has so long to close: closing first could take the answer from it.
const GOODBYE: Duration = Duration::from_secs(5);
/// And may say so much more.
const UNREAD: usize = 64 << 10;
/// A connection that one side has closed and that carries nothing is over after this long.
const HALF_CLOSED: Duration = Duration::from_secs(3600);
/// So often it is looked what has become of a client whose octets nobody takes.
const LOOK: Duration = Duration::from_secs(10);
/// What is read of a request in one go.
const MESSAGE: usize = 2048;

/// What all connections share.
pub(super) struct Tunnel<'a> {
    pub(super) stack: &'a mut Stack,
    pub(super) resolver: &'a mut Resolver,
    pub(super) datagrams: &'a mut Datagrams,
    pub(super) plan: Option<&'a Plan>,
    /// What the plan does not lead into the tunnel goes there all the same.
    pub(super) everything: bool,
    /// So many more connections may be opened.
    pub(super) room: usize,
    pub(super) now: Instant,
}

impl Tunnel<'_> {
    /// Asks for a name's addresses of each family that we have.
    pub(super) fn ask(&mut self, name: &str) -> Vec<Query> {
        let Some(plan) = self.plan else { return Vec::new() };
        let kinds = [(plan.address4.is_some(), Kind::V4), (plan.address6.is_some(), Kind::V6)];
        let wanted = kinds.into_iter().filter_map(|(wanted, kind)| wanted.then_some(kind));
        wanted.filter_map(|kind| self.resolver.ask(name, kind)).collect()
    }
}

/// See the module.
pub(super) struct Connection {
    local: TcpStream,
    /// How the client is answered.
    voice: Voice,
    /// What the peer gets before anything else of the client's.
    first: Vec<u8>,
    stage: Stage,
    /// From SYN on.
    handle: Option<Handle>,
    /// When `stage` has lasted too long.
    deadline: Option<Instant>,
    /// When to look what has become of a client whose octets nobody takes.
    look: Option<Instant>,
}

enum Stage {
    /// The client's request is being read.
    Asking(Greeting),
    /// The name's addresses are being asked for.
    Resolving { pending: Vec<Query>, found: VecDeque<IpAddr>, port: u16 },
    /// SYN is sent; `rest` is tried where it fails.
    Connecting { rest: VecDeque<IpAddr>, port: u16 },
    /// Octets go both ways.
    Relaying {
        /// The client sends no more.
        local_done: bool,
        /// The peer sends no more, and the client knows.
        remote_done: bool,
    },
    /// Datagrams go both ways as long as the client keeps this connection.
    Datagrams(Association),
    /// The client was refused and reads why.
    Refused {
        /// So much more of what it says is read, octets.
        unread: usize,
    },
    /// Nothing is left of it.
    Over,
}

impl Connection {
    /// A client that has just come; `access`: who may use the proxy, where that is not everybody.
    pub(super) fn new(local: TcpStream, access: Option<Arc<Access>>, now: Instant) -> Self {
        prepare(&local);
        let stage = Stage::Asking(Greeting::new(access));
        let deadline = Some(now + PATIENCE);
        Self { local, voice: Voice::Socks, first: Vec::new(), stage, handle: None, deadline, look: None }
    }

    /// True where nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// True where the client has not said yet what it wants.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.stage, Stage::Asking(_))
    }

    /// True where it counts as a connection: its request was accepted.
    pub(super) fn is_open(&self) -> bool {
        matches!(
            self.stage,
            Stage::Resolving { .. } | Stage::Connecting { .. } | Stage::Relaying { .. } | Stage::Datagrams(_)
        )
    }

    /// Its connection in the tunnel, as [`Stack::next_touched`] calls it.
    pub(super) fn flow(&self) -> Option<u64> {
        self.handle.as_ref().map(Handle::id)
    }

    /// True where names that were asked for, and datagrams, concern it.
    pub(super) fn listens(&self) -> bool {
        matches!(self.stage, Stage::Resolving { .. } | Stage::Datagrams(_))
    }

    /// When [`Connection::step`] is due though nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.look).min()
    }

    /// True where the client's socket has something that [`Connection::step`] can use; else the task is woken when it has.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>, stack: &Stack, datagrams: &Datagrams) -> bool {
        if let Stage::Datagrams(association) = &self.stage {
            let control = self.local.poll_read_ready(context).is_ready();
            return association.poll_ready(context, datagrams.has(association.port())) || control;
        }
        let (read, write) = match (&self.stage, &self.handle) {
            (Stage::Asking(_) | Stage::Refused { .. }, _) => (true, false),
            (Stage::Relaying { local_done, .. }, Some(handle)) => {
                let up = !local_done && self.first.is_empty() && stack.can_send(handle);
                (up, stack.unread(handle) > 0)
            }
            _ => (false, false),
        };
        let readable = read && self.local.poll_read_ready(context).is_ready();
        let writable = write && self.local.poll_write_ready(context).is_ready();
        readable || writable
    }

    /// Does what can be done now.
    pub(super) fn step(&mut self, tunnel: &mut Tunnel<'_>) {
        while self.advance(tunnel) {}
        if self.deadline.is_some_and(|deadline| deadline <= tunnel.now) {
            self.give_up(tunnel);
        }
    }

    /// True where another stage was reached, in which there may be more to do.
    fn advance(&mut self, tunnel: &mut Tunnel<'_>) -> bool {
        match &mut self.stage {
            Stage::Asking(greeting) => match read_request(&self.local, greeting) {
                Ok(Some(Step::Connect { target, voice, first })) => {
                    (self.voice, self.first) = (voice, first);
                    self.begin(target, tunnel);
                }
                Ok(Some(Step::Associate(port))) => self.associate(port, tunnel),
                Ok(Some(Step::Refuse(answer))) => self.refuse(&answer, tunnel),
                Ok(_) => return false,
                Err(_) => self.end(tunnel),
            },
            Stage::Resolving { pending, found, port } => {
                for query in std::mem::take(pending) {
                    match tunnel.resolver.answer(query) {
                        Answer::Pending(query) => pending.push(query),
                        Answer::Done(addresses) => found.extend(addresses),
                    }
                }
                if !pending.is_empty() {
                    return false;
                }
                let (found, port) = (std::mem::take(found), *port);
                self.try_addresses(found, port, Reply::HostUnreachable, tunnel);
            }
            Stage::Connecting { rest, port } => {
                let Some(handle) = &self.handle else { return false };
                match tunnel.stack.stage(handle) {
                    Progress::Connecting => return false,
                    Progress::Closed => {
                        let (rest, port) = (std::mem::take(rest), *port);
                        self.try_addresses(rest, port, Reply::Refused, tunnel);
                    }
                    Progress::Open => match tunnel.stack.local(handle) {
                        Some(bound) if say(&self.local, &self.voice.connected(bound)) => {
                            self.stage = Stage::Relaying { local_done: false, remote_done: false };
                            self.deadline = None;
                        }
                        _ => self.end(tunnel),
                    },
                }
            }
            Stage::Relaying { .. } => return self.relay(tunnel),
            Stage::Datagrams(association) => match (discard(&self.local), self.local.peer_addr()) {
                (Ok(_), Ok(there)) => {
                    association.step(there.ip(), tunnel);
                    return false;
                }
                _ => self.end(tunnel),
            },
            Stage::Refused { unread } => match discard(&self.local) {
                Ok(length) if length <= *unread => {
                    *unread -= length;
                    return false;
                }
                _ => self.end(tunnel),
            },
            Stage::Over => return false,
        }
        true
    }

    /// The client has said where to.
    fn begin(&mut self, target: Target, tunnel: &mut Tunnel<'_>) {
        if !self.is_let_in(tunnel) {
            return;
        }
        match target {
            Target::Address(to) => {
                self.try_addresses([to.ip()].into(), to.port(), Reply::HostUnreachable, tunnel);
            }
            Target::Name(name, port) => {
                let pending = tunnel.ask(&name);
                self.stage = Stage::Resolving { pending, found: VecDeque::new(), port };
                self.deadline = Some(tunnel.now + PATIENCE);
            }
        }
    }

    /// Refuses where there is no tunnel, or no room.
    fn is_let_in(&mut self, tunnel: &mut Tunnel<'_>) -> bool {
        let refusal = match (tunnel.plan, tunnel.room) {
            (None, _) => Reply::NetworkUnreachable,
            (_, 0) => {
                tracing::warn!("the proxy has as many connections as it takes");
                Reply::Failure
            }
            _ => {
                tunnel.room -= 1;
                return true;
            }
        };
        self.refuse_with(refusal, tunnel);
        false
    }

    /// The client has asked for a socket for datagrams.
    fn associate(&mut self, from: u16, tunnel: &mut Tunnel<'_>) {
        if !self.is_let_in(tunnel) {
            return;
        }
        let (Ok(here), Ok(there)) = (self.local.local_addr(), self.local.peer_addr()) else {
            return self.end(tunnel);
        };
        match Association::open(here.ip(), there.ip(), from, tunnel) {
            Ok(association) => {
                let told =
                    association.address().is_ok_and(|at| say(&self.local, &Reply::Succeeded.encode(at)));
                self.stage = Stage::Datagrams(association);
                self.deadline = None;
                if !told {
                    self.end(tunnel);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the proxy has no socket for a client's datagrams");
                self.refuse_with(Reply::Failure, tunnel);
            }
        }
    }

    /// Connects to the first of `addresses` that can be tried; `refusal` is the answer where there is none.
    fn try_addresses(
        &mut self,
        mut addresses: VecDeque<IpAddr>,
        port: u16,
        mut refusal: Reply,
        tunnel: &mut Tunnel<'_>,
    ) {
        if let Some(handle) = self.handle.take() {
            tunnel.stack.release(tunnel.now, handle);
        }
        while let Some(address) = addresses.pop_front() {
            if !tunnel.plan.is_some_and(|plan| is_covered(plan, address, tunnel.everything)) {
                refusal = Reply::NotAllowed;
                continue;
            }
            match tunnel.stack.connect(SocketAddr::new(address, port)) {
                Ok(handle) => {
                    let patience = if addresses.is_empty() { PATIENCE } else { NEXT_ADDRESS };
                    self.handle = Some(handle);
                    self.stage = Stage::Connecting { rest: addresses, port };
                    self.deadline = Some(tunnel.now + patience);
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "the proxy cannot connect");
                    refusal = match error {
                        ConnectError::NoAddress(_) => Reply::NetworkUnreachable,
                        ConnectError::NoDestination(_) => Reply::NotAllowed,
                        ConnectError::NoPort => Reply::Failure,
                    };
                }
            }
        }
        self.refuse_with(refusal, tunnel);
    }

    /// Moves octets both ways. True where the connection has come to its end.
    fn relay(&mut self, tunnel: &mut Tunnel<'_>) -> bool {
        let (Stage::Relaying { local_done, remote_done }, Some(handle)) = (&mut self.stage, &self.handle)
        else {
            return false;
        };
        let begun = lead(&mut self.first, handle, tunnel.stack);
        let up = match self.first.is_empty() {
            true => upload(&self.local, handle, local_done, tunnel.stack),
            false => Ok(0),
        };
        let both = up.and_then(|up| {
            let down = download(&self.local, handle, remote_done, tunnel.stack)?;
            // A reset that follows the peer's regular end: nothing more goes there.
            let is_closed =
                tunnel.stack.stage(handle) == Progress::Closed && tunnel.stack.unread(handle) == 0;
            if is_closed && !*local_done { Err(Broken::Remote) } else { Ok(begun + up + down) }
        });
        let is_blocked = !*local_done && (!self.first.is_empty() || !tunnel.stack.can_send(handle));
        let is_time = is_blocked && self.look.is_some_and(|at| at <= tunnel.now);
        self.look = is_blocked.then(|| self.look.filter(|_| !is_time).unwrap_or(tunnel.now + LOOK));
        let both = both.and_then(|moved| Ok((moved, is_time && has_ended(&self.local)?)));
        let (moved, ended) = match both {
            Ok(both) => both,
            Err(Broken::Local) => {
                tunnel.stack.abort(handle);
                self.end(tunnel);
                return true;
            }
            Err(Broken::Remote) => {
                reset_on_drop(&self.local);
                self.end(tunnel);
                return true;
            }
        };
        match (*local_done || ended, *remote_done) {
            (false, false) => {}
            (true, true) if *local_done => {
                self.end(tunnel);
                return true;
            }
            _ if moved > 0 || self.deadline.is_none() => self.deadline = Some(tunnel.now + HALF_CLOSED),
            _ => {}
        }
        false
    }

    /// The stage has lasted too long.
    fn give_up(&mut self, tunnel: &mut Tunnel<'_>) {
        match &mut self.stage {
            Stage::Resolving { .. } => self.refuse_with(Reply::HostUnreachable, tunnel),
            Stage::Connecting { rest, port } => {
                let (rest, port) = (std::mem::take(rest), *port);
                self.try_addresses(rest, port, Reply::HostUnreachable, tunnel);
            }
            Stage::Relaying { .. } => {
                reset_on_drop(&self.local);
                self.end(tunnel);
            }
            _ => self.end(tunnel),
        }
    }

    fn refuse_with(&mut self, reply: Reply, tunnel: &mut Tunnel<'_>) {
        self.refuse(&self.voice.refused(reply), tunnel);
    }

    fn refuse(&mut self, answer: &[u8], tunnel: &mut Tunnel<'_>) {
        let told = say(&self.local, answer) && rustix::net::shutdown(&self.local, Shutdown::Write).is_ok();
        self.end(tunnel);
        if told {
            self.stage = Stage::Refused { unread: UNREAD };
            self.deadline = Some(tunnel.now + GOODBYE);
        }
    }

    /// Lets go of everything but the client's socket, which goes with `self`.
    pub(super) fn end(&mut self, tunnel: &mut Tunnel<'_>) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Resolving { pending, .. } => {
                pending.into_iter().for_each(|query| tunnel.resolver.cancel(query));
            }
            Stage::Datagrams(association) => association.end(tunnel),
            _ => {}
        }
        if let Some(handle) = self.handle.take() {
            tunnel.stack.release(tunnel.now, handle);
        }
        (self.deadline, self.look) = (None, None);
    }
}

impl Drop for Connection {
    /// A tunnel that ends in the middle of a transfer must not look like the regular end of it.
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Relaying { .. }) {
            reset_on_drop(&self.local);
        }
    }
}

/// Reads on in the client's request; `None`: the rest has not come yet.
fn read_request(local: &TcpStream, greeting: &mut Greeting) -> io::Result<Option<Step>> {
    // It may hold a password.
    let mut buffer = Zeroizing::new([0; MESSAGE]);
    loop {
        let wanted = greeting.wanted().min(MESSAGE);
        let length = match local.try_read(&mut buffer[..wanted]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match greeting.receive(&buffer[..length]) {
            Step::More => {}
            Step::Send(answer) if say(local, &answer) => {}
            Step::Send(_) => return Err(io::ErrorKind::WriteZero.into()),
            step => return Ok(Some(step)),
        }
    }
}

/// Writes a short answer into an empty socket buffer. False where it does not go: a client that does this reads nothing.
fn say(local: &TcpStream, answer: &[u8]) -> bool {
    local.try_write(answer).is_ok_and(|written| written == answer.len())
}

/// Reads some of what nobody wants, and says how much; an error is the end of it. A client that never stops must not keep the others
/// waiting: the rest is for the next step.
fn discard(local: &TcpStream) -> io::Result<usize> {
    let mut buffer = [0; MESSAGE];
    match local.try_read(&mut buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(length) => Ok(length),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

/// True where an address goes into the tunnel: the plan leads there, or everything is to; never one that is no other host's.
pub(super) fn is_covered(plan: &Plan, address: IpAddr, everything: bool) -> bool {
    let included = plan.include.is_empty() || plan.include.iter().any(|net| net.contains(address));
    let routed = included && !plan.exclude.iter().any(|net| net.contains(address));
    (routed || everything) && is_elsewhere(address) && !plan.addresses().contains(&address)
}

/// False for this machine, this link, and what is no host: a name may say that it is there.
fn is_elsewhere(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.octets()[0] == 0)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests;
