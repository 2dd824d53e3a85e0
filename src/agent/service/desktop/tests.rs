use super::super::stage;
use super::*;
use crate::agent::desktop::Note;
use crate::agent::driver::Output;
use crate::agent::network::Report;
use crate::client::Event;
use crate::ike::initiator::Failure;
use crate::ipc::helper::{HelperError, Refusal, RefusalKind};
use crate::plan::Plan;
use crate::reconnect::{Cause, Reconnecting};
use crate::sense::portal::Verdict;
use crate::sense::{Signal, Way};
use crate::time::Instant;
use std::time::Duration;

const HOST: &str = "IKEv2_Gateway";

/// A service whose connection is the test's, and nobody waits for it.
struct Scene {
    service: Service,
    parts: stage::Parts,
}

impl Scene {
    async fn new() -> Self {
        let (mut service, parts) = stage::service("false").await;
        service.asker = None;
        service.begin_on_desktop(HOST);
        Self { service, parts }
    }

    async fn gateway(&mut self, event: Event) {
        let now = self.service.clock.now();
        self.service.output(Some(Output::Event(now, event))).await;
    }

    async fn state(&mut self, state: State) {
        self.gateway(Event::State(state)).await;
    }

    async fn ends(&mut self, why: Why) {
        self.state(State::AuthRequired { why }).await;
        self.gateway(Event::Ended(why)).await;
    }

    /// What is shown after so many seconds more.
    fn shown_after(&mut self, seconds: u64) -> Option<About> {
        self.service.clock.leap(Duration::from_secs(seconds));
        self.service.show_on_desktop();
        let note: Option<Note> = self.service.around.notes.borrow().clone();
        assert!(note.as_ref().is_none_or(|note| note.body(false).contains(HOST)), "{note:?}");
        note.map(|note| note.about)
    }
}

fn waiting() -> State {
    State::WaitingForNetwork { cause: Cause::NetworkChange, since: Instant::default() }
}

fn reconnecting() -> State {
    State::Reconnecting(Reconnecting {
        cause: Cause::Outage,
        since: Instant::default(),
        attempts: 1,
        failures: 0,
        refusals: 0,
        rejected: false,
        gap: None,
        next: None,
        in_flight: true,
        past_init: false,
    })
}

#[tokio::test(start_paused = true)]
async fn each_end_is_told_in_its_own_words_and_taken_back() {
    for (why, about) in [
        (Why::TokenRefused, About::SessionEnded),
        (Why::WindowOver, About::WindowOver),
        (Why::NoToken, About::LoginNeeded),
        (Why::NoAutoReconnect, About::LoginNeeded),
        (Why::Suspend, About::LoginNeeded),
    ] {
        let mut scene = Scene::new().await;
        scene.ends(why).await;
        assert_eq!(scene.shown_after(0), None, "{why:?}: not at once");
        assert!(scene.service.desktop.look_again.is_some(), "{why:?}: somebody has to wake up for it");
        assert_eq!(scene.shown_after(3), Some(about), "{why:?}");
        // A person logs in.
        scene.state(State::Connecting).await;
        assert_eq!(scene.shown_after(0), None, "{why:?}");
    }
    let mut scene = Scene::new().await;
    scene.ends(Why::TrustedNetwork).await;
    assert_eq!(scene.shown_after(100), None, "the profile's own wish");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_at_a_terminal_is_not_told_twice() {
    let mut scene = Scene::new().await;
    let (way, mut told) = tokio::sync::mpsc::channel(8);
    scene.service.waiters.push(way);
    for _ in 0..3 {
        scene.gateway(Event::Failed(Failure::GatewayAuth)).await;
    }
    scene.service.probed(Verdict::Captive { location: None }).await;
    assert_eq!(scene.shown_after(0), None);
    scene.ends(Why::TokenRefused).await;
    assert_eq!(scene.shown_after(100), None);
    while let Some(reply) = told.recv().await {
        if let crate::ipc::Reply::Failed(failure) = reply {
            assert!(failure.message.contains("log in again"), "{failure}");
            return;
        }
    }
    panic!("the one who waited was told nothing");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_gone_from_the_terminal_is_told() {
    let mut scene = Scene::new().await;
    scene.service.waiters.push(tokio::sync::mpsc::channel(8).0);
    scene.ends(Why::TokenRefused).await;
    assert_eq!(scene.shown_after(3), Some(About::SessionEnded));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_leads_nowhere_is_told_after_a_minute_and_no_network_is_not() {
    let mut scene = Scene::new().await;
    scene.state(waiting()).await;
    assert_eq!(scene.shown_after(3600), None);
    scene.state(reconnecting()).await;
    assert_eq!(scene.shown_after(59), None);
    assert_eq!(scene.shown_after(1), Some(About::NoAnswer));
    scene.service.signal(crate::sense::Signal::Resume).await;
    assert_eq!(scene.shown_after(59), None, "the machine has slept");
    scene.state(State::Connected).await;
    assert_eq!(scene.shown_after(100), None);
}

#[tokio::test(start_paused = true)]
async fn a_false_gateway_and_a_portal_are_told() {
    let mut scene = Scene::new().await;
    scene.state(reconnecting()).await;
    scene.gateway(Event::Failed(Failure::GatewayAuth)).await;
    assert_eq!(scene.shown_after(0), None, "the next one may be the right one");
    scene.gateway(Event::Failed(Failure::GatewayAuth)).await;
    assert_eq!(scene.shown_after(0), Some(About::Untrusted));
    scene.service.probed(Verdict::Captive { location: None }).await;
    assert!(matches!(scene.shown_after(0), Some(About::Portal { .. })));
    scene.service.probed(Verdict::Open).await;
    assert_eq!(scene.shown_after(0), Some(About::Untrusted));
    scene.state(State::Connected).await;
    assert_eq!(scene.shown_after(0), None);
}

/// The way to the gateway from this address of ours.
fn from(address: &str) -> Signal {
    let to = "192.0.2.1:500".parse().unwrap();
    Signal::Ways(vec![Way { to, from: address.parse().unwrap(), interface: 2, mtu: None }])
}

#[tokio::test(start_paused = true)]
async fn one_false_gateway_in_each_of_two_networks_is_not_told() {
    for move_on in [from("192.0.2.77"), Signal::Resume] {
        let mut scene = Scene::new().await;
        scene.service.signal(from("192.0.2.7")).await;
        scene.state(reconnecting()).await;
        scene.gateway(Event::Failed(Failure::GatewayAuth)).await;
        scene.service.signal(move_on).await;
        scene.gateway(Event::Failed(Failure::GatewayAuth)).await;
        assert_eq!(scene.shown_after(0), None);
        // The same ways told again are no other network.
        scene.service.signal(from("192.0.2.77")).await;
        scene.gateway(Event::Failed(Failure::GatewayAuth)).await;
        scene.service.signal(from("192.0.2.77")).await;
        scene.gateway(Event::Failed(Failure::GatewayAuth)).await;
        assert_eq!(scene.shown_after(0), Some(About::Untrusted));
    }
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_not_told_beside_a_terminal_and_is_once_nobody_waits_there() {
    let mut scene = Scene::new().await;
    scene.state(reconnecting()).await;
    let (way, waits) = tokio::sync::mpsc::channel(8);
    scene.service.wait_too(way);
    assert_eq!(scene.shown_after(60), None);
    drop(waits);
    scene.service.desktop.due().await;
    assert_eq!(scene.shown_after(0), Some(About::NoAnswer));
    // Who asks for it now has seen it.
    let (way, waits) = tokio::sync::mpsc::channel(8);
    scene.service.wait_too(way);
    assert_eq!(scene.shown_after(0), None);
    drop(waits);
    scene.service.desktop.due().await;
    assert_eq!(scene.shown_after(0), Some(About::NoAnswer));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_where_the_config_file_says_no() {
    let mut scene = Scene::new().await;
    scene.service.desktop.turn(false);
    scene.ends(Why::TokenRefused).await;
    assert_eq!(scene.shown_after(100), None);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[agent]\nnotifications = false\n").unwrap();
    assert!(!wants_notifications(Some(file.clone())).await);
    for text in ["", "[agent]\nnotifications = true\n", "not a config file"] {
        std::fs::write(&file, text).unwrap();
        assert!(wants_notifications(Some(file.clone())).await, "{text:?}");
    }
}

#[tokio::test]
async fn a_tunnel_that_the_machine_refuses_is_told_to_who_is_not_there() {
    let mut scene = Scene::new().await;
    let plan = Plan { address4: Some("192.168.20.5".parse().unwrap()), ..Plan::default() };
    scene.gateway(Event::Plan { plan: Box::new(plan), changed: Vec::new(), notes: Vec::new() }).await;
    let (number, _) = scene.parts.helper.plan().await;
    scene.state(reconnecting()).await;
    let refusal = Refusal { kind: RefusalKind::Machine, message: "no".to_owned() };
    scene.service.ground(Report::Failed(number, HelperError::Refused(refusal))).await;
    assert!(scene.service.connection.is_none());
    // And not that it is tried again and again.
    for _ in 0..2 {
        assert_eq!(scene.shown_after(100), Some(About::LoginNeeded));
    }
}
