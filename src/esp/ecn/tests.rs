use super::*;
use proptest::prelude::*;

const ALL: [Ecn; 4] = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];

/// RFC 6040 figure 4: a row for each inner, a column for each outer, in the order of [`ALL`].
const FIGURE_4: [[Option<Ecn>; 4]; 4] = [
    [Some(Ecn::NotEct), Some(Ecn::NotEct), Some(Ecn::NotEct), None],
    [Some(Ecn::Ect0), Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce)],
    [Some(Ecn::Ect1), Some(Ecn::Ect1), Some(Ecn::Ect1), Some(Ecn::Ce)],
    [Some(Ecn::Ce), Some(Ecn::Ce), Some(Ecn::Ce), Some(Ecn::Ce)],
];

#[test]
fn headers_are_combined_as_the_rfc_has_it() {
    for (inner, row) in ALL.into_iter().zip(FIGURE_4) {
        for (outer, expected) in ALL.into_iter().zip(row) {
            assert_eq!(combine(outer, inner), expected, "outer {outer:?}, inner {inner:?}");
        }
    }
}

/// The checksum of a header, its own field taken as zero (RFC 791 3.1).
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).enumerate().filter(|(at, _)| *at != 5);
    let mut sum: u32 = words.map(|(_, word)| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// An IPv4 packet with a right checksum, whatever else stands there; options too.
fn ipv4() -> impl Strategy<Value = (Vec<u8>, usize)> {
    (5u8..=15, proptest::collection::vec(any::<u8>(), 80)).prop_map(|(words, mut octets)| {
        let length = usize::from(words) * 4;
        octets[0] = 4 << 4 | words;
        let sum = checksum(&octets[..length]).to_be_bytes();
        octets[10..12].copy_from_slice(&sum);
        (octets, length)
    })
}

fn ecn() -> impl Strategy<Value = Ecn> {
    (0u8..4).prop_map(Ecn::of_class)
}

proptest! {
    #[test]
    fn an_ipv4_packet_keeps_everything_else_and_a_right_checksum((packet, length) in ipv4(), outer in ecn()) {
        let mut after = packet.clone();
        let inner = Ecn::of_packet(&packet);
        prop_assert_eq!(decapsulate(outer, &mut after), combine(outer, inner).is_some());
        prop_assert_eq!(Ecn::of_packet(&after), combine(outer, inner).unwrap_or(inner));
        prop_assert_eq!(u16::from_be_bytes([after[10], after[11]]), checksum(&after[..length]));
        after[1] = packet[1];
        after[10..12].copy_from_slice(&packet[10..12]);
        prop_assert_eq!(after, packet);
    }

    #[test]
    fn an_ipv6_packet_keeps_everything_else(mut packet in proptest::collection::vec(any::<u8>(), 40..80), outer in ecn()) {
        packet[0] = 6 << 4 | packet[0] & 0xf;
        let mut after = packet.clone();
        let inner = Ecn::of_packet(&packet);
        prop_assert_eq!(decapsulate(outer, &mut after), combine(outer, inner).is_some());
        prop_assert_eq!(Ecn::of_packet(&after), combine(outer, inner).unwrap_or(inner));
        after[1] = after[1] & !0x30 | packet[1] & 0x30;
        prop_assert_eq!(after, packet);
    }

    /// What leaves and comes back unmarked is as it was, and a mark on the way arrives.
    #[test]
    fn a_mark_on_the_way_arrives((packet, _) in ipv4()) {
        let outer = encapsulate(&packet);
        let mut after = packet.clone();
        if outer == Ecn::Ce || outer == Ecn::NotEct {
            prop_assert!(decapsulate(outer, &mut after));
            prop_assert_eq!(&after, &packet);
        } else {
            prop_assert!(decapsulate(outer, &mut after));
            prop_assert_eq!(&after, &packet);
            prop_assert!(decapsulate(Ecn::Ce, &mut after));
            prop_assert_eq!(Ecn::of_packet(&after), Ecn::Ce);
        }
    }

    #[test]
    fn whatever_comes_is_read(mut octets in proptest::collection::vec(any::<u8>(), 0..16), outer in ecn()) {
        let kept = decapsulate(outer, &mut octets);
        prop_assert!(kept || outer == Ecn::Ce);
    }
}
