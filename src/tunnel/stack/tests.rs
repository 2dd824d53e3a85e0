//! Two stacks back to back in virtual time, with a network between them that loses, doubles, delays and reorders.

use super::*;
use crate::esp::HEADROOM;
use crate::esp::inner::{InnerPacket, udp};
use crate::tunnel::MTU;
use crate::tunnel::testing::{Seeded, ip, octet, octets};
use std::collections::BTreeMap;

mod outage;

const CLIENT: &str = "192.168.20.5";
const SERVER: &str = "192.168.10.1:80";
const SMALL: Buffers = Buffers { receive: 64 << 10, send: 64 << 10 };
const SECOND: Duration = Duration::from_secs(1);

/// What the network does, in percent and milliseconds.
#[derive(Clone, Copy, Default)]
struct Weather {
    loss: u64,
    twice: u64,
    delay: u64,
    jitter: u64,
    /// Nothing passes.
    down: bool,
}

struct World {
    now: Instant,
    random: Seeded,
    weather: Weather,
    client: Stack,
    server: Stack,
    /// By arrival: for the client? and the packet.
    under_way: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    sent: u64,
    passed: u64,
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        Self::with(seed, weather, SMALL, 8)
    }

    fn with(seed: u64, weather: Weather, buffers: Buffers, connections: usize) -> Self {
        let mut client = Stack::new(Seeded::boxed(seed), buffers);
        client.set_addresses(&[ip(CLIENT), ip("2001:db8:20::5")]);
        let mut server = Stack::new(Seeded::boxed(seed + 1), buffers);
        server.own_everything();
        server.listen(80, connections);
        let now = Instant::from_boot(Duration::from_secs(1000));
        let random = Seeded::new(seed + 2);
        Self { now, random, weather, client, server, under_way: BTreeMap::new(), sent: 0, passed: 0 }
    }

    fn carry(&mut self) {
        loop {
            let frames: Vec<(bool, Vec<u8>)> = std::iter::from_fn(|| {
                let for_server = self.client.poll_transmit().map(|frame| (false, frame));
                for_server.or_else(|| self.server.poll_transmit().map(|frame| (true, frame)))
            })
            .collect();
            if frames.is_empty() {
                return;
            }
            for (for_client, frame) in frames {
                assert!(frame[..HEADROOM].iter().all(|octet| *octet == 0));
                let packet = frame[HEADROOM..].to_vec();
                let inner = InnerPacket::parse(&packet).expect("an IP packet");
                assert!(inner.length == packet.len() && packet.len() <= MTU);
                let copies = 1 + u64::from(self.random.below(100) < self.weather.twice);
                for _ in 0..copies {
                    if self.weather.down || self.random.below(100) < self.weather.loss {
                        continue;
                    }
                    let delay = self.weather.delay + self.random.below(self.weather.jitter + 1);
                    self.sent += 1;
                    let at = self.now + Duration::from_millis(delay);
                    self.under_way.insert((at, self.sent), (for_client, packet.clone()));
                }
            }
            self.client.poll(self.now);
            self.server.poll(self.now);
        }
    }

    /// Plays what is due now, then lets time pass to the next event; false where there is none before `end`.
    fn step(&mut self, end: Instant) -> bool {
        self.client.poll(self.now);
        self.server.poll(self.now);
        self.carry();
        let network = self.under_way.keys().next().map(|(at, _)| *at);
        let timers = [self.client.poll_timeout(self.now), self.server.poll_timeout(self.now)];
        let next = timers.into_iter().flatten().chain(network).min();
        let Some(next) = next.filter(|at| *at <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(next);
        while let Some(first) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (for_client, packet) = first.remove();
            self.passed += 1;
            let stack = if for_client { &mut self.client } else { &mut self.server };
            stack.receive(self.now, packet);
        }
        true
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Until `done`, at most `limit`.
    fn until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if !self.step(end) {
                return done(self);
            }
        }
    }

    /// A connection, both ends.
    fn connected(&mut self) -> (Handle, Handle) {
        let client = self.client.connect(SERVER.parse().unwrap()).unwrap();
        let mut server = None;
        assert!(self.until(60 * SECOND, |world| {
            server = server.take().or_else(|| world.server.accept());
            server.is_some() && world.client.stage(&client) == Stage::Open
        }));
        (client, server.unwrap())
    }
}

fn push(stack: &mut Stack, handle: &Handle, sent: &mut u64, total: u64) {
    while *sent < total && stack.can_send(handle) {
        *sent += stack.send_with(handle, |room| {
            let length = room.len().min((total - *sent) as usize);
            room[..length].copy_from_slice(&octets(*sent, length));
            length
        }) as u64;
    }
}

fn pull(stack: &mut Stack, handle: &Handle, received: &mut u64) {
    while stack.unread(handle) > 0 {
        *received += stack.receive_with(handle, |octets| {
            for (at, value) in (*received..).zip(octets) {
                assert_eq!(*value, octet(at), "octet {at}");
            }
            octets.len()
        }) as u64;
    }
}

/// So many octets up and down and a regular end, within `limit`; the time it took.
fn exchange(
    world: &mut World,
    (total_up, total_down): (u64, u64),
    limit: Duration,
    mut each: impl FnMut(&mut World),
) -> Duration {
    let begun = world.now;
    let (client, server) = world.connected();
    let (mut up, mut down, mut up_got, mut down_got) = (0, 0, 0, 0);
    let (mut up_closed, mut down_closed) = (false, false);
    let done = world.until(limit, |world| {
        each(world);
        push(&mut world.client, &client, &mut up, total_up);
        push(&mut world.server, &server, &mut down, total_down);
        pull(&mut world.client, &client, &mut down_got);
        pull(&mut world.server, &server, &mut up_got);
        if up == total_up && !up_closed {
            world.client.close(&client);
            up_closed = true;
        }
        if down == total_down && !down_closed {
            world.server.close(&server);
            down_closed = true;
        }
        let ends = (world.client.inward(&client), world.server.inward(&server));
        assert!(ends.0 != Inward::Aborted && ends.1 != Inward::Aborted, "aborted at {up_got} and {down_got}");
        ends == (Inward::Finished, Inward::Finished)
    });
    assert!(done, "up {up_got}, down {down_got} after {:?}", world.now.since(begun));
    assert_eq!((up_got, down_got), (total_up, total_down));
    let took = world.now.since(begun);
    world.client.release(world.now, client);
    world.server.release(world.now, server);
    took
}

/// Runs `test` with many seeds and says which one failed.
fn seeds(count: u64, test: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in 0..count {
        if let Err(panic) = std::panic::catch_unwind(|| test(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn octets_arrive_whole_and_in_order_both_ways_whatever_the_network_does() {
    seeds(20, |seed| {
        let weather = Weather { loss: seed % 6, twice: 3, delay: 10, jitter: seed % 4 * 10, down: false };
        let mut world = World::new(seed, weather);
        exchange(&mut world, (300_000, 300_000), 600 * SECOND, |_| {});
        // The rest of both is delivered, TIME-WAIT passes, and nothing is left of it.
        world.weather = Weather { delay: 10, ..Weather::default() };
        world.pass(700 * SECOND);
        assert_eq!(world.client.flows.len(), 0);
        assert_eq!(world.server.flows.len(), 1, "the one for the next connection");
    });
}

#[test]
fn an_idle_connection_survives_hours_without_a_packet_or_a_timer() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let (client, server) = world.connected();
    world.pass(SECOND);
    let passed = world.passed;
    assert_eq!(world.client.poll_timeout(world.now), None);
    assert_eq!(world.server.poll_timeout(world.now), None);
    world.pass(20_000 * SECOND);
    assert_eq!(world.passed, passed);
    let (mut sent, mut got) = (0, 0);
    push(&mut world.client, &client, &mut sent, 1000);
    assert!(world.until(SECOND, |world| {
        pull(&mut world.server, &server, &mut got);
        got == 1000
    }));
}

#[test]
fn a_peer_that_does_not_read_stops_the_sender_and_nothing_is_lost() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let (client, server) = world.connected();
    let (total, mut sent, mut got) = (1_000_000, 0, 0);
    world.until(30 * SECOND, |world| {
        push(&mut world.server, &server, &mut sent, total);
        false
    });
    assert!(sent <= (SMALL.receive + SMALL.send) as u64, "{sent} octets were taken");
    assert!(world.client.unread(&client) <= SMALL.receive);
    assert!(world.until(600 * SECOND, |world| {
        push(&mut world.server, &server, &mut sent, total);
        pull(&mut world.client, &client, &mut got);
        got == total
    }));
}

#[test]
fn half_closed_is_closed_one_way_only() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let (client, server) = world.connected();
    world.client.close(&client);
    assert!(world.until(SECOND, |world| world.server.inward(&server) == Inward::Finished));
    let (mut sent, mut got) = (0, 0);
    assert!(world.until(60 * SECOND, |world| {
        push(&mut world.server, &server, &mut sent, 200_000);
        pull(&mut world.client, &client, &mut got);
        got == 200_000
    }));
    world.server.close(&server);
    assert!(world.until(SECOND, |world| world.client.inward(&client) == Inward::Finished));
}

#[test]
fn a_reset_is_a_reset_on_the_other_side_after_what_came_before() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let (client, server) = world.connected();
    let mut sent = 0;
    push(&mut world.server, &server, &mut sent, 1000);
    world.pass(SECOND);
    world.server.release(world.now, server);
    world.pass(SECOND);
    assert_eq!(world.client.stage(&client), Stage::Closed);
    assert_eq!(world.client.inward(&client), Inward::Open, "1000 octets are to be read");
    let mut got = 0;
    pull(&mut world.client, &client, &mut got);
    assert_eq!((got, world.client.inward(&client)), (1000, Inward::Aborted));
    assert!(!world.client.may_send(&client));
}

#[test]
fn a_closed_port_refuses_and_an_address_of_another_family_cannot_be_reached() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let refused = world.client.connect("192.168.10.1:81".parse().unwrap()).unwrap();
    assert!(world.until(SECOND, |world| world.client.stage(&refused) == Stage::Closed));
    world.client.release(world.now, refused);
    world.client.set_addresses(&[ip("2001:db8:20::5")]);
    let four = world.client.connect(SERVER.parse().unwrap());
    assert_eq!(four.err(), Some(ConnectError::NoAddress(ip("192.168.10.1"))));
    for bad in ["[ff02::1]:80", "[2001:db8::1]:0", "[::]:80"] {
        let to: SocketAddr = bad.parse().unwrap();
        assert_eq!(world.client.connect(to).err(), Some(ConnectError::NoDestination(to)));
    }
    world.pass(SECOND);
    assert_eq!(world.client.flows.len(), 0);
}

#[test]
fn a_connection_goes_with_its_address_and_the_others_stay() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let (four, _server4) = world.connected();
    let six = world.client.connect("[2001:db8:10::1]:80".parse().unwrap()).unwrap();
    assert!(world.until(SECOND, |world| world.client.stage(&six) == Stage::Open));
    world.client.set_addresses(&[ip("192.168.20.6"), ip("2001:db8:20::5")]);
    world.pass(SECOND);
    assert_eq!(world.client.stage(&four), Stage::Closed);
    assert_eq!(world.client.inward(&four), Inward::Aborted);
    assert_eq!(world.client.stage(&six), Stage::Open);
    // An address that no host can have is none.
    world.client.set_addresses(&[ip("255.255.255.255"), ip("224.0.0.1"), ip("0.0.0.0"), ip("::")]);
    world.pass(SECOND);
    assert_eq!(world.client.stage(&six), Stage::Closed);
}

#[test]
fn connections_that_are_over_leave_nothing_behind_however_many_there_were() {
    let mut world = World::new(1, Weather::default());
    // One that stays first: those behind it are not looked at.
    let (client, server) = world.connected();
    world.server.close(&server);
    world.pass(SECOND);
    world.weather.down = true;
    push(&mut world.client, &client, &mut 0, 1000);
    world.client.close(&client);
    world.client.release(world.now, client);
    for _ in 0..4 * ORPHANS {
        let handle = world.client.connect(SERVER.parse().unwrap()).unwrap();
        world.client.release(world.now, handle);
        world.client.poll(world.now);
        while world.client.poll_transmit().is_some() {}
    }
    assert!(world.client.orphans.len() <= 2 * ORPHANS + 1, "{} entries", world.client.orphans.len());
    assert!(world.client.flows.len() <= 2, "{} connections", world.client.flows.len());
}

#[test]
fn more_connections_than_allowed_are_refused_until_one_is_released() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let mut pairs: Vec<_> = (0..8).map(|_| world.connected()).collect();
    let ninth = world.client.connect(SERVER.parse().unwrap()).unwrap();
    assert!(world.until(SECOND, |world| world.client.stage(&ninth) == Stage::Closed), "refused");
    let (_client, server) = pairs.remove(0);
    world.server.release(world.now, server);
    let again = world.client.connect(SERVER.parse().unwrap()).unwrap();
    assert!(world.until(SECOND, |world| world.client.stage(&again) == Stage::Open));
    let ports: std::collections::BTreeSet<_> =
        pairs.iter().filter_map(|(client, _)| world.client.local(client)).collect();
    assert_eq!(ports.len(), 7, "each has a port of its own");
}

#[test]
fn half_open_connections_are_forgotten() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    for _ in 0..200 {
        let _ = world.client.connect(SERVER.parse().unwrap()).unwrap();
    }
    world.client.poll(world.now);
    let mut syns = 0;
    loop {
        while let Some(frame) = world.client.poll_transmit() {
            world.server.receive(world.now, frame[HEADROOM..].to_vec());
            syns += 1;
        }
        world.client.poll(world.now);
        if !world.client.has_transmit() {
            break;
        }
    }
    assert_eq!(syns, 200);
    assert!(world.server.flows.len() <= listener::HALF_OPEN);
    world.client.set_addresses(&[]);
    world.pass(31 * SECOND);
    assert_eq!(world.server.flows.len(), 1);
}

#[test]
fn rubbish_does_no_harm() {
    let mut world = World::new(1, Weather::default());
    let mut random = Seeded::new(9);
    let (client, _server) = world.connected();
    for length in (0..200).chain([1390, 1500, 65_535]) {
        let mut packet = vec![0; length];
        random.fill(&mut packet);
        for version in [0x45, 0x60] {
            if let Some(first) = packet.first_mut() {
                *first = version;
            }
            world.client.receive(world.now, packet.clone());
            world.server.receive(world.now, packet.clone());
        }
    }
    let probe = udp(ip("192.168.10.1"), 9, ip(CLIENT), 9, b"probe");
    for _ in 0..2000 {
        world.client.receive(world.now, probe.clone());
    }
    let waiting = std::iter::from_fn(|| world.client.poll_transmit()).count();
    assert!(waiting <= 512, "answers that nobody takes are bounded: {waiting}");
    assert_eq!(world.client.stage(&client), Stage::Open);
}

/// A segment that a peer might send who wants to do harm, or whose memory is broken: checksums are right.
fn forge(random: &mut Seeded, packet: &mut Vec<u8>) {
    use smoltcp::wire::{TcpPacket, TcpSeqNumber};
    const HEADER: usize = 20;
    let near = |value: i32, random: &mut Seeded| match random.below(6) {
        0 => value,
        1 => value.wrapping_add(random.below(3) as i32 - 1),
        2 => value.wrapping_add(random.below(200_000) as i32 - 100_000),
        3 => value.wrapping_add(i32::MIN).wrapping_add(random.below(3) as i32 - 1),
        _ => random.u64() as i32,
    };
    if random.below(4) == 0 && packet.len() > 60 {
        packet.truncate(60 + random.below((packet.len() - 60) as u64) as usize);
        let length = (packet.len() as u16).to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        packet[10..12].fill(0);
        let sum =
            packet[..HEADER].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    }
    let (source, destination) = (ip("192.168.10.1").into(), ip(CLIENT).into());
    let mut segment = TcpPacket::new_unchecked(&mut packet[HEADER..]);
    for _ in 0..=random.below(3) {
        match random.below(7) {
            0 => segment.set_seq_number(TcpSeqNumber(near(segment.seq_number().0, random))),
            1 => segment.set_ack_number(TcpSeqNumber(near(segment.ack_number().0, random))),
            2 => segment.set_window_len(random.u64() as u16 >> random.below(16)),
            3 => segment.set_syn(random.below(2) == 0),
            4 => segment.set_fin(random.below(2) == 0),
            5 => segment.set_ack(random.below(4) != 0),
            _ if segment.header_len() > 20 => {
                let options = segment.options_mut();
                let at = random.below(options.len() as u64) as usize;
                options[at] = random.u64() as u8;
            }
            _ => segment.set_rst(random.below(8) == 0),
        }
    }
    segment.fill_checksum(&source, &destination);
}

#[test]
fn a_peer_that_lies_can_break_its_connection_only() {
    seeds(30, |seed| {
        let mut world = World::new(seed, Weather { delay: 5, jitter: 5, twice: 10, ..Weather::default() });
        let mut random = Seeded::new(seed + 77);
        let client = world.client.connect(SERVER.parse().unwrap()).unwrap();
        let (mut server, mut sent, mut sent_back) = (None, 0, 0);
        for round in 0..200 {
            push(&mut world.client, &client, &mut sent, 40_000);
            server = server.or_else(|| world.server.accept());
            if let Some(server) = &server {
                push(&mut world.server, server, &mut sent_back, 400_000);
            }
            if round == 100 {
                world.client.close(&client);
            }
            // Some lie from the first answer on, the others once they are trusted.
            let lies = seed % 2 == 0 || server.is_some();
            for (for_client, packet) in world.under_way.values_mut() {
                if *for_client && lies && random.below(10) == 0 {
                    forge(&mut random, packet);
                }
            }
            let end = world.now + Duration::from_millis(400);
            for _ in 0..10 {
                world.step(end);
            }
            world.client.receive_with(&client, <[u8]>::len);
            if world.client.stage(&client) == Stage::Closed {
                break;
            }
        }
        // Others are not concerned.
        assert!(world.client.connect(SERVER.parse().unwrap()).is_ok());
    });
}

/// The first of them have large buffers, the last have small ones: what they get is the same nevertheless, either way.
#[test]
fn many_at_once_get_equal_parts_whichever_came_first() {
    const FLOWS: usize = 80;
    let weather = Weather { delay: 20, ..Weather::default() };
    let mut world = World::with(5, weather, Buffers { receive: 512 << 10, send: 512 << 10 }, FLOWS);
    let flows: Vec<_> = (0..FLOWS).map(|_| world.connected()).collect();
    let mut moved = vec![(0_u64, 0_u64); FLOWS];
    let move_for = |world: &mut World, moved: &mut Vec<(u64, u64)>, time: Duration| {
        let end = world.now + time;
        loop {
            for ((client, server), (down, up)) in flows.iter().zip(moved.iter_mut()) {
                for (to, handle) in [(&mut world.server, server), (&mut world.client, client)] {
                    while to.can_send(handle) {
                        assert!(to.send_with(handle, |room| room.len()) > 0, "what can send has room");
                    }
                }
                for (at, handle, count) in
                    [(&mut world.client, client, down), (&mut world.server, server, up)]
                {
                    while at.unread(handle) > 0 {
                        *count += at.receive_with(handle, <[u8]>::len) as u64;
                    }
                }
            }
            if !world.step(end) {
                return;
            }
        }
    };
    // Until it is known how many there are.
    move_for(&mut world, &mut moved, 2 * SECOND);
    moved.fill((0, 0));
    move_for(&mut world, &mut moved, SECOND);
    for (way, octets) in [("down", 0), ("up", 1)]
        .map(|(way, which)| (way, moved.iter().map(|m| [m.0, m.1][which]).collect::<Vec<u64>>()))
    {
        let (least, most) = (octets.iter().min().unwrap(), octets.iter().max().unwrap());
        assert!(*least > 0 && *most <= least * 2, "{way}: from {least} to {most} octets");
    }
}
