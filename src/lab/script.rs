//! The machine's signals as a scenario wants them, in place of the kernel's.

use crate::sense::{Senses, Signal, Way};
use std::net::{IpAddr, SocketAddr};
use tokio::sync::{mpsc, watch};

/// Signals that may wait.
const SIGNALS: usize = 16;
/// The one that every scripted way goes by.
const INTERFACE: u32 = 2;

/// Where the client is, and what else its machine says.
#[derive(Debug)]
pub(super) struct Script {
    place: watch::Sender<Option<IpAddr>>,
    signals: Option<mpsc::Sender<Signal>>,
}

impl Script {
    /// A machine at this address.
    pub(super) fn new(place: IpAddr) -> Self {
        Self { place: watch::Sender::new(Some(place)), signals: None }
    }

    /// The senses of an agent that starts now.
    pub(super) fn senses(&mut self) -> Senses {
        let (signals_in, signals) = mpsc::channel(SIGNALS);
        let (gateway, mut asked) = watch::channel(Vec::new());
        self.signals = Some(signals_in.clone());
        let mut place = self.place.subscribe();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = signals_in.closed() => return,
                    Ok(()) = asked.changed() => {}
                    Ok(()) = place.changed() => {}
                    else => return,
                }
                let here = *place.borrow_and_update();
                let wanted: Vec<SocketAddr> = asked.borrow_and_update().clone();
                if wanted.is_empty() {
                    continue;
                }
                let way = |to| here.map(|from| Way { to, from, interface: INTERFACE, mtu: None });
                let near =
                    wanted.into_iter().filter_map(way).filter(|way| way.to.is_ipv4() == way.from.is_ipv4());
                if signals_in.send(Signal::Ways(near.collect())).await.is_err() {
                    return;
                }
            }
        });
        Senses { signals, gateway, missing: watch::Sender::new(Vec::new()).subscribe() }
    }

    /// The machine is somewhere else now, or nowhere.
    pub(super) fn go(&self, place: Option<IpAddr>) {
        self.place.send_replace(place);
    }

    /// Sleep, and its end.
    pub(super) async fn say(&self, signal: Signal) {
        if let Some(signals) = &self.signals
            && let Err(unheard) = signals.send(signal).await
        {
            tracing::debug!(signal = ?unheard.0, "no agent hears it");
        }
    }
}
