//! The proxy's clients, and which of them have something to do: what one of them needs costs nothing for the others, however many
//! there are.

use super::connection::{Connection, PATIENCE, Tunnel};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;

/// Rung by clients' sockets.
#[derive(Default)]
struct Bell {
    rung: Mutex<Vec<u64>>,
    task: Notify,
}

/// One client's cord of the bell. Its sockets pull it.
struct Cord {
    id: u64,
    pulled: AtomicBool,
    bell: Arc<Bell>,
}

impl Wake for Cord {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.pulled.swap(true, Ordering::AcqRel) {
            self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
            self.bell.task.notify_one();
        }
    }
}

struct Client {
    connection: Connection,
    cord: Arc<Cord>,
    waker: Waker,
    /// As it was after the last step.
    open: bool,
    flow: Option<u64>,
    deadline: Option<Instant>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Clients {
    all: BTreeMap<u64, Client>,
    next: u64,
    by_flow: BTreeMap<u64, u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// Those that names and datagrams concern.
    listening: BTreeSet<u64>,
    /// To be served.
    due: BTreeSet<u64>,
    /// Connections that count.
    open: usize,
    bell: Arc<Bell>,
}

impl Clients {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those whose request was accepted.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn add(&mut self, connection: Connection) {
        self.next += 1;
        let id = self.next;
        let cord = Arc::new(Cord { id, pulled: AtomicBool::new(false), bell: Arc::clone(&self.bell) });
        let waker = Waker::from(Arc::clone(&cord));
        let client = Client { connection, cord, waker, open: false, flow: None, deadline: None };
        self.all.insert(id, client);
        self.due.insert(id);
    }

    /// The client that has been silent for longest, and when it may be cut off: after `grace`.
    pub(super) fn most_silent(&self, grace: Duration) -> Option<(Instant, u64)> {
        let asking = |id: &u64| self.all.get(id).is_some_and(|client| client.connection.is_asking());
        let (at, id) = self.deadlines.iter().find(|(_, id)| asking(id))?;
        Some((*at - PATIENCE + grace, *id))
    }

    /// Cuts off one that has not said yet what it wants.
    pub(super) fn cut_off(&mut self, id: u64) {
        if let Some(at) = self.all.remove(&id).and_then(|client| client.deadline) {
            self.deadlines.remove(&(at, id));
        }
    }

    /// The earliest deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Something has happened to a connection of the stack.
    pub(super) fn touch(&mut self, flow: u64) {
        self.due.extend(self.by_flow.get(&flow));
    }

    /// A name or a datagram has come.
    pub(super) fn tell_listening(&mut self) {
        self.due.extend(&self.listening);
    }

    /// Those whose deadline has come are to be served.
    pub(super) fn ring(&mut self, now: Instant) {
        let late = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        self.due.extend(late.map(|(_, id)| *id));
    }

    /// Waits until somebody is to be served.
    pub(super) async fn ready(&self) {
        // A task that has used up its turn is told that no socket is ready and pulls its own cords: it has to end the turn.
        consume_budget().await;
        if self.due.is_empty() {
            self.bell.task.notified().await;
        }
    }

    /// Serves all that are to be served.
    pub(super) fn serve(&mut self, tunnel: &mut Tunnel<'_>) {
        let rung = std::mem::take(&mut *self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner));
        self.due.extend(rung);
        for id in std::mem::take(&mut self.due) {
            self.serve_one(id, tunnel);
        }
    }

    fn serve_one(&mut self, id: u64, tunnel: &mut Tunnel<'_>) {
        let Self { all, by_flow, deadlines, listening, due, open, .. } = self;
        let Some(client) = all.get_mut(&id) else { return };
        // From here on the cord may be pulled again.
        client.cord.pulled.store(false, Ordering::Release);
        let connection = &mut client.connection;
        connection.step(tunnel);
        let over = connection.is_over();
        let mut context = Context::from_waker(&client.waker);
        if !over && connection.poll_ready(&mut context, tunnel.stack, tunnel.datagrams) {
            due.insert(id);
        }
        if client.open != connection.is_open() {
            client.open = !client.open;
            *open = if client.open { *open + 1 } else { open.saturating_sub(1) };
        }
        let flow = connection.flow();
        if client.flow != flow {
            if let Some(before) = client.flow {
                by_flow.remove(&before);
            }
            by_flow.extend(flow.map(|flow| (flow, id)));
            client.flow = flow;
        }
        let deadline = connection.deadline();
        if client.deadline != deadline {
            if let Some(before) = client.deadline {
                deadlines.remove(&(before, id));
            }
            deadlines.extend(deadline.map(|at| (at, id)));
            client.deadline = deadline;
        }
        if connection.listens() {
            listening.insert(id);
        } else {
            listening.remove(&id);
        }
        if over {
            all.remove(&id);
        }
    }
}
