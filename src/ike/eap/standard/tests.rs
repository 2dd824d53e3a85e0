use super::super::dbrp::{failure, success};
use super::*;
use proptest::prelude::*;

/// The peer's challenge of RFC 2759 9.2.
const PEER: [u8; 16] = *b"\x21\x40\x23\x24\x25\x5E\x26\x2A\x28\x29\x5F\x2B\x3A\x33\x7C\x7E";
const AUTHENTICATOR: [u8; 16] = *b"\x5B\x5D\x7C\x7D\x7B\x3F\x2F\x3E\x3C\x2C\x60\x21\x32\x26\x26\x28";
const NT_RESPONSE: &[u8] =
    b"\x82\x30\x9E\xCD\x8D\x70\x8B\x5E\xA0\x8F\xAA\x39\x81\xCD\x83\x54\x42\x33\x11\x4A\x3D\x85\xD6\xDF";
const RIGHT: &str = "S=407A5589115FD0D6209F510FE9C04566932CDA56 M=Welcome";

struct Fixed;

impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.iter_mut().zip(PEER.iter().cycle()).for_each(|(place, octet)| *place = *octet);
    }
}

fn request(id: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    let length = (5 + data.len()) as u16;
    [&[code::REQUEST, id], &length.to_be_bytes()[..], &[kind], data].concat()
}

/// An MS-CHAPv2 packet in a request.
fn chap(id: u8, op: u8, ms_id: u8, rest: &[u8]) -> Vec<u8> {
    let length = (4 + rest.len()) as u16;
    request(id, 26, &[&[op, ms_id], &length.to_be_bytes()[..], rest].concat())
}

fn challenge(id: u8, ms_id: u8) -> Vec<u8> {
    chap(id, 1, ms_id, &[&[16], &AUTHENTICATOR[..], b"gateway"].concat())
}

fn typed(pairs: &[(&str, &str)]) -> Answers {
    pairs.iter().map(|(name, value)| ((*name).into(), Secret::from(value.as_bytes()))).collect()
}

fn form(step: Result<Step, EapError>) -> (String, Vec<String>, String, String) {
    match step {
        Ok(Step::Ask(form)) => {
            let names = form.inputs.into_iter().map(|input| input.name).collect();
            (form.id, names, form.message, form.error)
        }
        other => panic!("{other:?}"),
    }
}

fn sent(step: Result<Step, EapError>) -> Vec<u8> {
    match step {
        Ok(Step::Reply(packet)) => packet,
        other => panic!("{other:?}"),
    }
}

/// Identity asked and answered, the challenge answered.
fn proving() -> Standard {
    let mut login = Standard::new(EapMethod::Mschapv2);
    let asked = form(login.handle(&request(7, 1, b""), &mut Fixed));
    assert_eq!(asked, ("main".into(), vec!["username".into(), "password".into()], "".into(), "".into()));
    let name = login.answer(&typed(&[("username", "CORP\\User"), ("password", "clientPass")]), &mut Fixed);
    assert_eq!(name.expect("the name"), b"\x02\x07\x00\x0e\x01CORP\\User");
    let response = sent(login.handle(&challenge(8, 3), &mut Fixed));
    let value = [&PEER[..], &[0; 8], NT_RESPONSE, &[0]].concat();
    let expected = [&b"\x02\x08\x00\x48\x1a\x02\x03\x00\x3f\x31"[..], &value, b"CORP\\User"].concat();
    let length = expected.len();
    assert_eq!((response[..].len(), &response[4..]), (length, &expected[4..]));
    assert_eq!(usize::from(u16::from_be_bytes([response[2], response[3]])), length);
    login
}

#[test]
fn mschapv2_with_the_vectors_of_the_standard() {
    let mut login = proving();
    assert_eq!(login.key(), None, "no key before the gateway has said success");
    assert_eq!(sent(login.handle(&chap(9, 3, 3, RIGHT.as_bytes()), &mut Fixed)), b"\x02\x09\x00\x06\x1a\x03");
    assert_eq!(login.notices(), [Notice::Message("Welcome".into())]);
    assert_eq!(login.key(), None);
    assert!(matches!(login.handle(&success(9), &mut Fixed), Ok(Step::Success)));
    let key = login.key().expect("a key").expose().to_vec();
    assert_eq!(key[16..32], *b"\x8B\x7C\xDC\x14\x9B\x99\x3A\x1B\xA1\x18\xCB\x15\x3F\x56\xDC\xCB");
    assert!(login.handle(&success(9), &mut Fixed).is_err(), "once");
}

#[test]
fn a_gateway_that_does_not_know_the_password_gets_no_further() {
    let wrong = RIGHT.replace("S=4", "S=5");
    for text in [wrong.as_str(), "S=", "S=407A", "M=hello", "", &RIGHT.replace("40", "+0")] {
        let mut login = proving();
        let error = login.handle(&chap(9, 3, 3, text.as_bytes()), &mut Fixed).expect_err(text);
        assert!(matches!(error, EapError::NotMutual | EapError::Malformed(_)), "{error}");
        assert_eq!(login.key(), None);
        assert!(login.handle(&success(9), &mut Fixed).is_err());
    }
    // Nor by leaving its proof out.
    let mut login = proving();
    assert!(matches!(login.handle(&success(9), &mut Fixed), Err(EapError::Unexpected(_))));
    assert_eq!(login.key(), None);
}

#[test]
fn a_wrong_password_is_asked_for_again_where_the_gateway_allows_it() {
    let mut login = proving();
    let text = format!("E=691 R=1 C={} V=3 M=Try again", "5B5D7C7D7B3F2F3E3C2C602132262628");
    let asked = form(login.handle(&chap(9, 4, 3, text.as_bytes()), &mut Fixed));
    assert_eq!(asked.0, "main");
    assert_eq!(asked.1, ["password"]);
    assert!(asked.3.contains("wrong user name or password") && asked.3.contains("Try again"), "{}", asked.3);
    let response = login.answer(&typed(&[("password", "clientPass")]), &mut Fixed).expect("a response");
    assert_eq!(&response[5..7], [2, 4], "a response with the next identifier");
    assert_eq!(response[34..58], *NT_RESPONSE);
    assert!(login.handle(&chap(10, 3, 4, RIGHT.as_bytes()), &mut Fixed).is_ok());
}

#[test]
fn what_no_other_password_mends_is_told_and_never_tried_again() {
    let retry = format!("E=648 R=1 C={} V=3 M=Password expired", "0".repeat(32));
    for (text, account, words) in [
        ("E=691 R=0 C=00 V=3 M=No", false, "wrong user name or password (it says: No)"),
        ("E=691 R=1 V=3", false, "wrong user name or password"),
        (retry.as_str(), true, "the password has expired"),
        ("E=647 R=0", true, "disabled"),
        ("E=649 R=0", true, "no permission"),
        ("E=646 R=0", true, "hour"),
        ("E=12 R=0", true, "MS-CHAPv2 error 12"),
        ("garbage \u{1b}[2J", false, "it gave no reason"),
    ] {
        let mut login = proving();
        let heard = sent(login.handle(&chap(9, 4, 3, text.as_bytes()), &mut Fixed));
        assert_eq!(heard, b"\x02\x09\x00\x06\x1a\x04", "{text}");
        let error = login.handle(&failure(9), &mut Fixed).expect_err(text);
        assert_eq!(matches!(error, EapError::Account(_) | EapError::Expired(_)), account, "{error}");
        assert_eq!(matches!(error, EapError::Expired(_)), text.starts_with("E=648"), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn md5_as_chap_has_it_with_a_warning() {
    let mut login = Standard::new(EapMethod::Md5);
    assert!(matches!(&login.notices()[..], [Notice::Message(text)] if text.contains("guess")));
    let _ = form(login.handle(&request(1, 1, b""), &mut Fixed));
    login.answer(&typed(&[("username", "anna"), ("password", "secret")]), &mut Fixed).expect("the name");
    let response = sent(login.handle(&request(2, 4, b"\x04abcdname"), &mut Fixed));
    let expected = md5(&[b"\x02secretabcd"]);
    assert_eq!(response, [&b"\x02\x02\x00\x1a\x04\x10"[..], &expected, b"anna"].concat());
    assert!(matches!(login.handle(&success(2), &mut Fixed), Ok(Step::Success)));
    assert_eq!(login.key(), None, "SK_p takes its place");
}

#[test]
fn gtc_shows_the_gateways_words_and_its_answers_are_codes() {
    let mut login = Standard::new(EapMethod::Gtc);
    let asked = form(login.handle(&request(1, 1, b""), &mut Fixed));
    assert_eq!((asked.0.as_str(), asked.1.len()), ("user", 1), "no password before it is asked for");
    login.answer(&typed(&[("username", "anna")]), &mut Fixed).expect("the name");
    for (id, words) in [(2, "Enter PASSCODE:"), (3, "Wait for the token to change\u{1b}[2J")] {
        let asked = form(login.handle(&request(id, 6, words.as_bytes()), &mut Fixed));
        assert_eq!(asked.0, "challenge", "by this name the command line knows what it must not keep");
        assert_eq!(asked.2, words.replace('\u{1b}', ""));
        let reply = login.answer(&typed(&[("password", "123456")]), &mut Fixed).expect("an answer");
        assert_eq!(reply, [&[2, id, 0, 11, 6][..], b"123456"].concat());
    }
    assert!(matches!(login.handle(&success(3), &mut Fixed), Ok(Step::Success)));
    assert_eq!(login.key(), None);
}

#[test]
fn another_method_is_declined_once() {
    for (offer, nak) in [
        (request(1, 4, b"\x10"), &b"\x02\x01\x00\x06\x03\x1a"[..]),
        (request(1, 254, b"\0\0\x09DBRP"), b"\x02\x01\x00\x14\xfe\0\0\0\0\0\0\x03\xfe\0\0\0\0\0\0\x1a"),
    ] {
        let mut login = Standard::new(EapMethod::Mschapv2);
        assert_eq!(sent(login.handle(&offer, &mut Fixed)), nak);
        assert!(matches!(login.handle(&offer, &mut Fixed), Err(EapError::NotOffered { .. })));
        let mut login = Standard::new(EapMethod::Mschapv2);
        let _ = login.handle(&offer, &mut Fixed);
        let error = login.handle(&failure(1), &mut Fixed).expect_err("a failure");
        assert!(matches!(error, EapError::NotOffered { wanted: EapMethod::Mschapv2, .. }), "{error}");
        // A gateway that has the method after all.
        let mut login = Standard::new(EapMethod::Mschapv2);
        let _ = login.handle(&offer, &mut Fixed);
        assert_eq!(form(login.handle(&challenge(2, 1), &mut Fixed)).1, ["username", "password"]);
    }
    // In the middle of one there is no other.
    assert!(matches!(
        proving().handle(&request(9, 6, b"code?"), &mut Fixed),
        Err(EapError::NotOffered { .. })
    ));
    // MD5 only where it is named.
    for method in [EapMethod::Gtc, EapMethod::Mschapv2] {
        let reply = sent(Standard::new(method).handle(&request(1, 4, b"\x04abcd"), &mut Fixed));
        assert_eq!(reply, [2, 1, 0, 6, 3, method.kind()]);
    }
}

#[test]
fn an_answer_that_cannot_be_sent_leaves_the_form_open() {
    let mut login = Standard::new(EapMethod::Mschapv2);
    let _ = form(login.handle(&request(1, 1, b""), &mut Fixed));
    let (long, name) = ("x".repeat(257), "x".repeat(254));
    for bad in [
        typed(&[]),
        typed(&[("username", ""), ("password", "p")]),
        typed(&[("username", "a"), ("password", "")]),
        typed(&[("username", "a\nb"), ("password", "p")]),
        typed(&[("username", &name), ("password", "p")]),
        typed(&[("username", "a"), ("password", &long)]),
        [("username".into(), Secret::from(&b"a\xff"[..])), ("password".into(), Secret::from(&b"p"[..]))]
            .into(),
    ] {
        let error = login.answer(&bad, &mut Fixed).expect_err("no packet");
        assert!(error.is_about_answers(), "{error}");
    }
    login.answer(&typed(&[("username", "a"), ("password", "p")]), &mut Fixed).expect("the form is open");
}

#[test]
fn notifications_are_shown_and_a_gateway_cannot_go_on_for_ever() {
    let mut login = Standard::new(EapMethod::Gtc);
    for _ in 0..MAX_ROUNDS {
        let said = sent(login.handle(&request(1, 2, b"Maintenance\x1b[1m at 6"), &mut Fixed));
        assert_eq!(said, b"\x02\x01\x00\x05\x02");
    }
    assert_eq!(login.notices()[0], Notice::Message("Maintenance[1m at 6".into()));
    assert!(matches!(login.handle(&request(1, 2, b""), &mut Fixed), Err(EapError::TooManyRounds)));
}

/// Requests as a hostile gateway may send them: nearly right, or anything.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let data = proptest::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        (any::<u8>(), prop_oneof![Just(1u8), Just(2), Just(4), Just(6), Just(26), Just(254)], data.clone())
            .prop_map(|(id, kind, data)| request(id, kind, &data)),
        (any::<u8>(), 0u8..6, any::<u8>(), data.clone())
            .prop_map(|(id, op, ms, rest)| chap(id, op, ms, &rest)),
        (any::<u8>(), any::<u8>()).prop_map(|(id, ms)| challenge(id, ms)),
        any::<u8>().prop_map(success),
        any::<u8>().prop_map(failure),
        data,
    ]
}

proptest! {
    /// Whatever is sent: packets of bounded size that repeat the identifier, no success of MS-CHAPv2 without the gateway's
    /// proof, nothing after the end, an end within so many requests.
    #[test]
    fn whatever_the_gateway_sends(
        packets in proptest::collection::vec(hostile(), 1..60),
        method in prop_oneof![Just(EapMethod::Md5), Just(EapMethod::Gtc), Just(EapMethod::Mschapv2)],
    ) {
        let mut login = Standard::new(method);
        let answers = typed(&[("username", "User"), ("password", "another")]);
        let (mut over, mut replies) = (false, 0);
        for packet in &packets {
            let step = login.handle(packet, &mut Fixed);
            prop_assert!(!over || step.is_err(), "something after the end");
            let reply = match step {
                Ok(Step::Reply(reply)) => Some(reply),
                Ok(Step::Ask(_)) => Some(login.answer(&answers, &mut Fixed).expect("good answers")),
                Ok(Step::Sign(_) | Step::Scan(_)) => panic!("what no standard method has"),
                Ok(Step::Success) => {
                    prop_assert!(method != EapMethod::Mschapv2, "nobody here knows the password");
                    over = true;
                    None
                }
                Err(_) => {
                    over = true;
                    None
                }
            };
            if let Some(reply) = reply {
                replies += 1;
                prop_assert!(reply.len() <= 400 && reply[0] == code::RESPONSE && reply[1] == packet[1]);
                prop_assert_eq!(usize::from(u16::from_be_bytes([reply[2], reply[3]])), reply.len());
            }
        }
        prop_assert!(replies <= MAX_ROUNDS);
        prop_assert_eq!(login.key(), None);
    }
}
