//! Between ESP and the proxy: the lab's pings enter and leave here, everything else passes.

use super::echo;
use crate::agent::connection::Task;
use crate::tunnel::Ports;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Packets that may wait at each end.
const PACKETS: usize = 512;

/// One place for all agents of a stage.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    outward: Arc<Mutex<Option<mpsc::Sender<Vec<u8>>>>>,
    answers: mpsc::Sender<Vec<u8>>,
}

impl Tap {
    /// A tap, and the answers to pings.
    pub(super) fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (answers, answered) = mpsc::channel(PACKETS);
        (Self { outward: Arc::default(), answers }, answered)
    }

    /// Puts itself between.
    pub(super) fn insert(&self, ports: Ports, spawn: &dyn Fn(Task) -> AbortHandle) -> Ports {
        let Ports { outward, mut inward, plan } = ports;
        *self.outward.lock().unwrap_or_else(PoisonError::into_inner) = Some(outward.clone());
        let (on, passed) = mpsc::channel(PACKETS);
        let answers = self.answers.clone();
        spawn(Box::pin(async move {
            while let Some(packet) = inward.recv().await {
                // A full queue loses what comes, as every queue does; lost pings are counted.
                let result =
                    if echo::is_answer(&packet) { answers.try_send(packet) } else { on.try_send(packet) };
                if let Err(error) = result {
                    tracing::debug!(%error, "a packet from the tunnel found no room");
                }
            }
        }));
        Ports { outward, inward: passed, plan }
    }

    /// Sends a ping.
    pub(super) fn send(&self, frame: Vec<u8>) {
        let outward = self.outward.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Err(error)) = outward.map(|outward| outward.try_send(frame)) {
            tracing::debug!(%error, "echo not sent");
        }
    }
}
