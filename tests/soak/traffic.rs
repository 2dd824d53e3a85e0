//! Downloads through the tunnel, one after the other, each octet of which is looked at.

use ikeep::lab::inside::pattern;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const LENGTH: usize = 300_000;
/// A download that stands still for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a download came to.
pub(crate) enum Report {
    /// Every octet came and is right.
    Whole,
    /// It ended before; so many octets came, all of them right.
    Partly(usize),
    /// An octet was wrong.
    Wrong(String),
}

/// A thread that downloads.
pub(crate) struct Traffic {
    pub(crate) reports: Receiver<Report>,
    proxy: Arc<Mutex<Option<SocketAddr>>>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn through(proxy: SocketAddr) -> Self {
        let (told, reports) = channel();
        let proxy = Arc::new(Mutex::new(Some(proxy)));
        let current = Arc::clone(&proxy);
        let thread = std::thread::spawn(move || {
            loop {
                let Some(proxy) = *current.lock().unwrap_or_else(PoisonError::into_inner) else { return };
                if told.send(download(proxy)).is_err() {
                    return;
                }
            }
        });
        Self { reports, proxy, thread: Some(thread) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn download(proxy: SocketAddr) -> Report {
    let mut octets = Vec::with_capacity(LENGTH + 1024);
    let mut fetch = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&proxy, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // Who gives up says so: the proxy keeps a connection that is only half closed for an hour, as it should.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        let host = "www.inside.example.com";
        write!(
            stream,
            "GET http://{host}/bytes/{LENGTH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut buffer = [0; 16_384];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => octets.extend_from_slice(&buffer[..count]),
            }
        }
    };
    let ended = fetch();
    let Some(head) = octets.windows(4).position(|part| part == b"\r\n\r\n") else { return Report::Partly(0) };
    let (head, body) = octets.split_at(head + 4);
    let head = String::from_utf8_lossy(head);
    if !head.starts_with("HTTP/1.1 200") {
        // The proxy says that the tunnel is not there.
        return Report::Partly(0);
    }
    match pattern::first_wrong(0, body) {
        Some(at) => Report::Wrong(format!("octet {at} of {}: {head} {ended:?}", body.len())),
        None if body.len() > LENGTH => Report::Wrong(format!("{} octets", body.len())),
        None if body.len() == LENGTH => Report::Whole,
        None => Report::Partly(body.len()),
    }
}
