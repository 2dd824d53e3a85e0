//! The kill switch: whose it is, and until when it stands without its agent.
//!
//! Whoever may use this helper may ask for one, as they may route everything into a tunnel of theirs: neither lets them read or
//! send what they could not before. It cannot be aimed: of a request only three bits are its user's, the rules are ours. And
//! nobody is locked out for good. One user has it at a time, as with the tunnel; without an agent it falls after the time that a
//! tunnel is kept. One that is always on falls after a longer time, and gives way to the next user who wants a tunnel.

use super::{AGAIN, Keeper, Machine, Rules, Tunnel, chain, refused};
use crate::ipc::helper::{Answer, Guard, GuardMode, RefusalKind};
use crate::netd::machine::Standing;
use crate::netd::record::GuardRecord;
use crate::plan::Network;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A kill switch that stands.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) uid: u32,
    /// The connection that holds it; `None`: it has ended.
    pub(super) client: Option<u64>,
    guard: Guard,
    /// What the tunnel takes, also once it is gone.
    network: Option<Network>,
    /// Runs while pages and names may leave, though there is no tunnel that could have a gap.
    pub(super) gap: Option<Pin<Box<Sleep>>>,
    /// Runs while nobody holds it.
    pub(super) until: Option<Pin<Box<Sleep>>>,
}

impl Guarded {
    /// Its agent is gone, and others need not wait for it.
    fn is_abandoned(&self) -> bool {
        self.client.is_none() && self.guard.always
    }
}

impl Rules {
    /// How long it is kept without its agent.
    fn guard(&self, guard: Guard) -> Duration {
        if guard.always { self.hold_always } else { self.hold }
    }
}

impl<M: Machine> Keeper<M> {
    /// Goes on with the kill switch of the helper before this one. Without a record of it, one that stands is nobody's.
    pub(super) async fn begin_guard(&mut self) {
        let Some(GuardRecord { uid, guard, network }) = self.folder.read_guard() else {
            if let Some(problem) = self.restore_guard().await {
                tracing::warn!(problem, "an earlier kill switch stays");
            }
            return;
        };
        tracing::info!(uid, mode = ?guard.mode, "keeps the kill switch of the helper before");
        let until = Some(Box::pin(sleep(self.rules.guard(guard))));
        self.guard = Some(Guarded { uid, client: None, guard, network, gap: None, until });
        self.rewall().await;
    }

    /// Takes down whatever stands, whosever it is: what could not be done.
    pub(super) async fn restore_guard(&mut self) -> Option<String> {
        self.guard = None;
        let problem = self.machine.guard(None).await.err().map(|error| error.to_string());
        self.write_guard();
        problem
    }

    pub(super) async fn set_guard(&mut self, client: u64, uid: u32, guard: Guard) -> Answer {
        // Whoever is refused for the tunnel's sake takes nothing down.
        if let Some(tunnel) = self.tunnel.as_ref().filter(|tunnel| tunnel.uid != uid) {
            return self.taken(tunnel.uid).0;
        }
        if let Err(not) = self.no_other_guard(uid).await {
            return not;
        }
        if guard.mode == GuardMode::Off {
            return match self.drop_guard("its agent wants it so").await {
                Ok(()) => Answer::Guarded {},
                Err(why) => refused(RefusalKind::Machine, why).0,
            };
        }
        let before = self.guard.take();
        let applied = self.tunnel.as_ref().and_then(|tunnel| tunnel.network.clone());
        let (news, network, gap) = match &before {
            Some(before) => (before.guard != guard, applied.or_else(|| before.network.clone()), None),
            None => (true, applied, None),
        };
        self.guard = Some(Guarded { uid, client: Some(client), guard, network, gap, until: None });
        if let Err(why) = self.put_guard().await {
            self.guard = before;
            self.rewall().await;
            return refused(RefusalKind::Machine, why).0;
        }
        if news {
            tracing::info!(uid, mode = ?guard.mode, lan = guard.lan, always = guard.always, "the kill switch is up");
        }
        self.write_guard();
        Answer::Guarded {}
    }

    /// Refuses where another user has the kill switch; one that nobody waits for falls.
    pub(super) async fn no_other_guard(&mut self, uid: u32) -> Result<(), Answer> {
        match &self.guard {
            Some(guarded) if guarded.uid != uid && !guarded.is_abandoned() => Err(self.taken(guarded.uid).0),
            Some(guarded) if guarded.uid != uid => {
                let done = self.drop_guard("another user wants a tunnel").await;
                done.map_err(|why| refused(RefusalKind::Machine, why).0)
            }
            _ => Ok(()),
        }
    }

    /// Takes it down, where it is up.
    pub(in super::super) async fn drop_guard(&mut self, why: &str) -> Result<(), String> {
        let Some(mut guarded) = self.guard.take() else { return Ok(()) };
        // Whatever ends this helper now: the next one takes down what it finds without a record.
        self.write_guard();
        if let Err(error) = self.machine.guard(None).await {
            if guarded.until.is_some() {
                guarded.until = Some(Box::pin(sleep(AGAIN)));
            }
            self.guard = Some(guarded);
            self.write_guard();
            self.again = Some(Box::pin(sleep(AGAIN)));
            return Err(chain("the kill switch stays up", &error));
        }
        tracing::info!(uid = guarded.uid, why, "the kill switch is down");
        Ok(())
    }

    /// Something that it lets through has changed: the device, the plan, the gap. What fails is tried again.
    pub(super) async fn rewall(&mut self) {
        if let Err(error) = self.put_guard().await {
            tracing::warn!(error, "the kill switch is as it was");
            self.again = Some(Box::pin(sleep(AGAIN)));
        }
    }

    /// The same, after a plan was applied.
    pub(super) async fn rewall_for(&mut self, network: &Network) {
        if let Some(guarded) = &mut self.guard {
            // There is a tunnel now: its gap is its own.
            guarded.gap = None;
            if guarded.network.as_ref() != Some(network) {
                guarded.network = Some(network.clone());
                self.write_guard();
            }
            self.rewall().await;
        }
    }

    async fn put_guard(&mut self) -> Result<(), String> {
        let Some(guarded) = &self.guard else { return Ok(()) };
        let open = guarded.gap.is_some() || self.tunnel.as_ref().is_some_and(|tunnel| tunnel.gap.is_some());
        let standing = Standing {
            guard: guarded.guard,
            device: self.tunnel.as_ref().map(|tunnel: &Tunnel| tunnel.held.device.clone()),
            network: guarded.network.clone(),
            open,
        };
        let put = self.machine.guard(Some(&standing)).await;
        put.map_err(|error| chain("there is no kill switch", &error))
    }

    /// Pages and names may leave for so long (0: no more), where there is no tunnel but a kill switch of this connection's.
    pub(super) async fn open_guard(&mut self, client: u64, seconds: u16) -> Option<Result<(), String>> {
        let guarded = self.guard.as_mut().filter(|guarded| guarded.client == Some(client))?;
        let time = Duration::from_secs(seconds.into());
        guarded.gap = (seconds > 0).then(|| Box::pin(sleep(time)));
        tracing::info!(seconds, "pages and names may pass the kill switch");
        let put = self.put_guard().await;
        if put.is_err() {
            if let Some(guarded) = &mut self.guard {
                guarded.gap = None;
            }
            self.again = Some(Box::pin(sleep(AGAIN)));
        }
        Some(put)
    }

    /// Its connection has ended.
    pub(super) fn guard_gone(&mut self, client: u64) {
        if let Some(guarded) = self.guard.as_mut().filter(|guarded| guarded.client == Some(client)) {
            guarded.client = None;
            let time = self.rules.guard(guarded.guard);
            tracing::info!(seconds = time.as_secs(), "the agent has gone: the kill switch is kept");
            guarded.until = Some(Box::pin(sleep(time)));
        }
    }

    /// What stands, for whoever asks.
    pub(super) fn standing(&self, uid: u32) -> Answer {
        let guard = self.guard.as_ref().map(|guarded| guarded.guard).unwrap_or_default();
        Answer::Standing { guard, yours: self.guard.as_ref().is_some_and(|guarded| guarded.uid == uid) }
    }

    /// Whose kill switch it is, where others have to respect it.
    pub(super) fn guard_of(&self) -> Option<u32> {
        self.guard.as_ref().filter(|guarded| !guarded.is_abandoned()).map(|guarded| guarded.uid)
    }

    fn write_guard(&self) {
        let record = self.guard.as_ref().map(|guarded| GuardRecord {
            uid: guarded.uid,
            guard: guarded.guard,
            network: guarded.network.clone(),
        });
        if let Err(error) = self.folder.write_guard(record.as_ref()) {
            tracing::warn!(%error, "the record of the kill switch is not written: a helper after this one takes it down");
        }
    }
}

#[cfg(test)]
mod tests;
