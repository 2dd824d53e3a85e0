//! Logins that AAA outside of the gateway decides: asked once, while nobody else waits, and never at a reconnect.

mod gateway_peer;

use gateway_peer::eap::{Said, opaque, response, said};
use gateway_peer::world::{World, client};
use gateway_peer::{ASKED, Offer, Peer};
use ikeep::esp::TrafficSelector;
use ikeep::gateway::aaa::{Address4, Answer, Doubt, Grant};
use ikeep::gateway::{DownReason, GatewayEvent, Refusal};
use ikeep::ike::message::{Exchange, Payload, find_notify, notify};
use std::net::Ipv4Addr;
use std::time::Duration;

const FRAMED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 7);

fn world() -> World {
    World::with(|config| config.aaa_outside = true)
}

fn accept(address4: Option<Ipv4Addr>) -> Answer {
    let address4 = address4.map_or(Address4::Client, Address4::Fixed);
    Answer::Accept(Grant { address4, address6: None, class: vec![b"gold".to_vec()] })
}

fn reject(message: &str) -> Answer {
    Answer::Reject { message: message.into() }
}

fn refusals(world: &mut World) -> Vec<Refusal> {
    let refused = |event| match event {
        GatewayEvent::Refused { why, .. } => Some(why),
        _ => None,
    };
    world.told().into_iter().filter_map(refused).collect()
}

#[test]
fn what_is_granted_stays_with_the_session_and_a_reconnect_asks_nobody() {
    let mut world = world();
    world.aaa.push_back(accept(Some(FRAMED)));
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    assert_eq!(given.address, Some(FRAMED));
    assert_eq!(peer.ping(&mut world, 1), Some(client(2)));
    let [asked] = world.asked.as_slice() else { panic!("{:?}", world.asked) };
    assert_eq!(
        (asked.user.as_str(), asked.password.expose(), asked.peer),
        ("test", &b"cisco"[..], client(2).ip())
    );
    assert_eq!(world.gateway.show_aaa(), "test: active, 10.77.0.7, class 676f6c64\n");
    let (_, payloads) = Peer::reconnect(&mut world, client(3), &given, 2);
    assert!(payloads.iter().any(|payload| matches!(payload, Payload::Cp(_))), "{payloads:?}");
    assert_eq!(world.asked.len(), 1, "AAA was asked at a reconnect");
    assert_eq!(world.gateway.show_aaa(), "test: active, 10.77.0.7, class 676f6c64\n");
    assert_eq!(world.gateway.counters().aaa_requests, 1);
}

#[test]
fn a_challenge_is_a_second_form_and_its_state_goes_back() {
    let mut world = world();
    let challenge = Answer::Challenge { message: "Code of your <token>?".into(), state: b"st".to_vec() };
    world.aaa.extend([challenge.clone(), reject("No."), challenge, accept(None)]);
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    let code = peer.password(&mut world, &form, "test", "cisco");
    assert!(
        code.xml().contains("Code of your &lt;token&gt;?") && code.xml().contains("name=\"answer\""),
        "{code:?}"
    );
    // A wrong code begins anew.
    let again = peer.answer(&mut world, &code, "<password>000000</password>", "");
    assert!(again.xml().contains("No.") && again.xml().contains("name=\"username\""), "{again:?}");
    let code = peer.password(&mut world, &again, "test", "cisco");
    let complete = peer.answer(&mut world, &code, "<password>123456</password>", "");
    let given = peer.finish(&mut world, &complete);
    assert_eq!(given.address, Some([192, 168, 20, 5].into()), "of the pool, where AAA names none");
    let states: Vec<_> = world.asked.iter().map(|question| question.state.as_deref()).collect();
    assert_eq!(states, [None, Some(&b"st"[..]), None, Some(&b"st"[..])]);
    assert_eq!(world.asked[3].password.expose(), b"123456");
    assert_eq!(world.asked[3].user, "test");
}

#[test]
fn refusals_are_told_and_counted_and_the_third_ends_the_login() {
    let mut world = world();
    world.aaa.extend([reject(""), reject("Your account is locked."), reject("")]);
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    let form = peer.password(&mut world, &form, "test", "a");
    assert!(form.xml().contains("Login failed."), "{form:?}");
    let form = peer.password(&mut world, &form, "test", "b");
    assert!(form.xml().contains("Your account is locked."), "{form:?}");
    assert_eq!(peer.password(&mut world, &form, "test", "c"), Said::Failure);
    assert_eq!(refusals(&mut world), [Refusal::Password, Refusal::Password, Refusal::TooManyTries]);
}

#[test]
fn a_silent_aaa_ends_the_login() {
    let mut world = world();
    world.aaa.push_back(Answer::Silent);
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    assert_eq!(peer.password(&mut world, &form, "test", "cisco"), Said::Failure);
    assert_eq!(refusals(&mut world), [Refusal::AaaSilent]);
}

/// A login whose question has no answer yet; the request that waits.
fn waiting(world: &mut World, last: u8) -> (Peer, Vec<u8>) {
    let (mut peer, form) = Peer::begin(world, client(last), Offer::default(), u64::from(last));
    let Said::Request { id, .. } = &form else { panic!("{form:?}") };
    let fields = "<username>test</username><password>cisco</password>";
    let body = format!("<session-id/><session-token/>{}<auth>{fields}</auth>", opaque(form.xml()));
    let request = peer.seal(Exchange::IkeAuth, &[Payload::Eap(response(*id, "auth-reply", &body))]);
    assert!(world.ike(client(last), &request).is_empty());
    (peer, request)
}

#[test]
fn others_are_served_while_aaa_thinks_and_a_repetition_asks_no_second_time() {
    let mut world = world();
    let (mut first, request) = waiting(&mut world, 2);
    let (mut second, _) = waiting(&mut world, 3);
    assert!(world.ike(client(2), &request).is_empty());
    assert_eq!(world.asked.len(), 2, "a repetition was taken for a new question");
    // The answers come in another order.
    let answers = world.aaa_says(world.asked[1].id, accept(None));
    let complete = said(&second.open(Exchange::IkeAuth, &answers[0].payload[4..]));
    let there = second.finish(&mut world, &complete);
    let answers = world.aaa_says(world.asked[0].id, accept(None));
    let complete = said(&first.open(Exchange::IkeAuth, &answers[0].payload[4..]));
    let here = first.finish(&mut world, &complete);
    assert_ne!(here.address, there.address);
    // What was answered is answered no second time.
    assert!(world.aaa_says(world.asked[0].id, reject("")).is_empty());
}

#[test]
fn who_has_moved_is_answered_where_they_are() {
    let mut world = world();
    let (mut peer, request) = waiting(&mut world, 2);
    assert!(world.ike(client(9), &request).is_empty());
    let answers = world.aaa_says(world.asked[0].id, accept(None));
    assert_eq!(answers[0].to, client(9));
    said(&peer.open(Exchange::IkeAuth, &answers[0].payload[4..]));
    // And what was answered is said again to who asks again, from a third place.
    let again = world.ike(client(8), &request);
    assert_eq!((again.len(), again[0].to), (1, client(8)));
}

#[test]
fn an_answer_for_a_login_that_has_ended_changes_nothing() {
    let mut world = world();
    let (_, _) = waiting(&mut world, 2);
    world.pass(Duration::from_secs(40));
    assert_eq!(world.gateway.counters().half_open, 0);
    assert!(world.aaa_says(world.asked[0].id, accept(None)).is_empty());
    assert_eq!(refusals(&mut world), [Refusal::Timeout]);
    let (_, _) = waiting(&mut world, 3);
    world.gateway.restart(world.now, true);
    assert!(world.aaa_says(world.asked[1].id, accept(None)).is_empty());
}

/// A login up to its final AUTH; what the gateway says to that.
fn refused_login(world: &mut World, last: u8, user: &str) -> Vec<Payload> {
    let (mut peer, form) = Peer::begin(world, client(last), Offer::default(), u64::from(last) + 100);
    let complete = peer.password(world, &form, user, "cisco");
    assert_eq!(peer.say(world, &complete, "ack", ""), Said::Success);
    peer.final_auth_refused(world)
}

#[test]
fn an_address_that_another_user_has_is_refused_and_told_by_its_name() {
    let mut world = world();
    world.aaa.extend([accept(Some(FRAMED)), accept(Some(FRAMED)), accept(Some(FRAMED))]);
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    world.told();
    let refused = refused_login(&mut world, 3, "bob");
    assert!(find_notify(&refused, notify::INTERNAL_ADDRESS_FAILURE).is_some(), "{refused:?}");
    let told = world.told();
    let taken =
        GatewayEvent::AddressTaken { user: "bob".into(), address: FRAMED.into(), owner: "test".into() };
    assert!(told.contains(&taken), "{told:?}");
    assert_eq!(world.gateway.counters().refusals.get(&Refusal::AddressTaken), Some(&1));
    assert_eq!(world.gateway.counters().refusals.get(&Refusal::PoolEmpty), None);
    assert!(peer.ping(&mut world, 1).is_some(), "nothing has changed for its owner");
    // Also while its owner is away: they would come back with it.
    world.gateway.restart(world.now, true);
    let refused = refused_login(&mut world, 4, "bob");
    assert!(find_notify(&refused, notify::INTERNAL_ADDRESS_FAILURE).is_some(), "{refused:?}");
}

#[test]
fn a_second_login_replaces_its_users_session_and_the_first_client_is_told() {
    let mut world = world();
    world.aaa.extend([accept(Some(FRAMED)), accept(Some(FRAMED))]);
    let (mut first, lost) = Peer::login(&mut world, client(2), 1);
    let late = first.seal_ping([192, 168, 10, 1], 7);
    world.told();
    let (mut second, form) = Peer::begin(&mut world, client(3), Offer::default(), 2);
    let complete = second.password(&mut world, &form, "test", "cisco");
    assert_eq!(second.say(&mut world, &complete, "ack", ""), Said::Success);
    let (answer, delete) = second.final_auth_and_more(&mut world);
    assert_eq!(second.take(&answer).address, Some(FRAMED));
    let told = world.told();
    let replaced = GatewayEvent::SessionReplaced {
        id: lost.session_id.clone().map(|id| String::from_utf8(id).unwrap()),
        user: "test".into(),
        addresses: vec![FRAMED.into()],
        number: Some(1),
        by: 2,
    };
    let position = |wanted: &dyn Fn(&GatewayEvent) -> bool| told.iter().position(wanted);
    let up = position(&|event| matches!(event, GatewayEvent::SaUp { number: 2, .. }));
    assert!(position(&|event| *event == replaced) < up && up.is_some(), "{told:?}");
    // The old client is told, and until it has answered nothing of it passes.
    let [delete] = delete.as_slice() else { panic!("{delete:?}") };
    assert_eq!(delete.to, client(2));
    assert!(world.esp(client(2), late).is_empty());
    let said = first.answer_request(&mut world, &delete.payload[4..]);
    assert!(matches!(said.as_slice(), [Payload::Delete(_)]), "{said:?}");
    let down = |event: &GatewayEvent| {
        matches!(event, GatewayEvent::SaDown { number: 1, why: DownReason::Replaced, kept: false, .. })
    };
    let told = world.told();
    assert_eq!(told.iter().filter(|event| down(event)).count(), 1, "{told:?}");
    assert_eq!(second.ping(&mut world, 1), Some(client(3)));
    assert_eq!(world.gateway.show_aaa().lines().count(), 1);
    // Its token is worth nothing any more.
    let (_, payloads) = Peer::reconnect(&mut world, client(2), &lost, 4);
    assert!(find_notify(&payloads, notify::AUTHENTICATION_FAILED).is_some(), "{payloads:?}");
    // And one that never answers is forgotten all the same.
    world.aaa.push_back(accept(Some(FRAMED)));
    let (mut third, form) = Peer::begin(&mut world, client(5), Offer::default(), 5);
    let complete = third.password(&mut world, &form, "test", "cisco");
    assert_eq!(third.say(&mut world, &complete, "ack", ""), Said::Success);
    let (answer, _) = third.final_auth_and_more(&mut world);
    third.take(&answer);
    world.told();
    assert!(world.pass(Duration::from_secs(600)).len() > 1, "the DELETE is repeated");
    let gone = |event: &GatewayEvent| {
        matches!(event, GatewayEvent::SaDown { number: 2, why: DownReason::Replaced, .. })
    };
    assert!(world.told().iter().any(gone));
    assert_eq!(third.ping(&mut world, 1), Some(client(5)));
}

#[test]
fn a_session_that_waits_gives_way_to_a_login_and_only_when_that_is_settled() {
    let mut world = world();
    world.aaa.extend([accept(Some(FRAMED)), accept(Some(FRAMED)), accept(Some(FRAMED))]);
    let (_, lost) = Peer::login(&mut world, client(2), 1);
    world.gateway.restart(world.now, true);
    world.told();
    // A login whose Child SA cannot be: the session that waits is still there.
    let mut peer = Peer::init(&mut world, client(3), Offer::default(), 2);
    peer.own_side = TrafficSelector::host([10, 1, 1, 1].into());
    let form = peer.begin_eap(&mut world, &ASKED.map(|kind| (kind, &[][..])));
    let complete = peer.password(&mut world, &form, "test", "cisco");
    assert_eq!(peer.say(&mut world, &complete, "ack", ""), Said::Success);
    let refused = peer.final_auth_refused(&mut world);
    assert!(find_notify(&refused, notify::TS_UNACCEPTABLE).is_some(), "{refused:?}");
    assert!(!world.told().iter().any(|event| matches!(event, GatewayEvent::SessionReplaced { .. })));
    assert_eq!(world.gateway.show_aaa(), "test: inactive, 10.77.0.7, class 676f6c64\n");
    let (_, given) = Peer::login(&mut world, client(4), 3);
    assert_eq!(given.address, Some(FRAMED));
    let replaced =
        |event: &GatewayEvent| matches!(event, GatewayEvent::SessionReplaced { number: None, by: 3, .. });
    assert!(world.told().iter().any(replaced));
    let (_, payloads) = Peer::reconnect(&mut world, client(2), &lost, 4);
    assert!(find_notify(&payloads, notify::AUTHENTICATION_FAILED).is_some(), "{payloads:?}");
}

#[test]
fn addresses_of_no_pool_are_told_to_who_makes_routes() {
    let outside = |world: &mut World| {
        let of = |event| match event {
            GatewayEvent::OutsideTaken { address } => Some((address, true)),
            GatewayEvent::OutsideFreed { address } => Some((address, false)),
            _ => None,
        };
        world.told().into_iter().filter_map(of).collect::<Vec<_>>()
    };
    let mut world = world();
    world.aaa.extend([accept(Some(FRAMED)), accept(None), accept(Some(FRAMED))]);
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    let order =
        |event: &GatewayEvent| matches!(event, GatewayEvent::SaUp { .. } | GatewayEvent::OutsideTaken { .. });
    let first = world.events.iter().find(|event| order(event)).cloned();
    assert_eq!(
        first,
        Some(GatewayEvent::OutsideTaken { address: FRAMED.into() }),
        "the way before the session"
    );
    world.told();
    Peer::login(&mut world, client(3), 2);
    assert_eq!(outside(&mut world), [], "of the pool");
    peer.delete(&mut world);
    assert_eq!(outside(&mut world), [(FRAMED.into(), false)]);
    Peer::login(&mut world, client(4), 3);
    assert_eq!(outside(&mut world), [(FRAMED.into(), true)]);
    // Lost, it waits with its address; in the end it is free.
    world.gateway.restart(world.now, true);
    assert_eq!(outside(&mut world), []);
    world.pass(Duration::from_secs(901));
    assert_eq!(outside(&mut world), [(FRAMED.into(), false)]);
    world.aaa.push_back(accept(Some(FRAMED)));
    Peer::login(&mut world, client(5), 5);
    assert_eq!(outside(&mut world), [(FRAMED.into(), true)]);
    world.gateway.restart(world.now, false);
    assert_eq!(outside(&mut world), [(FRAMED.into(), false)]);
}

#[test]
fn answers_that_do_not_count_end_the_login_and_tell_why() {
    for doubt in [Doubt::Forged, Doubt::Unsigned, Doubt::Unreadable] {
        let mut world = world();
        world.aaa.push_back(Answer::Unbelieved(doubt));
        let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
        assert_eq!(peer.password(&mut world, &form, "test", "cisco"), Said::Failure);
        assert_eq!(refusals(&mut world), [Refusal::AaaUnbelieved(doubt)]);
    }
}
