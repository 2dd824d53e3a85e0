//! A system bus of a test's own, with a logind on it that says what the test wants.

#![expect(clippy::disallowed_types, reason = "what zbus makes of an interface names it")]

use crate::dbus::Bus;
use crate::interop::PATIENCE;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zbus::interface;

const PATH: &str = "/org/freedesktop/login1";
const NAME: &str = "org.freedesktop.login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// The other ends of the locks that were taken, in their order.
type Locks = Arc<(Mutex<Vec<OwnedFd>>, Condvar)>;

struct Manager(Locks);

#[interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    /// `Inhibit`: the lock is held until the descriptor is closed.
    fn inhibit(
        &self,
        what: &str,
        _who: &str,
        _why: &str,
        mode: &str,
    ) -> zbus::fdo::Result<zbus::zvariant::OwnedFd> {
        if (what, mode) != ("sleep", "delay") {
            return Err(zbus::fdo::Error::InvalidArgs(format!("{what} {mode}")));
        }
        let (ours, theirs) = std::io::pipe().map_err(|error| zbus::fdo::Error::IOError(error.to_string()))?;
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(ours.into());
        self.0.1.notify_all();
        Ok(OwnedFd::from(theirs).into())
    }
}

/// See the module. Its parts end in this order.
pub(crate) struct Logind {
    connection: zbus::Connection,
    runtime: Runtime,
    locks: Locks,
    bus: Bus,
    _folder: TempDir,
}

impl Logind {
    /// Bus and logind, ready for whoever comes.
    pub(crate) fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-bus-")?;
        let bus = Bus::start(&folder.path().join("bus"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let locks = Locks::default();
        let manager = Manager(Arc::clone(&locks));
        let connection = runtime.block_on(async {
            let builder = zbus::connection::Builder::address(bus.address())?;
            let building = builder.name(NAME)?.serve_at(PATH, manager)?.build();
            anyhow::Ok(tokio::time::timeout(PATIENCE, building).await.context("the bus does not answer")??)
        })?;
        Ok(Self { connection, runtime, locks, bus, _folder: folder })
    }

    /// For `DBUS_SYSTEM_BUS_ADDRESS`.
    pub(crate) fn address(&self) -> &str {
        self.bus.address()
    }

    /// Waits until so many locks have been taken since the beginning.
    pub(crate) fn until_locked(&self, times: usize) -> Result<()> {
        let locks = self.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.locks.1.wait_timeout_while(locks, PATIENCE, |locks| locks.len() < times);
        let (locks, _) = waited.unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(locks.len() >= times, "{} locks on sleep were taken, not {times}", locks.len());
        Ok(())
    }

    /// Announces sleep, and waits until the last lock is given back.
    pub(crate) fn sleep_is_near(&self) -> Result<()> {
        self.say(true)?;
        let locks = self.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = locks.last().context("a lock on sleep")?;
        let patience = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs())?, tv_nsec: 0 };
        let mut ends = [PollFd::new(lock, PollFlags::HUP)];
        anyhow::ensure!(poll(&mut ends, Some(&patience))? == 1, "the lock on sleep is not given back");
        Ok(())
    }

    /// Sleep is over.
    pub(crate) fn sleep_is_over(&self) -> Result<()> {
        self.say(false)
    }

    fn say(&self, near: bool) -> Result<()> {
        let signal = self.connection.emit_signal(None::<&str>, PATH, MANAGER, "PrepareForSleep", &near);
        Ok(self.runtime.block_on(signal)?)
    }
}
