//! The connections of a stack, each for itself: a packet, a timer or a call of an owner costs what its own connection costs,
//! however many others there are.

use super::outgoing::Newest;
use crate::esp::inner::{InnerPacket, protocol};
use crate::time::Instant;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Our end and the peer's.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// One connection, or a socket that waits for one.
pub(super) struct Flow {
    /// A set of its own: smoltcp goes through all of one with each call.
    pub(super) sockets: SocketSet<'static>,
    socket: SocketHandle,
    ends: Option<Ends>,
    /// The local port that was drawn for it.
    drawn: Option<u16>,
    /// When it is to be polled though nothing happens.
    timer: Option<Instant>,
    /// So much is its clock ahead: it was put forward where its timer was further away than anybody waits.
    pub(super) ahead: Duration,
    /// Such a timer: when it is in its own time, and when it rings in the stack's.
    early: Option<(Instant, Instant)>,
    /// The second in which the last segment came, or in which it was made.
    pub(super) heard: u64,
    /// The end of what was sent.
    pub(super) newest: Newest,
    /// In [`Flows::due`].
    due: bool,
    /// To be closed once everything is acknowledged.
    pub(super) closing: bool,
    /// Nobody owns it any more.
    pub(super) orphan: bool,
    /// Which listener has it, and whether that still waits for the end of the handshake.
    pub(super) listener: Option<usize>,
    pub(super) opening: bool,
}

impl Flow {
    pub(super) fn socket(&self) -> &tcp::Socket<'static> {
        self.sockets.get(self.socket)
    }

    /// Octets that it can receive now.
    pub(super) fn free(&self) -> usize {
        let socket = self.socket();
        socket.recv_capacity().saturating_sub(socket.recv_queue())
    }

    /// When it is to be polled where its next timer is at `at` of its own time: `longest` from `now` at the latest, and no later
    /// than was said before of the same timer.
    pub(super) fn not_later(
        &mut self,
        at: Option<Instant>,
        now: Instant,
        longest: Duration,
    ) -> Option<Instant> {
        let due = at.map(|at| at - self.ahead);
        let far = at.filter(|_| due.is_some_and(|due| due > now + longest));
        let same = self.early.filter(|(before, _)| far == Some(*before));
        self.early = same.or_else(|| Some((far?, now + longest)));
        self.early.map(|(_, rings)| rings).or(due)
    }

    /// The timer of `rung` has rung: where that is earlier than its own clock thinks, the clock is put forward. Not before: what
    /// is measured with it in between, a round trip, would take so much longer.
    fn leap(&mut self, rung: Instant) {
        if let Some((at, _)) = self.early.take_if(|(_, rings)| *rings <= rung) {
            self.ahead += at.since(rung + self.ahead);
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.socket)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Flows {
    all: BTreeMap<u64, Flow>,
    next: u64,
    by_ends: BTreeMap<Ends, u64>,
    drawn: BTreeSet<u16>,
    timers: BTreeSet<(Instant, u64)>,
    /// They may have something to send; one packet each, in turn.
    due: VecDeque<u64>,
    /// The peer or the network has changed something about them.
    touched: BTreeSet<u64>,
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The key of a connection made in this second.
    pub(super) fn add(&mut self, socket: tcp::Socket<'static>, second: u64) -> u64 {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let socket = sockets.add(socket);
        let flow = Flow {
            sockets,
            socket,
            ends: None,
            drawn: None,
            timer: None,
            heard: second,
            ahead: Duration::ZERO,
            early: None,
            newest: Newest::default(),
            due: false,
            closing: false,
            orphan: false,
            listener: None,
            opening: false,
        };
        self.next += 1;
        self.all.insert(self.next, flow);
        self.next
    }

    /// When the last segment came, for each of them.
    pub(super) fn heard(&self) -> impl Iterator<Item = u64> {
        self.all.values().map(|flow| flow.heard)
    }

    pub(super) fn remove(&mut self, key: u64) {
        let Some(flow) = self.all.remove(&key) else { return };
        if let Some(ends) = flow.ends.filter(|ends| self.by_ends.get(ends) == Some(&key)) {
            self.by_ends.remove(&ends);
        }
        if let Some(port) = flow.drawn {
            self.drawn.remove(&port);
        }
        if let Some(at) = flow.timer {
            self.timers.remove(&(at, key));
        }
        self.touched.remove(&key);
    }

    pub(super) fn get(&self, key: u64) -> Option<&Flow> {
        self.all.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Flow> {
        self.all.get_mut(&key)
    }

    /// From now on packets between these ends are its own.
    pub(super) fn name(&mut self, key: u64, ends: Ends, drawn: Option<u16>) {
        let Some(flow) = self.all.get_mut(&key) else { return };
        (flow.ends, flow.drawn) = (Some(ends), drawn);
        self.by_ends.insert(ends, key);
        self.drawn.extend(drawn);
    }

    /// True where it has a name.
    pub(super) fn is_named(&self, key: u64) -> bool {
        self.all.get(&key).is_some_and(|flow| flow.ends.is_some())
    }

    /// True where no connection has this local port.
    pub(super) fn is_free(&self, port: u16) -> bool {
        !self.drawn.contains(&port)
    }

    /// Whose a segment is. One that is over has none: its ends may be another's.
    pub(super) fn find(&self, ends: Ends) -> Option<u64> {
        let key = *self.by_ends.get(&ends)?;
        let over = self.all.get(&key)?.socket().state() == tcp::State::Closed;
        (!over).then_some(key)
    }

    /// It may have something to send.
    pub(super) fn wake(&mut self, key: u64) {
        if let Some(flow) = self.all.get_mut(&key).filter(|flow| !flow.due) {
            flow.due = true;
            self.due.push_back(key);
        }
    }

    /// The next that may have something to send; each once, until it is woken again.
    pub(super) fn next_due(&mut self) -> Option<u64> {
        while let Some(key) = self.due.pop_front() {
            if let Some(flow) = self.all.get_mut(&key) {
                flow.due = false;
                return Some(key);
            }
        }
        None
    }

    /// True where [`Flows::next_due`] may have one.
    pub(super) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Something has happened to it.
    pub(super) fn touch(&mut self, key: u64) {
        self.touched.insert(key);
    }

    /// The next to which something has happened since it was last named here.
    pub(super) fn next_touched(&mut self) -> Option<u64> {
        self.touched.pop_first()
    }

    /// Something has happened to all of them.
    pub(super) fn touch_all(&mut self) {
        let keys: Vec<u64> = self.all.keys().copied().collect();
        for key in keys {
            self.touch(key);
            self.wake(key);
        }
    }

    /// Sets its timer, in the stack's time.
    pub(super) fn set_timer(&mut self, key: u64, at: Option<Instant>) {
        let Some(flow) = self.all.get_mut(&key).filter(|flow| flow.timer != at) else { return };
        if let Some(before) = flow.timer {
            self.timers.remove(&(before, key));
        }
        flow.timer = at;
        self.timers.extend(at.map(|at| (at, key)));
    }

    /// The earliest timer.
    pub(super) fn timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Wakes those whose time has come.
    pub(super) fn ring(&mut self, now: Instant) {
        while let Some((at, key)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, key));
            if let Some(flow) = self.all.get_mut(&key) {
                flow.timer = None;
                flow.leap(at);
            }
            self.wake(key);
        }
    }
}

/// The ends of a TCP segment that came; `None`: it is none.
pub(super) fn ends(packet: &[u8]) -> Option<Ends> {
    let inner = InnerPacket::parse(packet)?;
    let (from, to) = inner.ports.filter(|_| inner.protocol == Some(protocol::TCP))?;
    Some((SocketAddr::new(inner.destination, to), SocketAddr::new(inner.source, from)))
}
