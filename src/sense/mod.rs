//! Signals from the machine, reduced to what the policy asks: by which ways the gateway could be reached now, sleep, and what
//! the present networks say about themselves.
//!
//! Nothing here parses what the kernel tells of links, addresses, routes and rules: any change leads to the same question,
//! asked of the kernel itself, so a message that was lost (ENOBUFS) loses nothing. Between changes nothing wakes up.

mod ask;
pub mod bus;
mod changes;
mod file_watch;
mod hold;
mod listen;
mod logind;
mod nights;
pub mod outside;
pub mod portal;
pub mod resolv_conf;
mod resolver;
mod route;
mod wakes;

pub use changes::Bell;
pub use file_watch::FileWatch;
pub use hold::Hold;
pub use resolver::Files;
pub use route::way_to;

use listen::Listener;
use nights::Nights;
use resolver::Resolver;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;
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
    /// The largest packet that fits, octets: the interface's MTU, or the path's where the kernel knows that it is smaller.
    pub mtu: Option<u32>,
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

/// Where the machine is listened to.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// D-Bus address of the bus on which logind and the services of the resolver are; `None`: the system bus (`DBUS_SYSTEM_BUS_ADDRESS`, or the usual place).
    pub bus: Option<String>,
    /// The files of its resolver.
    pub resolver: Files,
}

/// Starts to listen to the machine. `slept` tells how long the machine has been asleep since it started. The task ends when
/// the owner's ends are dropped.
pub fn machine(slept: impl Fn() -> Duration + Send + 'static) -> Senses {
    Sources::default().listen(slept)
}

impl Sources {
    /// As [`machine`], with other sources. What takes time, as the bus does, is done by tasks: nothing is waited for.
    pub fn listen(self, slept: impl Fn() -> Duration + Send + 'static) -> Senses {
        let lacks = Lacks(watch::Sender::default());
        let missing = lacks.0.subscribe();
        let (bell, mute) = Bell::hang();
        lacks.say("changes of the network", mute.map(|error| error.to_string()));
        let wakes =
            Wakes::open().map_err(|error| lacks.say("waking from sleep", Some(error.to_string()))).ok();
        let (signals_in, signals) = mpsc::channel(SIGNALS);
        let (gateway, watched) = watch::channel(Vec::new());
        let (words, logind) = mpsc::channel(SIGNALS);
        tokio::spawn(logind::listen(self.bus.clone(), words, lacks.clone()));
        let listener = Listener {
            signals: signals_in,
            gateway: watched,
            bell,
            wakes,
            logind,
            resolver: Resolver::new(self.resolver, self.bus, lacks),
            nights: Nights::new(slept()),
            slept,
            told: None,
            called_off: None,
        };
        tokio::spawn(listener.run());
        Senses { signals, gateway, missing }
    }
}

/// The list of what is missing, as the sources write it.
#[derive(Clone, Debug)]
struct Lacks(watch::Sender<Vec<Missing>>);

impl Lacks {
    /// This source never fires, and why; `None`: it does.
    fn say(&self, source: &'static str, why: Option<String>) {
        self.0.send_if_modified(|list| {
            let missing = why.map(|why| Missing { source, why });
            if list.iter().find(|missing| missing.source == source) == missing.as_ref() {
                return false;
            }
            list.retain(|missing| missing.source != source);
            list.extend(missing);
            true
        });
    }
}

/// Waits for this time; for ever where there is none.
async fn elapsed(time: &mut Option<Pin<Box<Sleep>>>) {
    match time {
        Some(time) => time.as_mut().await,
        None => std::future::pending().await,
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

#[cfg(test)]
mod tests;
