//! The recorded handshakes, against codec, negotiation, key derivation and the opening of encrypted messages.
//! AUTH, EAP and ESP have their own files.

mod common;

use common::recording::{Message, Recording};
use ikeep::crypto::{Encr, Group, Integ, PacketProtection, Prf, Secret};
use ikeep::ike::keys::{ChildKeying, SaKeys, skeyseed};
use ikeep::ike::message::{
    Header, Payload, Proposal, decode_message, decode_payloads, encode_payloads, find_notify,
    first_error_notify, notify, payload_type,
};
use ikeep::ike::proposal::{Algorithms, EspSuite, IkeSuite, proposals};
use ikeep::ike::sk::{Opened, Opener, SkError};

fn ike_suite(recording: &Recording) -> IkeSuite {
    let keys = &recording.keys;
    IkeSuite {
        encr: Encr::from_id(keys.encr, Some(keys.encr_key_bits)).expect("a cipher we know"),
        integ: Integ::from_id(keys.integ),
        prf: Prf::from_id(keys.prf).expect("a PRF we know"),
        group: Group::from_id(keys.dh).expect("a group we know"),
        additional: None,
    }
}

fn esp_suite(recording: &Recording) -> EspSuite {
    let child = &recording.child;
    EspSuite {
        encr: Encr::from_id(child.encr, Some(256)).expect("a cipher we know"),
        integ: Integ::from_id(child.integ),
        group: None,
        esn: false,
    }
}

fn derive(recording: &Recording) -> SaKeys {
    let keys = &recording.keys;
    let shared = Secret::from(keys.shared.as_slice());
    SaKeys::derive(&ike_suite(recording), &keys.ni, &keys.nr, &shared, &keys.spi_i, &keys.spi_r)
}

/// Opens what this side sent.
fn opener(recording: &Recording, from_client: bool) -> Opener {
    let (suite, keys) = (ike_suite(recording), derive(recording));
    let (encr, integ) = if from_client { (keys.sk_ei, keys.sk_ai) } else { (keys.sk_er, keys.sk_ar) };
    Opener::new(PacketProtection::new(suite.encr, suite.integ, encr.expose(), integ.expose()))
}

fn open(opener: &mut Opener, datagram: &[u8]) -> Result<Opened, SkError> {
    opener.open(&Header::decode(datagram).expect("recorded header"), datagram)
}

/// The payloads of an encrypted message.
fn payloads(message: &Message) -> Vec<Payload> {
    let (first, chain) = (message.first_payload, message.payloads.as_deref());
    decode_payloads(first.expect("encrypted"), chain.expect("encrypted")).expect("recorded payloads")
}

/// The last messages of IKE_AUTH: those that have the Child SA's proposals are the first request and the last response.
fn child_proposals(recording: &Recording, from_client: bool) -> Vec<Payload> {
    let mut of_side = recording.encrypted().filter(|m| m.from_client == from_client).map(payloads);
    of_side.find(|payloads| proposals(payloads).is_some()).expect("an SA payload")
}

#[test]
fn init_messages_decode_and_encode_to_the_same_octets() {
    for recording in Recording::all() {
        let (request, response) = recording.init();
        for message in [request, response] {
            let (header, payloads) = decode_message(&message.wire[0]).expect("recorded message");
            assert_eq!(header.spi_i, recording.keys.spi_i, "{}", recording.name);
            assert_eq!((header.initiator, header.response), (message.from_client, !message.from_client));
            assert_eq!((header.exchange.number(), header.message_id), (message.exchange, message.message_id));
            let (first, chain) = encode_payloads(&payloads);
            assert_eq!(first, header.next_payload);
            assert_eq!([&header.encode()[..], &chain].concat(), message.wire[0], "{}", recording.name);

            let nonce = if message.from_client { &recording.keys.ni } else { &recording.keys.nr };
            assert!(payloads.contains(&Payload::Nonce(nonce.clone())), "{}", recording.name);
            let group = payloads.iter().find_map(|payload| match payload {
                Payload::Ke { group, .. } => Some(*group),
                _ => None,
            });
            assert_eq!(group, Some(recording.keys.dh), "{}", recording.name);
        }
    }
}

#[test]
fn our_algorithms_take_part_in_every_recorded_negotiation() {
    for recording in Recording::all() {
        let (request, response) = recording.init();
        let [request, response] = [request, response].map(|m| decode_message(&m.wire[0]).expect("message").1);
        let (offered, answer) = (proposals(&request).expect("SA"), proposals(&response).expect("SA"));
        let suite = ike_suite(&recording);
        assert_eq!(Algorithms::ike().accept_ike(&numbered(answer, suite.encr)), Some((suite, vec![])));
        let (chosen, _) = Algorithms::ike().choose_ike(offered).expect("a common suite");
        assert_eq!(chosen, suite, "{}", recording.name);

        let (request, response) = (child_proposals(&recording, true), child_proposals(&recording, false));
        let (offered, answer) = (proposals(&request).expect("SA"), proposals(&response).expect("SA"));
        let (suite, child) = (esp_suite(&recording), &recording.child);
        let accepted = Algorithms::esp().accept_esp(&numbered(answer, suite.encr), false);
        assert_eq!(accepted, Some((suite, child.spi_gateway)), "{}", recording.name);
        let (chosen, peer_spi, _) = Algorithms::esp().choose_esp(offered, 1, false).expect("a common suite");
        assert_eq!((chosen, peer_spi), (suite, child.spi_client), "{}", recording.name);
    }
}

/// The recorded clients offered one proposal; ours offers the AEAD ciphers in its second.
fn numbered(answer: &[Proposal], encr: Encr) -> Vec<Proposal> {
    let number = if encr.is_aead() { 2 } else { 1 };
    answer.iter().cloned().map(|proposal| Proposal { number, ..proposal }).collect()
}

#[test]
fn keys_are_those_that_were_recorded() {
    for recording in Recording::all() {
        let (suite, expected, keys) = (ike_suite(&recording), &recording.keys, derive(&recording));
        let shared = Secret::from(expected.shared.as_slice());
        let seed = skeyseed(suite.prf, &expected.ni, &expected.nr, &shared);
        for (name, derived, recorded) in [
            ("SKEYSEED", &seed, &expected.skeyseed),
            ("SK_d", &keys.sk_d, &expected.sk_d),
            ("SK_ai", &keys.sk_ai, &expected.sk_ai),
            ("SK_ar", &keys.sk_ar, &expected.sk_ar),
            ("SK_ei", &keys.sk_ei, &expected.sk_ei),
            ("SK_er", &keys.sk_er, &expected.sk_er),
            ("SK_pi", &keys.sk_pi, &expected.sk_pi),
            ("SK_pr", &keys.sk_pr, &expected.sk_pr),
        ] {
            assert_eq!(derived.expose(), recorded, "{name} of {}", recording.name);
        }
    }
}

#[test]
fn child_keys_are_those_that_were_recorded() {
    for recording in Recording::all() {
        let (keys, child) = (derive(&recording), &recording.child);
        let (ni, nr) = (&recording.keys.ni, &recording.keys.nr);
        let keying = ChildKeying { prf: ike_suite(&recording).prf, sk_d: &keys.sk_d, ni, nr, shared: None };
        for client in [true, false] {
            let (ours, theirs) = (child.spi_client, child.spi_gateway);
            let (spi_in, spi_out) = if client { (ours, theirs) } else { (theirs, ours) };
            let params = keying.derive(&esp_suite(&recording), client, spi_in, spi_out, vec![], vec![]);
            let [up, down] = if client {
                [(&params.encr_out, &params.integ_out), (&params.encr_in, &params.integ_in)]
            } else {
                [(&params.encr_in, &params.integ_in), (&params.encr_out, &params.integ_out)]
            };
            assert_eq!(up.0.expose(), child.client_to_gateway_encr, "{}", recording.name);
            assert_eq!(up.1.expose(), child.client_to_gateway_integ, "{}", recording.name);
            assert_eq!(down.0.expose(), child.gateway_to_client_encr, "{}", recording.name);
            assert_eq!(down.1.expose(), child.gateway_to_client_integ, "{}", recording.name);
        }
    }
}

#[test]
fn every_encrypted_message_opens_to_what_was_recorded() {
    let mut fragmented = 0;
    for recording in Recording::all() {
        let mut openers = [true, false].map(|from_client| opener(&recording, from_client));
        for message in recording.encrypted() {
            let opener = &mut openers[usize::from(!message.from_client)];
            let (last, others) = message.wire.split_last().expect("a datagram");
            fragmented += usize::from(!others.is_empty());
            for fragment in others {
                let header = Header::decode(fragment).expect("header");
                assert_eq!(header.next_payload, payload_type::SKF);
                assert_eq!(opener.open_chain(&header, fragment), Ok(None), "{}", recording.name);
            }
            let header = Header::decode(last).expect("header");
            let (first, chain) =
                opener.open_chain(&header, last).expect("recorded message").expect("the last one");
            assert_eq!(Some(first), message.first_payload);
            assert_eq!(Some(chain.as_slice()), message.payloads.as_deref(), "{}", recording.name);
        }
    }
    assert!(fragmented >= 4, "the gateways' certificates came in fragments");
}

#[test]
fn decoded_payloads_encode_to_the_same_octets() {
    for recording in Recording::all() {
        for message in recording.encrypted() {
            let (first, chain) = encode_payloads(&payloads(message));
            assert_eq!(Some(first), message.first_payload);
            assert_eq!(Some(&chain), message.payloads.as_ref(), "{} {}", recording.name, message.message_id);
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_everywhere_and_changes_nothing() {
    // Octets that are read before anything is authenticated: next payload, version and length of the header, the length of
    // the SK header, fragment number and total.
    let structure =
        |fragment, at| matches!(at, 16 | 17 | 24..=27 | 30 | 31) || fragment && matches!(at, 32..=35);
    for recording in Recording::all() {
        let mut openers = [true, false].map(|from_client| opener(&recording, from_client));
        for message in recording.encrypted() {
            let opener = &mut openers[usize::from(!message.from_client)];
            for (number, datagram) in (1..).zip(&message.wire) {
                let fragment = message.wire.len() > 1;
                for at in 0..datagram.len() {
                    let mut forged = datagram.clone();
                    forged[at] ^= 1 << (at % 8);
                    let Ok(header) = Header::decode(&forged) else {
                        assert!(structure(fragment, at), "octet {at}");
                        continue;
                    };
                    match opener.open(&header, &forged) {
                        Err(SkError::Forged) => {}
                        Err(_) if structure(fragment, at) => {}
                        other => panic!("{}: octet {at} gave {other:?}", recording.name),
                    }
                }
                let opened = open(opener, datagram).expect("the real one");
                let whole = Opened::Message(payloads(message));
                assert_eq!(opened, if number == message.wire.len() { whole } else { Opened::Fragment });
            }
        }
    }
}

#[test]
fn what_the_login_says_can_be_read() {
    let login = Recording::load("eap-anyconnect-login");
    let first = payloads(login.message(true, 35, 1));
    let identity = first.iter().find_map(|payload| match payload {
        Payload::IdI(identity) => Some(identity),
        _ => None,
    });
    let identity = identity.expect("IDi");
    assert_eq!((identity.kind, identity.to_string().as_str()), (201, "*$AnyConnectClient$*"));
    let last = payloads(login.message(false, 35, 6));
    let Some(Payload::Cp(configuration)) = last.iter().find(|p| p.kind() == payload_type::CP) else {
        panic!("no CFG_REPLY");
    };
    assert_eq!(configuration.find(1), Some([192, 168, 20, 5].as_slice()));
    assert!(configuration.find(28672).is_some_and(|banner| banner.starts_with(b"Welcome")));
    let (_, init) = decode_message(&login.init().0.wire[0]).expect("IKE_SA_INIT");
    assert!(find_notify(&init, notify::NAT_DETECTION_SOURCE_IP).is_some());
    assert!(first_error_notify(&init).is_none());
}
