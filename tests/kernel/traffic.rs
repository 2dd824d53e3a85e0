//! What the person has under way: a download with curl that never ends, and an idle connection as of ssh.

use crate::interop::agent::Running;
use crate::interop::{BEHIND_GATEWAY, Netns};
use anyhow::{Context, Result, bail, ensure};
use ikeep::lab::inside::pattern;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// TCP waits longer and longer while there is no way, and nobody can hurry it.
const PATIENCE: Duration = Duration::from_secs(40);
/// More than any test takes in.
const LENGTH: u64 = 1 << 40;
/// More of the download than may be on its way already: its TCP has reacted to what happened.
const MORE: u64 = 100_000;
/// Octets of one line of the idle connection's answer.
const LINE: usize = 64;

#[derive(Default)]
struct Progress {
    octets: u64,
    /// Where the first octet is that is not the right one.
    wrong: Option<u64>,
    over: bool,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    moved: Condvar,
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// curl through the proxy; each octet is looked at as it comes.
pub(crate) struct Download {
    curl: Running,
    shared: Arc<Shared>,
}

impl Download {
    /// Begins, and waits for the first octets.
    pub(crate) fn start(laptop: &Netns, proxy: &str) -> Result<Self> {
        Self::with(laptop, BEHIND_GATEWAY, &["--socks5-hostname", proxy])
    }

    /// The same from `server`, with more options of curl's.
    pub(crate) fn with(laptop: &Netns, server: &str, options: &[&str]) -> Result<Self> {
        let url = format!("http://{server}/bytes/{LENGTH}");
        let mut curl = Running(
            laptop
                .command("curl")
                .args(["--silent", "--show-error", "--fail", "--no-buffer", "--globoff"])
                .args(options)
                .arg(&url)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?,
        );
        let shared = Arc::new(Shared::default());
        let (out, own) = (curl.0.stdout.take().context("its output")?, Arc::clone(&shared));
        // It ends with curl.
        std::thread::spawn(move || read(out, &own));
        let mut download = Self { curl, shared };
        download.goes_on()?;
        Ok(download)
    }

    /// Octets so far.
    pub(crate) fn octets(&self) -> u64 {
        self.shared.locked().octets
    }

    /// Waits for more of it, all of it right.
    pub(crate) fn goes_on(&mut self) -> Result<()> {
        let before = self.octets();
        let more = |progress: &mut Progress| {
            progress.octets < before + MORE && progress.wrong.is_none() && !progress.over
        };
        let locked = self.shared.locked();
        let waited = self.shared.moved.wait_timeout_while(locked, PATIENCE, more);
        let (progress, time) = waited.unwrap_or_else(PoisonError::into_inner);
        let octets = progress.octets;
        if let Some(at) = progress.wrong {
            bail!("octet {at} of the download is another one");
        }
        let over = progress.over;
        drop(progress);
        if over {
            let mut errors = String::new();
            if let Some(mut stderr) = self.curl.0.stderr.take() {
                stderr.read_to_string(&mut errors)?;
            }
            bail!("the download is over after {octets} octets: {}", errors.trim());
        }
        ensure!(!time.timed_out(), "the download stands still at {octets} octets");
        Ok(())
    }
}

fn read(mut out: ChildStdout, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = out.read(&mut buffer).unwrap_or_default();
        let mut progress = shared.locked();
        if length == 0 {
            progress.over = true;
        } else {
            let at = progress.octets;
            progress.wrong = progress.wrong.or_else(|| pattern::first_wrong(at, &buffer[..length]));
            progress.octets += length as u64;
        }
        shared.moved.notify_all();
        if length == 0 {
            return;
        }
    }
}

/// A connection on which nothing moves until somebody types.
pub(crate) struct Idle(TcpStream);

impl Idle {
    /// Connects through the proxy and exchanges the first line.
    pub(crate) fn start(laptop: &Netns, proxy: &str) -> Result<Self> {
        let proxy: SocketAddr = proxy.parse()?;
        let mut stream = laptop.run(|| TcpStream::connect(proxy))??;
        stream.set_read_timeout(Some(PATIENCE))?;
        let inside: Ipv4Addr = BEHIND_GATEWAY.parse()?;
        let [a, b, c, d] = inside.octets();
        stream.write_all(&[5, 1, 0])?;
        stream.read_exact(&mut [0; 2])?;
        stream.write_all(&[5, 1, 0, 1, a, b, c, d, 0, 80])?;
        let mut reply = [0; 10];
        stream.read_exact(&mut reply)?;
        ensure!(reply[1] == 0, "the proxy refuses with code {}", reply[1]);
        let mut idle = Self(stream);
        idle.line()?;
        Ok(idle)
    }

    /// A line there and one back, on the same connection as ever.
    pub(crate) fn line(&mut self) -> Result<()> {
        let stream = &mut self.0;
        let request = format!("GET /bytes/{LINE} HTTP/1.1\r\nHost: {BEHIND_GATEWAY}\r\n\r\n");
        stream.write_all(request.as_bytes()).context("the idle connection is gone")?;
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let head = answer.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
            if let Some(body) = head.and_then(|at| answer.get(at..)).filter(|body| body.len() >= LINE) {
                ensure!(body.len() == LINE && pattern::first_wrong(0, body).is_none(), "another line came");
                return Ok(());
            }
            let length = stream.read(&mut buffer).context("no answer on the idle connection")?;
            ensure!(length > 0, "the idle connection was closed");
            answer.extend_from_slice(&buffer[..length]);
        }
    }
}
