//! IKE_AUTH: the proof of the gateway. Without one that holds, nothing about the user is said, whatever comes with it.

use crate::gateway::{HOST, Rogue, Victim, pki, status};
use ikeep::crypto::Secret;
use ikeep::ike::eap::server;
use ikeep::ike::initiator::{Failure, InitiatorEvent};
use ikeep::ike::keys::SaKeys;
use ikeep::ike::message::{Exchange, Payload, notify};
use ikeep::lab::pki::{Identity, IssuedBy, Leaf, Pki, TestKey, Usage};
use ikeep::time::UnixTime;
use std::time::Duration;

/// The victim's end after such an answer to the first IKE_AUTH, and what it still says: that it goes.
#[track_caller]
fn ends(what: &str, answer: impl FnOnce(&Rogue) -> Vec<Payload>) -> Failure {
    let mut victim = Victim::new(|_| ());
    let mut rogue = Rogue::met(&mut victim);
    let asked = rogue.hear(&mut victim);
    assert!(!asked.iter().any(|p| matches!(p, Payload::Auth { .. } | Payload::Eap(_))), "EAP is asked for");
    let answer = answer(&rogue);
    rogue.say(&mut victim, &answer);
    let failure = victim.failure().unwrap_or_else(|| panic!("{what} was believed"));
    // What follows, if anything, is that it goes: RFC 7296 2.21.2.
    for (exchange, payloads) in rogue.overhear(&mut victim) {
        assert_eq!(exchange, Exchange::Informational, "{what}");
        let goes = |p: &Payload| matches!(p, Payload::Notify(_) | Payload::Delete(_));
        assert!(payloads.iter().all(goes), "{what}: {payloads:?}");
    }
    failure
}

fn hello() -> Payload {
    Payload::Eap(server::hello(1).expect("a packet"))
}

fn with_eap(mut payloads: Vec<Payload>) -> Vec<Payload> {
    payloads.push(hello());
    payloads
}

fn honest() -> Identity {
    pki().gateway(HOST).expect("a certificate")
}

fn issued(change: impl FnOnce(&Pki, &mut Leaf)) -> Identity {
    let pki = pki();
    let mut leaf = pki.leaf(HOST);
    change(&pki, &mut leaf);
    pki.issue(&leaf).expect("a certificate")
}

#[test]
fn a_login_before_the_proof() {
    let no_auth = ends("EAP alone", |_| vec![hello()]);
    assert!(matches!(no_auth, Failure::Protocol(_)), "{no_auth:?}");
    let no_auth = ends("EAP without AUTH", |rogue| {
        let mut payloads = with_eap(rogue.proof(&honest()));
        payloads.retain(|p| !matches!(p, Payload::Auth { .. }));
        payloads
    });
    assert!(matches!(no_auth, Failure::Protocol(_)), "{no_auth:?}");
    let nobody = ends("EAP without IDr", |rogue| {
        let mut payloads = with_eap(rogue.proof(&honest()));
        payloads.retain(|p| !matches!(p, Payload::IdR(_)));
        payloads
    });
    assert!(matches!(nobody, Failure::Protocol(_)), "{nobody:?}");
    let no_cert = ends("a proof without a certificate", |rogue| {
        let mut payloads = with_eap(rogue.proof(&honest()));
        payloads.retain(|p| !matches!(p, Payload::Cert { .. }));
        payloads
    });
    assert!(matches!(no_cert, Failure::Certificate(_)), "{no_cert:?}");
}

#[test]
fn certificates_of_others() {
    let cases: [(&str, Identity); 8] = [
        ("another name", issued(|_, leaf| leaf.names = vec!["vpn.example.org".into()])),
        ("a name above", issued(|_, leaf| leaf.names = vec!["example.com".into()])),
        ("a wildcard for more", issued(|_, leaf| leaf.names = vec!["*.com".into()])),
        ("nobody's root", issued(|_, leaf| leaf.issuer = IssuedBy::OtherCa)),
        ("its own root", issued(|_, leaf| leaf.issuer = IssuedBy::SelfSigned)),
        ("a client's certificate", issued(|_, leaf| leaf.usages = vec![Usage::ClientAuth])),
        (
            "a certificate of yesterday",
            issued(|_, leaf| {
                leaf.not_after = leaf.not_before;
                leaf.not_before = UnixTime::from_secs(leaf.not_before.as_secs() - 86_400);
            }),
        ),
        ("a CA's certificate", issued(|_, leaf| leaf.is_ca = true)),
    ];
    for (what, identity) in cases {
        let failure = ends(what, |rogue| with_eap(rogue.proof(&identity)));
        assert!(matches!(failure, Failure::Certificate(_)), "{what}: {failure:?}");
    }
}

#[test]
fn signatures_of_others_and_of_other_things() {
    let other_key = issued(|_, leaf| leaf.key = TestKey::User);
    let mixed = Identity { chain: honest().chain, ..other_key };
    let failure = ends("the certificate of one and the key of another", |r| with_eap(r.proof(&mixed)));
    assert_eq!(failure, Failure::GatewayAuth);
    type Change = fn(&mut Rogue);
    let cases: [(&str, Change); 3] = [
        ("another nonce of ours: a recorded login", |r| r.ni[0] ^= 1),
        ("another IKE_SA_INIT", |r| r.response[30] ^= 1),
        ("an answer of another length", |r| r.response.push(0)),
    ];
    for (what, change) in cases {
        let mut victim = Victim::new(|_| ());
        let mut rogue = Rogue::met(&mut victim);
        rogue.hear(&mut victim);
        change(&mut rogue);
        let payloads = with_eap(rogue.proof(&honest()));
        rogue.say(&mut victim, &payloads);
        assert_eq!(victim.failure(), Some(Failure::GatewayAuth), "{what}");
    }
    for (method, octets) in [(1, 256), (2, 32), (9, 64), (13, 0), (14, 80), (255, 32)] {
        let failure = ends("octets of anybody", |rogue| {
            let mut payloads = with_eap(rogue.proof(&honest()));
            for payload in &mut payloads {
                if matches!(payload, Payload::Auth { .. }) {
                    *payload = Payload::Auth { method, data: vec![1; octets] };
                }
            }
            payloads
        });
        assert_eq!(failure, Failure::GatewayAuth, "method {method}");
    }
}

/// A gateway that has proved itself and gives no login: who has not logged in gets no tunnel, and is not told that there is one.
#[test]
fn a_proof_and_then_no_login() {
    let failure = ends("a tunnel without a login", |rogue| rogue.proof(&honest()));
    assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
    let success = Payload::Eap(vec![3, 1, 0, 4]);
    let failure = ends("EAP-Success at once", |rogue| {
        let mut payloads = rogue.proof(&honest());
        payloads.push(success);
        payloads
    });
    assert!(matches!(failure, Failure::Eap(_)), "{failure:?}");
}

/// Only what is under the keys of this IKE SA ends the attempt: the same words from the side do nothing.
#[test]
fn errors_from_the_side() {
    let mut victim = Victim::new(|_| ());
    let mut rogue = Rogue::met(&mut victim);
    rogue.hear(&mut victim);
    // Of the right SPIs, message ID and exchange, in plain text.
    let mut plain = rogue.response.clone();
    plain[18] = Exchange::IkeAuth.number();
    plain[23] = 1;
    let refused = status(notify::AUTHENTICATION_FAILED, &[]);
    assert!(victim.take(&plain).is_err());
    // Under other keys.
    let (spi_i, spi_r) = rogue.sa.spis();
    let guess =
        SaKeys::derive(rogue.sa.suite(), &rogue.ni, &rogue.nr, &Secret::new(vec![7; 32]), &spi_i, &spi_r);
    let waiting = rogue.waiting.expect("a request");
    for datagram in rogue.forge_under(&guess, waiting, std::slice::from_ref(&refused), None) {
        assert!(victim.take(&datagram).is_err());
    }
    assert!(victim.events().iter().all(|event| !matches!(event, InitiatorEvent::Failed(_))));
    rogue.say(&mut victim, &[refused]);
    assert!(matches!(victim.failure(), Some(Failure::Refused { verified: false, .. })));
}

/// A gateway that says nothing after IKE_SA_INIT costs AuthenticationTimeout and a few datagrams.
#[test]
fn silence_after_the_first_answer() {
    let mut victim = Victim::new(|_| ());
    let mut rogue = Rogue::met(&mut victim);
    rogue.hear(&mut victim);
    let (failure, after) = victim.wait();
    assert!(matches!(failure, Some(Failure::NoAnswer { .. })), "{failure:?}");
    assert!(after <= Duration::from_secs(30) && victim.datagrams < 30, "{after:?}, {}", victim.datagrams);
}

/// Fragments of an answer that never becomes whole: the keys are right, so they are kept, within their limits.
#[test]
fn fragments_without_end() {
    let mut victim = Victim::new(|_| ());
    let mut rogue = Rogue::met(&mut victim);
    rogue.hear(&mut victim);
    let request = rogue.waiting.expect("a request");
    let (mut kept, mut held, mut most) = (0, 0, 0);
    for round in 0..200_u8 {
        // Each time cut into more, so that it begins anew (RFC 7383 2.5.2); the last one never comes.
        let large: Vec<_> = (0..30).map(|_| Payload::VendorId(vec![round; 1_000])).collect();
        let mut datagrams = rogue.forge(request, &large, Some(1_300 - 3 * usize::from(round)));
        datagrams.pop();
        let heap = allocation_counter::measure(|| {
            kept += datagrams.iter().filter(|datagram| victim.take(datagram).is_ok()).count();
        });
        held += heap.bytes_current;
        most = most.max(held);
    }
    assert!(kept > 500, "{kept}");
    assert!(most < 96 << 10, "{most} octets are held of {kept} fragments");
    assert!(victim.events().iter().all(|event| !matches!(event, InitiatorEvent::Failed(_))));
    let (failure, after) = victim.wait();
    assert!(matches!(failure, Some(Failure::NoAnswer { .. })), "{failure:?}");
    assert!(after <= Duration::from_secs(30), "{after:?}");
}
