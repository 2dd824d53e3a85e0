//! libreswan's daemon inside a namespace, unpacked and not installed. Where the kernel has no ESP, a preloaded library
//! (`xfrm_says_yes.c`) tells it that its SAs are installed: IKE is real, and no packet goes through.

use super::charon::Log;
use super::netns::{Netns, run};
use super::{GATEWAY_NAME, PATIENCE, Pki, SESSION_ID};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// `IKEEP_LIBRESWAN`, or where Debian has it.
fn program() -> Option<PathBuf> {
    let own = std::env::var_os("IKEEP_LIBRESWAN").map(PathBuf::from);
    own.into_iter().chain([PathBuf::from("/usr/libexec/ipsec/pluto")]).find(|path| path.exists())
}

/// How it wants its clients to prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    /// By a certificate of the gateway's own CA.
    Certificate,
    /// By the token of the seed's session, which is their key-id.
    Token(&'static str),
}

/// A running daemon; dropped, it is ended at once.
pub(crate) struct Pluto {
    child: Child,
    host: String,
    folder: TempDir,
    /// The folder that holds `usr`, and of that the libraries.
    libexec: PathBuf,
    libraries: PathBuf,
    log: Arc<Log>,
}

impl Pluto {
    /// Says so where there is no libreswan.
    pub(crate) fn left_out(test: &str) -> bool {
        let without = program().is_none();
        if without {
            let _ =
                writeln!(std::io::stderr(), "left out: {test} (needs libreswan: IKEEP_LIBRESWAN=PROGRAM)");
        }
        without
    }

    /// Starts a daemon in `host` with one connection, and waits until it listens.
    ///
    /// # Errors
    /// A tool of it is missing or refuses; the daemon does not listen within [`PATIENCE`] (its log is in the error).
    pub(crate) fn start(host: &Netns, pki: &Pki, clients: Clients) -> Result<Self> {
        let pluto = fs::canonicalize(program().context("libreswan")?)?;
        let libexec = pluto.ancestors().nth(2).context("its folder")?.to_path_buf();
        let usr = libexec.parent().context("its folder")?.to_path_buf();
        let libraries = fs::read_dir(usr.join("lib"))?.flatten().map(|entry| entry.path());
        let libraries = libraries.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        let libraries = PathBuf::from(std::env::join_paths(libraries)?);
        let folder = TempDir::with_prefix("ikeep-pluto-")?;
        let at = folder.path();
        for name in ["run", "nss", "ipsec.d"] {
            fs::create_dir(at.join(name))?;
        }
        keys(at, &usr.join("bin"), &libraries, pki)?;
        let (config, secrets) = clients.render();
        fs::write(at.join("ipsec.conf"), config)?;
        fs::write(at.join("secrets"), secrets)?;
        fs::set_permissions(at.join("secrets"), Permissions::from_mode(0o600))?;
        let library = at.join("xfrm_says_yes.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/xfrm_says_yes.c");
        run(Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source))?;

        // It looks for its tools where they would be installed.
        let mut child = host
            .command("sh")
            .args(["-c", "mount --bind \"$1\" /usr/libexec && shift && exec env \"$@\"", "sh"])
            .arg(&libexec)
            .arg(format!("LD_PRELOAD={}", library.display()))
            .arg(format!("LD_LIBRARY_PATH={}", libraries.display()))
            .arg(libexec.join("ipsec/pluto"))
            .args(["--nofork", "--stderrlog", "--no-dnssec", "--config"])
            .arg(at.join("ipsec.conf"))
            .arg("--rundir")
            .arg(at.join("run"))
            .arg("--nssdir")
            .arg(at.join("nss"))
            .arg("--ipsecdir")
            .arg(at.join("ipsec.d"))
            .arg("--secretsfile")
            .arg(at.join("secrets"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting pluto")?;
        let log = Arc::new(Log::default());
        if let Some(stderr) = child.stderr.take() {
            log.follow(stderr);
        }
        let pluto = Self { child, host: host.name().to_owned(), folder, libexec, libraries, log };
        // By itself it loads what is `auto=add`, and listens then.
        pluto.wait_for_log("loading secrets from", 1)?;
        pluto.wait_for_log("added IKEv2 connection", 1)?;
        Ok(pluto)
    }

    /// Gives it an order, as its own tool does; what it says to that.
    ///
    /// # Errors
    /// The tool cannot be started, or does not end within [`PATIENCE`].
    pub(crate) fn whack(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string());
        command.args(["ip", "netns", "exec", &self.host]).arg(self.libexec.join("ipsec/whack"));
        command.arg("--rundir").arg(self.folder.path().join("run")).args(args);
        let output = command.env("LD_LIBRARY_PATH", &self.libraries).stdin(Stdio::null()).output()?;
        ensure!(output.status.code() != Some(124), "whack {args:?} does not end:\n{}", self.log());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    /// Waits until `text` stands in at least `count` lines of its log.
    ///
    /// # Errors
    /// The daemon ends or [`PATIENCE`] is over first; its log is in the error.
    pub(crate) fn wait_for_log(&self, text: &str, count: usize) -> Result<()> {
        let seen = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).count() >= count;
        if self.log.wait_until(PATIENCE, seen) {
            return Ok(());
        }
        bail!("pluto did not log {text:?} {count} times:\n{}", self.log())
    }
}

impl Drop for Pluto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Certificate and key of the gateway and its CA, in the database of its own.
fn keys(at: &Path, tools: &Path, libraries: &Path, pki: &Pki) -> Result<()> {
    let bundle = at.join("gw.p12");
    let mut pack = Command::new("openssl");
    pack.args(["pkcs12", "-export", "-name", "gw", "-passout", "pass:", "-inkey"]).arg(&pki.gateway_key);
    run(pack.arg("-in").arg(&pki.gateway).arg("-out").arg(&bundle))?;
    let database = format!("sql:{}", at.join("nss").display());
    let tool = |name: &str, args: &[&str], file: Option<&Path>| {
        let mut command = Command::new(tools.join(name));
        command.env("LD_LIBRARY_PATH", libraries).args(["-d", &database]).args(args).args(file);
        run(&mut command).map(drop)
    };
    tool("certutil", &["-N", "--empty-password"], None)?;
    tool("pk12util", &["-W", "", "-i"], Some(&bundle))?;
    tool("certutil", &["-A", "-n", "ca", "-t", "CT,,", "-a", "-i"], Some(&pki.ca))
}

impl Clients {
    /// `ipsec.conf`, and the secrets.
    fn render(self) -> (String, String) {
        let (right, secrets) = match self {
            Self::Certificate => {
                ("rightauth=rsasig\n  rightid=%fromcert\n  rightca=%same".to_owned(), String::new())
            }
            Self::Token(token) => {
                (format!("rightauth=secret\n  rightid=@[{SESSION_ID}]"), format!(": PSK \"{token}\"\n"))
            }
        };
        let config = format!(
            "config setup
conn net
  ikev2=insist
  left=10.9.0.1
  leftid=@{GATEWAY_NAME}
  leftcert=gw
  leftauth=rsasig
  leftsendcert=always
  leftsubnet=0.0.0.0/0
  leftmodecfgserver=yes
  leftupdown=%disabled
  right=%any
  {right}
  rightmodecfgclient=yes
  rightaddresspool=192.168.20.5-192.168.20.9
  narrowing=yes
  ike=aes256-sha2_512-dh19
  esp=aes256-sha2_512,aes_gcm256
  auto=add
"
        );
        (config, secrets)
    }
}
