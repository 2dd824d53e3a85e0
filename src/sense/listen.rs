//! The machine's task: waits for any source, and tells what the policy asks for.

use super::changes::Bell;
use super::logind::Word;
use super::nights::Nights;
use super::resolver::Resolver;
use super::wakes::Wakes;
use super::{Signal, Way, elapsed, route};
use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep};

/// A sleep that was announced and does not come is thought to be called off. The runtime's clock stops in a sleep that comes.
const CALLED_OFF: Duration = Duration::from_secs(60);

/// Nobody listens any more.
struct Gone;

pub(super) struct Listener<S> {
    pub(super) signals: mpsc::Sender<Signal>,
    pub(super) gateway: watch::Receiver<Vec<SocketAddr>>,
    pub(super) bell: Bell,
    pub(super) wakes: Option<Wakes>,
    pub(super) logind: mpsc::Receiver<Word>,
    pub(super) resolver: Resolver,
    /// How long the machine has been asleep since it started.
    pub(super) slept: S,
    pub(super) nights: Nights,
    /// The ways that were told last, of the addresses that are watched.
    pub(super) told: Option<Vec<Way>>,
    pub(super) called_off: Option<Pin<Box<Sleep>>>,
}

impl<S: Fn() -> Duration> Listener<S> {
    pub(super) async fn run(mut self) {
        while let Ok(()) = self.turn().await {}
    }

    async fn turn(&mut self) -> Result<(), Gone> {
        let Self { signals, gateway, bell, wakes, logind, resolver, called_off, .. } = self;
        let watching = !gateway.borrow().is_empty();
        tokio::select! {
            biased;
            () = signals.closed() => Err(Gone),
            Some(word) = logind.recv() => self.sleep(word).await,
            changed = gateway.changed() => {
                changed.map_err(|_| Gone)?;
                self.told = None;
                self.look().await
            }
            () = jumped(wakes.as_ref()) => {
                let resumed = self.nights.clock_jumped((self.slept)());
                self.awake(resumed).await
            }
            () = bell.rings(), if watching => self.look().await,
            () = elapsed(called_off) => {
                let resumed = self.nights.given_up();
                self.awake(resumed).await
            }
            networks = resolver.changed() => self.tell(Signal::Networks(networks)).await,
        }
    }

    async fn sleep(&mut self, word: Word) -> Result<(), Gone> {
        let resumed = match word {
            Word::Near(hold) => {
                self.nights.near();
                self.called_off = Some(Box::pin(sleep(CALLED_OFF)));
                return self.tell(Signal::Suspend(hold)).await;
            }
            Word::Over => self.nights.over((self.slept)()),
            Word::Lost => self.nights.given_up(),
        };
        self.awake(resumed).await
    }

    async fn awake(&mut self, resumed: bool) -> Result<(), Gone> {
        if !self.nights.is_announced() {
            self.called_off = None;
        }
        if !resumed {
            return Ok(());
        }
        // The ways first: after a sleep there are often others, and an attempt on an old one would be in vain.
        self.look().await?;
        self.tell(Signal::Resume).await
    }

    /// Asks for the ways, and tells them if they are others.
    async fn look(&mut self) -> Result<(), Gone> {
        let to = self.gateway.borrow_and_update().clone();
        if to.is_empty() {
            return Ok(());
        }
        let ways = ways(&to, self.told.as_deref().unwrap_or_default());
        if self.told.as_ref() == Some(&ways) {
            return Ok(());
        }
        self.told = Some(ways.clone());
        // Another way is often another network.
        self.resolver.look_again();
        self.tell(Signal::Ways(ways)).await
    }

    async fn tell(&mut self, signal: Signal) -> Result<(), Gone> {
        self.signals.send(signal).await.map_err(|_| Gone)
    }
}

/// The ways to these addresses. Where the kernel cannot be asked, the way told last is presumed to be there still.
fn ways(to: &[SocketAddr], told: &[Way]) -> Vec<Way> {
    let way = |to: &SocketAddr| {
        route::way_to(*to).unwrap_or_else(|error| {
            tracing::warn!(%error, gateway = %to, "cannot ask for the way to the gateway; it is presumed unchanged");
            told.iter().find(|way| way.to == *to).copied()
        })
    };
    to.iter().filter_map(way).collect()
}

async fn jumped(wakes: Option<&Wakes>) {
    match wakes {
        Some(wakes) => wakes.jumped().await,
        None => pending().await,
    }
}
