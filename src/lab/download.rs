//! A download through the proxy that a person would have under way: slow, long, and looked at octet by octet.

use super::inside;
use super::stage::INSIDE;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// More than any scenario takes in.
const LENGTH: u64 = 1 << 40;
/// Read in one go, then a pause: a few hundred kilobytes a second, so that sixteen of these leave the machine free.
const CHUNK: usize = 4096;
const PAUSE: Duration = Duration::from_millis(10);
/// The longest head of an answer.
const HEAD: usize = 8192;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Download {
    progress: Arc<Mutex<Progress>>,
    task: Option<AbortHandle>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Octets that arrived, each in its place.
    received: u64,
    begun: u32,
    /// The first thing that was not as it should be.
    wrong: Option<String>,
    /// Why the present connection is over.
    broken: Option<String>,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Download {
    /// Begins, or resumes where it was.
    pub(super) fn start(&mut self, proxy: Option<SocketAddr>) {
        self.stop();
        let progress = Arc::clone(&self.progress);
        self.task = Some(
            tokio::spawn(async move {
                let Some(proxy) = proxy else {
                    return note(&progress, |p| p.broken = Some("no proxy".into()));
                };
                let result = fetch(proxy, &progress).await;
                note(&progress, |p| {
                    p.broken = Some(result.err().map_or_else(|| "it ended".into(), |e| e.to_string()))
                });
            })
            .abort_handle(),
        );
    }

    /// Nobody wants it any more.
    pub(super) fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// Octets so far.
    pub(super) fn received(&self) -> u64 {
        self.look(|p| p.received)
    }

    /// How often it was begun.
    pub(super) fn begun(&self) -> u32 {
        self.look(|p| p.begun)
    }

    /// What was wrong in it.
    pub(super) fn wrong(&self) -> Option<String> {
        self.look(|p| p.wrong.clone())
    }

    /// For a broken promise.
    pub(super) fn told(&self) -> String {
        self.look(|p| format!("{} octets, {}", p.received, p.broken.as_deref().unwrap_or("and then nothing")))
    }

    fn look<R>(&self, what: impl FnOnce(&Progress) -> R) -> R {
        what(&self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note(progress: &Mutex<Progress>, what: impl FnOnce(&mut Progress)) {
    what(&mut progress.lock().unwrap_or_else(PoisonError::into_inner));
}

async fn fetch(proxy: SocketAddr, progress: &Mutex<Progress>) -> io::Result<()> {
    let start = progress.lock().unwrap_or_else(PoisonError::into_inner).received;
    // A new agent is not connected yet, and its proxy says so: the person tries again.
    let mut stream = loop {
        match connect(proxy).await {
            Ok(stream) => break stream,
            Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => {
                tokio::time::sleep(PAUSE).await
            }
            Err(error) => return Err(error),
        }
    };
    note(progress, |p| p.begun += 1);
    let request = format!("GET /bytes/{LENGTH} HTTP/1.1\r\nHost: {INSIDE}\r\nRange: bytes={start}-\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; CHUNK];
    let mut head = Vec::new();
    let body = loop {
        let length = stream.read(&mut buffer).await?;
        head.extend_from_slice(&buffer[..length]);
        match head.windows(4).position(|end| end == b"\r\n\r\n") {
            Some(end) => break head.split_off(end + 4),
            None if length == 0 || head.len() > HEAD => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    };
    if !head.starts_with(b"HTTP/1.1 206 ") {
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        note(progress, |p| p.wrong = Some(format!("the server says: {line}")));
        return Ok(());
    }
    take(progress, &body);
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        take(progress, &buffer[..length]);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks at each octet: nothing lost, nothing twice, nothing foreign.
fn take(progress: &Mutex<Progress>, octets: &[u8]) {
    note(progress, |p| {
        let wrong = (p.received..).zip(octets).find(|(at, octet)| inside::octet(*at) != **octet);
        if let Some((at, _)) = wrong {
            p.wrong.get_or_insert_with(|| format!("octet {at} is another one"));
        }
        p.received += u64::try_from(octets.len()).unwrap_or_default();
    });
}

/// SOCKS5 CONNECT to the web server behind the gateway.
async fn connect(proxy: SocketAddr) -> io::Result<TcpStream> {
    let IpAddr::V4(inside) = INSIDE else { return Err(io::ErrorKind::Unsupported.into()) };
    let mut stream = TcpStream::connect(proxy).await?;
    stream.write_all(&[5, 1, 0]).await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await?;
    let [a, b, c, d] = inside.octets();
    stream.write_all(&[5, 1, 0, 1, a, b, c, d, 0, 80]).await?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await?;
    match (method, reply[1]) {
        ([5, 0], 0) => Ok(stream),
        // Network unreachable: there is no tunnel.
        (_, 3) => Err(io::ErrorKind::NetworkUnreachable.into()),
        (_, code) => Err(io::Error::other(format!("the proxy refuses with code {code}"))),
    }
}
