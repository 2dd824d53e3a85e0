//! The gateway's side, against a client written by hand whose chain and signature are OpenSSL's.

use crate::gateway_peer::eap::Said;
use crate::gateway_peer::world::{World, client};
use crate::gateway_peer::{Offer, Peer};
use crate::openssl::{Ca, RSA, User};
use ikeep::gateway::{GatewayEvent, Refusal};
use std::fs;

/// sha256WithRSAEncryption as AUTH method 14 names it (RFC 7427 appendix A.1.1).
const RSA_SHA256: &[u8] = b"\x0f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";

/// A gateway that trusts the users of `ca`.
fn world(ca: &Ca, only: bool) -> World {
    World::with(|config| {
        config.client_roots = vec![ca.der()];
        config.certificate_only = only;
    })
}

/// The chain as OpenSSL puts it into PKCS#7.
fn chain(ca: &Ca, user: &User) -> Vec<u8> {
    let file = user.certificate.display().to_string();
    ca.run(&["crl2pkcs7", "-nocrl", "-certfile", &file, "-certfile", "ca.pem", "-outform", "DER"])
}

/// A signature with PKCS#1 v1.5 and this hash, by OpenSSL.
fn signature(ca: &Ca, user: &User, hash: &str, octets: &[u8]) -> Vec<u8> {
    fs::write(ca.file("octets"), octets).unwrap();
    ca.run(&["dgst", hash, "-sign", &user.key.display().to_string(), "octets"])
}

fn digital(ca: &Ca, user: &User, octets: &[u8]) -> Vec<u8> {
    [RSA_SHA256, &signature(ca, user, "-sha256", octets)].concat()
}

fn refused(world: &mut World) -> usize {
    let certificate =
        |event: &GatewayEvent| matches!(event, GatewayEvent::Refused { why: Refusal::Certificate, .. });
    world.told().iter().filter(|event| certificate(event)).count()
}

#[test]
fn a_chain_and_a_signature_of_openssl_are_enough_where_no_password_is_asked_for() {
    let ca = Ca::new("users");
    let anna = ca.user("anna", RSA, "clientAuth");
    // With RFC 7427 the signature names its algorithm; without, it is AUTH method 1.
    for hashes in [true, false] {
        let mut world = world(&ca, true);
        let (mut peer, request) = Peer::begin(&mut world, client(2), Offer { hashes, ..Offer::default() }, 1);
        assert!(request.xml().contains("<client-cert-request/>"), "{request:?}");
        let octets = peer.octets();
        let signed =
            if hashes { digital(&ca, &anna, &octets) } else { signature(&ca, &anna, "-sha512", &octets) };
        let confirm = peer.show(&mut world, &request, &[(3, &chain(&ca, &anna)), (1, &signed)]);
        assert!(!confirm.xml().contains("<form>"), "{confirm:?}");
        let complete = peer.answer(&mut world, &confirm, "", "");
        assert!(peer.finish(&mut world, &complete).token.is_some());
        let login = GatewayEvent::Login { user: "anna".into(), group: None, aaa_requests: 0 };
        assert!(world.told().contains(&login));
    }
}

#[test]
fn a_form_follows_where_a_password_is_asked_for_too() {
    let ca = Ca::new("users");
    let anna = ca.user("anna", RSA, "clientAuth");
    let mut world = world(&ca, false);
    let (mut peer, request) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    let signed = digital(&ca, &anna, &peer.octets());
    let form = peer.show(&mut world, &request, &[(3, &chain(&ca, &anna)), (1, &signed)]);
    let complete = peer.password(&mut world, &form, "test", "cisco");
    assert!(peer.finish(&mut world, &complete).token.is_some());
}

#[test]
fn wrong_signatures_foreign_chains_and_nothing_at_all_are_refused() {
    let (ca, other) = (Ca::new("users"), Ca::new("others"));
    let anna = ca.user("anna", RSA, "clientAuth");
    let bert = ca.user("bert", RSA, "clientAuth");
    let server = ca.user("server", RSA, "serverAuth");
    let stranger = other.user("anna", RSA, "clientAuth");
    let mut world = world(&ca, true);
    type Shown<'a> = Box<dyn Fn(&[u8]) -> Vec<(u16, Vec<u8>)> + 'a>;
    let cases: Vec<(&str, Shown<'_>)> = vec![
        ("nothing", Box::new(|_| vec![])),
        ("no signature", Box::new(|_| vec![(3, chain(&ca, &anna))])),
        ("no chain", Box::new(|octets| vec![(1, digital(&ca, &anna, octets))])),
        (
            "other octets",
            Box::new(|_| vec![(3, chain(&ca, &anna)), (1, digital(&ca, &anna, b"other octets"))]),
        ),
        ("another key", Box::new(|octets| vec![(3, chain(&ca, &anna)), (1, digital(&ca, &bert, octets))])),
        (
            "a foreign CA",
            Box::new(|octets| vec![(3, chain(&other, &stranger)), (1, digital(&other, &stranger, octets))]),
        ),
        (
            "a gateway's certificate",
            Box::new(|octets| vec![(3, chain(&ca, &server)), (1, digital(&ca, &server, octets))]),
        ),
        (
            "no algorithm",
            Box::new(|octets| vec![(3, chain(&ca, &anna)), (1, signature(&ca, &anna, "-sha256", octets))]),
        ),
        ("no PKCS#7", Box::new(|octets| vec![(3, ca.der()), (1, digital(&ca, &anna, octets))])),
    ];
    for (seed, (what, shown)) in cases.iter().enumerate() {
        let (mut peer, request) =
            Peer::begin(&mut world, client(2 + seed as u8), Offer::default(), seed as u64);
        let tlvs = shown(&peer.octets());
        let tlvs: Vec<(u16, &[u8])> = tlvs.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
        let said = peer.show(&mut world, &request, &tlvs);
        let Said::Request { xml, .. } = &said else { panic!("{what}: {said:?}") };
        assert!(xml.contains("<error") && xml.contains("Certificate Validation Failure"), "{what}: {xml}");
    }
    assert_eq!(refused(&mut world), cases.len());
    let counters = world.gateway.counters();
    assert_eq!((counters.aaa_requests, counters.active), (0, 0));
}
