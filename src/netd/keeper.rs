//! The one tunnel: whose it is, its device, what was applied, and how long it is kept once its agent is gone.

mod due;
mod gap;
mod guard;

use super::accounts;
use super::check::check;
use super::machine::{Held, Machine};
use super::net::Gap;
use super::notify::Store;
use super::record::{Folder, Record};
use crate::ipc::helper::{Answer, Guard, Refusal, RefusalKind, Tun};
use crate::plan::Network;
#[cfg(test)]
use due::Due;
use guard::Guarded;
use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

/// What is answered, and the descriptor beside it.
pub(super) type Reply = (Answer, Option<OwnedFd>);

/// A request of a client that was let in.
#[derive(Debug)]
pub(super) struct Request {
    /// Which connection.
    pub(super) client: u64,
    /// Its user.
    pub(super) uid: u32,
    /// What is wanted.
    pub(super) task: Task,
    /// Where the answer goes. A client that is gone does not take it.
    pub(super) reply: oneshot::Sender<Reply>,
}

/// What is wanted.
#[derive(Debug)]
pub(super) enum Task {
    /// The device, perhaps this one.
    Tun(Option<OwnedFd>),
    /// A socket.
    Udp { ipv6: bool },
    /// The same for TCP.
    Tcp { ipv6: bool },
    /// The kill switch.
    Guard(Guard),
    /// What kill switch stands.
    Standing,
    /// The machine as this says.
    Apply(Box<Network>),
    /// A gap for so long; 0: none.
    Gap { seconds: u16 },
    /// The machine as before.
    Revert,
    /// Nothing more: the connection has ended.
    Gone,
}

/// What a keeper is told.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// How long the tunnel is kept without its agent.
    pub(super) hold: Duration,
    /// The same for a kill switch that is always on.
    pub(super) hold_always: Duration,
    /// `/etc/passwd`: who has the tunnel, in words.
    pub(super) users: PathBuf,
}

#[derive(Debug)]
struct Tunnel {
    held: Held,
    uid: u32,
    /// The connection that holds it; `None`: it has ended.
    client: Option<u64>,
    network: Option<Network>,
    /// Runs while the gap is open.
    gap: Option<Pin<Box<Sleep>>>,
}

impl Tunnel {
    fn gap(&self) -> Gap {
        if self.gap.is_some() { Gap::Open } else { Gap::Closed }
    }
}

/// An agent that had a dead helper's device comes back within this time.
const GRACE: Duration = Duration::from_secs(3);
/// What could not be mended is tried again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Keeper<M> {
    machine: M,
    rules: Rules,
    folder: Folder,
    store: Store,
    tunnel: Option<Tunnel>,
    guard: Option<Guarded>,
    /// Runs while nobody holds the tunnel.
    until: Option<Pin<Box<Sleep>>>,
    /// What a dead helper has left while its agent, who has the device, may still come.
    orphan: Option<Record>,
    /// Runs while what has changed could not be mended.
    again: Option<Pin<Box<Sleep>>>,
}

impl<M: Machine> Keeper<M> {
    /// A keeper that has nothing yet; see [`Keeper::begin`].
    pub(super) fn new(machine: M, rules: Rules, folder: Folder, store: Store) -> Self {
        Self {
            machine,
            rules,
            folder,
            store,
            tunnel: None,
            guard: None,
            until: None,
            orphan: None,
            again: None,
        }
    }

    /// Goes on where the helper before this one was ended: with its device, where the supervisor has kept it; else everything
    /// that it left is put back.
    pub(super) async fn begin(&mut self, device: Option<OwnedFd>) {
        self.begin_tunnel(device).await;
        self.begin_guard().await;
    }

    async fn begin_tunnel(&mut self, device: Option<OwnedFd>) {
        let record = self.folder.read();
        let adopted = device.and_then(|fd| match self.machine.adopt(fd) {
            Ok(held) => Some(held),
            Err(error) => {
                tracing::warn!(%error, "what the supervisor has kept is no device");
                None
            }
        });
        let matching = |(held, record): &(Held, Record)| held.device.name == record.device;
        let Some((held, record)) = adopted.zip(record.clone()).filter(matching) else {
            self.store.forget();
            // Its agent may have the device: until it has had the time to come, what keeps packets in stays.
            if let Some(record) = record {
                self.orphan = Some(record);
                self.until = Some(Box::pin(sleep(GRACE.min(self.rules.hold))));
            } else {
                self.put_back().await;
            }
            return;
        };
        tracing::info!(device = held.device.name, uid = record.uid, "keeps the tunnel of the helper before");
        let Record { uid, network, .. } = record;
        self.tunnel = Some(Tunnel { held, uid, client: None, network, gap: None });
        self.until = Some(Box::pin(sleep(self.rules.hold)));
        self.mend().await;
    }

    /// The same, and what could not be put back is told.
    async fn put_back(&mut self) {
        self.orphan = None;
        for problem in self.restore_tunnel().await {
            tracing::warn!(problem, "something of an earlier tunnel could not be put back");
        }
    }

    /// Puts back what a helper has left that is dead and whose device is gone, and takes its kill switch down.
    pub(super) async fn restore(&mut self) -> Vec<String> {
        let mut problems = self.restore_tunnel().await;
        problems.extend(self.restore_guard().await);
        problems
    }

    async fn restore_tunnel(&mut self) -> Vec<String> {
        let problems = self.machine.revert(None).await;
        self.forget_record();
        problems
    }

    /// Clients are served from now on.
    pub(super) fn ready(&self) {
        self.store.ready();
    }

    /// Nobody is served any more.
    pub(super) fn stopping(&self) {
        self.store.stopping();
    }

    /// Nothing is held.
    pub(super) fn is_idle(&self) -> bool {
        self.tunnel.is_none() && self.orphan.is_none() && self.guard.is_none()
    }

    /// Users of whom something stands.
    pub(super) fn holders(&self) -> BTreeSet<u32> {
        let tunnel = self.tunnel.as_ref().map(|tunnel| tunnel.uid);
        let orphan = self.orphan.as_ref().map(|record| record.uid);
        let guard = self.guard.as_ref().map(|guarded| guarded.uid);
        [tunnel, orphan, guard].into_iter().flatten().collect()
    }

    /// Does what a client asks.
    pub(super) async fn serve(&mut self, request: Request) {
        let Request { client, uid, task, reply } = request;
        let answer = match task {
            Task::Tun(device) => self.tun(client, uid, device).await,
            Task::Udp { ipv6 } => self.socket(uid, Answer::Udp {}, |machine| machine.udp(ipv6)),
            Task::Tcp { ipv6 } => self.socket(uid, Answer::Tcp {}, |machine| machine.tcp(ipv6)),
            Task::Standing => (self.standing(uid), None),
            Task::Guard(guard) => (self.set_guard(client, uid, guard).await, None),
            Task::Apply(network) => (self.apply(client, uid, *network).await, None),
            Task::Gap { seconds } => (self.open_gap(client, uid, seconds).await, None),
            Task::Revert => (self.revert(uid).await, None),
            Task::Gone => {
                self.gone(client).await;
                return;
            }
        };
        // A client that is gone takes no answer.
        let _ = reply.send(answer);
    }

    /// One whose packets stay outside. While somebody has a tunnel or a kill switch, nobody else gets past it.
    fn socket(
        &mut self,
        uid: u32,
        answer: Answer,
        make: impl FnOnce(&mut M) -> std::io::Result<OwnedFd>,
    ) -> Reply {
        let tunnel = self.tunnel.as_ref().map(|tunnel| tunnel.uid);
        if let Some(by) = tunnel.or_else(|| self.guard_of()).filter(|by| *by != uid) {
            return self.taken(by);
        }
        match make(&mut self.machine) {
            Ok(fd) => (answer, Some(fd)),
            Err(error) => refused(RefusalKind::Machine, format!("no socket: {error}")),
        }
    }

    /// Puts everything back, at the end.
    pub(super) async fn end(&mut self) -> Vec<String> {
        self.until = None;
        // What of a kill switch could not be done is still tried again.
        if self.guard.is_none() {
            self.again = None;
        }
        if self.orphan.take().is_some() {
            return self.restore_tunnel().await;
        }
        let Some(tunnel) = self.tunnel.take() else { return Vec::new() };
        let problems = self.machine.revert(Some(&tunnel.held.device)).await;
        for problem in &problems {
            tracing::warn!(problem, "something could not be put back");
        }
        tracing::info!(device = tunnel.held.device.name, uid = tunnel.uid, "the tunnel has ended");
        self.store.forget();
        self.machine.close(tunnel.held);
        self.forget_record();
        self.rewall().await;
        problems
    }

    async fn tun(&mut self, client: u64, uid: u32, device: Option<OwnedFd>) -> Reply {
        if let Some(tunnel) = self.tunnel.as_ref().filter(|tunnel| tunnel.uid != uid) {
            return self.taken(tunnel.uid);
        }
        if let Err(not) = self.no_other_guard(uid).await {
            return (not, None);
        }
        let kept = match &self.tunnel {
            Some(tunnel) => {
                if tunnel.client != Some(client) {
                    self.close_gap("its agent is another one now").await;
                }
                true
            }
            None => {
                let made = match device {
                    Some(fd) => self.machine.adopt(fd),
                    None => self.machine.open(),
                };
                match made {
                    Ok(held) => {
                        tracing::info!(device = held.device.name, uid, "a tunnel begins");
                        let own = |left: &Record| (left.uid, &left.device) == (uid, &held.device.name);
                        let network = self.orphan.take_if(|left| own(left)).and_then(|left| left.network);
                        if self.orphan.is_some() {
                            self.put_back().await;
                        }
                        self.store.keep(held.fd.as_fd());
                        self.tunnel = Some(Tunnel { held, uid, client: None, network, gap: None });
                    }
                    Err(error) => {
                        return refused(RefusalKind::Machine, chain("there is no device", &error));
                    }
                }
                false
            }
        };
        let Some(tunnel) = &mut self.tunnel else {
            return refused(RefusalKind::Machine, "there is no device".to_owned());
        };
        let fd = match tunnel.held.fd.try_clone() {
            Ok(fd) => fd,
            Err(error) => return refused(RefusalKind::Machine, format!("no descriptor is left: {error}")),
        };
        if kept && tunnel.client != Some(client) {
            tracing::info!(device = tunnel.held.device.name, uid, "the tunnel's agent is back");
        }
        tunnel.client = Some(client);
        self.until = None;
        let device = &tunnel.held.device;
        let tun = Tun { name: device.name.clone(), index: device.index, kept, offload: tunnel.held.offload };
        self.write_record();
        self.rewall().await;
        (Answer::Tun(tun), Some(fd))
    }

    async fn apply(&mut self, client: u64, uid: u32, network: Network) -> Answer {
        if let Err(not) = self.held_by(client, uid) {
            return not;
        }
        let Some(tunnel) = &mut self.tunnel else { return no(NO_DEVICE) };
        if let Err(wrong) = check(&network) {
            return no(&format!("the plan is refused: {wrong}"));
        }
        match self.machine.apply(&tunnel.held.device, &network, tunnel.gap()).await {
            Ok(applied) => {
                if tunnel.network.as_ref() != Some(&network) {
                    tunnel.network = Some(network.clone());
                    self.write_record();
                }
                self.rewall_for(&network).await;
                Answer::Applied(applied)
            }
            Err(error) => {
                let message = chain("the plan was not applied", &error);
                self.take_back().await;
                refused(RefusalKind::Machine, message).0
            }
        }
    }

    /// Whether this connection has the tunnel; the refusal where it has not.
    fn held_by(&self, client: u64, uid: u32) -> Result<(), Answer> {
        match &self.tunnel {
            Some(tunnel) if tunnel.uid != uid => Err(self.taken(tunnel.uid).0),
            Some(tunnel) if tunnel.client == Some(client) => Ok(()),
            Some(_) => Err(no("another connection of yours has the tunnel: ask for the device again")),
            None => Err(no(NO_DEVICE)),
        }
    }

    /// After a plan that could not be applied: the one before it again, or nothing.
    async fn take_back(&mut self) {
        let Some(tunnel) = &self.tunnel else { return };
        let device = &tunnel.held.device;
        let problems = match &tunnel.network {
            Some(before) => match self.machine.apply(device, before, tunnel.gap()).await {
                Ok(applied) => applied.notes,
                Err(error) => vec![error.to_string()],
            },
            None => self.machine.revert(Some(device)).await,
        };
        for problem in problems {
            tracing::warn!(problem, "after a plan that failed");
        }
    }

    async fn revert(&mut self, uid: u32) -> Answer {
        let tunnel = self.tunnel.as_ref().map(|tunnel| tunnel.uid);
        let owner = tunnel.or(self.orphan.as_ref().map(|left| left.uid));
        if let Some(owner) = owner.filter(|owner| *owner != uid) {
            return self.taken(owner).0;
        }
        let gap =
            self.guard.as_mut().filter(|guarded| guarded.uid == uid).and_then(|guarded| guarded.gap.take());
        let problems = self.end().await;
        if gap.is_some() {
            tracing::info!(
                uid,
                "pages and names do not pass the kill switch any more: its agent has ended the tunnel"
            );
            self.rewall().await;
        }
        Answer::Reverted { problems }
    }

    async fn gone(&mut self, client: u64) {
        if let Some(tunnel) = &mut self.tunnel
            && tunnel.client == Some(client)
        {
            tunnel.client = None;
            let seconds = self.rules.hold.as_secs();
            tracing::info!(
                device = tunnel.held.device.name,
                seconds,
                "the agent has gone: the tunnel is kept"
            );
            self.until = Some(Box::pin(sleep(self.rules.hold)));
            self.close_gap("its agent has gone").await;
        }
        if self.guard.as_ref().is_some_and(|guarded| guarded.client == Some(client)) {
            self.close_gap("its agent has gone").await;
            self.guard_gone(client);
        }
    }

    /// Applies again what is applied.
    async fn mend(&mut self) {
        self.again = None;
        self.rewall().await;
        let Some(tunnel) = &self.tunnel else { return };
        let Some(network) = &tunnel.network else { return };
        match self.machine.apply(&tunnel.held.device, network, tunnel.gap()).await {
            Ok(_) => tracing::debug!("the machine has changed: looked at, and mended"),
            Err(error) => {
                tracing::warn!(error = chain("mending", &error), "the plan could not be applied again");
                self.again = Some(Box::pin(sleep(AGAIN)));
            }
        }
    }

    fn taken(&self, by: u32) -> Reply {
        let who = accounts::user(&self.rules.users, by);
        refused(
            RefusalKind::Taken,
            format!("{who} has a tunnel on this machine: it has to be disconnected first"),
        )
    }

    fn write_record(&self) {
        let Some(tunnel) = &self.tunnel else { return };
        let record = Record {
            uid: tunnel.uid,
            device: tunnel.held.device.name.clone(),
            network: tunnel.network.clone(),
        };
        if let Err(error) = self.folder.write(&record) {
            tracing::warn!(%error, "the record is not written: a helper after this one will revert");
        }
    }

    fn forget_record(&self) {
        if let Err(error) = self.folder.clear() {
            tracing::warn!(%error, "the record of the tunnel stays");
        }
    }
}

const NO_DEVICE: &str = "there is no device yet: ask for it first";

fn refused(kind: RefusalKind, message: String) -> Reply {
    (Answer::Refused(Refusal { kind, message }), None)
}

fn no(why: &str) -> Answer {
    refused(RefusalKind::Request, why.to_owned()).0
}

/// An error with its causes, on one line.
fn chain(what: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
