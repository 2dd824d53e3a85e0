//! The machine's signals as a scenario wants them, in place of the kernel's.

use crate::sense::{Senses, Signal};
use std::net::IpAddr;
use tokio::sync::{mpsc, watch};

/// Signals that may wait.
const SIGNALS: usize = 16;

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
        let (gateway, mut asked) = watch::channel(None);
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
                let wanted = asked.borrow_and_update().is_some();
                if wanted && signals_in.send(Signal::Path(here)).await.is_err() {
                    return;
                }
            }
        });
        Senses { signals, gateway, missing: Vec::new() }
    }

    /// The machine is somewhere else now, or nowhere.
    pub(super) fn go(&self, place: Option<IpAddr>) {
        self.place.send_replace(place);
    }

    /// Sleep, and its end.
    pub(super) async fn say(&self, signal: Signal) {
        if let Some(signals) = &self.signals
            && signals.send(signal).await.is_err()
        {
            tracing::debug!(?signal, "no agent hears it");
        }
    }
}
