//! The agent as a process: the socket of the command line, the machine's signals and the service, put together.

use super::clock::Clock;
use super::connection::Surroundings;
use super::desktop;
use super::heart::Heart;
use super::service::{Service, Setup};
use crate::config::Places;
use crate::ipc::supervisor::Supervisor;
use crate::ipc::{BindError, Call, Listener, Request};
use crate::sense;
use crate::store::Store;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Calls that may wait for the service.
const CALLS: usize = 32;
/// Open files and sockets that the agent wants to be able to have.
const DESCRIPTORS: u64 = 16_384;
/// So long a desktop may take to take back what it shows of an agent that ends.
const LAST_NOTE: Duration = Duration::from_millis(200);

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Signals cannot be taken.
    #[error("the signals of this process cannot be taken: {0}")]
    Signals(#[source] io::Error),
}

/// Runs the agent of this user until SIGTERM, SIGINT or [`Request::Stop`]. `ready` is called once the socket takes clients.
///
/// # Errors
/// See [`AgentError`].
pub async fn run(places: Places, ready: impl FnOnce()) -> Result<(), AgentError> {
    keep_secrets_in();
    take_descriptors();
    let listener = Listener::bind(&places)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::Signals)?;
    let clock = Clock::system();
    let slept = clock.clone();
    let senses = sense::machine(move || slept.slept());
    let store = Store::new(&places);
    let (notes, read) = watch::channel(None);
    let mut desktop = tokio::spawn(desktop::serve(None, Some(places.notification()), read));
    let around = Surroundings { notes, ..Surroundings::default() };
    let service = Service::new(Setup { places, clock, store, senses, around }).await;
    let supervisor = Supervisor::of_process();
    let service = service.watched(Heart::new(supervisor));
    let (calls, called) = mpsc::channel(CALLS);
    let serving = tokio::spawn(listener.serve(calls.clone()));
    ready();
    supervisor.ready("Serving this user's commands");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the agent runs");
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        supervisor.stopping();
        let (replies, mut replied) = mpsc::channel(1);
        // Where the service has ended already, there is nothing to stop.
        if calls.send(Call { request: Request::Stop, replies }).await.is_ok() {
            replied.recv().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = service.run(called) => {}
        () = stop => {}
    }
    // It ends by itself, once the clients have been told what was still to be told.
    if let Err(error) = serving.await {
        tracing::error!(%error, "the socket's task failed");
    }
    if tokio::time::timeout(LAST_NOTE, &mut desktop).await.is_err() {
        desktop.abort();
    }
    tracing::info!("the agent has ended");
    Ok(())
}

/// Each client of the proxy has one; the soft limit, 1,024 on most systems, is for programs that use select(2).
fn take_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(%error, "the proxy takes fewer connections: no more descriptors");
    }
}

/// No core dump and no debugger of the same user gets at what is in memory.
pub fn keep_secrets_in() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps cannot be forbidden");
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps cannot be limited");
    }
}
