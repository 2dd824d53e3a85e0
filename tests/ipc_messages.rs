//! Every message as a line and back, and lines from anybody.

use ikeep::config::Tunnel;
use ikeep::crypto::Secret;
use ikeep::ipc::{
    Answer, Connect, Connected, Failure, FailureKind, Hello, Input, InputKind, NoticeKind, Question, Reply,
    Request, Typed, decode, encode,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Any text, the awkward characters often.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", "[\\x00-\\x1f\"\\\\\u{2028}\u{1F600}]{0,8}"]
}

fn typed() -> impl Strategy<Value = Typed> {
    text().prop_map(|text| Typed(Secret::from(text.as_bytes())))
}

fn connect() -> impl Strategy<Value = Connect> {
    let tunnel = prop_oneof![Just(Tunnel::Tun), Just(Tunnel::Proxy), Just(Tunnel::None)];
    let proxy = any::<(IpAddr, u16)>().prop_map(SocketAddr::from);
    let path = || text().prop_map(PathBuf::from);
    let names = (option::of(text()), option::of(text()), option::of(text()));
    let rest =
        (option::of(path()), option::of(tunnel), option::of(proxy), vec(path(), 0..3), option::of(path()));
    let own = (option::of(text()), vec(text(), 0..3), any::<Option<bool>>());
    let pair = (option::of(path()), option::of(path()));
    let all = (names, rest, own, pair);
    all.prop_map(|((host, user, group), (profile, tunnel, proxy, trust, config), own, (certificate, key))| {
        let (backup, backups, named) = own;
        Connect {
            host,
            profile,
            named,
            user,
            group,
            tunnel,
            proxy,
            trust,
            certificate,
            key,
            passphrase: None,
            config,
            backup,
            backups,
        }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let answer = (any::<u64>(), btree_map(text(), typed(), 0..4));
    prop_oneof![
        connect().prop_map(Request::Connect),
        answer.prop_map(|(id, values)| Request::Answer(Answer { id, values })),
        Just(Request::Disconnect),
        Just(Request::Reconnect),
        proptest::option::of(any::<u16>()).prop_map(|seconds| Request::OpenGap { seconds }),
        Just(Request::CloseGap),
        Just(Request::Status),
        Just(Request::Watch),
        Just(Request::Stop),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    let kind = prop_oneof![Just(InputKind::Text), Just(InputKind::Secret), Just(InputKind::Choice)];
    let input = (text(), text(), kind, text(), vec((text(), text()), 0..3))
        .prop_map(|(name, label, kind, value, options)| Input { name, label, kind, value, options });
    let about = (text(), text(), text());
    (any::<u64>(), text(), text(), text(), vec(input, 0..3), about).prop_map(
        |(id, title, message, error, inputs, (gateway, user, form))| Question {
            id,
            title,
            message,
            error,
            inputs,
            gateway,
            user,
            form,
        },
    )
}

fn reply() -> impl Strategy<Value = Reply> {
    let notice = prop_oneof![Just(NoticeKind::Banner), Just(NoticeKind::Gateway), Just(NoticeKind::Warning)];
    let failure = prop_oneof![
        Just(FailureKind::Authentication),
        Just(FailureKind::NoAnswer),
        Just(FailureKind::Certificate),
        Just(FailureKind::Profile),
        Just(FailureKind::Usage),
        Just(FailureKind::Other),
    ];
    // The picture holds no fractions whose last digit matters, so that one place is enough here.
    let status = btree_map(text(), any::<i64>(), 0..4);
    let proxy = (option::of(any::<(Ipv4Addr, u16)>()), option::of(text()));
    let connected = (text(), any::<(bool, bool)>(), vec(text(), 0..3), text(), proxy);
    prop_oneof![
        (text(), text()).prop_map(|(state, text)| Reply::State { state, text }),
        question().prop_map(Reply::Ask),
        (notice, text()).prop_map(|(kind, text)| Reply::Notice { kind, text }),
        status.prop_map(|status| Reply::Status { status: serde_json::json!(status) }),
        connected.prop_map(|(host, (already, by_token), addresses, tunnel, (proxy, login))| {
            let (proxy, proxy_login) = (proxy.map(SocketAddr::from), login.map(PathBuf::from));
            Reply::Connected(Connected { host, already, by_token, addresses, tunnel, proxy, proxy_login })
        }),
        (any::<u16>(), proptest::option::of(text()))
            .prop_map(|(seconds, location)| Reply::Gap { seconds, location }),
        Just(Reply::Done),
        (failure, text(), any::<bool>()).prop_map(|(kind, message, password_stands)| Reply::Failed(
            Failure { kind, message, password_stands }
        )),
    ]
}

fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    message: &T,
) -> Result<(), TestCaseError> {
    let line = encode(message).unwrap();
    prop_assert_eq!(line.iter().filter(|octet| **octet == b'\n').count(), 1);
    let (end, document) = line.split_last().unwrap();
    prop_assert_eq!(*end, b'\n');
    prop_assert_eq!(&decode::<T>(document).unwrap(), message);
    Ok(())
}

/// Whatever is taken from a line says the same again.
fn taken_as_said<T: Serialize + DeserializeOwned>(line: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(message) = decode::<T>(line) {
        let again = encode(&message).unwrap();
        let third = encode(&decode::<T>(&again).unwrap()).unwrap();
        // A fraction in a status is read quickly, not exactly: its last digit may move.
        let status = again.starts_with(br#"{"reply":"status""#);
        prop_assert!(status || again == third);
    }
    Ok(())
}

fn damaged(mut line: Vec<u8>, damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, octet) in damage {
        let at = at.index(line.len());
        line[at] = *octet;
    }
    line
}

proptest! {
    #[test]
    fn requests_come_back(request in request()) {
        there_and_back(&request)?;
    }

    #[test]
    fn replies_come_back(reply in reply()) {
        there_and_back(&reply)?;
    }

    #[test]
    fn hellos_come_back(protocol in any::<u32>(), version in text(), pid in any::<u32>()) {
        there_and_back(&Hello { protocol, version, pid })?;
    }

    #[test]
    fn any_octets_are_refused_or_taken(line in vec(any::<u8>(), 0..200)) {
        taken_as_said::<Request>(&line)?;
        taken_as_said::<Reply>(&line)?;
        taken_as_said::<Hello>(&line)?;
    }

    #[test]
    fn damaged_requests_are_refused_or_taken(
        request in request(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        taken_as_said::<Request>(&damaged(encode(&request).unwrap().to_vec(), &damage))?;
    }

    #[test]
    fn damaged_replies_are_refused_or_taken(
        reply in reply(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        taken_as_said::<Reply>(&damaged(encode(&reply).unwrap().to_vec(), &damage))?;
    }
}

#[test]
fn what_was_typed_needs_no_escape_and_is_not_shown() {
    let values = [("password".to_owned(), Typed(Secret::from("\"\\\n\u{1F600}".as_bytes())))];
    let answer = Request::Answer(Answer { id: 1, values: values.into() });
    let line = encode(&answer).unwrap();
    assert!(!line.contains(&b'\\'), "{}", String::from_utf8_lossy(&line));
    assert!(!format!("{answer:?}").contains("1F600"));
    for wrong in [r#""6""#, r#""gg""#, r#""ff""#, r#""+1""#, "12"] {
        let line = format!(r#"{{"request":"answer","id":1,"values":{{"password":{wrong}}}}}"#);
        assert!(decode::<Request>(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn members_that_a_later_version_adds_are_ignored() {
    let line = br#"{"request":"connect","host":"gw","colour":"blue"}"#;
    let expected = Connect { host: Some("gw".into()), ..Connect::default() };
    assert_eq!(decode::<Request>(line).unwrap(), Request::Connect(expected));
    let hello = br#"{"protocol":9,"version":"7.0","pid":1,"more":[]}"#;
    assert_eq!(decode::<Hello>(hello).unwrap().protocol, 9);
}

#[test]
fn deep_nesting_is_refused_and_does_not_use_the_stack_up() {
    let deep = [b"{\"reply\":\"status\",\"status\":".to_vec(), vec![b'['; 500_000]].concat();
    assert!(decode::<Reply>(&deep).is_err());
}
