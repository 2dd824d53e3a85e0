//! Slices: their octets as PROTOCOL section 3 has them, any order, and what a stranger can do with the room that is given.

use super::*;
use crate::ike::message::{Exchange, Notify};
use proptest::prelude::*;

const HEAD: Outgoing = Outgoing {
    spi_i: [1; 8],
    spi_r: [2; 8],
    exchange: Exchange::IkeAuth,
    initiator: true,
    response: false,
    message_id: 5,
};

fn take(assembler: &mut Assembler, datagram: &[u8]) -> Result<Option<Vec<u8>>, SliceError> {
    assembler.take(&Header::decode(datagram).expect("a header that tells the truth"), datagram)
}

/// A datagram with one payload 132.
fn datagram(response: bool, id: u16, number: u8, flags: u8, slice: &[u8]) -> Vec<u8> {
    let length = HEADER_LEN + GENERIC_LEN + FIELDS + slice.len();
    let head = Outgoing { response, ..HEAD };
    let mut out = head.header(payload_type::LEGACY_FRAGMENT, length).encode().to_vec();
    out.extend([0, 0]);
    out.extend(u16::try_from(length - HEADER_LEN).expect("small").to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend([number, flags]);
    out.extend(slice);
    out
}

#[test]
fn a_slice_has_these_octets() {
    let slices = slice(&HEAD, 0x0102, (0..70).collect(), 36 + 25);
    let header = |length| [&[1; 8][..], &[2; 8], &[132, 0x20, 35, 8, 0, 0, 0, 5, 0, 0, 0, length]].concat();
    let expected = [(1, 0, 0..25), (2, 0, 25..50), (3, 1, 50..70)].map(|(number, flags, octets)| {
        let length = 8 + octets.len() as u8;
        let fields = [0, 0, 0, length, 1, 2, number, flags];
        [&header(28 + length)[..], &fields, &octets.collect::<Vec<_>>()].concat()
    });
    assert_eq!(slices, expected);
    assert_eq!(slice(&HEAD, 7, vec![9; 61], 61), [[9; 61]], "small enough");
}

#[test]
fn the_largest_message_has_no_more_slices_than_are_kept() {
    let message = vec![3; limits::MESSAGE];
    for most in [0, 37, 576, 1_228] {
        let slices = slice(&HEAD, 1, message.clone(), most);
        assert!(slices.len() <= usize::from(MAX_SLICES));
        let mut assembler = Assembler::default();
        let taken: Vec<_> = slices.iter().map(|datagram| take(&mut assembler, datagram)).collect();
        assert_eq!(taken.last(), Some(&Ok(Some(message.clone()))), "{most}");
        assert!(assembler.sets.is_empty());
    }
}

#[test]
fn what_is_no_slice_is_refused_and_nothing_is_kept_of_it() {
    let mut assembler = Assembler::default();
    let good = datagram(false, 1, 1, 1, b"slice");
    for (at, octet) in [(16, 46), (30, 1), (31, 12), (31, 14), (31, 3)] {
        let mut bad = good.clone();
        bad[at] = octet;
        assert_eq!(take(&mut assembler, &bad), Err(SliceError::Malformed), "octet {at} is {octet}");
    }
    assert_eq!(take(&mut assembler, &datagram(false, 1, 1, 1, b"")), Err(SliceError::Malformed));
    assert_eq!(take(&mut assembler, &datagram(false, 1, 0, 0, b"a")), Err(SliceError::Number(0)));
    assert_eq!(take(&mut assembler, &datagram(false, 1, 65, 0, b"a")), Err(SliceError::Number(65)));
    assert!(assembler.sets.is_empty());
    assert_eq!(take(&mut assembler, &good), Ok(Some(b"slice".to_vec())));
}

#[test]
fn a_slice_that_contradicts_those_before_begins_anew() {
    // What is there; what comes; what is missing then.
    let slices = |list: &[(u8, u8, &str)]| -> Vec<_> {
        list.iter()
            .map(|(number, flags, octets)| datagram(false, 1, *number, *flags, octets.as_bytes()))
            .collect()
    };
    for (what, before, then, whole) in [
        ("other octets", &[(1, 0, "x")][..], &[(1, 0, "a"), (2, 1, "b")][..], "ab"),
        ("known as the last", &[(1, 0, "x"), (2, 0, "b")], &[(2, 1, "b"), (1, 0, "a")], "ab"),
        ("no longer the last", &[(2, 1, "b")], &[(2, 0, "b"), (1, 0, "a"), (3, 1, "c")], "abc"),
        ("beyond the last", &[(2, 1, "x")], &[(3, 0, "c"), (1, 0, "a"), (2, 0, "b"), (4, 1, "d")], "abcd"),
        ("another last", &[(3, 1, "x"), (1, 0, "x")], &[(2, 1, "b"), (1, 0, "a")], "ab"),
        ("a last one too early", &[(3, 0, "x"), (1, 0, "x")], &[(2, 1, "b"), (1, 0, "a")], "ab"),
    ] {
        let mut assembler = Assembler::default();
        for datagram in slices(before) {
            assert_eq!(take(&mut assembler, &datagram), Ok(None), "{what}");
        }
        let then = slices(then);
        let (last, others) = then.split_last().expect("some");
        for datagram in others {
            assert_eq!(take(&mut assembler, datagram), Ok(None), "{what}");
        }
        assert_eq!(take(&mut assembler, last), Ok(Some(whole.as_bytes().to_vec())), "{what}");
    }
}

#[test]
fn requests_and_answers_of_one_number_are_not_mixed() {
    let mut assembler = Assembler::default();
    assert_eq!(take(&mut assembler, &datagram(false, 1, 1, 0, b"ask ")), Ok(None));
    assert_eq!(take(&mut assembler, &datagram(true, 1, 2, 1, b"answer")), Ok(None));
    assert_eq!(take(&mut assembler, &datagram(false, 1, 2, 1, b"this")), Ok(Some(b"ask this".to_vec())));
    assert_eq!(take(&mut assembler, &datagram(true, 1, 1, 0, b"the ")), Ok(Some(b"the answer".to_vec())));
}

#[test]
fn the_rfcs_way_goes_before_and_both_sides_must_want_one() {
    let standard = Payload::Notify(Notify::status(notify::IKEV2_FRAGMENTATION_SUPPORTED, Vec::new()));
    let legacy = Payload::VendorId(LEGACY_VENDOR_ID.to_vec());
    let able = Payload::VendorId([&LEGACY_VENDOR_ID[..], &[0xc0, 0, 0, 0]].concat());
    let other = Payload::VendorId(LEGACY_VENDOR_ID[..15].to_vec());
    let both = [legacy.clone(), standard.clone()];
    let (standard, legacy) = ([standard], [legacy]);
    for (peer, we, expected) in [
        (&[][..], (true, true), Fragmentation::Off),
        (&standard, (true, true), Fragmentation::Standard(9)),
        (&standard, (false, true), Fragmentation::Off),
        (&legacy, (true, true), Fragmentation::Legacy(9)),
        (&[able], (true, true), Fragmentation::Legacy(9)),
        (&[other], (true, true), Fragmentation::Off),
        (&legacy, (true, false), Fragmentation::Off),
        (&both, (true, true), Fragmentation::Standard(9)),
        (&both, (false, true), Fragmentation::Legacy(9)),
    ] {
        assert_eq!(Fragmentation::agreed(peer, we.0, we.1, 9), expected, "{peer:?} {we:?}");
    }
}

proptest! {
    #[test]
    fn slices_in_any_order_and_number_come_together(
        message in proptest::collection::vec(any::<u8>(), 1..4_000),
        most in 100..1_500_usize,
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        let slices = slice(&HEAD, 1, message.clone(), most);
        if slices.len() == 1 {
            prop_assert_eq!(&slices[0], &message);
            return Ok(());
        }
        prop_assert!(slices.iter().all(|datagram| datagram.len() <= most));
        let mut assembler = Assembler::default();
        let mut missing: Vec<_> = (0..slices.len()).collect();
        for at in order.iter().map(|at| at.index(slices.len())).chain(0..slices.len()) {
            let new = missing.iter().position(|missing| *missing == at);
            let taken = take(&mut assembler, &slices[at]);
            match new {
                None => prop_assert_eq!(taken, Ok(None)),
                Some(place) => {
                    missing.remove(place);
                    if missing.is_empty() {
                        prop_assert_eq!(taken, Ok(Some(message)));
                        return Ok(());
                    }
                    prop_assert_eq!(taken, Ok(None));
                }
            }
        }
    }

    /// Whatever a stranger sends, the room that it takes is bounded, and what comes out was put in: all numbers once, in order.
    #[test]
    fn a_stranger_gets_no_more_room_than_this(
        slices in proptest::collection::vec(
            (any::<bool>(), 0..7_u16, 0..70_u8, any::<bool>(), prop_oneof![1..30_usize, 20_000..40_000_usize]),
            0..120,
        ),
    ) {
        let mut assembler = Assembler::default();
        for (response, id, number, last, length) in slices {
            let octets = vec![number; length];
            let whole = take(&mut assembler, &datagram(response, id, number, u8::from(last), &octets));
            prop_assert!(assembler.sets.len() <= MAX_SETS);
            for set in &assembler.sets {
                prop_assert!(set.slices.values().map(Vec::len).sum::<usize>() <= limits::MESSAGE);
                prop_assert!(set.slices.len() <= usize::from(MAX_SLICES) && !set.is_whole());
            }
            if let Ok(Some(whole)) = whole {
                prop_assert!(whole.len() <= limits::MESSAGE);
                let mut numbers = whole;
                numbers.dedup();
                prop_assert!(numbers.iter().copied().eq(1..=*numbers.last().expect("something")));
            }
        }
    }
}

/// A peer that gives each message the same fragment ID: the late slice of one message stands in no other one's way.
#[test]
fn a_constant_fragment_id_costs_one_repetition_at_most() {
    let cut = |message_id, octet: u8| slice(&Outgoing { message_id, ..HEAD }, 7, vec![octet; 90], 36 + 30);
    let mut assembler = Assembler::default();
    let first = cut(1, 1);
    assert_eq!(first.len(), 3);
    for (at, whole) in [(0, false), (2, false), (0, false), (1, true), (2, false)] {
        assert_eq!(take(&mut assembler, &first[at]).expect("a slice").is_some(), whole);
    }
    for message_id in 2..6 {
        let taken = cut(message_id, message_id as u8)
            .iter()
            .filter_map(|d| take(&mut assembler, d).expect("a slice"))
            .last();
        assert_eq!(taken.as_deref(), Some(&[message_id as u8; 90][..]), "message {message_id} at once");
    }
}
