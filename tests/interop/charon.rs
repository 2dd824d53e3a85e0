//! strongSwan's daemon inside a namespace, with user-space ESP.

use super::netns::{Netns, run};
use super::{PATIENCE, Pki};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Where Debian puts the daemon.
pub(super) const DAEMON: &str = "/usr/lib/ipsec/charon";

/// Without `resolve`, which would rewrite the machine's resolv.conf; kernel-libipsec because ESP is not in every kernel.
const PLUGINS: &str = "random nonce openssl x509 pubkey pem pkcs1 pkcs8 hmac kdf gmp curve25519 eap-identity \
     eap-mschapv2 eap-gtc eap-md5 md5 sha1 sha2 aes gcm chapoly kernel-libipsec kernel-netlink socket-default vici updown attr";

/// The folders that `swanctl --load-all` wants to see.
const SWANCTL_FOLDERS: [&str; 13] = [
    "x509", "x509ca", "private", "pkcs8", "pkcs12", "ecdsa", "rsa", "pubkey", "x509aa", "x509ocsp", "x509ac",
    "x509crl", "conf.d",
];

/// How long a stopped daemon may take to say goodbye to its peers.
const GOODBYE: Duration = Duration::from_secs(3);

/// What differs between daemons beside their connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CharonOptions {
    /// Whether SIGNATURE_HASH_ALGORITHMS is sent and AUTH method 14 used (RFC 7427).
    pub(crate) signature_authentication: bool,
    /// strongSwan's number for "log this much" of IKE (1 to 4; 4 prints keys).
    pub(crate) ike_log_level: u8,
    /// More plugins.
    pub(crate) plugins: &'static str,
    /// More lines for the section `charon` of its strongswan.conf.
    pub(crate) more: &'static str,
}

impl Default for CharonOptions {
    fn default() -> Self {
        Self { signature_authentication: true, ike_log_level: 2, plugins: "", more: "" }
    }
}

/// A running daemon; dropped, it is stopped (and its peers are told).
pub(crate) struct Charon {
    child: Child,
    folder: TempDir,
    log: Arc<Log>,
}

impl Charon {
    /// Starts a daemon in `host`, waits until it answers, and loads `swanctl_conf` with the certificates of `pki`. The
    /// private key goes along only where `with_key`: a client needs the CA alone.
    ///
    /// # Errors
    /// Where the daemon ends or is silent for [`PATIENCE`] (its log is in the error), or refuses the configuration.
    pub(crate) fn start(
        host: &Netns,
        options: CharonOptions,
        pki: &Pki,
        with_key: bool,
        swanctl_conf: &str,
    ) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-charon-")?;
        let at = folder.path();
        for name in SWANCTL_FOLDERS {
            fs::create_dir(at.join(name))?;
        }
        fs::copy(&pki.ca, at.join("x509ca/ca.pem"))?;
        if with_key {
            fs::copy(&pki.gateway, at.join("x509/gw.pem"))?;
            fs::copy(&pki.gateway_key, at.join("private/gw.pem"))?;
        }
        fs::create_dir(at.join("run"))?;
        fs::write(at.join("strongswan.conf"), options.render(at))?;
        // The daemon insists on one pid file in /run: each gets a /run of its own, in the mount namespace that
        // `ip netns exec` has just made.
        let mut child = host
            .command("sh")
            .args(["-c", "mount --bind \"$1\" /run && exec \"$2\"", "sh"])
            .arg(at.join("run"))
            .arg(DAEMON)
            .env("STRONGSWAN_CONF", at.join("strongswan.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting charon")?;
        let log = Arc::new(Log::default());
        if let Some(stderr) = child.stderr.take() {
            log.follow(stderr);
        }
        let charon = Self { child, folder, log };
        // The vici socket listens before the first worker runs.
        charon.wait_for_log("worker threads", 1)?;
        charon.load(swanctl_conf)?;
        Ok(charon)
    }

    /// Replaces what the daemon knows: connections, pools, secrets. SAs that are up stay.
    ///
    /// # Errors
    /// Where swanctl or the daemon refuses something.
    pub(crate) fn load(&self, swanctl_conf: &str) -> Result<()> {
        let file = self.folder.path().join("swanctl.conf");
        fs::write(&file, swanctl_conf)?;
        let file = file.to_str().context("the temporary folder's name is not UTF-8")?;
        self.swanctl(&["--load-all", "--file", file]).map(drop)
    }

    /// Any swanctl command on this daemon; returns what it printed.
    ///
    /// # Errors
    /// Where swanctl ends with another code than 0; the daemon's log is in the error.
    pub(crate) fn swanctl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("swanctl");
        command.args(args).arg("--uri").arg(format!("unix://{}", self.folder.path().join("vici").display()));
        command.env("SWANCTL_DIR", self.folder.path());
        command.env("STRONGSWAN_CONF", self.folder.path().join("strongswan.conf"));
        run(&mut command).with_context(|| format!("the daemon's log:\n{}", self.log()))
    }

    /// Brings the child `name` up and waits for it.
    ///
    /// # Errors
    /// Where the peer refuses or does not answer.
    pub(crate) fn initiate(&self, name: &str) -> Result<()> {
        self.swanctl(&["--initiate", "--child", name, "--timeout", "20"]).map(drop)
    }

    /// `swanctl --list-sas`: all SAs, for people and for `contains`.
    ///
    /// # Errors
    /// As [`Charon::swanctl`].
    pub(crate) fn list_sas(&self) -> Result<String> {
        self.swanctl(&["--list-sas"])
    }

    /// Starts a rekey of the IKE SA of connection `name`.
    ///
    /// # Errors
    /// As [`Charon::swanctl`]; where there is no such SA.
    pub(crate) fn rekey_ike(&self, name: &str) -> Result<()> {
        self.swanctl(&["--rekey", "--ike", name]).map(drop)
    }

    /// Starts a rekey of the Child SA `name`.
    ///
    /// # Errors
    /// As [`Charon::swanctl`]; where there is no such SA.
    pub(crate) fn rekey_child(&self, name: &str) -> Result<()> {
        self.swanctl(&["--rekey", "--child", name]).map(drop)
    }

    /// Deletes the IKE SA of connection `name`; the peer is told.
    ///
    /// # Errors
    /// As [`Charon::swanctl`]; where there is no such SA.
    pub(crate) fn terminate(&self, name: &str) -> Result<()> {
        match self.swanctl(&["--terminate", "--ike", name, "--timeout", "20"]) {
            // After a rekey the SA before may still be among those that are to end, and be gone by itself when its turn comes.
            Err(error) if ["IKE_SA deleted", "not found"].iter().all(|text| said(&error, text)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Loses the IKE SA of connection `name`: whatever is said to the peer is said once, and nobody waits for an answer.
    ///
    /// # Errors
    /// As [`Charon::swanctl`]; where there is no such SA.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        self.swanctl(&["--terminate", "--ike", name, "--force"]).map(drop)
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Ends the daemon at once, as a crash or a power cut would: nothing is said to anybody.
    pub(crate) fn crash(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What the daemon has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    /// Waits until `text` stands in at least `count` lines of the log.
    ///
    /// # Errors
    /// Where the daemon ends or [`PATIENCE`] is over first; its log is in the error.
    pub(crate) fn wait_for_log(&self, text: &str, count: usize) -> Result<()> {
        let seen = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).count() >= count;
        if self.log.wait_until(PATIENCE, seen) {
            return Ok(());
        }
        bail!("charon did not log {text:?} {count} times:\n{}", self.log())
    }
}

impl Drop for Charon {
    fn drop(&mut self) {
        if let (Some(pid), Ok(None)) = (self.pid(), self.child.try_wait()) {
            let _ = kill_process(pid, Signal::TERM);
            self.log.wait_until_closed(GOODBYE);
        }
        self.crash();
    }
}

impl CharonOptions {
    fn render(self, folder: &Path) -> String {
        let signature_authentication = if self.signature_authentication { "yes" } else { "no" };
        format!(
            "charon {{
  load_modular = no
  load = {PLUGINS} {}
  signature_authentication = {signature_authentication}
  {}
  plugins {{
    vici {{
      socket = unix://{}
    }}
  }}
  filelog {{
    stderr {{
      default = 1
      ike = {}
    }}
  }}
}}
",
            self.plugins,
            self.more,
            folder.join("vici").display(),
            self.ike_log_level
        )
    }
}

/// The daemon's log, read as it is written. It goes to stderr because the daemon does not flush a stdout that is a pipe.
#[derive(Default)]
pub(super) struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: Vec<String>,
    closed: bool,
}

impl Log {
    pub(super) fn follow(self: &Arc<Self>, stderr: ChildStderr) {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.locked().lines.push(line);
                log.changed.notify_all();
            }
            log.locked().closed = true;
            log.changed.notify_all();
        });
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.locked().lines.clone()
    }

    /// Waits at most `limit` for `wanted`; whether it came. A closed log ends the wait.
    pub(super) fn wait_until(&self, limit: Duration, wanted: impl Fn(&[String]) -> bool) -> bool {
        let pending = |state: &mut LogState| !state.closed && !wanted(&state.lines);
        let waited = self.changed.wait_timeout_while(self.locked(), limit, pending);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        wanted(&state.lines)
    }

    pub(super) fn wait_until_closed(&self, limit: Duration) {
        let _ = self.changed.wait_timeout_while(self.locked(), limit, |state| !state.closed);
    }

    fn locked(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `swanctl` has printed itself, without the daemon's log.
fn said(error: &anyhow::Error, text: &str) -> bool {
    error.root_cause().to_string().contains(text)
}
