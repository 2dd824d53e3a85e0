//! The codec: examples for each rule, and properties over anything.

use super::arbitrary::{payload, payloads};
use super::payload::payload_type;
use super::*;
use crate::esp::TrafficSelector;
use proptest::prelude::*;

const HEAD: Outgoing = Outgoing {
    spi_i: [1; 8],
    spi_r: [2; 8],
    exchange: Exchange::IkeSaInit,
    initiator: true,
    response: false,
    message_id: 7,
};

/// Decodes one payload of this type and body.
fn one(kind: u8, body: &[u8]) -> Result<Payload, DecodeError> {
    flagged(kind, 0, body)
}

fn flagged(kind: u8, flags: u8, body: &[u8]) -> Result<Payload, DecodeError> {
    let length = (body.len() as u16 + 4).to_be_bytes();
    let chain = [&[0, flags, length[0], length[1]], body].concat();
    decode_payloads(kind, &chain).map(|mut payloads| payloads.remove(0))
}

fn malformed(result: Result<Payload, DecodeError>) -> &'static str {
    match result {
        Err(DecodeError::Malformed { reason, .. }) => reason,
        other => panic!("expected a malformed payload, not {other:?}"),
    }
}

/// A proposal with these transforms (already octets, last one marked so) as an SA payload's body.
fn sa(count: u8, transforms: &[u8]) -> Vec<u8> {
    let length = (8 + transforms.len() as u16).to_be_bytes();
    [&[0, 0, length[0], length[1], 1, 1, 0, count], transforms].concat()
}

fn only_proposal(payload: Payload) -> Proposal {
    match &payload {
        Payload::Sa(proposals) if proposals.len() == 1 => proposals[0].clone(),
        other => panic!("expected one proposal, not {other:?}"),
    }
}

#[test]
fn header_is_laid_out_as_in_the_rfc() {
    let message = encode_message(&HEAD, &[Payload::Nonce(vec![9; 16])]);
    assert_eq!(message[..16], [[1; 8], [2; 8]].concat());
    assert_eq!(message[16..28], [40, 0x20, 34, 0x08, 0, 0, 0, 7, 0, 0, 0, 48]);
    assert_eq!(message[28..32], [0, 0, 0, 20]);
    let (header, payloads) = decode_message(&message).expect("our own message");
    assert_eq!(header, HEAD.header(40, 48));
    assert_eq!(payloads, [Payload::Nonce(vec![9; 16])]);
}

#[test]
fn header_must_tell_the_truth() {
    let mut message = encode_message(&HEAD, &[]);
    assert_eq!(Header::decode(&message[..27]), Err(DecodeError::Truncated("IKE header")));
    message.push(0);
    assert_eq!(Header::decode(&message), Err(DecodeError::Length { said: 28, found: 29 }));
    message.pop();
    message[17] = 0x30;
    assert_eq!(Header::decode(&message), Err(DecodeError::Version { major: 3, minor: 0 }));
    message[17] = 0x2f;
    message[19] |= 0xd7;
    let header = Header::decode(&message).expect("minor version and reserved flags are ignored");
    assert_eq!((header.initiator, header.response), (true, false));
    let large = encode_message(&HEAD, &vec![Payload::VendorId(vec![0; 1000]); 70]);
    assert!(matches!(Header::decode(&large), Err(DecodeError::Limit { .. })));
}

#[test]
fn critical_bit_counts_for_unknown_types_only() {
    assert_eq!(flagged(payload_type::NONCE, 0x80, &[0; 16]), Ok(Payload::Nonce(vec![0; 16])));
    assert_eq!(flagged(200, 0x80, &[1]), Err(DecodeError::Critical(200)));
    let kept = Payload::Unknown { kind: 200, critical: false, data: vec![1] };
    assert_eq!(flagged(200, 0x7f, &[1]), Ok(kept));
    let (first, chain) = encode_payloads(&[Payload::Unknown { kind: 200, critical: true, data: vec![] }]);
    assert_eq!((first, chain.as_slice()), (200, [0, 0x80, 0, 4].as_slice()));
}

#[test]
fn chain_must_end_where_it_says() {
    assert_eq!(decode_payloads(0, &[]), Ok(vec![]));
    assert!(decode_payloads(0, &[0]).is_err());
    assert!(decode_payloads(43, &[]).is_err());
    assert!(decode_payloads(43, &[0, 0, 0, 4, 0]).is_err());
    assert!(decode_payloads(43, &[43, 0, 0, 4]).is_err());
    assert!(decode_payloads(43, &[0, 0, 0, 3]).is_err());
    assert!(decode_payloads(43, &[0, 0, 0, 5]).is_err());
    assert_eq!(decode_payloads(43, &[0, 0, 0, 4]), Ok(vec![Payload::VendorId(vec![])]));
}

#[test]
fn chain_is_limited() {
    let full = vec![Payload::VendorId(vec![]); limits::PAYLOADS];
    let (first, chain) = encode_payloads(&full);
    assert_eq!(decode_payloads(first, &chain), Ok(full.clone()));
    let (first, chain) = encode_payloads(&[full, vec![Payload::VendorId(vec![])]].concat());
    assert!(matches!(decode_payloads(first, &chain), Err(DecodeError::Limit { .. })));
}

#[test]
fn what_a_message_has_once_is_not_there_twice() {
    let ke = |group| Payload::Ke { group, data: vec![1; 32] };
    let nonce = Payload::Nonce(vec![2; 32]);
    let vendor = Payload::VendorId(vec![3]);
    let certificate = Payload::Cert { encoding: 4, data: vec![4] };
    let decode = |payloads: &[Payload]| {
        let (first, chain) = encode_payloads(payloads);
        decode_payloads(first, &chain)
    };
    let several = [ke(31), certificate.clone(), nonce.clone(), vendor.clone(), certificate, vendor];
    assert_eq!(decode(&several).as_deref(), Ok(&several[..]));
    assert_eq!(decode(&[ke(31), nonce.clone(), ke(19)]), Err(DecodeError::Repeated(payload_type::KE)));
    assert_eq!(decode(&[nonce.clone(), ke(31), nonce]), Err(DecodeError::Repeated(payload_type::NONCE)));
}

#[test]
fn encrypted_payloads_are_no_part_of_a_plain_chain() {
    for kind in [payload_type::SK, payload_type::SKF] {
        assert!(one(kind, &[0; 40]).is_err());
    }
}

#[test]
fn chain_walker_stops_at_the_encrypted_payload() {
    let octets = [46, 0, 0, 5, 1, 35, 0, 0, 6, 7, 8];
    let links: Vec<_> = Chain::new(43, &octets).map(|link| link.expect("well formed")).collect();
    assert_eq!(links.len(), 2);
    assert_eq!(
        (links[1].kind, links[1].next, links[1].body_at, links[1].body),
        (46, 35, 9, [7, 8].as_slice())
    );
    assert!(Chain::new(43, &[octets.as_slice(), &[0]].concat()).any(|link| link.is_err()));
}

#[test]
fn proposal_flags_lengths_and_counts_are_strict() {
    let transform = [0, 0, 0, 8, 2, 0, 0, 7];
    let good = sa(1, &transform);
    let proposal = only_proposal(one(33, &good).expect("good"));
    assert_eq!(proposal.transforms, [Transform { kind: 2, id: 7, key_bits: None }]);

    let change = |at: usize, to: u8| {
        let mut bad = good.clone();
        bad[at] = to;
        one(33, &bad)
    };
    assert!(malformed(change(0, 2)).contains("last one"), "more proposals announced");
    assert!(change(3, 15).is_err() && change(3, 17).is_err() && change(3, 3).is_err(), "proposal length");
    assert!(malformed(change(6, 4)).contains("SPI"), "IKE has no SPI of 4 octets");
    assert!(change(6, 8).is_err(), "the SPI eats the transform");
    assert!(change(7, 0).is_err() && change(7, 2).is_err(), "transform count");
    assert!(malformed(change(8, 3)).contains("last one"), "more transforms announced");
    assert!(change(11, 7).is_err() && change(11, 9).is_err(), "transform length");
    assert!(one(33, &[]).is_err(), "no proposal");
    let two = [good.as_slice(), &good].concat();
    assert!(malformed(one(33, &two)).contains("last one"), "a second one that was not announced");
}

#[test]
fn transforms_with_foreign_attributes_are_left_out() {
    let understood = [3, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 1, 0];
    let long_key_length = [3, 0, 0, 14, 1, 0, 0, 12, 0, 14, 0, 2, 1, 0];
    let foreign_short = [3, 0, 0, 12, 1, 0, 0, 12, 0x80, 99, 1, 0];
    let twice = [0, 0, 0, 16, 1, 0, 0, 12, 0x80, 14, 1, 0, 0x80, 14, 0, 128];
    let all = [&understood[..], &long_key_length, &foreign_short, &twice].concat();
    let proposal = only_proposal(one(33, &sa(4, &all)).expect("well formed"));
    assert_eq!(proposal.transforms, [Transform { kind: 1, id: 12, key_bits: Some(256) }]);

    let broken = [0, 0, 0, 13, 1, 0, 0, 12, 0, 99, 0, 2, 1];
    assert!(one(33, &sa(1, &broken)).is_err(), "an attribute longer than its transform");
}

#[test]
fn proposal_that_lost_a_kind_of_transform_cannot_be_chosen() {
    let encr = [3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0];
    let group_with_foreign_attribute = [0, 0, 0, 12, 4, 0, 0, 19, 0x80, 99, 0, 1];
    let all = [&encr[..], &group_with_foreign_attribute].concat();
    assert_eq!(only_proposal(one(33, &sa(2, &all)).expect("well formed")).transforms, []);
}

#[test]
fn proposals_are_limited_but_a_peer_may_offer_all_it_has() {
    let transform = Transform { kind: 1, id: 12, key_bits: Some(256) };
    let proposal = |number| Proposal { number, protocol: 1, spi: vec![], transforms: vec![transform; 255] };
    let most: Vec<_> = (1..=limits::PROPOSALS as u8).map(proposal).collect();
    for (count, good) in [(8, true), (limits::PROPOSALS + 1, false)] {
        let offered: Vec<_> = most
            .iter()
            .cycle()
            .take(count)
            .cloned()
            .map(|mut p| {
                p.transforms.truncate(if good { 255 } else { 1 });
                p
            })
            .collect();
        let (first, chain) = encode_payloads(&[Payload::Sa(offered.clone())]);
        match decode_payloads(first, &chain) {
            Ok(decoded) if good => assert_eq!(decoded, [Payload::Sa(offered)]),
            Err(DecodeError::Limit { .. }) if !good => {}
            other => panic!("{count}: {other:?}"),
        }
    }
}

#[test]
fn nonce_length_is_checked() {
    assert!(one(40, &[0; 15]).is_err() && one(40, &[0; 257]).is_err());
    assert!(one(40, &[0; 16]).is_ok() && one(40, &[0; 256]).is_ok());
}

#[test]
fn selectors_of_unknown_types_are_dropped_and_wrong_ranges_refused() {
    let v4 = [7, 6, 0, 16, 0, 80, 0, 90, 10, 0, 0, 1, 10, 0, 0, 9];
    let unknown = [9, 0, 0, 8, 1, 2, 3, 4];
    let body = [&[2, 0, 0, 0][..], &unknown, &v4].concat();
    let expected = TrafficSelector {
        protocol: 6,
        ports: (80, 90),
        addresses: ([10, 0, 0, 1].into(), [10, 0, 0, 9].into()),
    };
    assert_eq!(one(44, &body), Ok(Payload::TsI(vec![expected])));

    let change = |at: usize, to: u8| {
        let mut bad = [&[1, 0, 0, 0][..], &v4].concat();
        bad[4 + at] = to;
        one(45, &bad)
    };
    assert!(malformed(change(11, 10)).contains("range"), "addresses");
    assert!(malformed(change(5, 91)).contains("range"), "ports");
    assert!(change(3, 15).is_err() && change(3, 17).is_err() && change(3, 3).is_err(), "length");
    assert!(change(0, 8).is_err(), "an IPv6 range is longer");
    assert!(one(45, &[&[2, 0, 0, 0][..], &v4].concat()).is_err(), "count too large");
    assert!(one(45, &[&[0, 0, 0, 0][..], &v4].concat()).is_err(), "count too small");

    let opaque = [1, 0, 0, 0, 7, 0, 0, 16, 255, 255, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    assert!(one(44, &opaque).is_ok(), "OPAQUE ports");
}

#[test]
fn configuration_attributes_ignore_the_reserved_bit() {
    let Ok(Payload::Cp(configuration)) = &one(47, &[2, 0, 0, 0, 0xf0, 0x38, 0, 2, 7, 8, 0x70, 0x39, 0, 0])
    else {
        panic!("well formed");
    };
    assert_eq!(configuration.kind, cfg_kind::REPLY);
    assert_eq!(configuration.find(28728), Some([7, 8].as_slice()));
    assert_eq!(configuration.find(28729), Some([].as_slice()));
    assert_eq!(configuration.find(1), None);
    assert!(one(47, &[2, 0, 0, 0, 0, 1, 0, 3, 7, 8]).is_err());
    let many = [&[2, 0, 0, 0][..], &[0, 1, 0, 0].repeat(limits::ATTRIBUTES + 1)].concat();
    assert!(matches!(one(47, &many), Err(DecodeError::Limit { .. })));
}

#[test]
fn eap_packet_must_fill_its_payload() {
    assert_eq!(one(48, &[3, 4, 0, 4]), Ok(Payload::Eap(vec![3, 4, 0, 4])));
    assert!(one(48, &[]).is_err() && one(48, &[3, 4, 0]).is_err());
    assert!(
        one(48, &[3, 4, 0, 5]).is_err()
            && one(48, &[3, 4, 0, 4, 0]).is_err()
            && one(48, &[1, 1, 0, 3]).is_err()
    );
}

#[test]
fn delete_and_notify_check_spi_sizes() {
    assert_eq!(one(42, &[1, 0, 0, 0]), Ok(Payload::Delete(Delete::ike())));
    assert_eq!(one(42, &[3, 4, 0, 1, 0, 0, 0, 9]), Ok(Payload::Delete(Delete::esp([9]))));
    for bad in [
        &[1, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[3, 0, 0, 0],
        &[3, 4, 0, 2, 0, 0, 0, 9],
        &[3, 4, 0, 0, 1],
    ] {
        assert!(one(42, bad).is_err(), "{bad:?}");
    }
    let many = [&[3, 4, 1, 1][..], &[0; 4 * 257]].concat();
    assert!(matches!(one(42, &many), Err(DecodeError::Limit { .. })));

    let Ok(Payload::Notify(notify)) = &one(41, &[3, 4, 0x40, 9, 0, 0, 0, 5]) else { panic!("well formed") };
    assert_eq!(*notify, Notify::about_esp(notify::REKEY_SA, 5));
    assert_eq!((notify.esp_spi(), notify.is_error()), (Some(5), false));
    assert!(one(41, &[3, 5, 0x40, 9, 0, 0, 0, 5, 6]).is_err(), "SPI of 5 octets");
    assert!(one(41, &[3, 4, 0x40, 9, 0, 0, 0]).is_err(), "SPI cut off");
}

#[test]
fn notifies_are_found() {
    let payloads = [
        Payload::Nonce(vec![0; 16]),
        Payload::Notify(Notify::status(notify::COOKIE, [1])),
        Payload::Notify(Notify::status(notify::TS_UNACCEPTABLE, [])),
        Payload::Notify(Notify::status(notify::COOKIE, [2])),
    ];
    assert_eq!(find_notify(&payloads, notify::COOKIE).map(|n| n.data.as_slice()), Some([1].as_slice()));
    assert_eq!(find_notify(&payloads, notify::REDIRECT), None);
    assert_eq!(first_error_notify(&payloads).map(|n| n.kind), Some(notify::TS_UNACCEPTABLE));
    assert_eq!(first_error_notify(&payloads[..2]), None);
}

#[test]
fn identities_read_well() {
    for (identity, text) in [
        (Identity::key_id("rIUHKccDRiUtFTATwq"), "rIUHKccDRiUtFTATwq"),
        (Identity::key_id([0, 255]), "0x00ff"),
        (Identity::key_id([]), "0x"),
        (Identity::new(id_type::ANYCONNECT, "*$AnyConnectClient$*"), "*$AnyConnectClient$*"),
        (Identity::fqdn("flexvpn-c8kv.example.com"), "flexvpn-c8kv.example.com"),
        (Identity::fqdn("line\nbreak"), "0x6c696e650a627265616b"),
        (Identity::from_address([10, 106, 45, 225].into()), "10.106.45.225"),
        (Identity::from_address("2001:db8::1".parse().expect("address")), "2001:db8::1"),
        (Identity::new(id_type::IPV4_ADDR, [1, 2, 3]), "0x010203"),
    ] {
        assert_eq!(identity.to_string(), text);
    }
    assert_eq!(Identity::key_id([7]).body(), [11, 0, 0, 0, 7]);
}

#[test]
fn debug_shows_no_secrets() {
    let token = b"Q2hhbmdlLW1l".to_vec();
    let attributes = vec![ConfigAttribute { kind: 28729, value: token.clone() }];
    let text = format!("{:?}", [Payload::Cp(Configuration { kind: 2, attributes }), Payload::Eap(token)]);
    assert_eq!(text, "[Cp(Configuration { kind: 2, attributes: [28729[12 octets]] }), Eap([12 octets])]");
    let notify = Payload::Notify(Notify::status(notify::COOKIE, [1, 2]));
    assert_eq!(format!("{notify:?}"), "Notify(COOKIE [2 octets])");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_encoded_decodes_to_the_same(payloads in payloads(12)) {
        let message = encode_message(&HEAD, &payloads);
        let (header, decoded) = decode_message(&message).expect("our own message");
        prop_assert_eq!(&decoded, &payloads);
        prop_assert_eq!(header.length as usize, message.len());
        prop_assert_eq!(encode_message(&HEAD, &decoded), message);
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error(payload in payload()) {
        let message = encode_message(&HEAD, &[payload]);
        for length in 0..message.len() {
            prop_assert!(decode_message(&message[..length]).is_err(), "cut at {}", length);
            if length >= HEADER_LEN {
                let mut lying = message[..length].to_vec();
                lying[24..28].copy_from_slice(&(length as u32).to_be_bytes());
                prop_assert!(decode_message(&lying).is_err(), "cut at {} and the header agrees", length);
            }
        }
    }

    #[test]
    fn any_octets_decode_or_fail(first: u8, octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(payloads) = decode_payloads(first, &octets) {
            check_limits(&payloads);
        }
        let _ = Header::decode(&octets);
    }

    #[test]
    fn a_changed_message_decodes_or_fails(
        payloads in payloads(6),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut message = encode_message(&HEAD, &payloads);
        for (at, octet) in changes {
            let at = at.index(message.len());
            message[at] = octet;
        }
        if let Ok((_, payloads)) = decode_message(&message) {
            check_limits(&payloads);
            let (first, chain) = encode_payloads(&payloads);
            prop_assert_eq!(decode_payloads(first, &chain), Ok(payloads), "what decoded can be encoded");
        }
    }
}

fn check_limits(payloads: &[Payload]) {
    assert!(payloads.len() <= limits::PAYLOADS);
    for payload in payloads {
        match payload {
            Payload::Sa(proposals) => {
                assert!((1..=limits::PROPOSALS).contains(&proposals.len()));
                assert!(
                    proposals.iter().all(|p| p.transforms.len() <= limits::TRANSFORMS && p.spi.len() <= 8)
                );
            }
            Payload::Nonce(nonce) => assert!(limits::NONCE.contains(&nonce.len())),
            Payload::TsI(selectors) | Payload::TsR(selectors) => {
                assert!(selectors.len() <= limits::SELECTORS);
                assert!(selectors.iter().all(|ts| ts.addresses.0 <= ts.addresses.1));
            }
            Payload::Cp(configuration) => assert!(configuration.attributes.len() <= limits::ATTRIBUTES),
            Payload::Delete(delete) => assert!(delete.spis.len() <= limits::SPIS),
            Payload::Eap(packet) => assert!(packet.len() >= 4),
            Payload::Unknown { critical, .. } => assert!(!critical),
            _ => {}
        }
    }
}
