//! Fragments of before RFC 7383 (dialect `legacy_fragmentation`): logins, reconnects and rekeys whose large messages are cut.

use crate::harness::World;
use ikeep::client::{Event, Order};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Both sides may be configured for the RFC's way (the client always is) and for that of before.
fn world(seed: u64, standard: bool, legacy: (bool, bool)) -> World {
    World::with(
        seed,
        |g| {
            g.fragmentation = standard;
            g.dialect.legacy_fragmentation = legacy.0;
        },
        |c| {
            c.dialect.legacy_fragmentation = legacy.1;
            c.fragment = 400;
            c.child_lifetime = 4 * SECOND;
            c.ike_lifetime = 7 * SECOND;
        },
    )
}

#[test]
fn it_is_used_where_both_sides_want_it_and_the_rfcs_way_is_not_there() {
    for (seed, standard, legacy, expected) in [
        (1, false, (true, true), true),
        (2, false, (true, false), false),
        (3, false, (false, true), false),
        (4, true, (true, true), true),
    ] {
        let mut world = world(seed, standard, legacy);
        world.order(Order::Connect);
        world.run_for(5 * SECOND);
        let now = world.now.at;
        let fragments = world.client().status(now).ike.map(|ike| ike.fragments);
        assert_eq!(fragments, Some(expected), "{}", world.history());
    }
}

#[test]
fn a_session_lives_on_it_through_rekeys_and_reconnects() {
    let mut world = world(10, false, (true, true));
    world.connect(5 * SECOND);
    world.echo_every = Some(SECOND / 20);
    world.run_for(20 * SECOND);
    assert!(world.count(|e| matches!(e, Event::IkeRekeyed)) >= 2, "{}", world.history());
    world.roam();
    world.run_until_state("connected", 2 * SECOND);
    let (sent, back) = (world.echoes_sent, world.echoes_back);
    world.run_for(2 * SECOND);
    assert!(world.echoes_back - back + 2 >= world.echoes_sent - sent, "{}", world.history());
}

#[test]
fn losses_repetitions_and_damage_end_no_login() {
    for seed in 30..60 {
        let mut world = world(seed, false, (true, true));
        world.link.loss = 100; // of 1000
        world.link.jitter = 30;
        world.link.duplicate = 100;
        world.link.corrupt = 30;
        world.order(Order::Connect);
        world.run_until_state("connected", 120 * SECOND);
    }
}
