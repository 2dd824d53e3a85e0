//! Logins that do not go straight: slow and mistaken people, networks that come and go, gateways that give half of what they
//! should.

use crate::harness::{Setup, World};
use ikeep::client::{Event, Order};
use ikeep::crypto::Secret;
use ikeep::gateway::{GatewayConfig, User};
use ikeep::ike::initiator::Failure;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn world(seed: u64, gateway: impl FnOnce(&mut GatewayConfig)) -> World {
    let setup = Setup::plain(seed);
    World::with(
        seed,
        |g| {
            setup.gateway(g);
            gateway(g);
        },
        |c| setup.client(c),
    )
}

fn asks(world: &World) -> usize {
    world.count(|e| matches!(e, Event::Ask(_)))
}

#[test]
fn answers_of_a_slow_person_are_given_once_more_and_not_again() {
    // The gateway drops the login while the person types; what they typed is wrong.
    let mut world = world(1, |g| {
        g.users.insert("test".into(), User::with_password("another"));
        g.auth_timeout = 20 * SECOND;
    });
    world.answer_delay = 60 * SECOND;
    world.order(Order::Connect);
    world.run_for(65 * SECOND);
    assert_eq!(asks(&world), 1);
    // Begun anew with the same answers, which are wrong: from here on the person is asked.
    world.run_for(20 * SECOND);
    assert_eq!(world.gateway().counters().aaa_requests, 1, "{}", world.history());
    assert_eq!(asks(&world), 2, "{}", world.history());
}

#[test]
fn the_form_of_a_new_login_says_that_the_one_before_was_refused() {
    let mut world = world(9, |g| {
        g.users.insert("test".into(), User::with_password("another"));
    });
    world.answer_delay = 5 * SECOND;
    world.order(Order::Connect);
    for _ in 0..60 {
        if asks(&world) < 5 {
            world.run_for(SECOND);
        }
    }
    let tries = world.gateway().counters().aaa_requests;
    assert!(tries > 3, "more than one login: {}", world.history());
    let blank = world.count(|e| matches!(e, Event::Ask(form) if form.error.is_empty()));
    assert_eq!(blank, 1, "{}", world.history());
}

#[test]
fn an_answer_that_cannot_be_sent_is_asked_for_again() {
    let mut world = world(2, |_| {});
    world.answer_delay = 100 * SECOND; // the test answers
    world.order(Order::Connect);
    world.run_for(SECOND);
    assert_eq!(asks(&world), 1);
    let answers = |user: &[u8]| {
        Order::Answer(
            [("username", user), ("password", b"cisco")].map(|(k, v)| (k.into(), Secret::from(v))).into(),
        )
    };
    world.order(answers(b"not \x07 a name"));
    assert_eq!(asks(&world), 2, "{}", world.history());
    assert_eq!(world.gateway().counters().aaa_requests, 0);
    world.order(answers(b"test"));
    world.run_until_state("connected", 2 * SECOND);
}

#[test]
fn a_login_waits_for_the_network() {
    let mut world = world(3, |_| {});
    world.unplug();
    world.order(Order::Connect);
    world.run_for(300 * SECOND);
    assert_eq!((world.state(), world.count(|e| matches!(e, Event::Failed(_)))), ("connecting", 0));
    world.roam();
    world.run_until_state("connected", 5 * SECOND);
}

#[test]
fn a_reconnect_that_is_offline_burns_no_attempt() {
    let mut world = world(4, |_| {});
    world.connect(5 * SECOND);
    world.order(Order::Reconnect);
    world.unplug();
    world.run_for(300 * SECOND);
    let failed = world.count(|e| matches!(e, Event::Failed(Failure::NoAnswer { .. })));
    assert_eq!((world.state(), failed), ("waiting-for-network", 0));
    world.roam();
    world.run_until_state("connected", SECOND);
}

#[test]
fn an_id_without_a_token_is_no_session() {
    let mut world = world(5, |g| g.dialect.session_token_attribute += 1);
    world.connect(5 * SECOND);
    assert_eq!(world.count(|e| matches!(e, Event::NoToken)), 1);
    assert!(world.stored.is_none() && world.client().session().is_none());
}

#[test]
fn thrown_away_datagrams_are_told_at_once_and_then_counted() {
    let mut world = world(6, |_| {});
    world.connect(5 * SECOND);
    let now = world.now;
    let (path, _) = world.ways[0].expect("a path");
    let from = "10.9.0.1:4500".parse().expect("an address");
    let told = |world: &World| -> Vec<u64> {
        let counts = world.events.iter().filter_map(|(_, e)| match e {
            Event::Dropped { count, .. } => Some(*count),
            _ => None,
        });
        counts.collect()
    };
    for _ in 0..500 {
        let client = world.client.as_mut().expect("it runs");
        client.handle_datagram(now, path, from, &mut [7; 60]);
    }
    world.drain(0);
    assert_eq!(told(&world), [1]);
    world.run_for(11 * SECOND);
    assert_eq!(told(&world), [1, 499]);
}

#[test]
fn a_child_sa_that_is_lost_in_the_middle_of_its_rekey_is_replaced() {
    let mut setup = Setup::plain(7);
    setup.rekey = 20;
    let mut world = World::with(7, |g| setup.gateway(g), |c| setup.client(c));
    world.connect(5 * SECOND);
    world.echo_every = Some(Duration::from_millis(100));
    for _ in 0..4 {
        let rekeys = world.count(|e| matches!(e, Event::ChildRekeyed));
        while world.count(|e| matches!(e, Event::ChildRekeyed)) == rekeys {
            world.run_for(Duration::from_millis(1));
        }
        // The successor goes while the DELETE of the old one is still under way.
        world.at_gateway(0, |gateway, now| gateway.clear_children(now));
        world.run_for(2 * SECOND);
        assert!(world.is_connected(), "{}", world.history());
        let back = world.echoes_back;
        world.run_for(SECOND);
        assert!(world.echoes_back >= back + 8, "{}", world.history());
    }
    assert_eq!(world.gateway().counters().aaa_requests, 1);
}

#[test]
fn a_window_of_weeks_is_cut_to_a_day() {
    let setup = Setup::plain(8);
    let mut world = World::with(
        8,
        |g| {
            setup.gateway(g);
            g.dialect.window_attribute = Some(28_730);
            g.reconnect_timeout = Some(30 * 24 * 3600 * SECOND);
        },
        |c| {
            setup.client(c);
            c.dialect.window_attribute = Some(28_730);
        },
    );
    world.connect(5 * SECOND);
    assert_eq!(world.stored.as_ref().map(|session| session.window), Some(24 * 3600 * SECOND));
}
