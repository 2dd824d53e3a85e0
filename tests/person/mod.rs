//! A person at a machine of their own: the real `ikeep` program with its own home, and a gateway of their company.
//!
//! Everything is RAII: what was started is ended by its process number when it is dropped, also when a test fails.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod relay;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use tempfile::TempDir;

/// The program.
pub(crate) const IKEEP: &str = env!("CARGO_BIN_EXE_ikeep");

/// The program, or the one that `tests/mutations.sh` has made of it.
fn ikeep() -> String {
    std::env::var("IKEEP_PROGRAM").unwrap_or_else(|_| IKEEP.to_owned())
}
/// The user of the embedded gateway.
pub(crate) const PASSWORD: &str = "cisco\n";

/// Longest wait for anything on this machine.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Time since it was made.
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "a deadline for a real program on the real clock")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "a deadline for a real program on the real clock")]
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

/// A home, and perhaps an agent that was started there.
pub(crate) struct Person {
    home: TempDir,
    /// What runs a program where this person is: nothing, or `ip netns exec NAME`.
    prefix: Vec<String>,
    /// More for the environment of their programs.
    environment: Vec<(String, String)>,
}

impl Person {
    /// With the seed's profile, and a config file that says where the gateway is.
    pub(crate) fn new(gateway: (SocketAddr, SocketAddr)) -> Result<Self> {
        Self::within(Vec::new(), gateway)
    }

    /// The same on another host: `prefix` runs a program there.
    pub(crate) fn within(prefix: Vec<String>, gateway: (SocketAddr, SocketAddr)) -> Result<Self> {
        let person = Self { home: TempDir::with_prefix("ikeep-home-")?, prefix, environment: Vec::new() };
        fs::create_dir_all(person.home.path().join("config/ikeep"))?;
        person.configure(gateway, "")?;
        Ok(person)
    }

    /// Sets a variable for every program of this person's that is started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes the config file: where the gateway is, and more lines for `[agent]`.
    pub(crate) fn configure(&self, (ike, nat): (SocketAddr, SocketAddr), agent: &str) -> Result<()> {
        // Tests never change the network of the machine that they run on, whatever rights they have.
        let tunnel = if agent.contains("tunnel = ") { "" } else { "tunnel = \"proxy\"\n" };
        let text = format!(
            "[agent]\n{tunnel}proxy = \"127.0.0.1:0\"\n{agent}\n[portal]\nprobe = \"off\"\n[trust]\nsystem = false\n\
             [gateway.\"flexvpn-c8kv.example.com\"]\naddress = \"{}\"\nport = {}\nnat_port = {}\n",
            ike.ip(),
            ike.port(),
            nat.port()
        );
        Ok(fs::write(self.path("config/ikeep/config.toml"), text)?)
    }

    /// A file or folder of this home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The seed's profile.
    pub(crate) fn profile() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/flexvpn-c8kv.xml")
    }

    /// `ikeep ARGS..`, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.program(&ikeep(), args)
    }

    /// Another program of this person's, not started yet.
    pub(crate) fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut words = self.prefix.iter().map(String::as_str).chain([program]);
        let mut command = Command::new(words.next().unwrap_or(program));
        command.args(words).args(args).stdin(Stdio::null());
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
            let folder = name.trim_start_matches("XDG_").trim_end_matches("_HOME").trim_end_matches("_DIR");
            command.env(name, self.path(&folder.to_lowercase()));
        }
        // A keyring of the machine's user is none of this person's, and the machine's sleep is not held back for a test.
        command.env("HOME", self.home.path()).env_remove("DBUS_SESSION_BUS_ADDRESS");
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", self.path("no-bus").display()));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Output> {
        self.command(args).output().with_context(|| format!("starting ikeep {args:?}"))
    }

    /// Runs it to its end with a text on its standard input.
    pub(crate) fn type_in(&self, args: &[&str], text: &str) -> Result<Output> {
        let mut child =
            self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ended before it read anything is told by its exit code.
            let _ = stdin.write_all(text.as_bytes());
        }
        Ok(child.wait_with_output()?)
    }

    /// `ikeep connect` with the seed's profile and a password.
    pub(crate) fn log_in(&self, ca: &Path) -> Result<Output> {
        let (profile, ca) = (Self::profile(), ca.display().to_string());
        let profile = profile.display().to_string();
        let args = ["connect", "--profile", &profile, "--trust", &ca, "--user", "test", "--password-stdin"];
        self.type_in(&args, PASSWORD)
    }

    /// `ikeep status --json`.
    pub(crate) fn status(&self) -> Result<serde_json::Value> {
        let output = self.run(&["status", "--json"])?;
        ensure!(output.status.success(), "status: {output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The agent's process, while one runs.
    pub(crate) fn agent(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path("runtime/ikeep/agent.lock")).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        // One that was killed may wait for its parent for ever, as a zombie.
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        (!rest.trim_start().starts_with('Z')).then_some(pid)
    }

    /// `kill -9`.
    pub(crate) fn kill_agent(&self) -> Result<()> {
        let pid = self.agent().context("an agent runs")?;
        Ok(kill_process(pid, Signal::KILL)?)
    }

    /// Files of the session store.
    pub(crate) fn sessions(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("state/ikeep/sessions")) else { return Vec::new() };
        entries.flatten().map(|entry| entry.path()).collect()
    }

    /// The event log.
    pub(crate) fn events(&self) -> String {
        fs::read_to_string(self.path("state/ikeep/events.log")).unwrap_or_default()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(pid) = self.agent() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// `ikeep gateway serve` with a console.
pub(crate) struct Company {
    child: Child,
    console: ChildStdin,
    answers: BufReader<ChildStdout>,
    folder: TempDir,
    /// First contact, and everything after.
    pub(crate) ports: (SocketAddr, SocketAddr),
}

impl Company {
    /// On any ports of this machine's loopback; `more`: options of `gateway serve`.
    pub(crate) fn open(more: &[&str]) -> Result<Self> {
        Self::within(&[], &[&["--port", "0", "--nat-port", "0"], more].concat())
    }

    /// The same on another host: `prefix` runs a program there. The ports are the well-known ones unless `more` says others.
    pub(crate) fn within(prefix: &[String], more: &[&str]) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-company-")?;
        let ca = folder.path().join("ca.pem");
        let ikeep = ikeep();
        let mut words = prefix.iter().map(String::as_str).chain([ikeep.as_str()]);
        let mut child = Command::new(words.next().unwrap_or(IKEEP))
            .args(words)
            .args(["gateway", "serve", "--write-ca"])
            .arg(&ca)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let console = child.stdin.take().context("a console")?;
        let mut answers = BufReader::new(child.stdout.take().context("its answers")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let Some(ports) = ports(&line) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the gateway says {line:?}");
        };
        Ok(Self { child, console, answers, folder, ports })
    }

    /// The CA to trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A console command; its answer up to the line that holds `last`.
    pub(crate) fn ask(&mut self, command: &str, last: &str) -> Result<String> {
        writeln!(self.console, "{command}")?;
        let mut answer = String::new();
        while !answer.contains(last) {
            let before = answer.len();
            self.answers.read_line(&mut answer)?;
            ensure!(answer.len() > before, "the gateway has ended: {answer}");
        }
        Ok(answer)
    }

    /// The gateway's process.
    pub(crate) fn process(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// It hears nothing and says nothing until it is thawed.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let pid = self.process().context("a process")?;
        Ok(kill_process(pid, if frozen { Signal::STOP } else { Signal::CONT })?)
    }

    /// A console command without an answer.
    pub(crate) fn tell(&mut self, command: &str) -> Result<()> {
        Ok(writeln!(self.console, "{command}")?)
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `listening: IKE at A:P, NAT-T and ESP at A:P`.
fn ports(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (_, rest) = line.split_once("IKE at ")?;
    let (ike, rest) = rest.split_once(',')?;
    let (_, nat) = rest.split_once("ESP at ")?;
    Some((ike.trim().parse().ok()?, nat.trim().parse().ok()?))
}

/// Both outputs, for messages.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
