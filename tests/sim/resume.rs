//! Session resumption (RFC 5723) in virtual time: tickets beside the token and in its place, what a refusal costs, and what an
//! independent program makes of the octets.

mod check;

use crate::harness::{Bystander, Forgery, Seeded, World};
use ikeep::client::{AuthKind, Client, Event, Order, Settings};
use ikeep::gateway::{TicketFault, TokenFault};
use ikeep::ike::cert::IdrCheck;
use ikeep::ike::initiator::Failure;
use ikeep::reconnect::Resumption;
use ikeep::session::Session;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(600);

/// A gateway that gives tickets, with tokens beside them or without.
fn world(seed: u64, tokens: bool, resumption: Resumption) -> World {
    with_tickets(LIFETIME, seed, tokens, resumption)
}

fn with_tickets(lifetime: Duration, seed: u64, tokens: bool, resumption: Resumption) -> World {
    let mut world = World::with(
        seed,
        |gateway| {
            gateway.tickets = Some(lifetime);
            if !tokens {
                gateway.reconnect_timeout = None;
            }
        },
        |client| client.resumption = resumption,
    );
    world.link.jitter = 0;
    world.connect(5 * SECOND);
    world.run_for(SECOND);
    world
}

/// How each IKE SA came to stand, and in how many round trips.
fn ups(world: &World) -> Vec<(AuthKind, u32)> {
    let up = |event: &Event| match event {
        Event::Established { auth, round_trips } => Some((*auth, *round_trips)),
        _ => None,
    };
    world.events.iter().filter_map(|(_, event)| up(event)).collect()
}

fn asked(world: &World) -> usize {
    world.count(|event| matches!(event, Event::Ask(_)))
}

fn back(world: &mut World) {
    world.order(Order::Reconnect);
    world.run_for(SECOND);
    assert_eq!(world.state(), "connected", "{}", world.history());
}

const LOGIN: (AuthKind, u32) = (AuthKind::AnyConnect, 6);
const TICKET: (AuthKind, u32) = (AuthKind::Ticket, 2);
const TOKEN: (AuthKind, u32) = (AuthKind::Token, 2);

#[test]
fn without_a_token_the_ticket_brings_it_back_again_and_again() {
    let mut world = world(1, false, Resumption::AfterToken);
    let before = world.client().status(world.now.at).addresses;
    for _ in 0..3 {
        back(&mut world);
    }
    assert_eq!(ups(&world), [LOGIN, TICKET, TICKET, TICKET]);
    assert_eq!(asked(&world), 1, "the person is asked at the login only");
    assert_eq!(world.gateway().counters().aaa_requests, 1);
    assert_eq!((world.gateway().counters().resumed, world.gateway().counters().tickets), (3, 4));
    assert_eq!(world.client().status(world.now.at).addresses, before);
    assert_eq!(world.count(|e| matches!(e, Event::NoToken)), 0);
    // Traffic goes through what was resumed, and both of its SAs can be rekeyed.
    world.echo_every = Some(SECOND);
    world.run_for(7200 * SECOND);
    assert_eq!(world.state(), "connected");
    assert!(world.echoes_back + 20 >= world.echoes_sent, "{} of {}", world.echoes_back, world.echoes_sent);
    assert!(world.count(|e| matches!(e, Event::ChildRekeyed)) > 0);
}

#[test]
fn a_gateway_without_tickets_costs_nothing() {
    let mut world = World::with(2, |_| {}, |client| client.resumption = Resumption::First);
    world.connect(5 * SECOND);
    world.run_for(SECOND);
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TOKEN]);
    assert_eq!(world.client().session().and_then(|session| session.ticket.clone()), None);
}

#[test]
fn nothing_is_asked_for_where_it_is_off() {
    let mut world = world(3, true, Resumption::Off);
    assert_eq!(world.gateway().counters().tickets, 0);
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TOKEN]);
}

#[test]
fn the_token_comes_first_unless_configured() {
    let mut token = world(4, true, Resumption::AfterToken);
    back(&mut token);
    assert_eq!(ups(&token), [LOGIN, TOKEN]);
    let mut ticket = world(4, true, Resumption::First);
    back(&mut ticket);
    assert_eq!(ups(&ticket), [LOGIN, TICKET]);
}

#[test]
fn a_refused_token_is_followed_by_the_ticket_at_once() {
    let mut world = world(5, true, Resumption::AfterToken);
    world.gateway_mut().faults().tokens = TokenFault::All;
    let start = world.now.at;
    world.order(Order::Reconnect);
    world.run_until_state("reconnecting", SECOND);
    world.run_until_state("connected", SECOND);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
    assert!(world.now.at.since(start) < SECOND / 2, "{:?}", world.now.at.since(start));
}

/// The agent dies, and another one starts with this in its store.
fn start_with(world: &mut World, session: Session) {
    world.stored = Some(session);
    world.crash(SECOND);
}

#[test]
fn an_unknown_ticket_is_followed_by_the_token_at_once() {
    let mut world = world(6, true, Resumption::First);
    world.gateway_mut().forget_tickets();
    let start = world.now.at;
    world.order(Order::Reconnect);
    world.run_until_state("reconnecting", SECOND);
    world.run_until_state("connected", SECOND);
    assert_eq!(ups(&world), [LOGIN, TOKEN]);
    assert!(world.now.at.since(start) < SECOND / 2, "{:?}", world.now.at.since(start));
    assert_eq!(world.count(|e| matches!(e, Event::Failed(Failure::Ticket))), 1);
    // The token's IKE SA came with a new one.
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TOKEN, TICKET]);
}

#[test]
fn a_silence_that_outlasts_the_token_leaves_the_ticket() {
    let mut world = with_tickets(36 * LIFETIME, 61, true, Resumption::First);
    world.link.cut = true;
    world.order(Order::Reconnect);
    world.run_for(3 * LIFETIME);
    world.link.cut = false;
    world.run_until_state("connected", 60 * SECOND);
    assert_eq!(ups(&world), [LOGIN, TICKET], "{}", world.history());
    assert_eq!(asked(&world), 1);
}

#[test]
fn after_an_unknown_ticket_a_token_that_is_over_is_tried_no_more() {
    let mut world = with_tickets(36 * LIFETIME, 62, true, Resumption::First);
    world.gateway_mut().forget_tickets();
    world.sleep(6 * LIFETIME, true);
    // The old SA is asked to the end, and the gaps between refusals of a token (132 s) are not waited for.
    world.run_until_state("auth-required", 40 * SECOND);
    assert_eq!(world.count(|event| matches!(event, Event::UsingIkeId(_))), 0, "{}", world.history());
}

#[test]
fn an_unknown_ticket_without_a_token_ends_in_a_login_at_once() {
    let mut world = world(7, false, Resumption::AfterToken);
    world.gateway_mut().forget_tickets();
    world.restart(true);
    world.order(Order::Reconnect);
    world.run_until_state("auth-required", 30 * SECOND);
    assert_eq!(
        world.count(|e| matches!(e, Event::Failed(Failure::Ticket))),
        1,
        "it is not tried again and again"
    );
    world.connect(5 * SECOND);
    assert_eq!(ups(&world), [LOGIN, LOGIN]);
}

#[test]
fn a_ticket_outlives_a_restart_of_the_gateway_that_forgets_every_session() {
    let mut world = world(8, false, Resumption::AfterToken);
    let before = world.client().status(world.now.at).addresses;
    world.restart(false);
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
    assert_eq!(world.client().status(world.now.at).addresses, before, "they are in the ticket");
}

#[test]
fn a_ticket_serves_once_and_no_other_gateway() {
    let mut world = world(9, false, Resumption::AfterToken);
    let first = world.client().session().cloned().expect("a session");
    assert!(!first.has_token() && first.ticket.is_some());
    back(&mut world);
    let second = world.client().session().cloned().expect("a session");
    assert_ne!(first.ticket, second.ticket);
    // Whoever shows the first one again is refused, and the SA that stands is not touched.
    let elsewhere = Session { host_address: "other.example.com".into(), ..second.clone() };
    let mut stranger = Client::new(world.now, world.settings.clone(), Box::new(Seeded::new(1)));
    assert!(!stranger.restore(world.now, elsewhere), "another gateway's ticket is not taken over (law 5)");
    start_with(&mut world, first);
    world.run_until_state("auth-required", 30 * SECOND);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
    // The second one is still good.
    start_with(&mut world, second);
    world.run_until_state("connected", 5 * SECOND);
    assert_eq!(ups(&world), [LOGIN, TICKET, TICKET]);
}

#[test]
fn a_ticket_counts_on_its_own_terms_only() {
    let mut world = world(31, false, Resumption::AfterToken);
    let session = world.client().session().cloned().expect("a session");
    let settings = world.settings.clone();
    type Change = fn(&mut Settings);
    let changes: [(&str, bool, Change); 8] = [
        ("nothing", true, |_| ()),
        ("what nobody judges by", true, |s| s.dpd_interval *= 2),
        ("the roots in another order", true, |s| s.trust.roots.reverse()),
        ("a root less", false, |s| drop(s.trust.roots.pop())),
        ("a pin", false, |s| s.trust.pins.push([7; 64])),
        ("the check of IDr", false, |s| s.trust.idr_check = IdrCheck::Cert),
        ("SHA-1 in the proof", false, |s| s.dialect.rsa_auth_sha1 = !s.dialect.rsa_auth_sha1),
        ("an algorithm less", false, |s| s.ike.prf.truncate(1)),
    ];
    for (what, good, change) in changes {
        let mut settings = settings.clone();
        change(&mut settings);
        let mut client = Client::new(world.now, settings, Box::new(Seeded::new(1)));
        assert_eq!(client.restore(world.now, session.clone()), good, "{what}");
    }
    start_with(&mut world, session);
    world.run_until_state("connected", 5 * SECOND);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
}

#[test]
fn a_disconnect_ends_the_ticket_on_both_sides() {
    let mut world = world(10, false, Resumption::AfterToken);
    let session = world.client().session().cloned().expect("a session");
    world.order(Order::Disconnect);
    world.run_for(5 * SECOND);
    assert_eq!(world.count(|e| matches!(e, Event::EraseSession)), 1);
    assert!(world.client().session().is_none());
    start_with(&mut world, session); // somebody has kept it
    world.order(Order::Connect);
    world.run_until_state("auth-required", 30 * SECOND);
    assert_eq!(ups(&world), [LOGIN]);
}

#[test]
fn a_ticket_ends_in_time() {
    let mut world = world(11, false, Resumption::AfterToken);
    let ticket = world.client().session().cloned().expect("a session");
    world.order(Order::Disconnect);
    world.run_for(LIFETIME);
    start_with(&mut world, ticket); // somebody has kept it
    world.order(Order::Connect);
    world.run_until_state("connected", 5 * SECOND);
    assert_eq!(ups(&world), [LOGIN, LOGIN]);
    assert_eq!(world.gateway().counters().refusals.len(), 0, "nobody was asked about what is over");
}

#[test]
fn while_its_ike_sa_serves_there_is_always_a_good_ticket() {
    let mut world = world(14, false, Resumption::AfterToken);
    world.run_for(5 * LIFETIME);
    let tickets = world.gateway().counters().tickets;
    assert!((10..12).contains(&tickets), "another one in half of its time: {tickets}");
    world.restart(true);
    world.run_until_state("reconnecting", 60 * SECOND);
    world.run_until_state("connected", SECOND);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
}

/// A gateway that gives tickets for a day and no tokens, with an IKE SA that one of the two sides rekeys every hour.
fn rekeyed(seed: u64, by_gateway: bool) -> World {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut world = World::with(
        seed,
        |gateway| {
            (gateway.tickets, gateway.reconnect_timeout) = (Some(24 * HOUR), None);
            if by_gateway {
                gateway.ike_lifetime = HOUR;
            }
        },
        |client| {
            client.resumption = Resumption::AfterToken;
            if !by_gateway {
                client.ike_lifetime = HOUR;
            }
        },
    );
    world.link.jitter = 0;
    world.connect(5 * SECOND);
    world.run_for(SECOND);
    world
}

#[test]
fn a_rekey_of_the_ike_sa_by_either_side_ends_the_ticket_and_brings_another() {
    for by_gateway in [false, true] {
        let mut world = rekeyed(15, by_gateway);
        let before = world.client().session().cloned().expect("a session");
        world.run_for(5000 * SECOND);
        let rekeys = world.count(|event| matches!(event, Event::IkeRekeyed));
        assert!(rekeys >= 1, "by the gateway: {by_gateway}");
        assert_eq!(
            world.gateway().counters().tickets,
            1 + rekeys as u64,
            "one each, by the gateway: {by_gateway}"
        );
        let after = world.client().session().cloned().expect("a session");
        let sk_d = |session: &Session| session.ticket.as_ref().map(|ticket| ticket.sk_d.clone());
        assert_ne!(sk_d(&before), sk_d(&after), "it is the new IKE SA's");
        assert_eq!(world.stored.as_ref().map(sk_d), Some(sk_d(&after)), "and kept for the next start");
        // The one before is good for nothing, the new one for everything.
        start_with(&mut world, before);
        world.run_until_state("auth-required", 30 * SECOND);
        start_with(&mut world, after);
        world.run_until_state("connected", 5 * SECOND);
        assert_eq!(ups(&world), [LOGIN, TICKET], "by the gateway: {by_gateway}");
    }
}

#[test]
fn a_ticket_that_is_not_renewed_is_told_only_where_it_was_needed() {
    // In time before its end: the one before is good to its end.
    let mut world = world(16, false, Resumption::AfterToken);
    world.gateway_mut().faults().tickets = TicketFault::Refused;
    world.run_for(LIFETIME - 10 * SECOND);
    assert_eq!(world.count(|event| matches!(event, Event::NoToken | Event::EraseSession)), 0);
    world.gateway_mut().faults().tickets = TicketFault::None;
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
    // After a rekey there is none, and after the next one there may be one again.
    let mut world = rekeyed(16, false);
    world.gateway_mut().faults().tickets = TicketFault::Refused;
    world.run_for(4000 * SECOND);
    assert_eq!(world.state(), "connected", "the SA needs none");
    assert_eq!(world.count(|event| matches!(event, Event::NoToken)), 1);
    assert_eq!(world.count(|event| matches!(event, Event::EraseSession)), 1);
    assert!(world.client().session().is_none() && world.stored.is_none());
    world.gateway_mut().faults().tickets = TicketFault::None;
    world.run_for(3600 * SECOND);
    assert!(world.stored.as_ref().is_some_and(|session| session.user == "test" && session.ticket.is_some()));
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
}

#[test]
fn what_is_given_and_never_arrives_ends_nothing() {
    let mut world = world(20, false, Resumption::AfterToken);
    let before = world.client().session().cloned().expect("a session");
    world.run_for(LIFETIME / 2 - SECOND);
    while world.gateway().counters().tickets < 2 {
        world.run_for(SECOND / 100);
    }
    // The agent is killed before it has read the answer.
    start_with(&mut world, before);
    world.run_until_state("connected", 30 * SECOND);
    assert_eq!(ups(&world), [LOGIN, TICKET], "{}", world.history());
}

#[test]
fn a_promise_that_is_not_kept_is_told() {
    let mut world = rekeyed(21, false);
    world.gateway_mut().faults().tickets = TicketFault::Later;
    world.run_for(3700 * SECOND);
    world.gateway_mut().faults().tickets = TicketFault::Refused;
    world.run_for(3700 * SECOND);
    assert_eq!(world.count(|event| matches!(event, Event::NoToken)), 1, "{}", world.history());
    assert_eq!(world.count(|event| matches!(event, Event::EraseSession)), 1);
}

#[test]
fn an_outage_between_a_promise_and_its_ticket_costs_no_more_than_itself() {
    let mut world = World::with(
        22,
        |gateway| (gateway.tickets, gateway.reconnect_timeout) = (Some(LIFETIME), None),
        |client| client.resumption = Resumption::AfterToken,
    );
    world.gateway_mut().faults().tickets = TicketFault::Later;
    world.connect(5 * SECOND);
    world.run_for(SECOND);
    world.unplug();
    world.run_for(2 * SECOND);
    world.roam();
    world.run_until_state("connected", 30 * SECOND);
    world.gateway_mut().faults().tickets = TicketFault::None;
    world.run_for(200 * SECOND);
    assert!(world.stored.as_ref().is_some_and(|session| session.ticket.is_some()), "{}", world.history());
    assert_eq!(asked(&world), 1);
}

#[test]
fn a_ticket_that_was_put_off_is_asked_for_again() {
    let mut world = World::with(
        17,
        |gateway| (gateway.tickets, gateway.reconnect_timeout) = (Some(LIFETIME), None),
        |client| client.resumption = Resumption::AfterToken,
    );
    world.link.jitter = 0;
    world.gateway_mut().faults().tickets = TicketFault::Later;
    world.connect(5 * SECOND);
    world.run_for(90 * SECOND);
    assert_eq!((world.state(), world.stored.is_some()), ("connected", false));
    assert_eq!(world.count(|event| matches!(event, Event::NoToken)), 0, "it is promised");
    world.gateway_mut().faults().tickets = TicketFault::None;
    world.run_for(120 * SECOND);
    assert!(world.stored.as_ref().is_some_and(|session| session.user == "test" && session.ticket.is_some()));
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TICKET]);
}

#[test]
fn a_resumption_does_not_make_an_authentication_longer() {
    const AUTH: Duration = Duration::from_secs(300);
    let mut world = World::with(
        19,
        |gateway| {
            gateway.tickets = Some(LIFETIME);
            (gateway.auth_lifetime, gateway.reconnect_timeout) = (Some(AUTH), None);
        },
        |client| client.resumption = Resumption::AfterToken,
    );
    world.link.jitter = 0;
    let start = world.now.at;
    world.connect(5 * SECOND);
    for _ in 0..4 {
        world.run_for(AUTH / 5);
        back(&mut world);
    }
    let ticket = world.client().session().and_then(|session| session.ticket.clone()).expect("a ticket");
    assert!(ticket.remaining(world.now.wall) <= AUTH / 5, "{:?}", ticket.remaining(world.now.wall));
    world.run_until_state("auth-required", AUTH / 5);
    assert!(world.now.at.since(start) <= AUTH + 5 * SECOND, "{:?}", world.now.at.since(start));
    assert_eq!(ups(&world), [LOGIN, TICKET, TICKET, TICKET, TICKET]);
}

#[test]
fn a_gateway_that_deletes_the_ike_sa_ends_the_ticket() {
    let mut world = world(18, false, Resumption::AfterToken);
    let before = world.client().session().cloned().expect("a session");
    world.at_gateway(0, |gateway, now| gateway.clear_sessions(now));
    world.run_until_state("auth-required", 30 * SECOND);
    assert!(world.client().session().is_none() && world.stored.is_none());
    assert_eq!(world.count(|event| matches!(event, Event::UsingTicket)), 0);
    // And whoever kept it is refused.
    start_with(&mut world, before);
    world.run_until_state("auth-required", 30 * SECOND);
    assert_eq!(world.count(|event| matches!(event, Event::Failed(Failure::Ticket))), 1);
    assert_eq!(ups(&world), [LOGIN], "{}", world.history());
    // Where there is a token, that is the way back.
    let mut world = with_tickets(LIFETIME, 18, true, Resumption::First);
    world.at_gateway(0, |gateway, now| gateway.clear_sessions(now));
    world.run_until_state("reconnecting", 30 * SECOND);
    world.run_until_state("connected", 30 * SECOND);
    assert_eq!(ups(&world), [LOGIN, TOKEN]);
}

#[test]
fn a_forged_refusal_costs_a_round_trip_and_no_login() {
    let mut world = world(12, true, Resumption::First);
    let (now, until) = (world.now, world.now.at + 5 * SECOND);
    let gateway = world.sites[0].addresses[0];
    world.bystander = Some(Bystander::new(Forgery::InitError, now, until, gateway, 1));
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, TOKEN]);
    assert_eq!(asked(&world), 1);
}

#[test]
fn a_cookie_is_given_back() {
    let mut world = world(13, false, Resumption::AfterToken);
    world.gateway_mut().faults().cookie = true;
    back(&mut world);
    assert_eq!(ups(&world), [LOGIN, (AuthKind::Ticket, 3)]);
}
