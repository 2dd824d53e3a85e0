//! Certificates and the like at a reconnect: single stories about what a gateway may show and lose.

use crate::harness::{Certificate, Setup, World};
use ikeep::client::Event;
use ikeep::gateway::GatewayConfig;
use ikeep::ike::initiator::Failure;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn connected(seed: u64) -> World {
    let setup = Setup::plain(seed);
    let mut world = World::with(seed, |g| setup.gateway(g), |c| setup.client(c));
    world.connect(5 * SECOND);
    world.echo_every = Some(SECOND);
    world.run_for(2 * SECOND);
    world
}

/// The same gateway, back after a restart with another certificate.
fn with_certificate(world: &mut World, which: Certificate) {
    world.at_gateway(0, |gateway, _| which.equip(gateway));
    world.restart(true);
}

#[test]
fn a_renewed_certificate_is_fine() {
    let mut world = connected(1);
    with_certificate(&mut world, Certificate::Renewed);
    world.run_until_state("reconnecting", 10 * SECOND);
    world.run_until_state("connected", SECOND);
    assert_eq!(world.gateway().counters().aaa_requests, 1, "nobody was asked");
}

#[test]
fn the_certificate_of_somebody_else_gets_no_further_and_costs_time_only() {
    for which in [Certificate::Stranger, Certificate::Neighbour] {
        let mut world = connected(2);
        with_certificate(&mut world, which);
        world.run_until_state("reconnecting", 10 * SECOND);
        world.run_for(60 * SECOND);
        assert_eq!(world.state(), "reconnecting");
        assert!(world.count(|e| matches!(e, Event::Failed(Failure::Certificate(_)))) >= 2);
        let counters = world.gateway().counters();
        assert_eq!((counters.active, counters.inactive), (0, 1), "it hears that nobody believes it");
        assert!(world.stored.is_some() && world.count(|e| matches!(e, Event::Ask(_))) == 1);
        with_certificate(&mut world, Certificate::P256);
        world.run_until_state("connected", 35 * SECOND);
        assert_eq!(world.gateway().counters().aaa_requests, 1);
    }
}

#[test]
fn the_wall_clock_may_jump_both_ways_and_the_agent_die_in_between() {
    const HOUR: i64 = 3_600_000;
    for (first, second) in [(5, -5), (-5, 5), (-11, 3), (3, -14)] {
        let mut world = connected(3);
        world.set_clock(0, first * HOUR);
        world.run_for(400 * SECOND); // the stored session is written again by the clock that is wrong
        world.set_clock(0, second * HOUR);
        world.run_for(400 * SECOND);
        world.crash(30 * SECOND);
        world.run_until_state("connected", SECOND);
        assert_eq!(world.gateway().counters().aaa_requests, 1, "{first} h, then {second} h");
    }
}

#[test]
fn a_clock_that_jumps_over_the_window_while_the_agent_is_dead_needs_the_person() {
    let mut world = connected(4);
    world.kill(0, SECOND);
    world.set_clock(0, 3_600_000);
    world.run_for(5 * SECOND);
    assert_eq!(world.count(|e| matches!(e, Event::Ask(_))), 2, "asked, as after any hour away");
    world.run_until_state("connected", 5 * SECOND);
}

/// Without a token the old SA is the only way back, and after a sleep longer than any DPD it has its time to answer like any other.
#[test]
fn without_a_token_the_old_sa_is_asked_after_a_long_sleep_or_a_long_way() {
    for auto in [true, false] {
        for asleep in [true, false] {
            let setup = Setup { tokens: false, auto, ..Setup::plain(5) };
            let patient = |config: &mut GatewayConfig| {
                setup.gateway(config);
                config.dpd.interval = 600 * SECOND;
            };
            let mut world = World::with(5, patient, |c| setup.client(c));
            world.connect(5 * SECOND);
            world.run_for(2 * SECOND);
            if asleep {
                world.sleep(90 * SECOND, true);
            } else {
                world.unplug();
                world.run_for(90 * SECOND);
                world.roam();
            }
            let now = world.now.at;
            assert!(!world.client().status(now).confirmed, "nothing was heard for 90 s (law 7)");
            world.echo_every = Some(SECOND / 10);
            world.run_for(3 * SECOND);
            let what = format!("auto {auto}, asleep {asleep}\n{}", world.history());
            assert_eq!(world.state(), "connected", "{what}");
            assert!(world.last_echo_back.is_some(), "{what}");
        }
    }
}
