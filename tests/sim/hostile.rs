//! Floods, recordings played again, and a gateway that sends what was not agreed: the session stays, the memory too, the log is short.

use crate::harness::{LAB, Parcel, Seeded, Setup, World};
use ikeep::client::Event;
use ikeep::crypto::{Random, Secret};
use ikeep::esp::{HEADROOM, SaPair, SaParams, TAILROOM, inner};
use ikeep::gateway::{GatewayConfig, Port};
use ikeep::ike::message::{Exchange, Notify, Outgoing, Payload, encode_message, notify};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Datagrams of a flood.
const FLOOD: u64 = 100_000;
/// What may stay in memory after it.
const KEPT: i64 = 64 * 1024;

fn world(seed: u64, rekey: u64) -> World {
    let setup = Setup { rekey, ..Setup::plain(seed) };
    let mut world = World::with(seed, |g| setup.gateway(g), |c| setup.client(c));
    world.connect(5 * SECOND);
    world
}

/// What says that a session was disturbed.
fn disturbances(world: &World) -> usize {
    world.count(|event| {
        !matches!(
            event,
            Event::Dropped { .. } | Event::IkeRekeyed | Event::ChildRekeyed | Event::StoreSession(_)
        )
    })
}

#[test]
fn everything_that_was_ever_sent_is_sent_again_and_again() {
    for seed in [31, 32] {
        let mut world = world(seed, 20);
        world.tape = Some(Vec::new());
        world.echo_every = Some(SECOND / 5);
        // IKE SAs live 60 s here, Child SAs 20 s: of both there have been several, and a reconnect.
        world.run_for(150 * SECOND);
        world.roam_to(0, 0);
        world.run_until_state("connected", 5 * SECOND);
        world.run_for(40 * SECOND);
        assert!(world.count(|e| matches!(e, Event::IkeRekeyed)) >= 2, "{}", world.history());
        assert!(world.count(|e| matches!(e, Event::Reconnected(_))) >= 1, "{}", world.history());
        world.echo_every = None;
        world.run_for(SECOND);
        let tape = world.tape.take().expect("a tape");
        assert!(tape.len() > 1_000, "{} datagrams", tape.len());

        let before = (disturbances(&world), world.echoes_back, world.gateway().counters());
        let count = tape.len() as u64;
        // In the order of before, then in any order, twice each.
        let mut order = Seeded::new(seed);
        let shuffled = (0..2 * count).map(|_| order.below(count) as usize);
        for at in (0..tape.len()).chain(shuffled.collect::<Vec<_>>()) {
            world.play(tape[at].clone());
            if at % 64 == 0 {
                world.run_for(Duration::from_millis(10));
            }
        }
        world.run_for(5 * SECOND);
        let after = (disturbances(&world), world.echoes_back, world.gateway().counters());
        assert_eq!((before.0, before.1), (after.0, after.1), "{}", world.history());
        assert_eq!(before.2.active, after.2.active, "no session ends or begins");
        assert_eq!(before.2.reconnects_ok, after.2.reconnects_ok, "{:?}", after.2);
        assert_eq!(after.2.aaa_requests, 1, "nobody had to log in");
        assert!(world.is_connected());

        let sent = world.echoes_sent;
        world.echo_every = Some(SECOND / 5);
        world.run_for(60 * SECOND);
        let (asked, back) = (world.echoes_sent - sent, world.echoes_back - after.1);
        assert!(asked >= 299 && back + 2 >= asked, "{back} of {asked}: {}", world.history());
    }
}

/// What somebody sends who sees everything and has no keys: a new one for each number.
struct Flood {
    random: Seeded,
    recorded: Vec<Vec<u8>>,
    spis: ([u8; 8], [u8; 8]),
    esp: (u32, u32),
}

impl Flood {
    fn next(&mut self, number: u64) -> Vec<u8> {
        let mut some = |least: u64, most: u64| {
            let mut octets = vec![0; self.random.between(least, most) as usize];
            self.random.fill(&mut octets);
            octets
        };
        let (spi_i, spi_r) = self.spis;
        let head = |exchange, message_id, response| Outgoing {
            spi_i,
            spi_r,
            exchange,
            initiator: false,
            response,
            message_id,
        };
        // An INFORMATIONAL or CREATE_CHILD_SA whose one payload is of this type and holds that.
        let sealed = |kind: u8, exchange, message_id, body: Vec<u8>| {
            let mut message =
                [vec![0; 4], encode_message(&head(exchange, message_id, number.is_multiple_of(2)), &[])]
                    .concat();
            message[4 + 16] = kind;
            let length = (body.len() + 4) as u16;
            message.extend([0, 0]);
            message.extend(length.to_be_bytes());
            message.extend(body);
            let whole = (message.len() - 4) as u32;
            message[4 + 24..4 + 28].copy_from_slice(&whole.to_be_bytes());
            message
        };
        let id = (number / 16 % 8) as u32;
        match number % 10 {
            0 => some(0, 1_400),
            1 => [&self.esp.0.to_be_bytes()[..], &(number as u32).to_be_bytes(), &some(20, 1_400)].concat(),
            2 => {
                let mut octets = self.recorded[number as usize % self.recorded.len()].clone();
                if let Some(last) = octets.last_mut() {
                    *last ^= 1;
                }
                octets
            }
            3 => self.recorded[number as usize % self.recorded.len()].clone(),
            4 => sealed(46, Exchange::Informational, id, some(40, 1_200)),
            5 => sealed(46, Exchange::CreateChildSa, id, some(40, 1_200)),
            6 => {
                let (part, parts) = (number as u16 % 64 + 1, 64u16);
                let body = [&part.to_be_bytes()[..], &parts.to_be_bytes(), &some(40, 1_200)].concat();
                sealed(53, Exchange::Informational, id, body)
            }
            7 => {
                let kinds = [
                    notify::INVALID_SYNTAX,
                    notify::AUTHENTICATION_FAILED,
                    notify::INVALID_IKE_SPI,
                    notify::COOKIE,
                ];
                let kind = kinds[number as usize / 10 % kinds.len()];
                let payloads = [Payload::Notify(Notify::status(kind, []))];
                [vec![0; 4], encode_message(&head(Exchange::Informational, id, true), &payloads)].concat()
            }
            8 => {
                let lost = Notify::status(notify::INVALID_SPI, self.esp.1.to_be_bytes());
                let payloads = [Payload::Notify(lost)];
                [vec![0; 4], encode_message(&head(Exchange::Informational, 0, false), &payloads)].concat()
            }
            _ if number % 100 == 9 => some(60_000, 65_507),
            _ => [vec![0; 4], encode_message(&head(Exchange::IkeSaInit, 0, true), &[])].concat(),
        }
    }
}

#[test]
fn a_hundred_thousand_datagrams_in_a_moment_cost_no_session_and_no_memory() {
    let mut world = world(41, 3_300);
    world.tape = Some(Vec::new());
    world.echo_every = Some(SECOND / 10);
    world.run_for(20 * SECOND);
    let inward = |parcel| match parcel {
        Parcel::ToLaptop { octets, .. } => Some(octets),
        Parcel::ToSite { .. } => None,
    };
    let recorded: Vec<_> = world.tape.take().expect("a tape").into_iter().filter_map(inward).collect();
    let status = world.client().status(world.now.at);
    let (ike, child) = (status.ike.expect("an IKE SA"), status.child.expect("a Child SA"));
    let mut flood =
        Flood { random: Seeded::new(41), recorded, spis: ike.spis, esp: (child.spi_in, child.spi_out) };
    let (path, _) = world.ways[0].expect("a path");
    let gateway: SocketAddr = "10.9.0.1:4500".parse().expect("an address");
    let (now, before) = (world.now, disturbances(&world));
    let client = world.client.as_mut().expect("it runs");
    let (mut inner_packets, mut answers, mut lines) = (0u64, 0, Vec::new());
    let heap = allocation_counter::measure(|| {
        for number in 0..FLOOD {
            let mut datagram = flood.next(number);
            inner_packets += u64::from(client.handle_datagram(now, path, gateway, &mut datagram).is_some());
            while client.poll_transmit().is_some() {
                answers += 1;
            }
            while let Some(event) = client.poll_event() {
                lines.push(event);
            }
        }
    });
    assert_eq!(inner_packets, 0, "nothing of it is an inner packet");
    assert!(answers <= 2, "{answers} datagrams in answer");
    assert!(lines.len() <= 2, "{lines:?}");
    assert!(heap.bytes_current < KEPT, "{heap:?}");
    assert!(heap.bytes_max < 1 << 20, "{heap:?}");

    let (sent, back) = (world.echoes_sent, world.echoes_back);
    world.run_for(60 * SECOND);
    let (sent, back) = (world.echoes_sent - sent, world.echoes_back - back);
    assert!(sent >= 599 && back + 2 >= sent, "{back} of {sent}: {}", world.history());
    assert_eq!(disturbances(&world), before, "{}", world.history());
    assert!(world.is_connected());
}

#[test]
fn a_hundred_thousand_beginnings_cost_the_gateway_no_memory_and_nobody_their_session() {
    let mut world = world(42, 3_300);
    world.tape = Some(Vec::new());
    world.reconnect_by_hand();
    let begins = |parcel: &Parcel| match parcel {
        Parcel::ToSite { octets, port, .. } => {
            let message = octets.strip_prefix(&[0; 4]).filter(|_| *port == Port::Nat).unwrap_or(octets);
            (message.get(18) == Some(&34)).then(|| message.to_vec())
        }
        Parcel::ToLaptop { .. } => None,
    };
    let tape = world.tape.take().expect("a tape");
    let init = tape.iter().find_map(begins).expect("IKE_SA_INIT");
    world.echo_every = Some(SECOND / 10);
    world.run_for(5 * SECOND);
    let limits =
        GatewayConfig::seed([10, 9, 0, 1].into(), Vec::new(), LAB.signer(crate::harness::Certificate::P256));
    let limit = limits.half_open_limit;
    let now = world.now;
    let mut random = Seeded::new(42);
    let (mut answers, mut told) = (0u64, 0u64);
    let gateway = world.gateway_mut();
    let mut flood = |count: u64| {
        for number in 0..count {
            let mut datagram = init.clone();
            random.fill(&mut datagram[..8]);
            let from = SocketAddr::from((
                [198, 51, (number >> 8) as u8, number as u8],
                1_024 + (number % 60_000) as u16,
            ));
            gateway.handle_datagram(now, from, Port::Ike, &mut datagram);
            while gateway.poll_transmit().is_some() {
                answers += 1;
            }
            while gateway.poll_event().is_some() {
                told += 1;
            }
        }
        gateway.counters().half_open
    };
    // What half-open logins cost at most is there, and from then on nothing more.
    let first = allocation_counter::measure(|| {
        flood(FLOOD / 50);
    });
    let mut half_open = 0;
    let second = allocation_counter::measure(|| half_open = flood(FLOOD));
    assert!(half_open <= limit, "{half_open} of {limit}");
    assert!(first.bytes_current < 4 << 20, "{first:?}");
    assert!(second.bytes_current < KEPT, "{second:?}");
    assert!(answers > FLOOD / 2, "{answers}: cookies, which cost nothing to keep");
    assert!(told <= 256 * 5, "{told} lines: five a second for each of 256 peers at most");

    let (sent, back) = (world.echoes_sent, world.echoes_back);
    world.run_for(60 * SECOND);
    let (sent, back) = (world.echoes_sent - sent, world.echoes_back - back);
    assert!(back + 2 >= sent, "{back} of {sent}: {}", world.history());
    assert!(world.is_connected());
    assert_eq!(world.gateway().counters().half_open, 0, "forgotten");
    world.reconnect_by_hand();
}

impl World {
    fn reconnect_by_hand(&mut self) {
        self.order(ikeep::client::Order::Reconnect);
        self.run_until_state("connected", 5 * SECOND);
    }
}

/// The gateway's end of a Child SA.
fn other_end(ours: &SaParams) -> SaPair {
    let copy = |secret: &Secret| Secret::new(secret.expose().to_vec());
    SaPair::new(SaParams {
        spi_in: ours.spi_out,
        spi_out: ours.spi_in,
        encr_in: copy(&ours.encr_out),
        integ_in: copy(&ours.integ_out),
        encr_out: copy(&ours.encr_in),
        integ_out: copy(&ours.integ_in),
        // Whatever is said: this end seals anything.
        local: vec![ikeep::esp::TrafficSelector::any_v4(), ikeep::esp::TrafficSelector::any_v6()],
        remote: vec![ikeep::esp::TrafficSelector::any_v4(), ikeep::esp::TrafficSelector::any_v6()],
        ..ours.clone()
    })
}

#[test]
fn inner_packets_that_were_not_agreed_go_nowhere() {
    let setup = Setup::plain(51);
    let mut world = World::with(
        51,
        |g| setup.gateway(g),
        |c| {
            setup.client(c);
            c.key_log = true;
        },
    );
    world.connect(5 * SECOND);
    let keys = world.events.iter().find_map(|(_, event)| match event {
        Event::EspKeys(keys) => Some(other_end(keys)),
        _ => None,
    });
    let mut rogue = keys.expect("keys");
    let own: IpAddr = world.client().plan().and_then(|plan| plan.address4).expect("an address").into();
    let v4 = |text: &str| text.parse::<IpAddr>().expect("an address");
    let packet =
        |source: &str, destination: IpAddr| inner::echo_reply(v4(source), destination, 1, 1, &[7; 40]);
    let honest = packet("10.1.2.3", own);
    let mut longer = honest.clone();
    longer[3] = longer[3].wrapping_add(200);
    let mut version = honest.clone();
    version[0] = 0x55;
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        ("agreed", honest.clone(), true),
        ("to another host of the pool", packet("10.1.2.3", v4("192.168.20.200")), false),
        ("to this machine's loopback", packet("10.1.2.3", v4("127.0.0.1")), false),
        ("to everybody", packet("10.1.2.3", v4("255.255.255.255")), false),
        ("to a group", packet("10.1.2.3", v4("224.0.0.251")), false),
        ("to the LAN's address", packet("10.1.2.3", v4("10.0.0.2")), false),
        ("of the family that was not agreed", packet("fd00:20::1", v4("fd00:20::5")), false),
        ("longer than it is", longer, false),
        ("of no version", version, false),
        ("a header's half", honest[..10].to_vec(), false),
        ("agreed again", honest, true),
    ];
    let (path, _) = world.ways[0].expect("a path");
    let gateway = "10.9.0.1:4500".parse().expect("an address");
    let now = world.now;
    for (what, inner, passes) in cases {
        let mut frame = vec![0; HEADROOM];
        frame.reserve(inner.len() + TAILROOM);
        frame.extend(&inner);
        let Ok(range) = rogue.seal(&mut frame, &mut Seeded::new(1)) else {
            assert!(!passes, "{what}");
            continue;
        };
        let mut datagram = frame[range].to_vec();
        let client = world.client.as_mut().expect("it runs");
        let opened = client.handle_datagram(now, path, gateway, &mut datagram);
        assert_eq!(opened.is_some(), passes, "{what}");
        // Once more: a number counts once, whatever it held.
        assert!(client.handle_datagram(now, path, gateway, &mut datagram.clone()).is_none(), "{what}, again");
    }
    world.echo_every = Some(SECOND);
    world.run_for(30 * SECOND);
    assert!(world.is_connected());
    assert_eq!(world.count(|e| matches!(e, Event::Reconnected(_) | Event::ChildDoubted)), 0);
}
