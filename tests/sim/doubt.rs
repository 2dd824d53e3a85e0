//! A gateway that answers liveness and has lost the Child SA; hints from nobody; an authentication that ends.

use crate::harness::{Setup, World};
use ikeep::client::Event;
use ikeep::ike::message::{Exchange, Notify, Outgoing, Payload, encode_message, notify};
use ikeep::reconnect::Cause;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn world(seed: u64) -> World {
    let setup = Setup::plain(seed);
    let mut world = World::with(seed, |g| setup.gateway(g), |c| setup.client(c));
    world.connect(5 * SECOND);
    world
}

#[test]
fn a_gateway_that_lost_the_child_sa_and_tells_nobody_is_noticed() {
    for (seed, every) in [(1, 100), (2, 1_000), (3, 2_000)] {
        let mut world = world(seed);
        let every = Duration::from_millis(every);
        world.echo_every = Some(every);
        world.run_for(20 * SECOND);
        assert_eq!(world.count(|e| matches!(e, Event::ChildDoubted)), 0);
        world.at_gateway(0, |gateway, now| gateway.forget_children(now));
        let lost = world.now.at;
        let back = |e: &Event| matches!(e, Event::Reconnected(r) if r.cause == Cause::ChildDelete);
        while world.count(back) == 0 && world.now.at.since(lost) < 60 * SECOND {
            world.run_for(Duration::from_millis(100));
        }
        // Three checks, each 3 s after the first packet that nothing follows.
        let took = world.now.at.since(lost);
        assert!(took <= 10 * SECOND + 4 * every, "{took:?}: {}", world.history());
        let echoes = world.echoes_back;
        world.run_for(10 * SECOND);
        assert!(world.echoes_back > echoes, "{}", world.history());
        assert_eq!(world.gateway().counters().aaa_requests, 1, "nobody had to log in");
    }
}

#[test]
fn an_unprotected_hint_leads_to_a_liveness_check_and_to_nothing_else() {
    let mut world = world(4);
    world.run_for(SECOND);
    let (path, _) = world.ways[0].expect("a path");
    let from = "10.9.0.1:4500".parse().expect("an address");
    let status = world.client.as_ref().expect("it runs").status(world.now.at);
    let (ike, child) = (status.ike.expect("an IKE SA"), status.child.expect("a Child SA"));
    let message = |spis: ([u8; 8], [u8; 8]), response: bool, kind, data: Vec<u8>| {
        let head = Outgoing {
            spi_i: spis.0,
            spi_r: spis.1,
            exchange: Exchange::Informational,
            initiator: !response,
            response,
            message_id: 0,
        };
        [vec![0; 4], encode_message(&head, &[Payload::Notify(Notify::status(kind, data))])].concat()
    };
    let about_esp =
        message(([7; 8], [0; 8]), false, notify::INVALID_SPI, child.spi_out.to_be_bytes().to_vec());
    let about_ike = message(ike.spis, true, notify::INVALID_IKE_SPI, Vec::new());
    let stranger = message(([7; 8], [0; 8]), false, notify::INVALID_SPI, vec![1, 2, 3, 4]);
    let mut checks = Vec::new();
    for (hint, wait) in [(&stranger, 30), (&about_esp, 0), (&about_esp, 0), (&about_ike, 11), (&about_ike, 0)]
    {
        let now = world.now;
        let client = world.client.as_mut().expect("it runs");
        client.handle_datagram(now, path, from, &mut hint.clone());
        let mut sent = 0;
        while let Some(transmit) = client.poll_transmit() {
            sent += usize::from(transmit.payload.starts_with(&[0; 4]));
        }
        checks.push(sent);
        world.run_for(wait * SECOND);
    }
    // One check in ten seconds; that the datagrams taken here never arrived is why the last ones repeat it.
    assert_eq!(checks[..3], [0, 1, 0]);
    assert!(world.is_connected(), "{}", world.history());
    assert_eq!(world.count(|e| matches!(e, Event::ChildDoubted | Event::ChildRekeyed)), 0);
}

#[test]
fn a_new_authentication_comes_before_the_old_one_ends() {
    let setup = Setup::plain(5);
    let mut world = World::with(
        5,
        |g| {
            setup.gateway(g);
            g.auth_lifetime = Some(600 * SECOND);
        },
        |c| setup.client(c),
    );
    world.connect(5 * SECOND);
    world.echo_every = Some(Duration::from_millis(200));
    world.run_for(3600 * SECOND);
    let renewals = world
        .count(|e| matches!(e, Event::Reconnected(r) if r.cause == Cause::Renewal && r.round_trips == 2));
    assert!((6..=8).contains(&renewals), "{renewals}: {}", world.history());
    assert_eq!(world.count(|e| matches!(e, Event::DeletedByGateway)), 0, "{}", world.history());
    assert!(world.is_connected());
    // 3600 s of echoes: what was under way at the moments of change may be lost.
    assert!(world.echoes_back >= 17_900, "{} echoes: {}", world.echoes_back, world.history());
    assert_eq!(world.gateway().counters().aaa_requests, 1, "nobody had to log in");
}

#[test]
fn without_a_token_the_person_is_told_once_before_the_authentication_ends() {
    let mut setup = Setup::plain(6);
    setup.tokens = false;
    let mut world = World::with(
        6,
        |g| {
            setup.gateway(g);
            g.auth_lifetime = Some(600 * SECOND);
        },
        |c| setup.client(c),
    );
    world.connect(5 * SECOND);
    world.run_for(560 * SECOND);
    assert_eq!(world.count(|e| matches!(e, Event::LoginWanted { within } if *within == 120 * SECOND)), 1);
    assert!(world.is_connected(), "it goes on until then");
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), "auth-required", "{}", world.history());
}
