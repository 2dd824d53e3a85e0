use super::*;
use crate::crypto::Random;
use crate::esp::inner::{parse_udp, udp};
use std::net::SocketAddr;

struct Seeded(rand_chacha::ChaCha20Rng);

impl Seeded {
    fn boxed(seed: u64) -> Box<dyn Random> {
        Box::new(Self(rand_chacha::rand_core::SeedableRng::seed_from_u64(seed)))
    }
}

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        rand_chacha::rand_core::Rng::fill_bytes(&mut self.0, out);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A client of the network, without anything between them but, while `cut`, nothing at all.
struct World {
    now: Instant,
    inside: Inside,
    client: Stack,
    cut: bool,
}

impl World {
    fn new() -> Self {
        let networks = vec![Net::new(ip("192.168.10.0"), 24).unwrap(), Net::host(ip("2001:db8::1"))];
        let inside = Inside::new(networks, Seeded::boxed(1));
        let mut client = Stack::new(Seeded::boxed(2), Buffers { receive: 256 << 10, send: 64 << 10 });
        client.set_addresses(&[ip("192.168.20.5"), ip("2001:db8:20::5")]);
        let now = Instant::from_boot(Duration::from_secs(1000));
        Self { now, inside, client, cut: false }
    }

    fn exchange(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            self.client.poll(self.now);
            while let Some(frame) = self.client.poll_transmit() {
                moved = true;
                if !self.cut {
                    self.inside.receive(self.now, frame[HEADROOM..].to_vec());
                }
            }
            self.inside.poll(self.now);
            while let Some(packet) = self.inside.poll_transmit() {
                moved = true;
                if !self.cut {
                    self.client.receive(self.now, packet);
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let timers = [self.client.poll_timeout(self.now), self.inside.poll_timeout(self.now)];
            match timers.into_iter().flatten().min().filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = self.now.max(end);
    }

    fn connect(&mut self, to: &str) -> Handle {
        let to: SocketAddr = to.parse().unwrap();
        let handle = self.client.connect(to).unwrap();
        self.pass(Duration::from_secs(1));
        handle
    }

    fn ask(&mut self, handle: &Handle, request: &str) {
        let sent = self.client.send_with(handle, |room| {
            room[..request.len()].copy_from_slice(request.as_bytes());
            request.len()
        });
        assert_eq!(sent, request.len());
    }

    fn read(&mut self, handle: &Handle) -> Vec<u8> {
        let mut all = Vec::new();
        while self.client.receive_with(handle, |octets| {
            all.extend(octets);
            octets.len()
        }) > 0
        {}
        all
    }

    /// Reads, with time passing, until nothing comes.
    fn read_on(&mut self, handle: &Handle) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            self.pass(Duration::from_secs(1));
            let more = self.read(handle);
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }
}

fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    &answer[end..]
}

#[test]
fn every_address_of_the_network_serves_and_no_other() {
    let mut world = World::new();
    for address in ["192.168.10.1:80", "192.168.10.200:80", "[2001:db8::1]:80"] {
        let handle = world.connect(address);
        world.ask(&handle, "GET /bytes/100000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = world.read_on(&handle);
        assert_eq!(body(&answer).len(), 100_000, "{address}");
        assert_eq!(pattern::first_wrong(0, body(&answer)), None);
        assert_eq!(world.client.inward(&handle), Inward::Finished);
        world.client.close(&handle);
        world.client.release(world.now, handle);
    }
    let nowhere = world.connect("192.168.11.1:80");
    assert_eq!(world.client.stage(&nowhere), Stage::Connecting, "nobody answers there");
    let other = world.connect("192.168.10.1:81");
    assert_eq!(world.client.stage(&other), Stage::Closed, "refused");
    world.pass(Duration::from_secs(700));
    assert!(world.inside.clients.is_empty());
}

#[test]
fn a_download_survives_outages_of_minutes_and_hours() {
    let mut world = World::new();
    let handle = world.connect("192.168.10.1:80");
    world.ask(&handle, "GET /bytes/3000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = Vec::new();
    for outage in [10, 120, 900, 7800] {
        world.exchange();
        answer.extend(world.read(&handle));
        assert!(answer.len() < 3_000_000, "it is still under way");
        world.cut = true;
        // The window is open again, but nobody hears of it.
        world.pass(Duration::from_secs(outage));
        world.cut = false;
        world.pass(Duration::from_secs(6));
    }
    answer.extend(world.read_on(&handle));
    assert_eq!(body(&answer).len(), 3_000_000);
    assert_eq!(pattern::first_wrong(0, body(&answer)), None);
}

#[test]
fn a_client_that_is_gone_for_good_is_forgotten() {
    let mut world = World::new();
    let handle = world.connect("192.168.10.1:80");
    world.ask(&handle, "GET /bytes/3000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    world.exchange();
    world.cut = true;
    world.pass(PATIENCE - Duration::from_secs(60));
    assert_eq!(world.inside.clients.len(), 1);
    world.pass(Duration::from_secs(120));
    assert!(world.inside.clients.is_empty());
    world.pass(Duration::from_secs(700));
    assert_eq!(world.inside.poll_timeout(world.now), None, "no timer is left");
}

#[test]
fn a_client_that_closes_its_side_gets_what_it_asked_for() {
    let mut world = World::new();
    let handle = world.connect("192.168.10.1:80");
    world.ask(&handle, "GET /bytes/2000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    world.client.close(&handle);
    let answer = world.read_on(&handle);
    assert_eq!(body(&answer).len(), 2_000_000);
    assert_eq!(world.client.inward(&handle), Inward::Finished);
    world.pass(Duration::from_secs(30));
    assert!(world.inside.clients.is_empty());
}

#[test]
fn names_are_answered_on_every_address() {
    let mut world = World::new();
    world.inside.add_name("Other.Example.com", ip("192.168.10.7"));
    let query = |name: &str| {
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        udp(ip("192.168.20.5"), 4000, ip("192.168.10.53"), 53, &query)
    };
    for (name, last) in [(NAME, 1), ("other.example.com", 7)] {
        world.inside.receive(world.now, query(name));
        let answer = world.inside.poll_transmit().unwrap();
        let answer = parse_udp(&answer).unwrap();
        assert_eq!((answer.source, answer.source_port), (ip("192.168.10.53"), 53));
        assert!(answer.payload.ends_with(&[192, 168, 10, last]), "{name}");
    }
    for _ in 0..1000 {
        world.inside.receive(world.now, query(NAME));
    }
    assert_eq!(std::iter::from_fn(|| world.inside.poll_transmit()).count(), ANSWERS);
}
