//! ML-KEM-768 beside the usual key exchange (RFC 9370 in IKE_INTERMEDIATE, RFC 9242): who has it, who insists, and what the network
//! does to its large messages.

use crate::harness::World;
use ikeep::client::{Event, Order};
use ikeep::crypto::{Kem, Secret};
use ikeep::ike::ppk::Ppk;
use ikeep::ike::proposal::Wish;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn world(seed: u64, gateway: Wish, client: Wish) -> World {
    World::with(seed, |g| g.ike.ml_kem = gateway, |c| c.ike.ml_kem = client)
}

/// The IKE SA in use came up with an additional key exchange; `None`: there is no such SA.
fn additional(world: &mut World) -> Option<Option<Kem>> {
    let now = world.now.at;
    world.client().status(now).ike.map(|ike| ike.suite.additional)
}

fn round_trips(world: &World) -> u32 {
    let found = world.events.iter().rev().find_map(|(_, event)| match event {
        Event::Established { round_trips, .. } => Some(*round_trips),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing came up\n{}", world.history()))
}

#[test]
fn it_is_done_where_both_want_it_and_missed_where_one_insists() {
    use Wish::{No, Offer, Require};
    let (with, without) = (Some(Some(Kem::MlKem768)), Some(None));
    let table = [
        (No, No, without),
        (No, Offer, without),
        (No, Require, None),
        (Offer, No, without),
        (Offer, Offer, with),
        (Offer, Require, with),
        (Require, No, None),
        (Require, Offer, with),
        (Require, Require, with),
    ];
    for (seed, (gateway, client, expected)) in (1..).zip(table) {
        let mut world = world(seed, gateway, client);
        world.order(Order::Connect);
        world.run_for(5 * SECOND);
        assert_eq!(additional(&mut world), expected, "{gateway:?} {client:?}\n{}", world.history());
        if expected.is_some() {
            world.echo_every = Some(SECOND / 20);
            world.run_for(SECOND);
            world.echo_every = None;
            world.run_for(SECOND);
            assert!(
                world.echoes_sent > 10 && world.echoes_sent == world.echoes_back,
                "{gateway:?} {client:?}"
            );
        }
    }
}

#[test]
fn a_reconnect_has_it_for_one_more_round_trip_and_rekeys_go_on() {
    let mut world = World::with(
        20,
        |g| {
            g.ike.ml_kem = Wish::Require;
            g.ppk = Ppk::new("office", &Secret::new(vec![b'a'; 32]), true).ok();
        },
        |c| {
            c.ike.ml_kem = Wish::Require;
            c.ppk = Ppk::new("office", &Secret::new(vec![b'a'; 32]), true).ok();
            c.child_lifetime = 4 * SECOND;
            c.ike_lifetime = 7 * SECOND;
        },
    );
    world.connect(5 * SECOND);
    let login = round_trips(&world);
    world.echo_every = Some(SECOND / 20);
    world.run_for(20 * SECOND);
    assert!(world.count(|e| matches!(e, Event::IkeRekeyed)) >= 2, "{}", world.history());
    assert!(world.count(|e| matches!(e, Event::ChildRekeyed)) >= 2, "{}", world.history());
    assert_eq!(additional(&mut world), Some(Some(Kem::MlKem768)), "it is still in the keys");
    world.roam();
    world.run_until_state("connected", 2 * SECOND);
    world.run_for(2 * SECOND);
    assert_eq!((additional(&mut world), round_trips(&world)), (Some(Some(Kem::MlKem768)), 3));
    assert!(login > 3);
    let (sent, back) = (world.echoes_sent, world.echoes_back);
    world.run_for(2 * SECOND);
    assert!(world.echoes_back - back + 2 >= world.echoes_sent - sent, "{}", world.history());
}

#[test]
fn losses_and_repetitions_change_no_keys() {
    for seed in 30..50 {
        let mut world = world(seed, Wish::Require, Wish::Require);
        world.link.loss = 200; // of 1000
        world.link.jitter = 30;
        world.order(Order::Connect);
        world.run_until_state("connected", 60 * SECOND);
        assert_eq!(additional(&mut world), Some(Some(Kem::MlKem768)), "{}", world.history());
    }
}
