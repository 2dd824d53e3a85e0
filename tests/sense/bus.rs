//! A bus of a test's own, with a logind on it that does as it is told.

use crate::dbus::{self, Process};
use crate::interop::PATIENCE;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;
use zbus::Connection;
use zbus::zvariant::Value;

pub(crate) const LOGIND: &str = "org.freedesktop.login1";
pub(crate) const PATH: &str = "/org/freedesktop/login1";
pub(crate) const MANAGER: &str = "org.freedesktop.login1.Manager";
const MOCK: &str = "org.freedesktop.DBus.Mock";
const BUS: &str = "org.freedesktop.DBus";

/// Debian's Python, for which Debian's modules are.
const PYTHON: &str = "/usr/bin/python3";

/// Whether a test with a bus runs: where `IKEEP_INTEROP=1` and the programs are there. One that is left out says so past the
/// test runner's capture.
pub(crate) fn enabled(test: &str) -> bool {
    let mock = || Command::new(PYTHON).args(["-c", "import dbusmock"]).stderr(Stdio::null()).status();
    let why = if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        "starts a bus with a logind on it; `tests/run` runs it"
    } else if !Path::new("/usr/bin/dbus-daemon").exists() {
        "needs dbus-daemon, Debian: dbus"
    } else if !mock().is_ok_and(|status| status.success()) {
        "needs python-dbusmock, Debian: python3-dbusmock"
    } else {
        return true;
    };
    let _ = writeln!(std::io::stderr(), "left out: {test} ({why})");
    false
}

/// What logind can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Skill {
    /// What it should.
    Everything,
    /// Nothing but signals.
    Signals,
}

/// A bus, and perhaps a logind.
pub(crate) struct Bus {
    // In this order: who uses the bus goes before it, the folder last.
    logind: Option<Process>,
    daemon: Option<dbus::Bus>,
    folder: TempDir,
}

impl Bus {
    /// A bus without a logind.
    pub(crate) fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-bus-")?;
        let mut bus = Self { logind: None, daemon: None, folder };
        bus.start()?;
        Ok(bus)
    }

    /// Starts it, where it always was.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.daemon = Some(dbus::Bus::start(&self.socket())?);
        Ok(())
    }

    /// Ends it, and whoever was on it.
    pub(crate) fn end(&mut self) {
        self.logind = None;
        self.daemon = None;
        let _ = fs::remove_file(self.socket());
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        dbus::address(&self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("bus")
    }

    /// Starts a logind, and somebody who tells it what to do.
    pub(crate) async fn start_logind(&mut self, skill: Skill) -> Result<Logind> {
        let bus = self.daemon.as_ref().context("the bus has ended")?;
        let connection = bus.connect().await?;
        let mut command = Command::new(PYTHON);
        command.args(["-m", "dbusmock", "--system"]);
        match skill {
            Skill::Everything => command.args(["--template", "logind"]),
            Skill::Signals => command.args([LOGIND, PATH, MANAGER]),
        };
        command.stdout(Stdio::null());
        self.logind = Some(bus.start_named(command, LOGIND).await?);
        let logind = Logind(connection);
        if skill == Skill::Everything {
            // It says that it is on the bus before it can do what its template says.
            let able = async {
                while logind.locks().await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, able).await.context("python-dbusmock has no logind that lists its locks")?;
        }
        Ok(logind)
    }

    /// Ends it.
    pub(crate) fn end_logind(&mut self) {
        self.logind = None;
    }
}

/// The strings that logind moves by.
pub(crate) struct Logind(Connection);

impl Logind {
    /// Lets logind say that sleep is near, or over.
    pub(crate) async fn say(&self, near: bool) -> Result<()> {
        let what = (MANAGER, "PrepareForSleep", "b", vec![Value::from(near)]);
        self.0.call_method(Some(LOGIND), PATH, Some(MOCK), "EmitSignal", &what).await?;
        Ok(())
    }

    /// How long it waits for locks.
    pub(crate) async fn set_delay_limit(&self, limit: Duration) -> Result<()> {
        let micros = u64::try_from(limit.as_micros())?;
        let what = (MANAGER, "InhibitDelayMaxUSec", Value::from(micros));
        self.0.call_method(Some(LOGIND), PATH, Some(MOCK), "AddProperty", &what).await?;
        Ok(())
    }

    /// The locks that are held: what, who, mode.
    pub(crate) async fn locks(&self) -> Result<Vec<(String, String, String)>> {
        type Lock = (String, String, String, String, u32, u32);
        let answer = self.0.call_method(Some(LOGIND), PATH, Some(MANAGER), "ListInhibitors", &()).await?;
        let locks: Vec<Lock> = answer.body().deserialize()?;
        Ok(locks.into_iter().map(|(what, who, _, mode, ..)| (what, who, mode)).collect())
    }

    /// Waits until as many locks are held.
    pub(crate) async fn until_locks(&self, wanted: usize) -> Result<()> {
        let asked = timeout(PATIENCE, async {
            while self.locks().await?.len() != wanted {}
            anyhow::Ok(())
        });
        match asked.await {
            Ok(asked) => asked,
            Err(_) => bail!("{wanted} locks did not come: {:?}", self.locks().await?),
        }
    }

    /// Says to everybody on the bus, one by one, that sleep is near, without being logind.
    pub(crate) async fn forge(&self) -> Result<()> {
        let answer =
            self.0.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "ListNames", &()).await?;
        let names: Vec<String> = answer.body().deserialize()?;
        for name in names.iter().filter(|name| name.starts_with(':')) {
            self.0.emit_signal(Some(name.as_str()), PATH, MANAGER, "PrepareForSleep", &true).await?;
        }
        self.0.emit_signal(None::<&str>, PATH, MANAGER, "PrepareForSleep", &true).await?;
        // The bus has passed on what came before this is answered.
        self.0.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "GetId", &()).await?;
        Ok(())
    }
}
