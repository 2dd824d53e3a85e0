//! IKE_SA_INIT: nothing of it is authentic, so a wrong answer is thrown away and the right one is still waited for.

use crate::gateway::{Honest, SPI_R, Victim, init_answer, status};
use ikeep::crypto::Group;
use ikeep::ike::initiator::{Failure, InitiatorEvent};
use ikeep::ike::message::{GatewayId, Payload, Redirect, decode_message, notify};
use ikeep::ike::proposal::Algorithms;
use std::time::Duration;

/// After such an answer the honest one still counts.
#[track_caller]
fn survives(what: &str, spi_r: [u8; 8], change: impl FnOnce(&mut Vec<Payload>)) {
    let mut victim = Victim::new(|_| ());
    let request = victim.one();
    let honest = Honest::new(&request, &Algorithms::ike());
    let mut payloads = honest.payloads.clone();
    change(&mut payloads);
    assert!(victim.take(&init_answer(&request, spi_r, &payloads)).is_err(), "{what} was taken");
    assert!(
        victim.initiator.is_in_init() && victim.events().is_empty() && victim.sent().is_empty(),
        "{what}"
    );
    victim.take(&init_answer(&request, SPI_R, &honest.payloads)).expect("the honest answer");
    assert!(matches!(victim.events()[..], [InitiatorEvent::InitAnswered, InitiatorEvent::Keyed]), "{what}");
}

fn ke(payloads: &mut [Payload]) -> (&mut u16, &mut Vec<u8>) {
    payloads
        .iter_mut()
        .find_map(|p| match p {
            Payload::Ke { group, data } => Some((group, data)),
            _ => None,
        })
        .expect("a KE payload")
}

#[test]
fn nonces_and_spis_that_no_gateway_may_send() {
    for length in [0, 15, 257] {
        let mut victim = Victim::new(|_| ());
        let request = victim.one();
        let mut payloads = Honest::new(&request, &Algorithms::ike()).payloads;
        payloads.retain(|p| !matches!(p, Payload::Nonce(_)));
        payloads.push(Payload::Unknown { kind: 40, critical: false, data: vec![7; length] });
        assert!(victim.take(&init_answer(&request, SPI_R, &payloads)).is_err(), "{length} octets");
        assert!(victim.initiator.is_in_init());
    }
    survives("no nonce", SPI_R, |p| p.retain(|p| !matches!(p, Payload::Nonce(_))));
    survives("no SPI", [0; 8], |_| ());
}

#[test]
fn proposals_that_were_not_offered() {
    survives("no SA", SPI_R, |p| p.retain(|p| !matches!(p, Payload::Sa(_))));
    survives("two proposals", SPI_R, |payloads| {
        for payload in payloads {
            if let Payload::Sa(proposals) = payload {
                proposals.push(proposals[0].clone());
            }
        }
    });
    survives("another key length", SPI_R, |payloads| {
        for payload in payloads {
            if let Payload::Sa(proposals) = payload {
                proposals[0].transforms[0].key_bits = Some(192);
            }
        }
    });
    survives("a PRF that nobody knows", SPI_R, |payloads| {
        for payload in payloads {
            if let Payload::Sa(proposals) = payload {
                proposals[0].transforms.iter_mut().for_each(|t| {
                    if t.kind == 2 {
                        t.id = 1;
                    }
                });
            }
        }
    });
}

#[test]
fn public_values_that_would_give_the_secret_away() {
    survives("no KE", SPI_R, |p| p.retain(|p| !matches!(p, Payload::Ke { .. })));
    survives("another group", SPI_R, |p| *ke(p).0 = Group::Modp2048.id());
    survives("an octet less", SPI_R, |p| ke(p).1.truncate(31));
    survives("an octet more", SPI_R, |p| ke(p).1.push(0));
    type Change = fn(&mut Vec<u8>);
    let bad: [(Group, &str, Change); 9] = [
        (Group::Ecp256, "not on the curve", |d| d[63] ^= 1),
        (Group::Ecp256, "the origin", |d| d.fill(0)),
        (Group::Ecp384, "not on the curve", |d| d[95] ^= 1),
        (Group::Ecp521, "not on the curve", |d| d[131] ^= 1),
        (Group::Curve25519, "zero", |d| d.fill(0)),
        (Group::Curve25519, "one: a small subgroup", |d| {
            d.fill(0);
            d[0] = 1;
        }),
        (Group::Modp2048, "zero", |d| d.fill(0)),
        (Group::Modp2048, "one", |d| {
            d.fill(0);
            d[255] = 1;
        }),
        (Group::Modp2048, "larger than the prime", |d| d.fill(0xff)),
    ];
    for (group, what, change) in bad {
        let algorithms = Algorithms { groups: vec![group], ..Algorithms::ike() };
        let mut victim = Victim::new(|config| config.ike.groups = vec![group]);
        let request = victim.one();
        let honest = Honest::new(&request, &algorithms);
        let mut payloads = honest.payloads.clone();
        change(ke(&mut payloads).1);
        assert!(victim.take(&init_answer(&request, SPI_R, &payloads)).is_err(), "{group:?}: {what}");
        assert!(victim.initiator.is_in_init());
        victim.take(&init_answer(&request, SPI_R, &honest.payloads)).expect("the honest answer");
    }
}

#[test]
fn cookies_and_groups_without_end() {
    for kind in [notify::COOKIE, notify::INVALID_KE_PAYLOAD] {
        let mut victim = Victim::new(|_| ());
        let mut request = victim.one();
        let mut answers = 0_u8;
        loop {
            answers += 1;
            let group = if answers.is_multiple_of(2) { Group::Ecp256 } else { Group::Ecp384 };
            let data = match kind {
                notify::COOKIE => vec![answers; 64],
                _ => group.id().to_be_bytes().to_vec(),
            };
            let taken = victim.take(&init_answer(&request, [0; 8], &[status(kind, &data)]));
            match victim.sent().pop() {
                Some(next) => request = next,
                None => break assert!(taken.is_err()),
            }
            assert!(answers < 20, "{kind}: without end");
        }
        let (failure, after) = victim.wait();
        assert!(matches!(failure, Some(Failure::NoAnswer { .. })), "{failure:?}");
        assert!(after <= Duration::from_secs(60) && victim.datagrams < 40, "{after:?}, {}", victim.datagrams);
    }
}

#[test]
fn cookies_that_make_the_request_larger_than_they_may() {
    for length in [0, 65, 1_000, 60_000] {
        let mut victim = Victim::new(|_| ());
        let request = victim.one();
        let cookie = status(notify::COOKIE, &vec![1; length]);
        assert!(victim.take(&init_answer(&request, [0; 8], &[cookie])).is_err(), "{length} octets");
        assert!(victim.sent().is_empty(), "{length} octets");
    }
}

/// A redirect counts only where it was asked for and in answer to this nonce, and whoever follows it begins with other octets.
#[test]
fn redirects_that_were_not_asked_for() {
    for (asked, own_nonce, taken) in [(false, true, false), (true, false, false), (true, true, true)] {
        let mut victim = Victim::new(|config| config.redirect = asked);
        let request = victim.one();
        let (_, payloads) = decode_message(&request).expect("a request");
        let nonce = payloads.iter().find_map(|p| match p {
            Payload::Nonce(nonce) if own_nonce => Some(nonce.clone()),
            _ => None,
        });
        let to = GatewayId::Address("198.51.100.1".parse().expect("an address"));
        let redirect = Redirect { to, nonce: nonce.unwrap_or_else(|| vec![1; 32]) };
        let answer = init_answer(&request, [0; 8], &[status(notify::REDIRECT, &redirect.encode())]);
        assert_eq!(victim.take(&answer).is_ok(), taken);
        assert_eq!(victim.initiator.is_redirected(), taken);
        assert!(victim.initiator.is_in_init() && victim.sent().is_empty(), "the owner decides");
    }
}

/// Errors without proof end nothing: they are remembered for people.
#[test]
fn errors_without_proof() {
    let mut victim = Victim::new(|_| ());
    let request = victim.one();
    for kind in [notify::NO_PROPOSAL_CHOSEN, notify::AUTHENTICATION_FAILED, notify::INVALID_SYNTAX, 9_999] {
        victim.take(&init_answer(&request, [0; 8], &[status(kind, &[])])).expect("understood");
        assert!(victim.events().is_empty() && victim.sent().is_empty(), "{kind}");
    }
    let honest = Honest::new(&request, &Algorithms::ike());
    victim.take(&init_answer(&request, SPI_R, &honest.payloads)).expect("the honest answer");
    assert!(!victim.initiator.is_in_init());
}
