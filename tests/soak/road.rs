//! The way between the agent and the gateway, on which datagrams are lost, nothing passes for a while, and a NAT forgets.

use anyhow::Result;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a thread that nobody needs any more notices it.
const TICK: Duration = Duration::from_millis(50);

/// What the road is like.
#[derive(Default)]
struct State {
    /// Of a thousand datagrams so many are lost.
    loss: AtomicU64,
    /// Counts datagrams, and decides with it which are lost.
    passed: AtomicU64,
    /// The NAT's mapping: another number, another port.
    mapping: AtomicU64,
    over: AtomicBool,
}

/// Two ports on loopback that lead to the gateway's two.
pub(crate) struct Road {
    /// First contact, and everything after.
    pub(crate) ports: (SocketAddr, SocketAddr),
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

impl Road {
    pub(crate) fn to(gateway: (SocketAddr, SocketAddr)) -> Result<Self> {
        let state: Arc<State> = Arc::default();
        let mut threads = Vec::new();
        let mut open = |to| -> Result<SocketAddr> {
            let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
            let at = front.local_addr()?;
            let state = Arc::clone(&state);
            threads.push(std::thread::spawn(move || outward(&front, to, &state)));
            Ok(at)
        };
        let ports = (open(gateway.0)?, open(gateway.1)?);
        Ok(Self { ports, state, threads })
    }

    /// Of a thousand datagrams so many are lost from now on; 1000: all.
    pub(crate) fn lose(&self, per_mille: u64) {
        self.state.loss.store(per_mille, Ordering::Relaxed);
    }

    /// What is sent from now on comes from another port, and what comes back to the old one reaches nobody.
    pub(crate) fn rebind(&self) {
        self.state.mapping.fetch_add(1, Ordering::Relaxed);
    }

    /// Datagrams so far, both ways, the lost ones among them.
    pub(crate) fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl State {
    fn loses(&self) -> bool {
        // A step that has no factor with 1000: spread out, and the same each time.
        let number = self.passed.fetch_add(1, Ordering::Relaxed).wrapping_mul(617);
        number % 1000 < self.loss.load(Ordering::Relaxed)
    }
}

/// Towards the gateway; each mapping has a socket and a thread of its own for the way back.
fn outward(front: &Arc<UdpSocket>, to: SocketAddr, state: &Arc<State>) {
    let mut mapped: Option<(SocketAddr, u64, Arc<UdpSocket>, Arc<AtomicBool>)> = None;
    let threads: Mutex<Vec<JoinHandle<()>>> = Mutex::default();
    let mut buffer = vec![0; 1 << 16];
    let over = |ended: &AtomicBool| state.over.load(Ordering::Relaxed) || ended.load(Ordering::Relaxed);
    let never = AtomicBool::new(false);
    while let Some((length, client)) = receive(front, &mut buffer, &|| over(&never)) {
        let mapping = state.mapping.load(Ordering::Relaxed);
        let current = mapped.as_ref().filter(|(known, number, ..)| (*known, *number) == (client, mapping));
        let back = match current {
            Some((_, _, back, _)) => Arc::clone(back),
            None => {
                if let Some((_, _, _, ended)) = &mapped {
                    ended.store(true, Ordering::Relaxed);
                }
                let Ok(back) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(Arc::new) else { continue };
                let ended = Arc::new(AtomicBool::new(false));
                let (own, front, done, state) =
                    (Arc::clone(&back), Arc::clone(front), Arc::clone(&ended), Arc::clone(state));
                let thread = std::thread::spawn(move || {
                    let mut buffer = vec![0; 1 << 16];
                    let over = || state.over.load(Ordering::Relaxed) || done.load(Ordering::Relaxed);
                    while let Some((length, _)) = receive(&own, &mut buffer, &over) {
                        if !state.loses() {
                            let _ = front.send_to(&buffer[..length], client);
                        }
                    }
                });
                let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                mapped = Some((client, mapping, Arc::clone(&back), ended));
                back
            }
        };
        if !state.loses() {
            let _ = back.send_to(&buffer[..length], to);
        }
    }
    for thread in threads.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let _ = thread.join();
    }
}

/// `None` at the end. ICMP errors (a port is gone) are no end.
fn receive(socket: &UdpSocket, buffer: &mut [u8], over: &dyn Fn() -> bool) -> Option<(usize, SocketAddr)> {
    socket.set_read_timeout(Some(TICK)).ok()?;
    loop {
        if over() {
            return None;
        }
        match socket.recv_from(buffer) {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            Err(_) => {}
        }
    }
}
