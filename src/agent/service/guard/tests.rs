use super::super::stage::{Parts, service};
use super::*;
use crate::agent::driver::Output;
use crate::agent::network::Report;
use crate::client::Event;
use crate::ipc::helper::{Refusal, RefusalKind};
use crate::reconnect::Why;

const EVERYTHING: Guard = Guard { mode: GuardMode::All, lan: false, always: false };

async fn wanting(guard: Guard) -> (Service, Parts) {
    let (mut service, parts) = service("false").await;
    service.connection.as_mut().unwrap().target.guard = Some(guard);
    (service, parts)
}

async fn enters(service: &mut Service, state: State) {
    let now = service.clock.now();
    service.output(Some(Output::Event(now, Event::State(state)))).await;
}

fn wanted(parts: &Parts) -> Guard {
    *parts.helper.guards.borrow()
}

/// What is done while the helper takes the kill switch down.
async fn lowered(parts: &mut Parts, done: impl Future<Output = ()>) {
    let lowers = async {
        parts.helper.guards.wait_for(|guard| guard.mode == GuardMode::Off).await.unwrap();
        parts.helper.say(Report::Guarded(None)).await;
    };
    tokio::join!(lowers, done);
}

#[tokio::test]
async fn it_is_up_from_the_login_on_also_when_the_session_is_over_until_disconnect() {
    let (mut service, mut parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connecting).await;
    assert_eq!(wanted(&parts), EVERYTHING);
    assert_eq!(service.guard_status().await["up"], false);
    service.ground(Report::Guarded(Some(EVERYTHING))).await;
    service.ground(Report::Guarded(Some(EVERYTHING))).await;
    assert_eq!(service.guard_status().await["message"], "all, up");
    assert_eq!(parts.events().matches(Reason::GuardUp.text()).count(), 1);
    enters(&mut service, State::AuthRequired { why: Why::WindowOver }).await;
    assert_eq!(wanted(&parts), EVERYTHING);
    service.connection.as_mut().unwrap().ending = true;
    lowered(&mut parts, service.end(None)).await;
    assert!(parts.events().contains(Reason::GuardDown.text()));
    assert!(service.guard_status().await.is_null());
}

#[tokio::test]
async fn in_a_network_that_is_trusted_it_is_down() {
    let (mut service, mut parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connecting).await;
    let since = service.clock.now().at;
    let rests = State::Suspended { since, pause: Pause::TrustedNetwork };
    lowered(&mut parts, enters(&mut service, rests)).await;
    enters(&mut service, State::Connected).await;
    assert_eq!(wanted(&parts), EVERYTHING, "and up again behind it");
}

#[tokio::test]
async fn one_that_cannot_be_put_up_is_told_and_not_claimed() {
    let (mut service, parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connecting).await;
    let refusal = Refusal { kind: RefusalKind::Machine, message: "no nftables".to_owned() };
    service.ground(Report::Unguarded(HelperError::Refused(refusal))).await;
    let status = service.guard_status().await;
    assert_eq!(status["up"], false);
    assert!(status["error"].as_str().unwrap().contains("no nftables"));
    assert!(parts.events().contains("no nftables"));
}

/// An always-on profile, and what its kill switch is.
async fn always_on(inner: &str) -> (Service, Parts, Option<Guard>) {
    let (service, parts) = service(&format!("true<AlwaysOn>{inner}</AlwaysOn>")).await;
    let guard = service.connection.as_ref().unwrap().target.guard;
    (service, parts, guard)
}

#[tokio::test]
async fn honours_connect_failure_policy() {
    let closed = Some(Guard { always: true, ..EVERYTHING });
    for (inner, expected) in [
        ("true", closed),
        ("true<ConnectFailurePolicy>Closed</ConnectFailurePolicy>", closed),
        ("true<ConnectFailurePolicy>Open</ConnectFailurePolicy>", None),
    ] {
        let (_service, _parts, guard) = always_on(inner).await;
        assert_eq!(guard, expected, "{inner}");
    }
}

#[tokio::test]
async fn honours_always_on() {
    assert_eq!(always_on("false").await.2, None);
    // A login that fails leaves it up, the user's word takes it down.
    let (mut service, parts, _) = always_on("true").await;
    enters(&mut service, State::Connecting).await;
    assert!(wanted(&parts).always);
    service.end(None).await;
    assert_eq!(wanted(&parts).mode, GuardMode::All);
    assert!(service.guard_left == Left::Yes && parts.events().contains("stays up"));
    let (mut service, mut parts, _) = always_on("true").await;
    enters(&mut service, State::Connecting).await;
    service.connection.as_mut().unwrap().ending = true;
    lowered(&mut parts, service.end(None)).await;
    assert_eq!(service.guard_left, Left::No);
    // Whoever goes away from the login's question has not said so.
    let (mut service, parts, _) = always_on("true").await;
    enters(&mut service, State::Connecting).await;
    service.give_up_login().await;
    service.end(None).await;
    assert!(wanted(&parts).mode == GuardMode::All && service.guard_left == Left::Yes);
    // Where the user may not disconnect, that word is no way around it.
    let (mut service, parts, _) = always_on("true<AllowVPNDisconnect>false</AllowVPNDisconnect>").await;
    enters(&mut service, State::Connecting).await;
    service.connection.as_mut().unwrap().ending = true;
    service.end(None).await;
    assert_eq!(wanted(&parts).mode, GuardMode::All);
}

#[tokio::test]
async fn between_a_connection_and_the_next_it_stays() {
    let (mut service, parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connecting).await;
    service.keep_guard();
    service.end(None).await;
    assert_eq!(wanted(&parts), EVERYTHING);
    assert_eq!(service.guard_left, Left::Maybe);
}

/// "Comes down only by the user": a login that fails is not the user's word, where the person had a session.
#[tokio::test(start_paused = true)]
async fn a_login_that_fails_after_a_session_leaves_it_up_and_the_first_one_does_not() {
    let (mut service, mut parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connecting).await;
    lowered(&mut parts, service.end(None)).await;
    assert_eq!(service.guard_left, Left::No);

    let (mut service, parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connected).await;
    enters(&mut service, State::AuthRequired { why: Why::WindowOver }).await;
    enters(&mut service, State::Connecting).await;
    service.end(None).await;
    assert_eq!(wanted(&parts), EVERYTHING);
    assert!(service.guard_left == Left::Yes && service.guard_kept.is_some());
    assert!(parts.events().contains("`ikeep disconnect` takes the kill switch down"));
    // The next connection goes on with it at once, and its failure is no way around it either.
    let (mut next, next_parts) = wanting(EVERYTHING).await;
    service.connection = next.connection.take();
    service.take_guard_over();
    assert!(wanted(&next_parts) == EVERYTHING && service.guard_left == Left::No);
    service.end(None).await;
    assert!(wanted(&next_parts) == EVERYTHING && service.guard_left == Left::Yes);

    let (mut service, mut parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connected).await;
    enters(&mut service, State::AuthRequired { why: Why::WindowOver }).await;
    service.connection.as_mut().unwrap().ending = true;
    lowered(&mut parts, service.end(None)).await;
    assert_eq!(service.guard_left, Left::No);
}

/// The lid is closed in the company's network and opened in another: that is known only seconds later.
#[tokio::test(start_paused = true)]
async fn after_a_sleep_in_a_trusted_network_it_is_up_until_the_network_is_known() {
    let rests =
        |service: &Service| State::Suspended { since: service.clock.now().at, pause: Pause::TrustedNetwork };
    let (mut service, mut parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connected).await;
    let state = rests(&service);
    lowered(&mut parts, enters(&mut service, state)).await;
    service.connection.as_mut().unwrap().trusted = Some(true);
    service.signal(crate::sense::Signal::Resume).await;
    assert_eq!(wanted(&parts), EVERYTHING, "before the network is known");
    // Whatever the client says of its rest meanwhile.
    let state = rests(&service);
    enters(&mut service, state).await;
    assert_eq!(wanted(&parts), EVERYTHING);
    // Nothing more is said: it is the same network.
    service.connection.as_mut().unwrap().guarding.look_again().await;
    lowered(&mut parts, service.guard_awake()).await;
    // And in another one it stays.
    service.signal(crate::sense::Signal::Resume).await;
    service.connection.as_mut().unwrap().trusted = Some(false);
    enters(&mut service, State::Connected).await;
    service.guard_awake().await;
    assert_eq!(wanted(&parts), EVERYTHING);
}

#[tokio::test]
async fn while_the_helper_is_gone_nobody_says_that_it_is_up() {
    let (mut service, _parts) = wanting(EVERYTHING).await;
    enters(&mut service, State::Connected).await;
    service.ground(Report::Guarded(Some(EVERYTHING))).await;
    service.ground(Report::Gone(HelperError::Gone)).await;
    let status = service.guard_status().await;
    assert_eq!(status["up"], false);
    assert!(status["error"].as_str().unwrap().contains("not known"), "{status}");
    service.ground(Report::Guarded(Some(EVERYTHING))).await;
    assert_eq!(service.guard_status().await["message"], "all, up");
}

#[tokio::test]
async fn what_a_connection_without_a_helper_cannot_take_over_is_not_forgotten() {
    let (mut service, _parts) = wanting(EVERYTHING).await;
    service.guard_left = Left::Yes;
    service.connection.as_mut().unwrap().ground = None;
    service.take_guard_over();
    assert_eq!(service.guard_left, Left::Yes, "`ikeep disconnect` has it to take down");
    let (mut service, parts) = wanting(EVERYTHING).await;
    service.guard_left = Left::Yes;
    service.take_guard_over();
    assert_eq!((service.guard_left, wanted(&parts)), (Left::No, EVERYTHING));
}
