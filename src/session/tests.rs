use super::*;
use crate::crypto::{Encr, Group, Integ, Prf};
use proptest::prelude::*;
use serde_json::{Value, json};

const HORIZON: Duration = Duration::from_secs(120);

fn session() -> Session {
    Session {
        host_name: "FlexVPN C8KV".into(),
        host_address: "flexvpn-c8kv.example.com".into(),
        id: b"rIUHKccDRiUtFTATwq".to_vec(),
        token: Secret::from(&b"not a real token"[..]),
        ticket: None,
        user: "user1".into(),
        peer: "10.9.0.1:4500".parse().unwrap(),
        addresses: vec!["192.168.20.5".parse().unwrap()],
        group: 19,
        root_key: Some([7; 20]),
        window: Duration::from_secs(900),
        issued: UnixTime::from_secs(1_796_000_000),
        last_contact: UnixTime::from_secs(1_796_000_100),
    }
}

fn ticket() -> Ticket {
    Ticket {
        opaque: Secret::from(&b"what only the gateway reads"[..]),
        sk_d: Secret::from(&b"a key of the old IKE SA"[..]),
        encr: Encr::AesGcm256,
        integ: None,
        prf: Prf::HmacSha384,
        group: Group::Curve25519,
        id: (201, b"*$AnyConnectClient$*".to_vec()),
        gateway_id: (1, vec![10, 9, 0, 1]),
        until: UnixTime::from_secs(1_796_000_500),
        terms: vec![9; 32],
    }
}

/// A session of a gateway that gives no token.
fn ticket_only() -> Session {
    let nothing = Secret::new(Vec::new());
    Session { id: Vec::new(), token: nothing, ticket: Some(ticket()), ..session() }
}

#[test]
fn a_ticket_is_kept_with_the_token_or_in_its_place() {
    let both = Session { ticket: Some(ticket()), ..session() };
    let cbc = Ticket { encr: Encr::AesCbc128, integ: Some(Integ::HmacSha256_128), ..ticket() };
    let other = Session { ticket: Some(cbc), ..session() };
    for kept in [both, ticket_only(), other] {
        assert_eq!(Session::decode(kept.encode().expose()), Ok(kept.clone()));
        // A program that knows of no tickets says that it is too old, and not that the file is damaged.
        let json: Value = serde_json::from_slice(kept.encode().expose()).unwrap();
        assert_eq!(json["version"], 2);
    }
    let json: Value = serde_json::from_slice(session().encode().expose()).unwrap();
    assert_eq!((&json["version"], json.get("ticket")), (&json!(1), None));
    let longest = Secret::new(vec![1; 8_192]);
    let long = Session { ticket: Some(Ticket { opaque: longest, ..ticket() }), ..session() };
    assert_eq!(Session::decode(long.encode().expose()), Ok(long));
}

#[test]
fn a_ticket_counts_by_its_own_clock() {
    let s = ticket_only();
    assert!(!s.has_token());
    assert_eq!(s.remaining(UnixTime::from_secs(1_796_000_100), HORIZON), Duration::from_secs(400));
    assert!(!s.usable_at(UnixTime::from_secs(1_796_000_500), HORIZON));
    let both = Session { ticket: s.ticket, ..session() };
    assert_eq!(both.remaining(UnixTime::from_secs(1_796_000_500), HORIZON), Duration::from_secs(620));
}

#[test]
fn a_ticket_that_makes_no_sense_is_none() {
    let with = |member: &str, value: Value| {
        let mut json: Value = serde_json::from_slice(ticket_only().encode().expose()).unwrap();
        json["ticket"][member] = value;
        Session::decode(json.to_string().as_bytes())
    };
    let wrong = Err(SessionError::Value("ticket"));
    assert_eq!(with("opaque", json!("")), wrong);
    assert_eq!(with("sk_d", json!("!")), wrong);
    assert_eq!(with("encr", json!(99)), wrong);
    assert_eq!(with("integ", json!(14)), wrong, "AEAD has none");
    assert_eq!(with("prf", json!(1)), wrong);
    assert_eq!(with("group", json!(0)), wrong);
    let mut json: Value = serde_json::from_slice(ticket_only().encode().expose()).unwrap();
    json["ticket"] = Value::Null;
    assert_eq!(Session::decode(json.to_string().as_bytes()), Err(SessionError::Value("id")));
}

/// The encoding with one member changed.
fn with(member: &str, value: Value) -> Result<Session, SessionError> {
    let mut json: Value = serde_json::from_slice(session().encode().expose()).unwrap();
    json[member] = value;
    Session::decode(json.to_string().as_bytes())
}

#[test]
fn the_window_runs_from_the_last_contact() {
    let s = session();
    let end = s.expires(HORIZON);
    assert_eq!(end, UnixTime::from_secs(1_796_001_120));
    let just_before = UnixTime::from_millis(end.as_millis() - 1);
    assert!(s.usable_at(s.last_contact, HORIZON) && s.usable_at(just_before, HORIZON));
    assert!(!s.usable_at(end, HORIZON));
    assert_eq!(s.remaining(just_before, HORIZON), Duration::from_millis(1));
    assert_eq!(s.remaining(UnixTime::from_millis(u64::MAX), HORIZON), Duration::ZERO);
}

#[test]
fn a_clock_set_back_does_not_end_or_lengthen_a_session() {
    let s = session();
    assert!(s.usable_at(UnixTime::from_secs(0), HORIZON));
    assert_eq!(s.remaining(UnixTime::from_secs(0), HORIZON), Duration::from_secs(1020));
    let forever = Session { window: Duration::MAX, ..s };
    assert!(forever.usable_at(UnixTime::from_millis(u64::MAX), HORIZON));
}

#[test]
fn the_id_is_text_where_it_can_be() {
    let id_text = |id: &[u8]| Session { id: id.to_vec(), ..session() }.id_text();
    assert_eq!(id_text(b"rIUHKccDRiUtFTATwq"), "rIUHKccDRiUtFTATwq");
    assert_eq!(id_text(b"\x00\xff\x1b"), "00ff1b");
    assert_eq!(id_text("ä".as_bytes()), "c3a4");
}

#[test]
fn the_encoding_of_version_1_stays_readable() {
    let stored = br#"{"version":1,"host_name":"FlexVPN C8KV","host_address":"flexvpn-c8kv.example.com",
        "id":"cklVSEtjY0RSaVV0RlRBVHdx","token":"bm90IGEgcmVhbCB0b2tlbg==","user":"user1","peer":"10.9.0.1:4500",
        "addresses":["192.168.20.5"],"group":19,"root_key":"BwcHBwcHBwcHBwcHBwcHBwcHBwc=","window_ms":900000,
        "issued_ms":1796000000000,"last_contact_ms":1796000100000,"of_the_future":[1]}"#;
    assert_eq!(Session::decode(stored), Ok(session()));
}

#[test]
fn errors_say_what_is_wrong_and_nothing_of_the_content() {
    assert_eq!(with("version", json!(3)), Err(SessionError::Newer { found: 3 }));
    assert_eq!(with("version", json!(0)), Err(SessionError::Value("version")));
    assert_eq!(with("token", json!("")), Err(SessionError::Value("token")));
    assert_eq!(with("token", json!("not base64!")), Err(SessionError::Value("token")));
    assert_eq!(with("id", json!("")), Err(SessionError::Value("id")));
    assert_eq!(with("root_key", json!("BwcH")), Err(SessionError::Value("root_key")));
    assert_eq!(with("addresses", json!(vec!["10.0.0.1"; 17])), Err(SessionError::Value("addresses")));
    assert_eq!(Session::decode(&[b' '; MAX_ENCODED + 1]), Err(SessionError::TooLarge(MAX_ENCODED + 1)));
    assert_eq!(Session::decode(b"{\n!"), Err(SessionError::Damaged { line: 2, column: 1 }));
    // serde would quote the value in its own text.
    let secret = with("group", json!("s3cret")).unwrap_err();
    assert!(matches!(secret, SessionError::Damaged { .. }));
    assert!(!secret.to_string().contains("s3cret"));
    assert!(with("peer", json!("10.9.0.1")).is_err());
    // A newer format may have other members: its version is told all the same.
    assert_eq!(Session::decode(br#"{"version":7}"#), Err(SessionError::Newer { found: 7 }));
}

#[test]
fn a_long_id_and_token_fit() {
    let long = Session { id: vec![1; 16_000], token: Secret::new(vec![2; 16_000]), ..session() };
    assert_eq!(Session::decode(long.encode().expose()), Ok(long));
}

fn any_session() -> impl Strategy<Value = Session> {
    let octets = || proptest::collection::vec(any::<u8>(), 1..64);
    let texts = (any::<String>(), any::<String>(), any::<String>());
    let secrets = (octets(), octets(), any::<Option<[u8; 20]>>());
    let addresses = (any::<IpAddr>(), any::<u16>(), proptest::collection::vec(any::<IpAddr>(), 0..4));
    (texts, secrets, addresses, any::<u16>(), any::<[u64; 3]>()).prop_map(|(t, s, a, group, times)| Session {
        host_name: t.0,
        host_address: t.1,
        id: s.0,
        token: Secret::new(s.1),
        ticket: None,
        user: t.2,
        peer: SocketAddr::new(a.0, a.1),
        addresses: a.2,
        group,
        root_key: s.2,
        window: Duration::from_millis(times[0]),
        issued: UnixTime::from_millis(times[1]),
        last_contact: UnixTime::from_millis(times[2]),
    })
}

proptest! {
    #[test]
    fn a_session_survives_the_store(session in any_session()) {
        let encoded = session.encode();
        prop_assert_eq!(Session::decode(encoded.expose()), Ok(session.clone()));
        prop_assert_eq!(Session::decode(encoded.expose()).unwrap().encode(), encoded);
    }

    #[test]
    fn damaged_octets_are_survived(
        session in any_session(), at: prop::sample::Index, octet: u8, cut: prop::sample::Index,
    ) {
        let mut octets = session.encode().expose().to_vec();
        let len = octets.len();
        octets[at.index(len)] = octet;
        let _ = Session::decode(&octets);
        octets.truncate(cut.index(len));
        prop_assert!(Session::decode(&octets).is_err(), "cut short");
    }

    #[test]
    fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Session::decode(&octets);
    }

    /// The two ways to say it agree wherever the clock did not go back.
    #[test]
    fn remaining_and_expires_agree(window in 0u64..1 << 40, since in 0u64..1 << 41) {
        let s = Session { window: Duration::from_millis(window), ..session() };
        let now = s.last_contact + Duration::from_millis(since);
        prop_assert_eq!(s.usable_at(now, HORIZON), now < s.expires(HORIZON));
    }
}

#[test]
fn a_ticket_of_before_there_were_terms_is_read_and_meets_none() {
    let mut json: Value = serde_json::from_slice(ticket_only().encode().expose()).unwrap();
    json["ticket"].as_object_mut().unwrap().remove("terms");
    let read = Session::decode(json.to_string().as_bytes()).unwrap();
    assert_eq!(read.ticket.map(|ticket| ticket.terms), Some(Vec::new()));
    json["ticket"]["terms"] = json!("?");
    assert_eq!(Session::decode(json.to_string().as_bytes()), Err(SessionError::Value("ticket")));
}
