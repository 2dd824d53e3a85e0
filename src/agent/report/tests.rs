use super::*;
use crate::client::AuthKind;
use crate::time::{Instant, UnixTime};

fn at(seconds: u64) -> Now {
    Now {
        at: Instant::from_boot(Duration::from_secs(seconds)),
        wall: UnixTime::from_secs(1_741_835_000 + seconds),
    }
}

fn told(tell: impl FnOnce(&mut Reporter)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let log = Recorder::in_file(folder.path().join("events.log"));
    let mut reporter = Reporter::new(log.clone(), "IKEv2_Gateway");
    tell(&mut reporter);
    assert!(log.flush(Duration::from_secs(20)));
    std::fs::read_to_string(log.file()).unwrap_or_default()
}

fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let found =
            rest.find(part).unwrap_or_else(|| panic!("{part:?} is missing or out of order in\n{text}"));
        rest = &rest[found + part.len()..];
    }
}

#[test]
fn a_resume_is_told_in_the_words_of_the_seed() {
    let log = told(|reporter| {
        reporter.event(at(0), &Event::Trouble(Cause::Resume));
        reporter.event(at(0), &Event::UsingIkeId("rIUHKccDRiUtFTATwq".into()));
        reporter.event(at(1), &Event::Established { auth: AuthKind::Token, round_trips: 2 });
        reporter.event(at(1), &Event::State(State::Connected));
    });
    in_order(
        &log,
        &[
            "..Client Agent continuing from system suspend.",
            "Session level reconnect reason code 9:\nSystem resume from suspend mode (Sleep, Stand-by, Hibernate, etc).",
            "Message type information sent to the user:\nReconnecting to IKEv2_Gateway...",
            "Using IKE ID 'rIUHKccDRiUtFTATwq' for reconnect",
            "The IPsec connection to the secure gateway has been established.",
            "Connected to IKEv2_Gateway.",
        ],
    );
}

#[test]
fn an_end_is_told_with_the_reason_that_a_person_can_act_on() {
    let no_answer = Failure::NoAnswer { hint: None };
    let log = told(|reporter| {
        reporter.event(at(0), &Event::Failed(no_answer));
        reporter.event(at(0), &Event::Ended(Why::LoginFailed));
        reporter.event(at(1), &Event::Failed(Failure::GatewayAuth));
        reporter.event(at(1), &Event::Ended(Why::LoginFailed));
        reporter.event(at(2), &Event::Ended(Why::TokenRefused));
    });
    in_order(
        &log,
        &["Termination reason code 106", "Termination reason code 105", "Termination reason code 102"],
    );
}

#[test]
fn failures_in_numbers_are_counted() {
    let log = told(|reporter| {
        for second in 0..50 {
            reporter.event(at(second), &Event::Failed(Failure::GatewayAuth));
        }
        reporter.event(at(70), &Event::EraseSession);
    });
    assert_eq!(log.matches("A connection attempt failed:").count(), 10);
    assert!(log.contains("40 more times"), "{log}");
}

#[test]
fn neither_token_nor_password_can_be_told() {
    let session = crate::session::Session {
        host_name: "h".into(),
        host_address: "h".into(),
        id: b"id".to_vec(),
        token: crate::crypto::Secret::from(&b"very-secret-token"[..]),
        ticket: None,
        user: "u".into(),
        peer: ([127, 0, 0, 1], 4500).into(),
        addresses: Vec::new(),
        group: 19,
        root_key: None,
        window: Duration::ZERO,
        issued: UnixTime::default(),
        last_contact: UnixTime::default(),
    };
    let log = told(|reporter| reporter.event(at(0), &Event::StoreSession(Box::new(session))));
    assert!(!log.contains("secret"));
}
