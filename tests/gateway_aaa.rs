//! Logins that AAA outside of the gateway decides: asked once, while nobody else waits, and never at a reconnect.

mod gateway_peer;

use gateway_peer::eap::{Said, opaque, response, said};
use gateway_peer::world::{World, client};
use gateway_peer::{Offer, Peer};
use ikeep::gateway::aaa::{Answer, Grant};
use ikeep::gateway::{GatewayEvent, Refusal};
use ikeep::ike::message::{Exchange, Payload, find_notify, notify};
use std::net::Ipv4Addr;
use std::time::Duration;

const FRAMED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 7);

fn world() -> World {
    World::with(|config| config.aaa_outside = true)
}

fn accept(address4: Option<Ipv4Addr>) -> Answer {
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

#[test]
fn an_address_of_one_user_is_taken_from_their_lost_session_and_from_nobody_else() {
    let mut world = world();
    world.aaa.extend([accept(Some(FRAMED)), accept(Some(FRAMED)), accept(Some(FRAMED))]);
    let (_, lost) = Peer::login(&mut world, client(2), 1);
    // The first session is still served.
    let (mut peer, form) = Peer::begin(&mut world, client(3), Offer::default(), 2);
    let complete = peer.password(&mut world, &form, "test", "cisco");
    assert_eq!(peer.say(&mut world, &complete, "ack", ""), Said::Success);
    let refused = peer.final_auth_refused(&mut world);
    assert!(find_notify(&refused, notify::INTERNAL_ADDRESS_FAILURE).is_some(), "{refused:?}");
    world.gateway.restart(world.now, true);
    let (_, given) = Peer::login(&mut world, client(4), 3);
    assert_eq!(given.address, Some(FRAMED));
    let (_, payloads) = Peer::reconnect(&mut world, client(2), &lost, 4);
    assert!(find_notify(&payloads, notify::AUTHENTICATION_FAILED).is_some(), "{payloads:?}");
}
