//! The way between a person and their gateway, with somebody on it who counts.

use anyhow::Result;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a relay that nobody needs any more notices it.
const TICK: Duration = Duration::from_millis(50);

/// What is done when a datagram passes: its number from 1 since the count began. It is done before the datagram goes on.
type Watcher = Box<dyn FnMut(u64) + Send>;

#[derive(Default)]
struct Count {
    passed: u64,
    watcher: Option<Watcher>,
}

/// Two ports on loopback that lead to the gateway's two.
pub(crate) struct Relay {
    /// First contact, and everything after.
    pub(crate) ports: (SocketAddr, SocketAddr),
    count: Arc<Mutex<Count>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn to(gateway: (SocketAddr, SocketAddr)) -> Result<Self> {
        let (count, over) = (Arc::default(), Arc::default());
        let mut threads = Vec::new();
        let mut open = |to| -> Result<SocketAddr> {
            let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let at = front.local_addr()?;
            let (count, over) = (Arc::clone(&count), Arc::clone(&over));
            threads.push(std::thread::spawn(move || forward(&front, to, &count, &over)));
            Ok(at)
        };
        let ports = (open(gateway.0)?, open(gateway.1)?);
        Ok(Self { ports, count, over, threads })
    }

    /// Counts anew from here.
    pub(crate) fn watch(&self, watcher: impl FnMut(u64) + Send + 'static) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = Count { passed: 0, watcher: Some(Box::new(watcher)) };
    }

    /// Datagrams since the count began.
    pub(crate) fn passed(&self) -> u64 {
        self.count.lock().unwrap_or_else(PoisonError::into_inner).passed
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Each client has a socket of its own towards the gateway, as behind a NAT.
fn forward(front: &UdpSocket, to: SocketAddr, count: &Arc<Mutex<Count>>, over: &Arc<AtomicBool>) {
    let mut clients: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    std::thread::scope(|scope| {
        let mut buffer = vec![0; 1 << 16];
        while let Some((length, client)) = receive(front, &mut buffer, over) {
            let back = match clients.get(&client) {
                Some(back) => Arc::clone(back),
                None => {
                    let Ok(back) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return };
                    let back = Arc::new(back);
                    clients.insert(client, Arc::clone(&back));
                    let own = Arc::clone(&back);
                    scope.spawn(move || {
                        let mut buffer = vec![0; 1 << 16];
                        while let Some((length, _)) = receive(&own, &mut buffer, over) {
                            pass(count);
                            let _ = front.send_to(&buffer[..length], client);
                        }
                    });
                    back
                }
            };
            pass(count);
            let _ = back.send_to(&buffer[..length], to);
        }
    });
}

fn pass(count: &Mutex<Count>) {
    let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
    count.passed += 1;
    let number = count.passed;
    if let Some(watcher) = count.watcher.as_mut() {
        watcher(number);
    }
}

/// `None` at the end. ICMP errors (the client's port is gone) are no end.
fn receive(socket: &UdpSocket, buffer: &mut [u8], over: &AtomicBool) -> Option<(usize, SocketAddr)> {
    socket.set_read_timeout(Some(TICK)).ok()?;
    loop {
        if over.load(Ordering::Relaxed) {
            return None;
        }
        match socket.recv_from(buffer) {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            Err(_) => {}
        }
    }
}
