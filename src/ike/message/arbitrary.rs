//! Payloads at random, for property tests of the codec and of what carries it.

use super::payload::payload_type;
use super::{
    ConfigAttribute, Configuration, Delete, Identity, Notify, Payload, Proposal, Transform, protocol,
};
use crate::esp::TrafficSelector;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::IpAddr;

fn octets(len: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), len)
}

fn transform() -> impl Strategy<Value = Transform> {
    (any::<u8>(), any::<u16>(), option::of(any::<u16>())).prop_map(|(kind, id, key_bits)| Transform {
        kind,
        id,
        key_bits,
    })
}

fn proposal() -> impl Strategy<Value = Proposal> {
    let spi = prop_oneof![
        octets(0).prop_map(|spi| (protocol::IKE, spi)),
        octets(8).prop_map(|spi| (protocol::IKE, spi)),
        octets(4).prop_map(|spi| (protocol::ESP, spi)),
    ];
    (any::<u8>(), spi, vec(transform(), 0..40)).prop_map(|(number, (protocol, spi), transforms)| Proposal {
        number,
        protocol,
        spi,
        transforms,
    })
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let ordered = |a: u16, b: u16| (a.min(b), a.max(b));
    let v4 =
        any::<(u32, u32)>().prop_map(|(a, b)| (IpAddr::V4(a.min(b).into()), IpAddr::V4(a.max(b).into())));
    let v6 =
        any::<(u128, u128)>().prop_map(|(a, b)| (IpAddr::V6(a.min(b).into()), IpAddr::V6(a.max(b).into())));
    let ports = prop_oneof![Just((65_535, 0)), any::<(u16, u16)>().prop_map(move |(a, b)| ordered(a, b))];
    (any::<u8>(), ports, prop_oneof![v4, v6]).prop_map(|(protocol, ports, addresses)| TrafficSelector {
        protocol,
        ports,
        addresses,
    })
}

fn identity() -> impl Strategy<Value = Identity> {
    (any::<u8>(), octets(0..40)).prop_map(|(kind, data)| Identity { kind, data })
}

fn notify() -> impl Strategy<Value = Notify> {
    let spi = prop_oneof![octets(0), octets(4), octets(8)];
    (0..4_u8, spi, any::<u16>(), octets(0..80)).prop_map(|(protocol, spi, kind, data)| Notify {
        protocol,
        spi,
        kind,
        data,
    })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let attribute = (0..0x8000_u16, octets(0..40)).prop_map(|(kind, value)| ConfigAttribute { kind, value });
    (any::<u8>(), vec(attribute, 0..20)).prop_map(|(kind, attributes)| Configuration { kind, attributes })
}

fn eap() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), any::<u8>(), octets(0..2000)).prop_map(|(code, id, data)| {
        let length = (data.len() as u16 + 4).to_be_bytes();
        [&[code, id, length[0], length[1]], data.as_slice()].concat()
    })
}

/// A payload of any type that decoding can give.
pub(in crate::ike) fn payload() -> impl Strategy<Value = Payload> {
    let unknown = any::<u8>()
        .prop_filter("unknown types", |kind| !(33..=48).contains(kind) && !matches!(*kind, 0 | 53));
    prop_oneof![
        vec(proposal(), 1..6).prop_map(Payload::Sa),
        (any::<u16>(), octets(0..260)).prop_map(|(group, data)| Payload::Ke { group, data }),
        identity().prop_map(Payload::IdI),
        identity().prop_map(Payload::IdR),
        (any::<u8>(), octets(0..900)).prop_map(|(encoding, data)| Payload::Cert { encoding, data }),
        (any::<u8>(), octets(0..60))
            .prop_map(|(encoding, authorities)| Payload::CertReq { encoding, authorities }),
        (any::<u8>(), octets(0..260)).prop_map(|(method, data)| Payload::Auth { method, data }),
        octets(16..=256).prop_map(Payload::Nonce),
        notify().prop_map(Payload::Notify),
        Just(Payload::Delete(Delete::ike())),
        vec(any::<u32>(), 0..10).prop_map(|spis| Payload::Delete(Delete::esp(spis))),
        octets(0..60).prop_map(Payload::VendorId),
        vec(selector(), 0..8).prop_map(Payload::TsI),
        vec(selector(), 0..8).prop_map(Payload::TsR),
        configuration().prop_map(Payload::Cp),
        eap().prop_map(Payload::Eap),
        (unknown, octets(0..60)).prop_map(|(kind, data)| Payload::Unknown { kind, critical: false, data }),
    ]
}

/// A chain of up to `most` payloads, none of a single type twice.
pub(in crate::ike) fn payloads(most: usize) -> impl Strategy<Value = Vec<Payload>> {
    vec(payload(), 0..=most).prop_map(|mut payloads| {
        let mut seen = Vec::new();
        payloads.retain(|payload| {
            let again = payload_type::is_single(payload.kind()) && seen.contains(&payload.kind());
            seen.push(payload.kind());
            !again
        });
        payloads
    })
}
