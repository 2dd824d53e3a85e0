//! The machine's task: waits for any source, and tells what the policy asks for.

use super::changes::{self, Changes};
use super::wakes::{self, Wakes};
use super::{Signal, Way, route};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The two clocks are not read at the same moment; a sleep is longer than this.
const SLEEP: Duration = Duration::from_millis(100);

pub(super) async fn listen(
    signals: mpsc::Sender<Signal>,
    mut gateway: watch::Receiver<Vec<SocketAddr>>,
    changes: Option<Changes>,
    wakes: Option<Wakes>,
    slept: impl Fn() -> Duration,
) {
    let mut told: Option<Vec<Way>> = None;
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
        // The ways first: after a sleep there are often others, and an attempt on an old one would be in vain.
        let to = gateway.borrow_and_update().clone();
        if !to.is_empty() {
            let ways = ways(&to, told.as_deref().unwrap_or_default());
            if told.as_ref() != Some(&ways) {
                told = Some(ways.clone());
                if signals.send(Signal::Ways(ways)).await.is_err() {
                    return;
                }
            }
        }
        if resumed && signals.send(Signal::Resume).await.is_err() {
            return;
        }
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
