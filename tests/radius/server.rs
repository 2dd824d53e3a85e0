//! FreeRADIUS on a port of this machine's loopback, behind a socket that counts what goes to it and comes back.

use anyhow::{Context as _, Result, bail};
use ikeep::crypto::legacy::md5;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// Shared with the gateway.
pub(crate) const SECRET: &str = "a secret of the NAS";
/// How long a thread may not notice that it is over.
const TICK: Duration = Duration::from_millis(50);

const CONFIG: &str = r#"
prefix = FOLDER
libdir = MODULES
logdir = FOLDER
run_dir = FOLDER
db_dir = FOLDER
log {
  destination = stdout
}
security {
  allow_vulnerable_openssl = yes
}
thread pool {
}
client lab {
  ipaddr = 127.0.0.1
  secret = "SECRET"
  require_message_authenticator = yes
}
modules {
  files {
    usersfile = FOLDER/users
  }
  pap {
  }
  always handled {
    rcode = handled
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = PORT
  }
  authorize {
    files
    if (&User-Name == "carol" && !&State && &User-Password == "a password of more than 32 octets, Grüße") {
      update reply {
        State := 0x6f66206361726f6c
        Reply-Message := "Code of your token?"
        Message-Authenticator := 0x00000000000000000000000000000000
      }
      update control {
        Response-Packet-Type := Access-Challenge
      }
      handled
    }
    if (&User-Name == "carol" && &State == 0x6f66206361726f6c) {
      update control {
        Cleartext-Password := "271828"
      }
    }
    pap
  }
  authenticate {
    pap
  }
  post-auth {
    update reply {
      Message-Authenticator := 0x00000000000000000000000000000000
    }
    Post-Auth-Type REJECT {
      update reply {
        Reply-Message := "No such rabbit hole"
        Message-Authenticator := 0x00000000000000000000000000000000
      }
    }
  }
}
"#;

const USERS: &str = "\
alice Cleartext-Password := \"wonderland\"
\tFramed-IP-Address = 192.168.20.77,
\tClass = 0x636c6173732d6f662d616c696365

bob Cleartext-Password := \"cheshire\"
\tFramed-IP-Address = 255.255.255.254,
\tFramed-IPv6-Address = fd77::7,
\tFramed-IPv6-Prefix = 2001:db8:77::/64
";

/// `IKEEP_FREERADIUS`, or where Debian has it.
fn program() -> Option<PathBuf> {
    let own = std::env::var_os("IKEEP_FREERADIUS").map(PathBuf::from);
    own.into_iter().chain([PathBuf::from("/usr/sbin/freeradius")]).find(|path| path.exists())
}

/// Says so where there is no FreeRADIUS.
pub(crate) fn left_out(test: &str) -> bool {
    let without = program().is_none();
    if without {
        let why = "needs FreeRADIUS: IKEEP_FREERADIUS=PROGRAM";
        let _ = writeln!(std::io::stderr(), "left out: {test} ({why})");
    }
    without
}

/// What the way does to an answer.
#[derive(Clone, Copy)]
pub(crate) enum Meddle {
    Nothing,
    /// An octet of the attributes differs.
    Flip,
    /// The Message-Authenticator is gone, and the Response Authenticator is right all the same, as somebody makes it who can make MD5
    /// collide (CVE-2024-3596).
    Strip,
    /// As `Flip`, and then the answer as it was.
    FlipFirst,
}

/// The server, and the way to it.
pub(crate) struct FreeRadius {
    child: Child,
    folder: TempDir,
    at: SocketAddr,
    way: Option<Way>,
}

impl FreeRadius {
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(Meddle::Nothing)
    }

    /// The same, with somebody on the way.
    pub(crate) fn start_with(meddle: Meddle) -> Result<Self> {
        // A port that was free a moment ago.
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self::within(&[], port, USERS)?;
        server.way = Some(Way::to(server.at, meddle)?);
        Ok(server)
    }

    /// With these users on this port of the loopback where `prefix` leads; nobody counts.
    pub(crate) fn within(prefix: &[String], port: u16, users: &str) -> Result<Self> {
        let program = fs::canonicalize(program().context("a program")?)?;
        let usr = program.parent().and_then(Path::parent).context("its folder")?;
        // Unpacked, it finds nothing by itself.
        let modules = usr.join("lib/freeradius");
        let entries = fs::read_dir(usr.join("lib"))?.flatten().map(|entry| entry.path());
        let libraries = entries.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        let above = usr.parent().map(|root| root.join("lib"));
        let others = above.and_then(|lib| fs::read_dir(lib).ok()).into_iter().flatten().flatten();
        let others =
            others.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        let paths = std::env::join_paths([modules.clone()].into_iter().chain(libraries).chain(others))?;
        let folder = TempDir::with_prefix("ikeep-freeradius-")?;
        let config = CONFIG
            .replace("FOLDER", &folder.path().display().to_string())
            .replace("MODULES", &modules.display().to_string())
            .replace("SECRET", SECRET)
            .replace("PORT", &port.to_string());
        for (name, text) in [("radiusd.conf", config.as_str()), ("users", users)] {
            let file = folder.path().join(name);
            fs::write(&file, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
        let log = fs::File::create(folder.path().join("log"))?;
        let words: Vec<_> =
            prefix.iter().map(OsString::from).chain([program.clone().into_os_string()]).collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["-f", "-X", "-n", "radiusd", "-d"])
            .arg(folder.path())
            .arg("-D")
            .arg(usr.join("share/freeradius"))
            .env("LD_LIBRARY_PATH", paths)
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut seen = String::new();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| {
            seen += &(line.clone() + "\n");
            line.contains("Ready to process requests")
        });
        if !ready {
            let _ = child.kill();
            let _ = child.wait();
            bail!("FreeRADIUS does not start:\n{seen}");
        }
        // What it goes on to say is for messages of failed tests; nobody waits for it.
        std::thread::spawn(move || {
            let mut log = log;
            for line in lines.map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
            }
        });
        Ok(Self { child, folder, at: SocketAddr::from(([127, 0, 0, 1], port)), way: None })
    }

    /// Where the gateway asks.
    pub(crate) fn way(&self) -> SocketAddr {
        self.way.as_ref().map_or(self.at, |way| way.at)
    }

    /// Datagrams to the server, and from it.
    pub(crate) fn counted(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        self.way.as_ref().map_or((0, 0), |way| (count(&way.asked), count(&way.answered)))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for FreeRadius {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket before the server that counts.
struct Way {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Way {
    fn to(server: SocketAddr, meddle: Meddle) -> Result<Self> {
        let front = UdpSocket::bind("127.0.0.1:0")?;
        let back = UdpSocket::bind("127.0.0.1:0")?;
        back.connect(server)?;
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(TICK))?;
        }
        let at = front.local_addr()?;
        let (asked, answered, over) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (to, from, end) = (Arc::clone(&asked), Arc::clone(&answered), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !end.load(Ordering::SeqCst) {
                let Ok((length, client)) = front.recv_from(&mut buffer) else { continue };
                to.fetch_add(1, Ordering::SeqCst);
                let request = buffer[..length].to_vec();
                let _ = back.send(&request);
                // One asks at a time; a rejection comes after a second (reject_delay).
                for _ in 0..40 {
                    if let Ok(length) = back.recv(&mut buffer) {
                        from.fetch_add(1, Ordering::SeqCst);
                        for answer in meddle.with(&request, &buffer[..length]) {
                            let _ = front.send_to(&answer, client);
                        }
                        break;
                    }
                }
            }
        });
        Ok(Self { at, asked, answered, over, thread: Some(thread) })
    }
}

impl Meddle {
    fn with(self, request: &[u8], answer: &[u8]) -> Vec<Vec<u8>> {
        let mut flipped = answer.to_vec();
        *flipped.last_mut().expect("attributes") ^= 1;
        match self {
            Self::Nothing => vec![answer.to_vec()],
            Self::Flip => vec![flipped],
            Self::FlipFirst => vec![flipped, answer.to_vec()],
            Self::Strip => {
                let (head, mut rest) = answer.split_at(20);
                let mut stripped = head.to_vec();
                while let [kind, length, ..] = *rest {
                    let (attribute, after) = rest.split_at(usize::from(length));
                    if kind != 80 {
                        stripped.extend(attribute);
                    }
                    rest = after;
                }
                let length = u16::try_from(stripped.len()).expect("short");
                stripped[2..4].copy_from_slice(&length.to_be_bytes());
                let made = md5(&[&stripped[..4], &request[4..20], &stripped[20..], SECRET.as_bytes()]);
                stripped[4..20].copy_from_slice(&made);
                vec![stripped]
            }
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
