//! Signals from the machine, reduced to what the policy asks: which source address would reach the gateway now, and sleep.
//!
//! Nothing here parses what the kernel tells: any change of links, addresses, routes or rules leads to the same question,
//! asked of the kernel itself, so a message that was lost (ENOBUFS) loses nothing. Between changes nothing wakes up.

mod changes;
mod route;
mod wakes;

pub use route::source_for;

use changes::Changes;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use wakes::Wakes;

/// Signals that may wait; each is the latest word on its subject.
const SIGNALS: usize = 16;

/// What the machine says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// From this address the gateway that is watched can be reached now; `None`: it cannot.
    Path(Option<IpAddr>),
    /// Sleep is near.
    Suspend,
    /// Sleep is over.
    Resume,
}

/// The owner's ends.
#[derive(Debug)]
pub struct Senses {
    /// What the machine says. Ends with the machine's task.
    pub signals: mpsc::Receiver<Signal>,
    /// The gateway to watch the way to; [`Signal::Path`] follows at once.
    pub gateway: watch::Sender<Option<SocketAddr>>,
    /// Sources that could not start and never fire: what for, and why.
    pub missing: Vec<String>,
}

/// Starts to listen to the machine. `slept` tells how long the machine has been asleep since it started. The task ends when
/// the owner's ends are dropped.
pub fn machine(slept: impl Fn() -> Duration + Send + 'static) -> Senses {
    let mut missing = Vec::new();
    let changes =
        Changes::open().map_err(|error| missing.push(format!("changes of the network: {error}"))).ok();
    let wakes = Wakes::open().map_err(|error| missing.push(format!("waking from sleep: {error}"))).ok();
    let (signals_in, signals) = mpsc::channel(SIGNALS);
    let (gateway, watched) = watch::channel(None);
    tokio::spawn(listen(signals_in, watched, changes, wakes, slept));
    Senses { signals, gateway, missing }
}

async fn listen(
    signals: mpsc::Sender<Signal>,
    mut gateway: watch::Receiver<Option<SocketAddr>>,
    changes: Option<Changes>,
    wakes: Option<Wakes>,
    slept: impl Fn() -> Duration,
) {
    let mut told: Option<Option<IpAddr>> = None;
    let mut asleep = slept();
    loop {
        let resumed = tokio::select! {
            biased;
            () = signals.closed() => return,
            changed = gateway.changed() => {
                if changed.is_err() {
                    return;
                }
                told = None;
                false
            }
            () = wakes::jumped(wakes.as_ref()) => {
                // A clock that was set looks the same; only sleep makes the two clocks differ more than before.
                let now = slept();
                now > std::mem::replace(&mut asleep, now) + SLEEP
            }
            () = changes::changed(changes.as_ref()) => false,
        };
        // The path first: after a sleep it is often another one, and an attempt on the old one would be in vain.
        let to = *gateway.borrow_and_update();
        if let Some(to) = to {
            let way = route::source_for(to).unwrap_or_else(|error| {
                tracing::warn!(%error, gateway = %to, "cannot ask for the way to the gateway; it is presumed unchanged");
                told.flatten()
            });
            if told.replace(way) != Some(way) && signals.send(Signal::Path(way)).await.is_err() {
                return;
            }
        }
        if resumed && signals.send(Signal::Resume).await.is_err() {
            return;
        }
    }
}

/// Readiness of a descriptor that nobody else has.
#[expect(
    deprecated,
    reason = "an OwnedFd is closed by nobody else, so this is sound; the other way is unsafe code"
)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

/// The two clocks are not read at the same moment; a sleep is longer than this.
const SLEEP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
