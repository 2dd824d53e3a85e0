//! A session bus of a test's own, with a real keyring on it.

use crate::dbus::{self, Bus, Process};
use crate::story;
use anyhow::{Context, Result, bail, ensure};
use ikeep::config::Places;
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// The programs, with the Debian packages they are in.
const PROGRAMS: [(&str, &str); 5] = [
    ("dbus-daemon", "dbus"),
    ("dbus-monitor", "dbus"),
    ("dbus-send", "dbus"),
    ("gnome-keyring-daemon", "gnome-keyring"),
    ("secret-tool", "libsecret-tools"),
];

/// Longest wait for anything that passes on the bus.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time since boot, for figures.
#[expect(clippy::disallowed_methods, reason = "how long a real daemon takes on the real clock")]
pub(crate) fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// One after another: what is judged has 300 ms for itself.
static TURN: Mutex<()> = Mutex::new(());

/// The turn of a test with a secret service, where `IKEEP_INTEROP=1` and the programs are there. A test that is left out says so
/// past the test runner's capture.
pub(crate) fn turn(test: &str) -> Option<MutexGuard<'static, ()>> {
    let missing = |program: &&(&str, &str)| !Path::new("/usr/bin").join(program.0).exists();
    let why = if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        "starts a session bus and a keyring; `tests/run` runs it".to_owned()
    } else if let Some((program, package)) = PROGRAMS.iter().find(missing) {
        format!("needs {program}, Debian: {package}")
    } else {
        return Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let _ = writeln!(std::io::stderr(), "left out: {test} ({why})");
    None
}

/// A bus, a home folder, and perhaps a keyring.
pub(crate) struct Desktop {
    // In this order: who uses the bus goes before it, the folder last.
    keyring: Option<Process>,
    _monitor: Process,
    seen: Receiver<String>,
    _bus: Bus,
    folder: TempDir,
}

/// What the keyring's owner has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keyring {
    /// Opened it with the password.
    Open,
    /// Logged in without a password.
    Locked,
}

impl Desktop {
    /// A bus on which nobody keeps secrets.
    pub(crate) fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-desktop-")?;
        let path = folder.path();
        for name in ["home", "run"] {
            fs::create_dir(path.join(name))?;
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o700))?;
        }
        let bus = Bus::start(&path.join("run/bus"))?;
        let mut monitor = environment(Command::new("dbus-monitor"), path)
            .args(["--address", &address(path)])
            .stdout(Stdio::piped())
            .spawn()
            .context("starting dbus-monitor")?;
        let stdout = monitor.stdout.take().context("no stdout")?;
        let (tell, seen) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map(|line| tell.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        let mut desktop = Self { keyring: None, _monitor: Process(monitor), seen, _bus: bus, folder };
        desktop.seen_until("NameAcquired")?;
        Ok(desktop)
    }

    /// Starts the keyring's daemon, instead of one that runs, and waits until it has its keyring open or locked.
    pub(crate) fn start_keyring(&mut self, keyring: Keyring) -> Result<()> {
        self.keyring = None;
        let mut command = environment(Command::new("gnome-keyring-daemon"), self.folder.path());
        command.args(["--foreground", "--components=secrets"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if keyring == Keyring::Open {
            command.arg("--unlock");
        }
        let mut daemon = command.spawn().context("starting gnome-keyring-daemon")?;
        let stdin = daemon.stdin.take();
        self.keyring = Some(Process(daemon));
        if keyring == Keyring::Open {
            stdin.context("no stdin")?.write_all(b"a password of a test")?;
        }
        self.seen_until("string \"org.freedesktop.secrets\"")?;
        // It takes its name first and looks for its keyrings then.
        let locked = format!("boolean {}", keyring == Keyring::Locked);
        let started = now();
        while !self.login_keyring()?.contains(&locked) {
            ensure!(now().saturating_sub(started) < PATIENCE, "the keyring did not become {keyring:?}");
        }
        Ok(())
    }

    /// Ends the daemon.
    pub(crate) fn end_keyring(&mut self) {
        self.keyring = None;
    }

    /// What the daemon says of the lock of its keyring; its error where there is none yet.
    fn login_keyring(&self) -> Result<String> {
        let asked = environment(Command::new("dbus-send"), self.folder.path())
            .args(["--session", "--print-reply", "--dest=org.freedesktop.secrets"])
            .args(["/org/freedesktop/secrets/aliases/default", "org.freedesktop.DBus.Properties.Get"])
            .args(["string:org.freedesktop.Secret.Collection", "string:Locked"])
            .output()?;
        Ok(String::from_utf8_lossy(&asked.stdout).into_owned())
    }

    /// Halts or continues the daemon.
    pub(crate) fn signal_keyring(&self, signal: Signal) -> Result<()> {
        let keyring = &self.keyring.as_ref().context("no keyring")?.0;
        let pid = i32::try_from(keyring.id()).ok().and_then(Pid::from_raw).context("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// The bus.
    pub(crate) fn address(&self) -> String {
        address(self.folder.path())
    }

    /// Where the stories' stores are.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// `ikeep` without a terminal, for whoever is logged in here.
    pub(crate) fn ikeep(&self) -> Command {
        let mut command = environment(Command::new("setsid"), self.folder.path());
        command.env_remove("XDG_STATE_HOME").env_remove("WAYLAND_DISPLAY");
        command.args(["--wait", env!("CARGO_BIN_EXE_ikeep")]).stdin(Stdio::null());
        command
    }

    /// Where it keeps its things.
    pub(crate) fn places(&self) -> Places {
        let inside = |name: &str| self.folder.path().join(name).join("ikeep");
        Places { state: inside("home/.local/state"), keys: inside("home/data"), runtime: inside("run") }
    }

    /// Tells a story on this desktop.
    pub(crate) fn tell(&self, words: &str) -> Result<Vec<story::Told>> {
        story::listen(&mut environment(story::command(&self.store(), words)?, self.folder.path()))
    }

    /// What an independent program finds under our attributes: `None` where there is nothing.
    pub(crate) fn look_up(&self) -> Result<Option<String>> {
        let mut tool = environment(Command::new("secret-tool"), self.folder.path());
        let found = tool.args(["lookup", "application", "ikeep", "host", story::HOST]).output()?;
        Ok(found.status.success().then(|| String::from_utf8_lossy(&found.stdout).into_owned()))
    }

    /// Everything the independent program says about our items.
    pub(crate) fn search(&self) -> Result<String> {
        self.search_for("ikeep")
    }

    /// The same of another kind of item.
    pub(crate) fn search_for(&self, application: &str) -> Result<String> {
        let mut tool = environment(Command::new("secret-tool"), self.folder.path());
        let found = tool.args(["search", "--all", "application", application]).output()?;
        Ok(format!("{}{}", String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr)))
    }

    /// Everything that passed on the bus since the last call of this.
    pub(crate) fn traffic(&mut self) -> Result<String> {
        let sent = environment(Command::new("dbus-send"), self.folder.path())
            .args(["--session", "--type=signal", "/", "org.example.Ikeep.Now"])
            .status()?;
        ensure!(sent.success(), "dbus-send: {sent}");
        self.seen_until("member=Now")
    }

    /// What passes on the bus until a line with `text`.
    fn seen_until(&mut self, text: &str) -> Result<String> {
        let mut seen = String::new();
        loop {
            let Ok(line) = self.seen.recv_timeout(PATIENCE) else {
                bail!("{text:?} did not pass on the bus; it had seen:\n{seen}");
            };
            seen += &line;
            seen.push('\n');
            if line.contains(text) {
                return Ok(seen);
            }
        }
    }
}

fn address(folder: &Path) -> String {
    dbus::address(&folder.join("run/bus"))
}

/// The environment of somebody logged in at this desktop.
fn environment(mut command: Command, folder: &Path) -> Command {
    command
        .env_remove("DISPLAY")
        .env("HOME", folder.join("home"))
        .env("XDG_DATA_HOME", folder.join("home/data"))
        .env("XDG_CONFIG_HOME", folder.join("home/config"))
        .env("XDG_CACHE_HOME", folder.join("home/cache"))
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .env("DBUS_SESSION_BUS_ADDRESS", address(folder));
    command
}
