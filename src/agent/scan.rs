//! The scan of the host that a gateway may ask for (`<host-scan>`): done by a program of the user's choice, or not at all.
//!
//! It is started without a shell, in a process group of its own, with a small environment, and never as root: what a gateway says
//! must not make a program run with every right. What it prints goes to the gateway.

use super::connection::Connection;
use super::driver::Command as Order;
use super::group;
use crate::config::Gateway;
use crate::ike::eap::HostScan;
use rustix::process::{PidfdFlags, geteuid, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::unix::pipe::Receiver;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Longest token, octets.
const MAX_TOKEN: usize = 1024;
/// Where programs are looked for that are named without a folder.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The program, and what it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scanner {
    /// The program and its arguments.
    words: Vec<String>,
    limit: Duration,
}

/// A program under way; killed with its group where it is dropped before its end.
struct Running {
    child: Child,
    over: bool,
}

impl Running {
    /// Its exit status, once it has ended by itself.
    async fn status(&mut self) -> io::Result<ExitStatus> {
        if let Some(pid) = group::of(&self.child) {
            let end: OwnedFd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
            drop(watch(end)?.readable().await?);
        }
        let status = self.child.wait();
        self.over = true;
        status
    }
}

#[expect(deprecated, reason = "its successor is unsafe; an OwnedFd keeps its number until it is dropped")]
fn watch(end: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(end, Interest::READABLE)
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // It is not waited for yet, so the number is still its own.
        if let Some(group) = group::of(&self.child) {
            group::kill(group);
        }
        let _ = self.child.wait();
    }
}

impl Scanner {
    /// The one that the config file names for a gateway.
    pub(super) fn of(gateway: &Gateway) -> Option<Self> {
        let words = gateway.host_scan.clone();
        (!words.is_empty()).then_some(Self { words, limit: gateway.host_scan_timeout })
    }

    /// Runs the program for a gateway (HostAddress); the token that it prints.
    ///
    /// # Errors
    /// For people, after "the gateway asks for a host scan, and": this is root, the program cannot be started, takes too long, fails,
    /// or prints what is no token.
    pub(super) async fn run(&self, host: &str, scan: &HostScan) -> Result<String, String> {
        let program = self.words.first().map(String::as_str).unwrap_or_default();
        if geteuid().is_root() {
            return Err(format!(
                "{program} (host_scan) is not started as root: run ikeep as the user who logs in"
            ));
        }
        let limit = self.limit;
        match timeout(limit, self.token(program, host, scan)).await {
            Ok(token) => token.map_err(|why| format!("{program} (host_scan) {why}")),
            Err(_) => Err(format!(
                "{program} (host_scan) did not end within {} s and was killed: see host_scan_timeout",
                limit.as_secs()
            )),
        }
    }

    async fn token(&self, program: &str, host: &str, scan: &HostScan) -> Result<String, String> {
        let cannot = |error: io::Error| format!("cannot be started: {error}");
        let home = std::env::var_os("HOME");
        let mut command = Command::new(program);
        command
            .args(self.words.iter().skip(1))
            .env_clear()
            .env("PATH", PATH)
            .envs(home.map(|home| ("HOME", home)))
            .env("IKEEP_HOST", host)
            .env("IKEEP_HOST_SCAN_TICKET", &scan.ticket)
            .env("IKEEP_HOST_SCAN_TOKEN", &scan.token)
            .env("IKEEP_HOST_SCAN_BASE_URI", &scan.base_uri)
            .env("IKEEP_HOST_SCAN_WAIT_URI", &scan.wait_uri)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut running = Running { child: command.spawn().map_err(cannot)?, over: false };
        let output = running.child.stdout.take().ok_or_else(|| "has no output".to_owned())?;
        let output = Receiver::from_owned_fd(output.into()).map_err(cannot)?;
        let lost = |error: io::Error| format!("cannot be heard: {error}");
        let mut said = Vec::new();
        output.take(MAX_TOKEN as u64 + 1).read_to_end(&mut said).await.map_err(lost)?;
        if said.len() > MAX_TOKEN {
            return Err(format!("printed more than {MAX_TOKEN} octets, which is no token"));
        }
        let status = running.status().await.map_err(lost)?;
        if !status.success() {
            return Err(format!("ended with {status}"));
        }
        let text = String::from_utf8(said).map_err(|_| "printed something that is no text".to_owned())?;
        match text.trim() {
            "" => Err("printed no token".into()),
            token if token.chars().any(char::is_control) => Err("printed more than one line".into()),
            token => Ok(token.to_owned()),
        }
    }
}

/// The scan under way.
#[derive(Default)]
pub(super) struct Scanning(Option<AbortHandle>);

impl Scanning {
    fn start(&mut self, task: AbortHandle) {
        self.stop();
        self.0 = Some(task);
    }

    /// Nobody wants it any more: the program is killed.
    pub(super) fn stop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Drop for Scanning {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Connection {
    /// Scans beside everything else, and gives the client what came of it. Ended with its attempt, by the next one, and with the
    /// connection.
    pub(super) fn scan(&mut self, id: u64, scan: HostScan) {
        let Some(scanner) = self.target.host_scan.clone() else { return };
        let (commands, host) = (self.commands(), self.target.settings.host_address.clone());
        let scanning = tokio::spawn(async move {
            let token = scanner.run(&host, &scan).await;
            if let Some(commands) = commands.upgrade() {
                drop(commands.send(Order::Scanned { id, token }).await);
            }
        });
        self.scanning.start(scanning.abort_handle());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn one_scan_at_a_time_and_none_that_nobody_wants() {
        let mut scanning = Scanning::default();
        let (first, second) = (tokio::spawn(pending::<()>()), tokio::spawn(pending::<()>()));
        scanning.start(first.abort_handle());
        scanning.start(second.abort_handle());
        assert!(first.await.is_err_and(|error| error.is_cancelled()));
        drop(scanning);
        assert!(second.await.is_err_and(|error| error.is_cancelled()));
    }
}
