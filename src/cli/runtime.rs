//! The event loop of a command, and the signals that end it.

use super::{Error, Exit};
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs a command to its end. A thread that still waits for what a person types is left behind.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Machine { what: "start an event loop", source })?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}

/// The signals with which a person ends a command.
pub(super) struct Signals([(Signal, Exit); 3]);

impl Signals {
    pub(super) fn new() -> Result<Self, Error> {
        let hear =
            |kind| signal(kind).map_err(|source: io::Error| Error::Machine { what: "hear signals", source });
        Ok(Self([
            (hear(SignalKind::interrupt())?, Exit::Interrupted),
            (hear(SignalKind::terminate())?, Exit::Terminated),
            (hear(SignalKind::hangup())?, Exit::HungUp),
        ]))
    }

    /// Waits for one of them.
    pub(super) async fn wait(&mut self) -> Exit {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.0.recv() => interrupt.1,
            _ = terminate.0.recv() => terminate.1,
            _ = hangup.0.recv() => hangup.1,
        }
    }
}
