//! A PPK in logins, reconnects and rekeys (RFC 8784): who has which, and who insists.

use crate::harness::World;
use ikeep::client::{Event, Order};
use ikeep::crypto::Secret;
use ikeep::gateway::Refusal;
use ikeep::ike::initiator::Failure;
use ikeep::ike::ppk::Ppk;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ppk(id: &str, octet: u8, required: bool) -> Ppk {
    Ppk::new(id, &Secret::new(vec![octet; 32]), required).expect("a PPK")
}

fn world(seed: u64, gateway: Option<Ppk>, client: Option<Ppk>) -> World {
    World::with(seed, |g| g.ppk = gateway, |c| c.ppk = client)
}

/// The keys of the IKE SA in use have a PPK; `None`: there is no such SA.
fn mixed(world: &mut World) -> Option<bool> {
    let now = world.now.at;
    world.client().status(now).ike.map(|ike| ike.ppk)
}

#[test]
fn a_login_has_the_ppk_that_both_have_and_fails_only_where_one_insists() {
    let same = |required| Some(ppk("office", b'a', required));
    let named_otherwise = |required| Some(ppk("home", b'b', required));
    let wrong = |required| Some(ppk("office", b'b', required));
    // Who has what, and what comes of it: with the PPK, without, or nothing.
    let table = [
        (same(true), same(true), Some(true)),
        (same(false), same(false), Some(true)),
        (same(true), same(false), Some(true)),
        (None, same(false), Some(false)),
        (None, same(true), None),
        (same(false), None, Some(false)),
        (same(true), None, None),
        (named_otherwise(false), same(false), Some(false)),
        (named_otherwise(true), same(false), None),
        (named_otherwise(false), same(true), None),
        // The same name for another key: there is no way to tell that from somebody who tries keys out.
        (wrong(false), same(false), None),
        (wrong(true), same(true), None),
    ];
    for (seed, (gateway, client, expected)) in (1..).zip(table) {
        let mut world = world(seed, gateway, client);
        world.order(Order::Connect);
        world.run_for(5 * SECOND);
        assert_eq!(mixed(&mut world), expected, "case {seed}\n{}", world.history());
        let said = world.count(|e| matches!(e, Event::Failed(Failure::Ppk(_))));
        let refused = world.gateway().counters().refusals.contains_key(&Refusal::Ppk);
        if expected.is_none() {
            assert!(said > 0 || refused || seed > 10, "case {seed}\n{}", world.history());
        } else {
            world.echo_every = Some(SECOND / 20);
            world.run_for(SECOND);
            world.echo_every = None;
            world.run_for(SECOND);
            assert!(world.echoes_sent > 10 && world.echoes_sent == world.echoes_back, "case {seed}");
        }
    }
}

#[test]
fn another_ppk_under_the_same_name_is_told_and_the_password_asked_for_once() {
    let mut world = world(22, Some(ppk("office", b'b', false)), Some(ppk("office", b'a', false)));
    world.order(Order::Connect);
    world.run_for(30 * SECOND);
    let told = world.events.iter().find_map(|(_, event)| match event {
        Event::Failed(failure @ Failure::Ppk(_)) => Some(failure.to_string()),
        _ => None,
    });
    let told = told.unwrap_or_else(|| panic!("{}", world.history()));
    assert!(told.contains("another one under that name, or none"), "{told}");
    assert_eq!(world.count(|event| matches!(event, Event::Ask(_))), 1, "{}", world.history());
}

#[test]
fn reconnects_and_rekeys_have_it_too() {
    let both = || Some(ppk("office", b'a', true));
    let mut world = World::with(
        20,
        |g| g.ppk = both(),
        |c| {
            c.ppk = both();
            c.child_lifetime = 4 * SECOND;
            c.ike_lifetime = 7 * SECOND;
        },
    );
    world.connect(5 * SECOND);
    world.echo_every = Some(SECOND / 20);
    world.run_for(20 * SECOND);
    assert!(world.count(|e| matches!(e, Event::IkeRekeyed)) >= 2, "{}", world.history());
    assert!(world.count(|e| matches!(e, Event::ChildRekeyed)) >= 2, "{}", world.history());
    for _ in 0..3 {
        world.roam();
        world.run_until_state("connected", 2 * SECOND);
        world.run_for(5 * SECOND);
        assert_eq!(mixed(&mut world), Some(true), "{}", world.history());
    }
    assert_eq!(world.gateway().counters().reconnects_ok, 3);
    let (sent, back) = (world.echoes_sent, world.echoes_back);
    world.run_for(2 * SECOND);
    assert!(world.echoes_back - back + 2 >= world.echoes_sent - sent, "{}", world.history());
}

#[test]
fn a_token_alone_is_worth_nothing_where_a_ppk_is_required() {
    let both = |required| Some(ppk("office", b'a', required));
    let mut world = world(21, both(true), both(true));
    world.connect(5 * SECOND);
    world.run_for(SECOND);
    // The gateway is told of another PPK meanwhile: the session is there, the token is right.
    world.gateway_mut().set_ppk(Some(ppk("office", b'c', true)));
    world.restart(true);
    world.run_for(90 * SECOND);
    assert_ne!(world.state(), "connected", "{}", world.history());
    let counters = world.gateway().counters();
    assert!(counters.reconnects > 0 && counters.reconnects_ok == 0, "{}", world.history());
    // And the right one again: it comes back by itself, since a refusal is not believed at once.
    world.gateway_mut().set_ppk(both(true));
    world.run_until_state("connected", 120 * SECOND);
    assert_eq!((mixed(&mut world), world.gateway().counters().reconnects_ok), (Some(true), 1));
}
