//! Sealing and opening: layout, padding, forgeries, and every rule about fragments.

use super::*;
use crate::crypto::{Encr, Integ, PacketProtection, Random};
use crate::ike::message::arbitrary::payloads;
use crate::ike::message::{Exchange, Header, Notify, Payload, encode_payloads, limits, notify};
use proptest::prelude::*;

const HEAD: Outgoing = Outgoing {
    spi_i: [1; 8],
    spi_r: [2; 8],
    exchange: Exchange::IkeAuth,
    initiator: true,
    response: false,
    message_id: 1,
};
const SUITES: [(Encr, Option<Integ>); 4] = [
    (Encr::AesCbc256, Some(Integ::HmacSha512_256)),
    (Encr::AesCbc128, Some(Integ::HmacSha256_128)),
    (Encr::AesGcm256, None),
    (Encr::ChaCha20Poly1305, None),
];

/// Octets that differ from call to call.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for octet in out {
            self.0 = self.0.wrapping_add(1);
            *octet = self.0;
        }
    }
}

fn protection((encr, integ): (Encr, Option<Integ>)) -> PacketProtection {
    let integ_key = vec![7; integ.map_or(0, Integ::key_len)];
    PacketProtection::new(encr, integ, &vec![6; encr.key_len()], &integ_key)
}

fn pair(suite: (Encr, Option<Integ>)) -> (Sealer, Opener) {
    (Sealer::new(protection(suite)), Opener::new(protection(suite)))
}

fn open(opener: &mut Opener, datagram: &[u8]) -> Result<Opened, SkError> {
    opener.open(&Header::decode(datagram).expect("a header that tells the truth"), datagram)
}

fn some_payloads(octets: usize) -> Vec<Payload> {
    (0..octets / 100).map(|at| Payload::VendorId(vec![at as u8; 96])).collect()
}

fn useless(result: Result<Opened, SkError>) -> &'static str {
    match result {
        Err(SkError::Fragment { reason, .. }) => reason,
        other => panic!("expected a useless fragment, not {other:?}"),
    }
}

#[test]
fn an_empty_message_is_laid_out_as_in_the_rfc() {
    for (suite, length) in [(SUITES[0], 28 + 4 + 16 + 16 + 32), (SUITES[2], 28 + 4 + 8 + 1 + 16)] {
        let (mut sealer, mut opener) = pair(suite);
        let datagrams = sealer.seal(&HEAD, &[], Some(1200), &mut Counting(0));
        assert_eq!(datagrams.len(), 1);
        assert_eq!(datagrams[0].len(), length);
        let header = Header::decode(&datagrams[0]).expect("header");
        assert_eq!((header.next_payload, header.message_id, header.exchange), (46, 1, Exchange::IkeAuth));
        assert_eq!(datagrams[0][28..32], [0, 0, 0, length as u8 - 28]);
        assert_eq!(opener.open(&header, &datagrams[0]), Ok(Opened::Message(vec![])));
    }
}

#[test]
fn gcm_counts_its_ivs_and_cbc_draws_them() {
    let ivs = |suite| {
        let (mut sealer, _) = pair(suite);
        let mut random = Counting(0);
        let sealed: Vec<_> = (0..3).map(|_| sealer.seal(&HEAD, &[], None, &mut random).remove(0)).collect();
        sealed.into_iter().map(|datagram| datagram[32..40].to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(ivs(SUITES[2]), [1_u64, 2, 3].map(|iv| iv.to_be_bytes().to_vec()));
    let [first, second, third] = [1, 17, 33].map(|from| (from..from + 8).collect::<Vec<u8>>());
    assert_eq!(ivs(SUITES[0]), [first, second, third]);
    // Each fragment needs its own.
    let (mut sealer, _) = pair(SUITES[2]);
    let fragments = sealer.seal(&HEAD, &some_payloads(3000), Some(600), &mut Counting(0));
    let ivs: Vec<_> = fragments.iter().map(|fragment| fragment[36..44].to_vec()).collect();
    assert_eq!(ivs, (1..=fragments.len() as u64).map(|iv| iv.to_be_bytes().to_vec()).collect::<Vec<_>>());
}

#[test]
fn every_octet_of_a_message_is_protected() {
    for suite in SUITES {
        for fragment in [None, Some(200)] {
            let (mut sealer, mut opener) = pair(suite);
            let sealed = sealer.seal(&HEAD, &some_payloads(200), fragment, &mut Counting(0));
            assert_eq!(sealed.len() > 1, fragment.is_some());
            let header = Header::decode(&sealed[0]).expect("header");
            for at in 0..sealed[0].len() {
                let mut forged = sealed[0].clone();
                forged[at] ^= 0x10;
                assert!(opener.open(&header, &forged).is_err(), "octet {at} of {suite:?} {fragment:?}");
            }
            for length in 0..sealed[0].len() {
                assert!(opener.open(&header, &sealed[0][..length]).is_err(), "cut at {length}");
            }
            let opened: Vec<_> = sealed.iter().map(|datagram| open(&mut opener, datagram)).collect();
            assert_eq!(
                opened.last(),
                Some(&Ok(Opened::Message(some_payloads(200)))),
                "forgeries left no trace"
            );
        }
    }
}

#[test]
fn plain_messages_are_not_opened() {
    let (_, mut opener) = pair(SUITES[0]);
    let plain = crate::ike::message::encode_message(&HEAD, &some_payloads(300));
    assert_eq!(open(&mut opener, &plain), Err(SkError::NotEncrypted));
    let empty = crate::ike::message::encode_message(&HEAD, &[]);
    assert_eq!(open(&mut opener, &empty), Err(SkError::NotEncrypted));
}

#[test]
fn payloads_in_front_are_authenticated_and_ignored() {
    for suite in SUITES {
        let protection = protection(suite);
        let (mut sealer, mut opener) = pair(suite);
        let whole = sealer.seal(&HEAD, &some_payloads(100), None, &mut Counting(0)).remove(0);
        // The same content behind a vendor ID in the clear.
        let in_front = [46, 0, 0, 8, 9, 9, 9, 9];
        let head = HEAD.header(43, whole.len() + in_front.len()).encode();
        let mut datagram = [&head[..], &in_front, &whole[28..]].concat();
        let (iv_at, content_at) = (28 + 8 + 4, 28 + 8 + 4 + protection.iv_len());
        let (first, chain) = encode_payloads(&some_payloads(100));
        assert_eq!(first, datagram[36]);
        let end = datagram.len() - protection.icv_len();
        datagram[content_at..end].fill(0);
        datagram[content_at..content_at + chain.len()].copy_from_slice(&chain);
        let padding = end - content_at - chain.len() - 1;
        datagram[end - 1] = padding as u8;
        protection.seal(&mut datagram, iv_at, &vec![5; protection.iv_len()], None);

        let mut forged = datagram.clone();
        forged[33] ^= 1;
        assert_eq!(open(&mut opener, &forged), Err(SkError::Forged));
        assert_eq!(open(&mut opener, &datagram), Ok(Opened::Message(some_payloads(100))));
    }
}

#[test]
fn padding_of_any_value_and_length_is_taken_off() {
    let protection = protection(SUITES[0]);
    let (_, mut opener) = pair(SUITES[0]);
    for (pad_length, good) in [(15, true), (31, true), (32, false), (255, false)] {
        let length = 28 + 4 + 16 + 32 + 32;
        let mut datagram = HEAD.header(46, length).encode().to_vec();
        datagram.extend_from_slice(&[0, 0, 0, length as u8 - 28]);
        datagram.resize(length - 32, 0xaa);
        datagram[length - 33] = pad_length;
        datagram.resize(length, 0);
        if pad_length == 15 {
            datagram[28] = 43;
            datagram[48..64].copy_from_slice(&[0, 0, 0, 16, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        }
        protection.seal(&mut datagram, 32, &[3; 16], None);
        match open(&mut opener, &datagram) {
            Ok(Opened::Message(_)) if good => {}
            Err(SkError::Content(_)) if !good => {}
            other => panic!("pad length {pad_length}: {other:?}"),
        }
    }
    // GCM may have no plaintext at all: then there is not even a pad length.
    let protection = self::protection(SUITES[2]);
    let mut datagram = HEAD.header(46, 28 + 4 + 8 + 16).encode().to_vec();
    datagram.extend_from_slice(&[0, 0, 0, 28]);
    datagram.resize(28 + 4 + 8 + 16, 0);
    protection.seal(&mut datagram, 32, &[3; 8], None);
    let mut opener = Opener::new(protection);
    assert!(matches!(open(&mut opener, &datagram), Err(SkError::Content(_))));
}

#[test]
fn authentic_nonsense_is_told_from_forgery() {
    let (mut sealer, mut opener) = pair(SUITES[2]);
    let mut send =
        |first, chain: &[u8]| sealer.seal_chain(&HEAD, first, chain, None, &mut Counting(0)).remove(0);
    let malformed = send(43, &[0, 0, 0, 99]);
    assert!(matches!(open(&mut opener, &malformed), Err(SkError::Content(_))));
    let critical = send(200, &[0, 0x80, 0, 4]);
    assert_eq!(open(&mut opener, &critical), Err(SkError::Critical(200)));
    let inner_sk = send(46, &[0, 0, 0, 4]);
    assert!(matches!(open(&mut opener, &inner_sk), Err(SkError::Content(_))));
}

#[test]
fn fragments_keep_to_the_limit_and_come_in_any_order() {
    let message = some_payloads(5000);
    for suite in SUITES {
        for most in [180, 577, 1200] {
            let (mut sealer, mut opener) = pair(suite);
            let mut fragments = sealer.seal(&HEAD, &message, Some(most), &mut Counting(0));
            assert!(fragments.len() > 4);
            assert!(fragments.iter().all(|fragment| fragment.len() <= most));
            let block = protection(suite).block_len();
            assert!(fragments[0].len() + block > most, "no room is wasted");
            for (number, fragment) in (1..).zip(&fragments) {
                assert_eq!(
                    fragment[28],
                    if number == 1 { 43 } else { 0 },
                    "first payload in fragment 1 only"
                );
                assert_eq!(fragment[32..36], [0, number, 0, fragments.len() as u8]);
            }
            fragments.reverse();
            fragments.swap(1, 3);
            let last = fragments.pop().expect("several");
            for fragment in &fragments {
                assert_eq!(open(&mut opener, fragment), Ok(Opened::Fragment));
            }
            assert_eq!(open(&mut opener, &last), Ok(Opened::Message(message.clone())));
        }
    }
}

#[test]
fn a_message_that_fits_is_not_fragmented() {
    for suite in SUITES {
        let (mut sealer, _) = pair(suite);
        let whole = sealer.seal(&HEAD, &some_payloads(900), None, &mut Counting(0)).remove(0).len();
        assert_eq!(sealer.seal(&HEAD, &some_payloads(900), Some(whole), &mut Counting(0)).len(), 1);
        assert_eq!(sealer.seal(&HEAD, &some_payloads(900), Some(whole - 1), &mut Counting(0)).len(), 2);
    }
}

#[test]
fn repeated_and_outdated_fragments_are_useless() {
    let (mut sealer, mut opener) = pair(SUITES[2]);
    let (message, mut random) = (some_payloads(2000), Counting(0));
    let few = sealer.seal(&HEAD, &message, Some(1200), &mut random);
    let many = sealer.seal(&HEAD, &message, Some(600), &mut random);
    assert!(few.len() < many.len());
    assert_eq!(open(&mut opener, &few[0]), Ok(Opened::Fragment));
    assert!(useless(open(&mut opener, &few[0])).contains("already"));
    // A larger total restarts: what was there does not count any more.
    assert_eq!(open(&mut opener, &many[1]), Ok(Opened::Fragment));
    assert!(useless(open(&mut opener, &few[1])).contains("more fragments"));
    assert_eq!(
        open(&mut opener, &many[0]),
        Ok(Opened::Fragment),
        "its number was there, in the smaller total"
    );
    for fragment in &many[2..many.len() - 1] {
        assert_eq!(open(&mut opener, fragment), Ok(Opened::Fragment));
    }
    assert_eq!(open(&mut opener, &many[many.len() - 1]), Ok(Opened::Message(message)));
}

#[test]
fn a_forged_fragment_neither_restarts_nor_counts() {
    for suite in SUITES {
        let (mut sealer, mut opener) = pair(suite);
        let message = some_payloads(2000);
        let fragments = sealer.seal(&HEAD, &message, Some(1200), &mut Counting(0));
        assert_eq!(fragments.len(), 2);
        assert_eq!(open(&mut opener, &fragments[0]), Ok(Opened::Fragment));
        for (number, total) in [(2, 2), (1, 3), (3, 3)] {
            let mut forged = fragments[1].clone();
            forged[32..36].copy_from_slice(&[0, number, 0, total]);
            forged[60] ^= 1;
            assert_eq!(open(&mut opener, &forged), Err(SkError::Forged), "{number} of {total}");
        }
        assert_eq!(open(&mut opener, &fragments[1]), Ok(Opened::Message(message)));
    }
}

#[test]
fn fragment_numbers_are_checked() {
    let (mut sealer, mut opener) = pair(SUITES[2]);
    let fragment = sealer.seal(&HEAD, &some_payloads(2000), Some(1200), &mut Counting(0)).remove(0);
    for (number, total) in [(0_u16, 2_u16), (3, 2), (1, 0), (1, MAX_FRAGMENTS + 1), (1, 65_535)] {
        let mut wrong = fragment.clone();
        wrong[32..34].copy_from_slice(&number.to_be_bytes());
        wrong[34..36].copy_from_slice(&total.to_be_bytes());
        useless(open(&mut opener, &wrong));
    }
    let too_many = sealer.seal(&HEAD, &some_payloads(20_000), Some(180), &mut Counting(0));
    assert!(too_many.len() > usize::from(MAX_FRAGMENTS));
    assert!(too_many.iter().all(|fragment| useless(open(&mut opener, fragment)).contains("too many")));
}

#[test]
fn a_whole_message_ends_its_fragments() {
    let (mut sealer, mut opener) = pair(SUITES[2]);
    let message = some_payloads(2000);
    let fragments = sealer.seal(&HEAD, &message, Some(1200), &mut Counting(0));
    let whole = sealer.seal(&HEAD, &message, None, &mut Counting(0)).remove(0);
    assert_eq!(open(&mut opener, &fragments[0]), Ok(Opened::Fragment));
    assert_eq!(open(&mut opener, &whole), Ok(Opened::Message(message)));
    assert_eq!(open(&mut opener, &fragments[1]), Ok(Opened::Fragment), "fragment 1 is forgotten");
}

#[test]
fn another_message_replaces_fragments_but_not_those_of_the_other_direction() {
    let (mut sealer, mut opener) = pair(SUITES[0]);
    let mut send = |head: &Outgoing| sealer.seal(head, &some_payloads(2000), Some(1200), &mut Counting(0));
    let request = send(&HEAD);
    let response = send(&Outgoing { response: true, ..HEAD });
    let next = send(&Outgoing { message_id: 2, ..HEAD });
    assert_eq!(open(&mut opener, &request[0]), Ok(Opened::Fragment));
    assert_eq!(open(&mut opener, &response[0]), Ok(Opened::Fragment));
    assert_eq!(open(&mut opener, &next[0]), Ok(Opened::Fragment), "a new request");
    assert_eq!(open(&mut opener, &response[1]), Ok(Opened::Message(some_payloads(2000))));
    assert_eq!(open(&mut opener, &request[1]), Ok(Opened::Fragment), "the old one starts over");
}

#[test]
fn what_is_too_large_for_any_peer_is_not_sent() {
    let (mut sealer, mut opener) = pair(SUITES[0]);
    let large = vec![0; limits::MESSAGE - 3];
    let chain = [&[0, 0, 0xff, 0xfb][..], &large].concat();
    assert!(sealer.seal_chain(&HEAD, 43, &chain, None, &mut Counting(0)).is_empty());
    assert!(sealer.seal_chain(&HEAD, 43, &chain, Some(1200), &mut Counting(0)).is_empty());
    // A payload of the largest size needs fragments.
    let largest = [Payload::VendorId(vec![1; limits::BODY])];
    assert!(sealer.seal(&HEAD, &largest, None, &mut Counting(0)).is_empty());
    let fragments = sealer.seal(&HEAD, &largest, Some(1200), &mut Counting(0));
    assert!(fragments.len() <= usize::from(MAX_FRAGMENTS));
    let mut opened = fragments.iter().map(|fragment| open(&mut opener, fragment));
    assert_eq!(opened.next_back(), Some(Ok(Opened::Fragment)), "the others are not there yet");
    assert_eq!(opened.next_back(), Some(Ok(Opened::Fragment)));
    assert_eq!(opened.last(), Some(Ok(Opened::Message(largest.to_vec()))));
}

#[test]
fn fragments_together_are_limited_too() {
    let (mut sealer, mut opener) = pair(SUITES[2]);
    // Each is authentic and within the limit, all together are not.
    let parts: Vec<_> = (0..2)
        .map(|_| sealer.seal_chain(&HEAD, 43, &vec![0; 60_000], Some(40_000), &mut Counting(0)).remove(0))
        .collect();
    assert_eq!(open(&mut opener, &parts[0]), Ok(Opened::Fragment));
    let mut second = parts[1].clone();
    second[32..36].copy_from_slice(&[0, 2, 0, 2]);
    let protection = protection(SUITES[2]);
    protection.seal(&mut second, 36, &[9; 8], None);
    assert!(useless(open(&mut opener, &second)).contains("too large"));
}

#[test]
fn a_senseless_fragment_size_still_sends_something() {
    for suite in SUITES {
        let (mut sealer, mut opener) = pair(suite);
        let message = [Payload::Notify(Notify::status(notify::COOKIE, [1; 8]))];
        let fragments = sealer.seal(&HEAD, &message, Some(0), &mut Counting(0));
        let opened: Vec<_> = fragments.iter().map(|fragment| open(&mut opener, fragment)).collect();
        assert_eq!(opened.last(), Some(&Ok(Opened::Message(message.to_vec()))));
        assert_eq!(sealer.seal(&HEAD, &[], Some(0), &mut Counting(0)).len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_sealed_opens_to_the_same(
        payloads in payloads(8),
        suite in 0..SUITES.len(),
        fragment in proptest::option::of(400..1500_usize),
    ) {
        let (mut sealer, mut opener) = pair(SUITES[suite]);
        let datagrams = sealer.seal(&HEAD, &payloads, fragment, &mut Counting(0));
        prop_assert!(fragment.is_none_or(|most| datagrams.iter().all(|datagram| datagram.len() <= most)));
        let (last, others) = datagrams.split_last().expect("at least one");
        for datagram in others {
            prop_assert_eq!(open(&mut opener, datagram), Ok(Opened::Fragment));
        }
        prop_assert_eq!(open(&mut opener, last), Ok(Opened::Message(payloads)));
    }

    #[test]
    fn any_octets_behind_a_header_are_refused(
        kind in prop_oneof![Just(46), Just(53), any::<u8>()],
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        suite in 0..SUITES.len(),
    ) {
        let (_, mut opener) = pair(SUITES[suite]);
        let mut datagram = HEAD.header(kind, 28 + octets.len()).encode().to_vec();
        datagram.extend_from_slice(&octets);
        prop_assert!(open(&mut opener, &datagram).is_err());
    }
}
