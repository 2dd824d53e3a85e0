//! Pings as a program sends them, and what answers: UDP and the echo service (RFC 862) on the kernel's sockets.

use crate::interop::Netns;
use crate::track::{INTERVAL, Track, now, sleep_until};
use anyhow::Result;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// See the module. It ends when it is dropped.
pub(crate) struct Pings {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Pings {
    /// From `host` (and there from `own`) to `target`, answers into `track`.
    ///
    /// # Errors
    /// The address is not there.
    pub(crate) fn start(host: &Netns, own: Ipv4Addr, target: (Ipv4Addr, u16), track: &Track) -> Result<Self> {
        let socket = Arc::new(host.run(|| UdpSocket::bind((own, 0)))??);
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let over = Arc::new(AtomicBool::new(false));
        let (out, ended) = (Arc::clone(&socket), Arc::clone(&over));
        let send = std::thread::spawn(move || {
            let mut due = now();
            while !ended.load(Ordering::Relaxed) {
                // While there is no route the kernel refuses: that ping is lost.
                let _ = out.send_to(&now().to_be_bytes(), target);
                due = now().max(due + u64::try_from(INTERVAL.as_nanos()).unwrap_or_default());
                sleep_until(due);
            }
        });
        let (ended, track) = (Arc::clone(&over), track.clone());
        let receive = std::thread::spawn(move || {
            let mut buffer = [0; 8];
            while !ended.load(Ordering::Relaxed) {
                if let Ok((8, _)) = socket.recv_from(&mut buffer) {
                    track.answered(u64::from_be_bytes(buffer), now());
                }
            }
        });
        Ok(Self { over, threads: vec![send, receive] })
    }
}

impl Drop for Pings {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The echo service on a host. It ends when it is dropped.
pub(crate) struct Echo {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Answers at `at`.
    ///
    /// # Errors
    /// The address is not there, or taken.
    pub(crate) fn start(host: &Netns, at: (Ipv4Addr, u16)) -> Result<Self> {
        let socket = host.run(|| UdpSocket::bind(at))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !ended.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    // Without a tunnel there is no way back: that answer is lost.
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
