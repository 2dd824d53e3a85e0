//! Happy eyeballs: one address of the gateway after the other, until one answers.

use crate::harness::World;
use ikeep::client::{Event, Order, Settings};
use ikeep::ike::initiator::Failure;
use ikeep::profile::IpProtocolSupport;
use std::net::IpAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const STAGGER: Duration = Duration::from_millis(300);
const IPV4: &str = "10.9.0.1";
const IPV6: &str = "fd09::1";
/// Nobody is there.
const DEAD: &str = "10.9.77.1";

/// A gateway with these addresses, reached over a link that takes `delay` each way. The family of the first is preferred, and a
/// login that nobody answers is over after 10 s.
fn world(addresses: &[&str], delay: Duration) -> World {
    let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
    let families = if addresses[0].is_ipv4() { IpProtocolSupport::V4V6 } else { IpProtocolSupport::V6V4 };
    let settings = |settings: &mut Settings| {
        (settings.addresses, settings.families) = (addresses, families);
        settings.silence_limit = Some(10 * SECOND);
    };
    let mut world = World::with(1, |_| {}, settings);
    world.places[0].ipv6 = true;
    world.roam();
    world.link.delay = u64::try_from(delay.as_millis()).expect("short");
    world.link.jitter = 0;
    world.sites[0].arrivals = Some(Vec::new());
    world
}

/// Where the tunnel leads, and after how long.
fn connect(world: &mut World) -> (String, Duration) {
    let begin = world.now.at;
    world.connect(20 * SECOND);
    let asked = world.events.iter().find(|(_, event)| matches!(event, Event::Ask(_))).expect("asked").0;
    let gateway = world.client().status(world.now.at).gateway.expect("a gateway");
    (gateway.ip().to_string(), asked.since(begin))
}

fn arrivals(world: &World) -> usize {
    world.sites[0].arrivals.as_ref().map_or(0, Vec::len)
}

/// The gateway's IPv6 address answers no more; for how long the tunnel was gone when it is back.
fn lose_ipv6_and_roam(world: &mut World) -> Duration {
    world.sites[0].addresses.retain(IpAddr::is_ipv4);
    let begin = world.now.at;
    world.roam();
    world.run_until_state("connected", 30 * SECOND);
    world.now.at.since(begin)
}

#[test]
fn a_login_goes_to_the_next_address_after_300_ms() {
    for (addresses, wanted, turns) in [
        (&[IPV4, IPV6][..], IPV4, 0),
        (&[DEAD, IPV4], IPV4, 1),
        // The other family comes before the second of the same.
        (&[DEAD, IPV4, IPV6], IPV6, 1),
        (&[DEAD, "fd09:7::1", IPV4], IPV4, 2),
    ] {
        let mut world = world(addresses, SECOND / 100);
        let (gateway, took) = connect(&mut world);
        assert_eq!(gateway, wanted, "{addresses:?}");
        let least = STAGGER * turns;
        assert!(took >= least && took < least + SECOND / 5, "{addresses:?}: asked after {took:?}");
        assert_eq!((world.gateway().counters().inits, arrivals(&world)), (1, 1), "{addresses:?}");
    }
}

/// All addresses are the same gateway's, and it is far away: it has one half-open IKE SA with us, and the first answer counts.
#[test]
fn a_slow_gateway_is_asked_twice_and_answers_once() {
    let mut world = world(&[IPV4, IPV6], Duration::from_millis(200));
    let (gateway, _) = connect(&mut world);
    assert_eq!(gateway, IPV4);
    assert_eq!((world.gateway().counters().inits, arrivals(&world)), (1, 2), "{}", world.history());
    assert_eq!(world.gateway().counters().aaa_requests, 1);
}

#[test]
fn the_first_address_is_asked_again_beside_the_others() {
    let mut world = world(&[DEAD, IPV6], SECOND / 100);
    world.sites[0].go_down(world.now.at, 3 * SECOND);
    let (gateway, took) = connect(&mut world);
    assert_eq!(gateway, IPV6);
    // 0.5, 1.5, 3.5 s: repeated on every address that was asked.
    assert!(took < 4 * SECOND, "{took:?}");
}

#[test]
fn where_nobody_answers_the_login_fails_as_ever() {
    let mut world = world(&[DEAD, "fd09:7::1"], SECOND / 100);
    world.order(Order::Connect);
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), "disconnected");
    assert_eq!(world.count(|event| matches!(event, Event::Failed(Failure::NoAnswer { .. }))), 1);
}

/// Where another gateway could be tried the login ends early, but the time without a network does not count, and whoever has
/// answered once is not silent.
#[test]
fn a_login_that_nobody_answers_is_told_from_one_that_fails_later() {
    let silent = |world: &World| world.count(|event| matches!(event, Event::Unanswered));
    let mut nobody = world(&[DEAD], SECOND / 100);
    nobody.order(Order::Connect);
    nobody.run_for(5 * SECOND);
    nobody.unplug();
    nobody.run_for(60 * SECOND);
    nobody.roam();
    nobody.run_for(10 * SECOND - SECOND / 100);
    assert_eq!((nobody.state(), silent(&nobody)), ("connecting", 0));
    nobody.run_for(SECOND / 50);
    assert_eq!((nobody.state(), silent(&nobody)), ("disconnected", 1), "{}", nobody.history());
    let mut later = world(&[IPV4], SECOND / 100);
    later.order(Order::Connect);
    later.run_for(SECOND / 40);
    let now = later.now.at;
    later.sites[0].go_down(now, 120 * SECOND);
    later.run_for(120 * SECOND);
    assert_eq!((later.state(), silent(&later)), ("disconnected", 0), "{}", later.history());
}

/// IPv6 of the new network leads nowhere, as networks have it.
#[test]
fn a_reconnect_in_a_new_network_does_not_wait_for_a_dead_family() {
    let mut world = world(&[IPV6, IPV4], SECOND / 100);
    let (gateway, _) = connect(&mut world);
    assert_eq!(gateway, IPV6);
    world.run_for(SECOND);
    let gone = lose_ipv6_and_roam(&mut world);
    assert!(gone < STAGGER + SECOND / 5, "back after {gone:?}\n{}", world.history());
    assert_eq!(world.gateway().counters().aaa_requests, 1, "by token");
}

/// Whoever answered last on this very path is asked alone: the others may know nothing of the session.
#[test]
fn a_reconnect_on_a_proved_path_asks_nobody_else() {
    let mut world = world(&[IPV4, IPV6], SECOND / 100);
    connect(&mut world);
    world.run_for(2 * SECOND);
    let before = arrivals(&world);
    let ipv4 = world.sites[0].addresses.remove(0);
    world.order(Order::Reconnect);
    world.run_for(3 * SECOND);
    assert_eq!(arrivals(&world), before, "its IPv6 address was asked\n{}", world.history());
    world.sites[0].addresses.insert(0, ipv4);
    world.run_until_state("connected", 5 * SECOND);
}

#[test]
fn a_login_that_begins_anew_in_the_other_family_is_spaced() {
    let mut world = world(&[IPV4, IPV6], Duration::from_millis(5));
    world.answer_delay = 100 * SECOND; // the person is typing
    world.order(Order::Connect);
    world.run_for(Duration::from_millis(15)); // IKE_SA_INIT is answered: the attempt belongs to this address
    assert_eq!(arrivals(&world), 1);
    world.places[0].ipv4 = false;
    world.roam();
    // Law 2, which the model watches: the next one begins 50 ms after the first.
    world.run_for(Duration::from_millis(34));
    assert_eq!((world.state(), arrivals(&world)), ("connecting", 1), "{}", world.history());
    world.run_for(Duration::from_millis(10));
    assert_eq!(arrivals(&world), 2, "{}", world.history());
    world.answer_delay = Duration::ZERO;
    world.run_until_state("connected", 5 * SECOND);
}
