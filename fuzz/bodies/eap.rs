//! A gateway that has proved itself and then says anything in a login with a standard method: packets with their length before
//! each. The first octet picks the method.

use super::common::Zeroes;
use ikeep::crypto::Secret;
use ikeep::ike::eap::{EapMethod, MAX_ROUNDS, Standard, Step};

/// One input.
pub(crate) fn check(data: &[u8]) {
    let [choice, rest @ ..] = data else { return };
    let method = [EapMethod::Md5, EapMethod::Gtc, EapMethod::Mschapv2][usize::from(choice % 3)];
    let mut login = Standard::new(method);
    let typed = ["username", "password"].map(|name| (name.to_owned(), Secret::from(&b"unguessable"[..])));
    let (mut rest, mut over, mut replies) = (rest, false, 0);
    while let [length, after @ ..] = rest {
        let (packet, next) = after.split_at(usize::from(*length).min(after.len()));
        rest = next;
        let step = login.handle(packet, &mut Zeroes);
        assert!(!over || step.is_err(), "something after the end");
        let reply = match step {
            Ok(Step::Reply(reply)) => reply,
            Ok(Step::Ask(_)) => login.answer(&typed.clone().into(), &mut Zeroes).expect("good answers"),
            Ok(Step::Sign(_) | Step::Scan(_)) => panic!("what no standard method has"),
            Ok(Step::Success) => {
                assert!(method != EapMethod::Mschapv2, "without a proof of the password");
                over = true;
                continue;
            }
            Err(_) => {
                over = true;
                continue;
            }
        };
        replies += 1;
        assert!(replies <= MAX_ROUNDS && reply.len() < 600);
        assert_eq!((reply[0], reply[1]), (2, packet[1]));
        assert_eq!(usize::from(u16::from_be_bytes([reply[2], reply[3]])), reply.len());
    }
    assert_eq!(login.key(), None);
}
