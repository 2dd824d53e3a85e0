//! The way between client and gateway, as long and as lossy as wanted: a host in the middle that passes datagrams on, each after
//! half a round trip. (The kernel of a development machine has no netem.)

use crate::interop::Netns;
use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a thread that nobody needs any more notices it.
const TICK: Duration = Duration::from_millis(50);

/// What the way is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// There and back.
    pub(crate) round_trip: Duration,
    /// Of a hundred datagrams so many are lost, each way.
    pub(crate) loss: u32,
}

/// A datagram on its way.
struct Passing {
    due: u64,
    octets: Vec<u8>,
    out: Arc<UdpSocket>,
    to: SocketAddr,
}

/// See the module. It ends when it is dropped.
pub(crate) struct Relay {
    cut: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Takes the place of a gateway at `front`, both ports of IKE, for the one at `back`.
    pub(crate) fn start(host: &Netns, front: Ipv4Addr, back: Ipv4Addr, way: Way, seed: u64) -> Result<Self> {
        let mut relay = Self { cut: Arc::default(), over: Arc::default(), threads: Vec::new() };
        for port in [500, 4500] {
            let socket = Arc::new(host.run(|| UdpSocket::bind((front, port)))??);
            let line = Line {
                front: socket,
                to: SocketAddr::from((back, port)),
                way,
                cut: Arc::clone(&relay.cut),
                over: Arc::clone(&relay.over),
            };
            let name = host.name().to_owned();
            relay.threads.push(std::thread::spawn(move || {
                // A thread that cannot be where it belongs shows in every figure as silence.
                let _ = crate::interop::inside(&name, || line.serve(seed + u64::from(port)));
            }));
        }
        Ok(relay)
    }

    /// Nothing passes while it is cut, and what is under way is lost.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
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

/// One port of the gateway.
struct Line {
    front: Arc<UdpSocket>,
    to: SocketAddr,
    way: Way,
    cut: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Line {
    /// Each client has a socket of its own towards the gateway, as behind a NAT.
    fn serve(&self, seed: u64) {
        let mut backs: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        std::thread::scope(|scope| {
            let (there, passing) = mpsc::channel();
            scope.spawn(move || self.deliver(&passing));
            let (back, passing) = mpsc::channel();
            scope.spawn(move || self.deliver(&passing));
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut buffer = vec![0; 1 << 16];
            while let Some((length, client)) = self.receive(&self.front, &mut buffer) {
                let out = match backs.get(&client) {
                    Some(out) => Arc::clone(out),
                    None => {
                        let Ok(out) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else { return };
                        let out = Arc::new(out);
                        backs.insert(client, Arc::clone(&out));
                        let (own, back) = (Arc::clone(&out), back.clone());
                        let seed = random.next_u64();
                        scope.spawn(move || self.back(&own, client, &back, seed));
                        out
                    }
                };
                self.pass(&buffer[..length], out, self.to, &there, &mut random);
            }
        });
    }

    fn back(&self, own: &Arc<UdpSocket>, client: SocketAddr, way: &mpsc::Sender<Passing>, seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut buffer = vec![0; 1 << 16];
        while let Some((length, _)) = self.receive(own, &mut buffer) {
            self.pass(&buffer[..length], Arc::clone(&self.front), client, way, &mut random);
        }
    }

    fn pass(
        &self,
        octets: &[u8],
        out: Arc<UdpSocket>,
        to: SocketAddr,
        way: &mpsc::Sender<Passing>,
        random: &mut ChaCha8Rng,
    ) {
        let lost = random.next_u32() % 100 < self.way.loss;
        if lost || self.cut.load(Ordering::Relaxed) {
            return;
        }
        let delay = u64::try_from(self.way.round_trip.as_nanos() / 2).unwrap_or_default();
        let _ = way.send(Passing { due: crate::track::now() + delay, octets: octets.to_vec(), out, to });
    }

    /// All take equally long, so the first to come is the first to go.
    fn deliver(&self, passing: &mpsc::Receiver<Passing>) {
        while let Ok(Passing { due, octets, out, to }) = passing.recv() {
            crate::track::sleep_until(due);
            if !self.cut.load(Ordering::Relaxed) {
                let _ = out.send_to(&octets, to);
            }
        }
    }

    /// `None` at the end. ICMP errors (the client's port is gone) are no end.
    fn receive(&self, socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        socket.set_read_timeout(Some(TICK)).ok()?;
        loop {
            if self.over.load(Ordering::Relaxed) {
                return None;
            }
            match socket.recv_from(buffer) {
                Ok(received) => return Some(received),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
                Err(_) => {}
            }
        }
    }
}
