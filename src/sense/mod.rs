//! Signals from the machine, reduced to what the policy asks: by which ways the gateway could be reached now, sleep, and what
//! the present networks say about themselves.
//!
//! Nothing here parses what the kernel tells of links, addresses, routes and rules: any change leads to the same question,
//! asked of the kernel itself, so a message that was lost (ENOBUFS) loses nothing. Between changes nothing wakes up.

mod changes;
mod hold;
mod listen;
pub mod nat64;
mod route;
mod wakes;

pub use hold::Hold;
pub use route::way_to;

use changes::Changes;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use wakes::Wakes;

/// Signals that may wait; each is the latest word on its subject.
const SIGNALS: usize = 16;

/// A way to one address of the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Where it leads.
    pub to: SocketAddr,
    /// The source address that the kernel would choose.
    pub from: IpAddr,
    /// Index of the interface that the kernel would use; 0: not known. The same address on another interface is another way.
    pub interface: u32,
}

/// What the present networks say about themselves (for trusted network detection).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks {
    /// DNS servers of the machine.
    pub dns_servers: Vec<IpAddr>,
    /// Its search domains: lower case, no final dot.
    pub domains: Vec<String>,
}

/// What the machine says.
#[derive(Debug)]
pub enum Signal {
    /// Which of the watched addresses can be reached now, in the order they were given; empty: none.
    Ways(Vec<Way>),
    /// Sleep is near; it waits until the hold is dropped (or logind's limit is over).
    Suspend(Hold),
    /// Sleep is over, or did not come. One sleep gives one of these.
    Resume,
    /// What the present networks say about themselves: once at the start, then when it is another.
    Networks(Networks),
}

/// A source of signals that could not start, or has stopped, and never fires.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// What it would tell of.
    pub source: &'static str,
    /// Why it does not.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.why)
    }
}

/// The owner's ends.
#[derive(Debug)]
pub struct Senses {
    /// What the machine says. Ends with the machine's task.
    pub signals: mpsc::Receiver<Signal>,
    /// All addresses of the gateway to watch the ways to, the preferred one first; empty: nothing is watched.
    /// [`Signal::Ways`] follows each change at once.
    pub gateway: watch::Sender<Vec<SocketAddr>>,
    /// Sources that never fire now. Some are known at once, others (logind) a little later; a source may come back.
    pub missing: watch::Receiver<Vec<Missing>>,
}

/// Starts to listen to the machine. `slept` tells how long the machine has been asleep since it started. The task ends when
/// the owner's ends are dropped.
pub fn machine(slept: impl Fn() -> Duration + Send + 'static) -> Senses {
    let mut missing = Vec::new();
    let mut lacks = |source, error: io::Error| missing.push(Missing { source, why: error.to_string() });
    let changes = Changes::open().map_err(|error| lacks("changes of the network", error)).ok();
    let wakes = Wakes::open().map_err(|error| lacks("waking from sleep", error)).ok();
    let (signals_in, signals) = mpsc::channel(SIGNALS);
    let (gateway, watched) = watch::channel(Vec::new());
    tokio::spawn(listen::listen(signals_in, watched, changes, wakes, slept));
    Senses { signals, gateway, missing: watch::Sender::new(missing).subscribe() }
}

/// Readiness of a descriptor that nobody else has.
#[expect(
    deprecated,
    reason = "an OwnedFd is closed by nobody else, so this is sound; the other way is unsafe code"
)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

#[cfg(test)]
mod tests;
