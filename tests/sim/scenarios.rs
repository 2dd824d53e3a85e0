//! Single stories, each with the figure it promises.

use crate::harness::{Link, World};
use ikeep::client::{AuthKind, Event, Order, Reconnected, Signal};
use ikeep::crypto::{Group, Secret};
use ikeep::gateway::TokenFault;
use ikeep::ike::eap::Notice;
use ikeep::ike::proposal::{Algorithms, Wish};
use ikeep::reconnect::{Cause, OnSuspend, State, Why};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn connected(seed: u64) -> World {
    let mut world = World::new(seed);
    world.connect(5 * SECOND);
    world.echo_every = Some(ms(20));
    world.run_for(SECOND);
    assert!(world.echoes_back >= 45, "traffic flows: {} of {}", world.echoes_back, world.echoes_sent);
    world
}

fn last_reconnect(world: &World) -> Reconnected {
    let found = world.events.iter().rev().find_map(|(_, e)| match e {
        Event::Reconnected(r) => Some(*r),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no reconnect\n{}", world.history()))
}

/// Back by token: two round trips, nobody asked, the same address.
fn assert_back_by_token(world: &World, cause: Cause) {
    let report = last_reconnect(world);
    assert_eq!((report.cause, report.old_sa, report.round_trips), (cause, false, 2), "{}", world.history());
    assert_eq!(world.gateway().counters().aaa_requests, 1, "AAA was asked at the login only");
    assert_eq!(world.count(|e| matches!(e, Event::Ask(_))), 1);
    assert_eq!(world.count(|e| matches!(e, Event::Plan { changed, .. } if !changed.is_empty())), 0);
}

#[test]
fn login_and_traffic() {
    let world = connected(1);
    let auths: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, e)| match e {
            Event::Established { auth, round_trips } => Some((*auth, *round_trips)),
            _ => None,
        })
        .collect();
    assert_eq!(auths, [(AuthKind::AnyConnect, 6)]);
    let store = world.events.iter().position(|(_, e)| matches!(e, Event::StoreSession(_)));
    let told = world.events.iter().position(|(_, e)| matches!(e, Event::State(State::Connected)));
    assert!(store.is_some() && store < told, "the session is stored before connected is told");
}

#[test]
fn a_second_factor_and_a_banner() {
    let mut world = World::with(
        2,
        |g| {
            let user = g.users.get_mut("test").expect("the seed's user");
            user.second_factor = Some(Secret::from(&b"123456"[..]));
            g.banner = Some("Welcome".into());
        },
        |_| {},
    );
    world.connect(5 * SECOND);
    assert_eq!(world.count(|e| matches!(e, Event::Ask(_))), 2);
    assert!(world.count(|e| matches!(e, Event::Notice(Notice::Banner(b)) if b == "Welcome")) >= 1);
}

#[test]
fn a_roam_costs_less_than_three_round_trips() {
    let mut world = connected(3);
    let (sent, back) = (world.echoes_sent, world.echoes_back);
    let at = world.now.at;
    world.roam();
    world.run_until_state("connected", SECOND);
    assert!(world.now.at.since(at) <= ms(75), "{:?} after the roam", world.now.at.since(at));
    world.run_for(SECOND);
    let lost = (world.echoes_sent - sent) - (world.echoes_back - back);
    assert!(lost <= 3, "{lost} echoes lost");
}

#[test]
fn an_idle_roam_comes_back_by_token() {
    let mut world = connected(4);
    world.echo_every = None;
    world.run_for(SECOND);
    world.roam();
    world.run_until_state("connected", SECOND);
    assert_back_by_token(&world, Cause::NetworkChange);
    assert!(last_reconnect(&world).outage <= ms(60));
}

#[test]
fn sleep_longer_than_the_gateways_patience() {
    let mut world = connected(5);
    world.sleep(Duration::from_secs(600), true);
    world.run_until_state("connected", SECOND);
    assert_back_by_token(&world, Cause::Resume);
    assert!(last_reconnect(&world).outage <= ms(60));
}

#[test]
fn sleep_that_nobody_announced() {
    let mut world = connected(6);
    world.sleep(Duration::from_secs(600), false);
    world.run_until_state("connected", SECOND);
    assert_back_by_token(&world, Cause::Resume);
}

#[test]
fn disconnect_on_suspend_is_obeyed() {
    let mut world = World::with(7, |_| {}, |c| c.rules.on_suspend = OnSuspend::Disconnect);
    world.connect(5 * SECOND);
    world.sleep(Duration::from_secs(600), true);
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), "disconnected");
    assert!(world.stored.is_none());
}

#[test]
fn a_silent_outage_under_traffic_is_declared_after_seven_seconds() {
    let mut world = connected(8);
    world.link.cut = true;
    let at = world.now.at;
    world.run_until_state("reconnecting", 10 * SECOND);
    let after = world.now.at.since(at);
    assert!(after >= ms(6_900) && after <= ms(7_050), "{after:?}");
    world.run_for(20 * SECOND);
    world.link.cut = false;
    let at = world.now.at;
    world.run_until_state("connected", 5 * SECOND);
    assert!(world.now.at.since(at) <= ms(2_100), "{:?}", world.now.at.since(at));
    assert_eq!(last_reconnect(&world).cause, Cause::Outage);
}

#[test]
fn an_idle_outage_is_declared_within_the_dpd_interval_and_seven_seconds() {
    let mut world = connected(9);
    world.echo_every = None;
    world.run_for(SECOND);
    world.link.cut = true;
    let at = world.now.at;
    world.run_until_state("reconnecting", 60 * SECOND);
    assert!(world.now.at.since(at) <= Duration::from_secs(37), "{:?}", world.now.at.since(at));
}

#[test]
fn the_gateways_delete_is_answered_by_a_reconnect() {
    let mut world = connected(10);
    // A restart with its databases: the SAs are gone without a word, the session is inactive.
    world.restart(true);
    world.run_until_state("reconnecting", 10 * SECOND);
    world.run_until_state("connected", 5 * SECOND);
    assert_back_by_token(&world, Cause::Outage);
}

#[test]
fn a_gateway_that_forgot_everything_leads_to_a_clear_end() {
    let mut world = connected(11);
    world.restart(false);
    world.run_until_state("auth-required", 200 * SECOND);
    assert!(matches!(world.client().state(), State::AuthRequired { why: Why::TokenRefused }));
    assert_eq!(world.gateway().counters().reconnects_failed, 7, "the first and six retries");
    assert!(world.stored.is_some(), "the token is kept until its window ends");
    world.echo_every = None;
    world.run_for(Duration::from_secs(1200));
    assert!(world.stored.is_none(), "and no longer");
}

#[test]
fn a_refused_token_is_tried_again() {
    let mut world = connected(12);
    world.gateway_mut().faults().tokens = TokenFault::Next(2);
    world.restart(true);
    world.run_until_state("reconnecting", 10 * SECOND);
    world.run_until_state("connected", 10 * SECOND);
    assert_eq!(world.gateway().counters().aaa_requests, 1);
}

#[test]
fn a_crash_comes_back_by_token() {
    let mut world = connected(13);
    world.crash(SECOND);
    world.run_until_state("connected", SECOND);
    assert_back_by_token(&world, Cause::AgentStart);
}

#[test]
fn a_crash_long_after_the_login_still_has_a_fresh_session() {
    let mut world = connected(14);
    world.echo_every = Some(SECOND);
    world.run_for(Duration::from_secs(4 * 3600));
    world.crash(Duration::from_secs(300));
    world.run_until_state("connected", SECOND);
    assert_eq!(world.gateway().counters().aaa_requests, 1);
}

#[test]
fn a_strict_gateway_is_waited_for() {
    let mut world = World::with(15, |g| g.lenient = false, |_| {});
    world.connect(5 * SECOND);
    world.crash(SECOND);
    world.run_until_state("connected", 190 * SECOND);
    assert_eq!(world.gateway().counters().aaa_requests, 1);
}

#[test]
fn an_idle_roam_at_a_strict_gateway_keeps_the_old_sa() {
    let mut world = World::with(16, |g| g.lenient = false, |_| {});
    world.connect(5 * SECOND);
    world.run_for(SECOND);
    world.roam();
    world.run_until_state("connected", SECOND);
    assert!(last_reconnect(&world).old_sa);
    let now = world.now.at;
    assert!(!world.client().status(now).confirmed, "only an IKE answer was seen on the new path (law 7)");
    world.echo_every = Some(ms(20));
    world.run_for(SECOND);
    assert!(world.echoes_back >= 45, "{}", world.echoes_back);
    let now = world.now.at;
    assert!(world.client().status(now).confirmed);
}

#[test]
fn the_users_reconnect_makes_a_new_sa_without_loss() {
    let mut world = connected(17);
    let (sent, back) = (world.echoes_sent, world.echoes_back);
    world.order(Order::Reconnect);
    world.run_for(10 * SECOND);
    assert_back_by_token(&world, Cause::User);
    let lost = (world.echoes_sent - sent) - (world.echoes_back - back);
    assert!(lost <= 1, "{lost} echoes lost");
}

#[test]
fn a_cookie_and_another_group() {
    let mut world = World::new(18);
    world.gateway_mut().faults().cookie = true;
    world.gateway_mut().faults().group = Some(Group::Modp2048);
    world.connect(5 * SECOND);
    world.gateway_mut().faults().cookie = false;
    world.roam();
    world.run_until_state("connected", SECOND);
    assert_back_by_token(&world, Cause::NetworkChange); // two round trips: the group is remembered
}

#[test]
fn heavy_loss_both_ways() {
    for seed in 0..20 {
        let mut world = World::with(100 + seed, |_| {}, |c| c.exchange_timeout = 30 * SECOND);
        world.link = Link { loss: 300, ..Link::default() };
        world.connect(200 * SECOND);
        world.echo_every = Some(ms(100));
        world.run_for(SECOND);
        world.roam();
        world.run_until_state("connected", 60 * SECOND);
    }
}

#[test]
fn a_slow_person_is_not_asked_twice() {
    let mut world = World::new(20);
    world.answer_delay = Duration::from_secs(90);
    world.connect(120 * SECOND);
    assert_eq!(world.count(|e| matches!(e, Event::Ask(_))), 1);
}

#[test]
fn both_sas_are_rekeyed_under_traffic_without_loss() {
    let mut world = World::with(
        21,
        |_| {},
        |c| {
            c.child_lifetime = Duration::from_secs(60);
            c.ike_lifetime = Duration::from_secs(150);
        },
    );
    world.connect(5 * SECOND);
    world.echo_every = Some(ms(20));
    world.run_for(Duration::from_secs(600));
    assert!(world.count(|e| matches!(e, Event::ChildRekeyed)) >= 9);
    assert!(world.count(|e| matches!(e, Event::IkeRekeyed)) >= 3);
    world.echo_every = None;
    world.run_for(SECOND);
    assert_eq!(world.echoes_sent, world.echoes_back, "no echo was lost");
    assert_eq!(world.state(), "connected");
}

#[test]
fn the_gateway_rekeys_both_sas_under_traffic_without_loss() {
    let mut world = World::with(
        22,
        |g| {
            g.child_lifetime = Duration::from_secs(60);
            g.ike_lifetime = Duration::from_secs(150);
        },
        |_| {},
    );
    world.connect(5 * SECOND);
    world.echo_every = Some(ms(20));
    world.run_for(Duration::from_secs(600));
    assert!(world.count(|e| matches!(e, Event::ChildRekeyed)) >= 8);
    assert!(world.count(|e| matches!(e, Event::IkeRekeyed)) >= 2);
    world.echo_every = None;
    world.run_for(SECOND);
    assert_eq!(world.echoes_sent, world.echoes_back, "no echo was lost");
}

#[test]
fn aead_suites() {
    use ikeep::crypto::{Encr, Prf};
    let only = |groups: Vec<Group>| Algorithms {
        encr: vec![Encr::AesGcm256],
        integ: Vec::new(),
        prf: vec![Prf::HmacSha384],
        groups,
        esn: true,
        ml_kem: Wish::No,
    };
    let mut world = World::with(
        23,
        |g| {
            g.ike = only(vec![Group::Curve25519]);
            g.esp = only(Vec::new());
        },
        |_| {},
    );
    world.connect(5 * SECOND);
    world.roam();
    world.run_until_state("connected", SECOND);
    assert_back_by_token(&world, Cause::NetworkChange);
}

#[test]
fn after_disconnect_nothing_is_sent() {
    let mut world = connected(24);
    world.order(Order::Disconnect);
    world.echo_every = Some(SECOND);
    world.run_for(10 * SECOND);
    assert_eq!(world.state(), "disconnected");
    assert!(world.model.disconnect_sent >= 1, "the DELETE");
    world.roam();
    world.signal(Signal::Resume);
    world.run_for(Duration::from_secs(3600));
    assert_eq!(world.state(), "disconnected");
    assert_eq!(world.gateway().counters().active, 0);
}

#[test]
fn offline_waits_and_the_window_ends() {
    let mut world = connected(25);
    world.echo_every = Some(SECOND);
    world.unplug();
    assert_eq!(world.state(), "waiting-for-network");
    world.run_for(Duration::from_secs(300));
    world.roam();
    world.run_until_state("connected", SECOND);
    assert_back_by_token(&world, Cause::NetworkChange);
    world.unplug();
    world.run_for(Duration::from_secs(1100));
    assert!(world.stored.is_none());
    world.roam();
    world.run_for(10 * SECOND);
    assert_eq!(world.state(), "auth-required");
}

#[test]
fn without_reconnect_at_the_gateway_there_is_no_token() {
    let mut world = World::with(26, |g| g.reconnect_timeout = None, |_| {});
    world.connect(5 * SECOND);
    assert_eq!(world.count(|e| matches!(e, Event::NoToken)), 1);
    world.echo_every = Some(ms(20));
    world.run_for(SECOND);
    world.roam(); // the gateway follows ESP, the old SA goes on
    world.run_until_state("connected", SECOND);
    world.link.cut = true;
    // Declared after 7 s; the last hope, the old SA, is given up when its retransmissions end.
    world.run_until_state("auth-required", 30 * SECOND);
}

#[test]
fn whoever_gives_an_order_is_awake() {
    let mut world = connected(27);
    world.signal(Signal::Suspend);
    world.run_for(SECOND);
    world.order(Order::Reconnect);
    world.run_until_state("connected", SECOND);
}
