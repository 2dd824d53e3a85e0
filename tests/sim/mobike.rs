//! MOBIKE in virtual time: the same SAs go on from another address, and where they do not, the token way takes over.

use crate::harness::World;
use ikeep::client::{Event, Reconnected};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Nothing overtakes: the answer to an update comes before the one to the IKE_SA_INIT that left with it (law 3).
fn in_order(mut world: World) -> World {
    world.link.jitter = 0;
    world
}

/// A gateway with MOBIKE, a client in it, idle.
fn connected(seed: u64) -> World {
    let mut world = in_order(World::with(seed, |g| g.mobike = true, |_| {}));
    world.connect(5 * SECOND);
    world.run_for(SECOND);
    world
}

fn spis(world: &mut World) -> ([u8; 8], [u8; 8]) {
    let now = world.now.at;
    world.client().status(now).ike.expect("an IKE SA").spis
}

fn last_reconnect(world: &World) -> Reconnected {
    let found = world.events.iter().rev().find_map(|(_, e)| match e {
        Event::Reconnected(r) => Some(*r),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no reconnect\n{}", world.history()))
}

fn moves(world: &World) -> usize {
    world.count(|e| matches!(e, Event::Moved))
}

#[test]
fn both_must_offer_it() {
    for (gateway, client) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = in_order(World::with(1, |g| g.mobike = gateway, |c| c.mobike = client));
        world.connect(5 * SECOND);
        let now = world.now.at;
        let ike = world.client().status(now).ike.expect("an IKE SA");
        assert_eq!(ike.mobike, gateway && client);
        world.roam();
        world.run_until_state("connected", SECOND);
        assert_eq!(moves(&world) == 1, gateway && client, "{}", world.history());
    }
}

#[test]
fn an_idle_roam_keeps_the_sas_and_the_downlink_moves() {
    let mut world = connected(2);
    let before = spis(&mut world);
    world.roam();
    world.run_until_state("connected", SECOND);
    let report = last_reconnect(&world);
    assert!(report.old_sa && report.outage <= ms(26), "one round trip: {report:?}");
    assert_eq!(spis(&mut world), before);
    assert_eq!(moves(&world), 1);
    // Law 7: the gateway's ESP is proved to come here too.
    let now = world.now.at;
    assert!(world.client().status(now).confirmed);
    assert_eq!(world.gateway().counters().reconnects, 0, "no token was shown");
    world.echo_every = Some(ms(20));
    world.run_for(SECOND);
    world.echo_every = None;
    world.run_for(SECOND);
    assert_eq!(world.echoes_sent, world.echoes_back);
}

#[test]
fn a_roam_under_traffic_costs_one_round_trip() {
    let mut world = connected(3);
    world.echo_every = Some(ms(5));
    world.run_for(SECOND);
    let before = spis(&mut world);
    let (sent, back) = (world.echoes_sent, world.echoes_back);
    world.roam();
    world.run_until_state("connected", SECOND);
    world.run_for(SECOND);
    world.echo_every = None;
    world.run_for(SECOND);
    // What was under way on the old path, 20 ms of it; nothing that was sent afterwards.
    let lost = (world.echoes_sent - sent).saturating_sub(world.echoes_back - back);
    assert!(lost <= 6, "{lost} echoes lost");
    assert_eq!(spis(&mut world), before);
}

#[test]
fn a_strict_gateway_that_offers_it_needs_no_new_sa() {
    let world = World::with(
        4,
        |g| {
            g.mobike = true;
            g.lenient = false;
        },
        |_| {},
    );
    let mut world = in_order(world);
    world.connect(5 * SECOND);
    for _ in 0..5 {
        world.run_for(SECOND);
        world.roam();
        world.run_until_state("connected", SECOND);
        assert!(last_reconnect(&world).old_sa);
    }
    assert_eq!(moves(&world), 5);
    assert_eq!(world.gateway().counters().reconnects, 0);
}

#[test]
fn a_refused_address_leads_to_the_token_way() {
    let mut world = connected(5);
    world.gateway_mut().faults().unacceptable = true;
    let before = spis(&mut world);
    world.roam();
    world.run_until_state("connected", SECOND);
    assert!(!last_reconnect(&world).old_sa, "{}", world.history());
    assert_ne!(spis(&mut world), before);
    assert!(world.count(|e| matches!(e, Event::NotMoved { .. })) >= 1);
    assert_eq!(moves(&world), 0);
}

#[test]
fn a_refused_address_is_no_outage_while_the_path_stays() {
    let mut world = connected(6);
    world.gateway_mut().faults().unacceptable = true;
    world.run_for(600 * SECOND); // the liveness checks of ten idle minutes are refused updates
    assert_eq!(world.state(), "connected");
    assert_eq!(world.count(|e| matches!(e, Event::Trouble(_))), 0, "{}", world.history());
}

/// The network drops what goes to the old address: one retransmission of an old request first, then the update.
#[test]
fn roams_faster_than_answers_end_on_the_last_path() {
    for seed in 0..30 {
        let mut world = connected(100 + seed);
        world.link.jitter = 2;
        world.echo_every = Some(ms(20));
        for _ in 0..8 {
            world.roam();
            let pause = world.random.between(1, 60);
            world.run_for(ms(pause));
        }
        world.run_until_state("connected", 5 * SECOND);
        world.run_for(SECOND);
        let (sent, back) = (world.echoes_sent, world.echoes_back);
        world.run_for(SECOND);
        let lost = (world.echoes_sent - sent).abs_diff(world.echoes_back - back);
        assert!(lost <= 2, "seed {seed}: {lost} lost after the last roam\n{}", world.history());
        assert_eq!(world.gateway().counters().active, 1);
    }
}

/// Law 7: what is told to be confirmed is so; the gateway sends to where we are.
#[test]
fn confirmed_means_that_the_gateway_has_moved() {
    for seed in 0..30 {
        let mut world = connected(300 + seed);
        (world.link.loss, world.link.jitter) = (100, 5);
        let mut confirmed = 0;
        for _ in 0..12 {
            world.roam();
            for _ in 0..world.random.between(1, 120) {
                world.run_for(ms(1));
                let now = world.now;
                if !world.client().status(now.at).confirmed {
                    continue;
                }
                confirmed += 1;
                let (_, here) = world.ways[0].expect("a way");
                let peer = format!("Peer: {} port {}", here.ip(), here.port());
                let seen = world.gateway().show_session_detail(now);
                assert!(seen.contains(&peer), "seed {seed}: not {peer} but\n{seen}\n{}", world.history());
            }
        }
        assert!(confirmed > 0, "seed {seed}");
    }
}

#[test]
fn roams_under_loss_come_back() {
    for seed in 0..20 {
        let mut world = connected(200 + seed);
        (world.link.loss, world.link.jitter) = (200, 10);
        world.echo_every = Some(ms(100));
        for _ in 0..3 {
            world.roam();
            world.run_until_state("connected", 60 * SECOND);
            world.run_for(5 * SECOND);
        }
        world.link.loss = 0;
        world.run_for(40 * SECOND);
        let (sent, back) = (world.echoes_sent, world.echoes_back);
        world.run_for(SECOND);
        assert!((world.echoes_sent - sent).abs_diff(world.echoes_back - back) <= 1, "seed {seed}");
    }
}

/// A NAT forgets its mapping: source address and port change, and nobody on this machine can see that. With MOBIKE the
/// gateway follows updates only (RFC 7296 2.23), so the liveness check is one.
#[test]
fn a_rebinding_of_the_nat_is_mended_by_the_next_liveness_check() {
    let mut world = connected(7);
    let before = spis(&mut world);
    world.rebind();
    world.echo_every = Some(ms(100));
    let (at, back) = (world.now.at, world.echoes_back);
    world.run_for(2 * SECOND);
    assert_eq!(world.echoes_back, back, "ESP from elsewhere moves nobody");
    world.run_for(2 * SECOND);
    assert!(world.last_echo_back.is_some_and(|back| back.since(at) >= 3 * SECOND), "{}", world.history());
    assert_eq!(spis(&mut world), before);
    assert_eq!(world.count(|e| matches!(e, Event::Trouble(_))), 0, "no outage: {}", world.history());
}

#[test]
fn it_stays_through_rekeys_of_either_side() {
    let world = World::with(
        8,
        |g| {
            g.mobike = true;
            g.ike_lifetime = Duration::from_secs(100);
        },
        |c| c.ike_lifetime = Duration::from_secs(150),
    );
    let mut world = in_order(world);
    world.connect(5 * SECOND);
    for n in 1..=20 {
        world.run_for(17 * SECOND);
        world.roam();
        world.run_until_state("connected", SECOND);
        assert_eq!(moves(&world), n, "{}", world.history());
    }
    assert!(world.count(|e| matches!(e, Event::IkeRekeyed)) >= 3);
    assert_eq!(world.gateway().counters().reconnects, 0);
}

#[test]
fn after_sleep_the_sas_go_on_where_the_gateway_still_has_them() {
    let mut world = connected(9);
    let before = spis(&mut world);
    world.sleep(30 * SECOND, true);
    world.run_until_state("connected", SECOND);
    assert!(last_reconnect(&world).old_sa);
    assert_eq!(spis(&mut world), before);
}

/// A gateway that says yes to the update and sends its ESP to the old address all the same: traffic tells, and the token mends it.
#[test]
fn an_answered_update_that_moves_no_traffic_is_left_for_the_token() {
    let mut world = connected(31);
    world.echo_every = Some(ms(20));
    world.run_for(SECOND);
    world.gateway_mut().faults().pinned = true;
    world.roam();
    world.run_for(2 * SECOND);
    assert_eq!(moves(&world), 1, "{}", world.history());
    assert_eq!(world.gateway().counters().reconnects, 1, "{}", world.history());
    let last = world.last_echo_back.expect("an echo");
    assert!(world.now.at.since(last) < ms(100), "{}", world.history());
    assert!(!last_reconnect(&world).old_sa);
    // Once for each move, and never where nothing is sent or everything is answered.
    world.run_for(60 * SECOND);
    world.echo_every = None;
    world.gateway_mut().faults().pinned = false;
    world.roam();
    world.run_for(10 * SECOND);
    world.echo_every = Some(ms(20));
    world.run_for(10 * SECOND);
    assert_eq!(world.gateway().counters().reconnects, 1, "{}", world.history());
}
