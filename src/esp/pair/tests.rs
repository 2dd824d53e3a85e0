use super::*;
use crate::esp::testing::{SUITE, SUITES, Seeded, datagram, ends, frame, mirrored, params, sealed};
use proptest::prelude::*;

const RUN: u64 = 1 << 32;

/// An ESP packet as this end would send it, with any content: the part from padding on included.
fn crafted(params: &SaParams, sequence: u32, plain: &[u8]) -> Vec<u8> {
    let protection =
        PacketProtection::new(params.encr, params.integ, params.encr_out.expose(), params.integ_out.expose());
    let mut packet = [params.spi_out.to_be_bytes(), sequence.to_be_bytes()].concat();
    packet.resize(HEADER + protection.iv_len(), 0);
    packet.extend(plain);
    packet.resize(packet.len() + protection.icv_len(), 0);
    protection.seal(&mut packet, HEADER, &[9; 16][..protection.iv_len()], params.esn.then_some(0));
    packet
}

/// What the peer of `params` makes of crafted content, GCM: no block to fill.
fn opened(plain: &[u8]) -> Result<Vec<u8>, OpenError> {
    let params = params(SUITES[7], false, 1);
    let mut packet = crafted(&params, 1, plain);
    let mut peer = SaPair::new(mirrored(params));
    let result = peer.open(&mut packet).map(|range| packet[range].to_vec());
    let drops = u64::from(!matches!(result, Ok(_) | Err(OpenError::Dummy)));
    assert_eq!(peer.stats().drops, drops);
    result
}

fn open(pair: &mut SaPair, packet: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut packet = packet.to_vec();
    pair.open(&mut packet).map(|range| packet[range].to_vec())
}

#[test]
fn the_layout_is_that_of_rfc_4303() {
    for (suite, four) in SUITES.into_iter().flat_map(|suite| [(suite, true), (suite, false)]) {
        for size in 0..20 {
            let params = params(suite, false, 0x0102_0304);
            let inner = datagram(four, &vec![0x55; size]);
            let packet = sealed(&mut SaPair::new(params.clone()), &inner);
            assert_eq!(packet[..HEADER], [1, 2, 3, 5, 0, 0, 0, 1]);
            assert!((packet.len() - HEADER).is_multiple_of(4));
            assert!(packet.len() - inner.len() <= HEADROOM + TAILROOM);
            let keys = PacketProtection::new(
                params.encr,
                params.integ,
                params.encr_out.expose(),
                params.integ_out.expose(),
            );
            let mut open = packet.clone();
            let plain = keys.open(&mut open, HEADER, None).unwrap();
            let (content, &[pad_len, next]) = open[plain].split_last_chunk().unwrap();
            assert_eq!(next, if four { 4 } else { 41 });
            let padding: Vec<u8> = (1..=pad_len).collect();
            assert_eq!(content, [&inner[..], &padding].concat());
            assert!(usize::from(pad_len) < params.encr.block_len().max(4));
        }
    }
}

#[test]
fn ivs_never_repeat_with_gcm_and_are_random_with_cbc() {
    let mut gcm = SaPair::new(params(SUITES[7], false, 1));
    for n in 1..=3u64 {
        assert_eq!(sealed(&mut gcm, &datagram(true, b""))[HEADER..HEADER + 8], n.to_be_bytes());
    }
    let mut iv = [0; 16];
    Seeded::new(0).fill(&mut iv);
    let mut cbc = SaPair::new(params(SUITE, false, 1));
    assert_eq!(sealed(&mut cbc, &datagram(true, b""))[HEADER..HEADER + 16], iv);
}

#[test]
fn nothing_is_allocated_where_there_is_room() {
    for suite in SUITES {
        let mut pair = SaPair::new(params(suite, true, 1));
        let mut frame = frame(&datagram(true, &[0; 1400]));
        let (place, capacity) = (frame.as_ptr(), frame.capacity());
        pair.seal(&mut frame, &mut Seeded::new(1)).unwrap();
        assert_eq!((frame.as_ptr(), frame.capacity()), (place, capacity), "{suite:?}");
    }
}

#[test]
fn keys_do_not_outlive_their_expansion() {
    let pair = SaPair::new(params(SUITE, false, 1));
    let SaParams { encr_in, integ_in, encr_out, integ_out, .. } = pair.params();
    assert!([encr_in, integ_in, encr_out, integ_out].into_iter().all(Secret::is_empty));
    let shown = format!("{pair:?}");
    assert!(
        shown.contains("00000001") && shown.contains("AesCbc256") && !shown.contains("Secret"),
        "{shown}"
    );
}

#[test]
fn a_replay_is_refused_and_order_does_not_matter() {
    for suite in [SUITE, SUITES[7]] {
        let (mut a, mut b) = ends(params(suite, true, 1));
        let packets: Vec<_> = (0..1100).map(|n| sealed(&mut a, &datagram(true, &[n as u8]))).collect();
        assert!(open(&mut b, &packets[1099]).is_ok());
        // 1,024 packets behind and no further: number 1100 - 1023 is the last.
        assert!(open(&mut b, &packets[76]).is_ok());
        assert!(open(&mut b, &packets[75]).is_err());
        for packet in packets[77..1099].iter().rev() {
            assert!(open(&mut b, packet).is_ok());
        }
        for packet in &packets[76..] {
            assert_eq!(open(&mut b, packet), Err(OpenError::Replayed));
        }
        assert_eq!(b.stats().packets_in, 1024);
        assert_eq!(b.stats().drops, 1 + 1024);
    }
}

#[test]
fn without_esn_what_is_older_than_the_window_is_a_replay() {
    let (mut a, mut b) = ends(params(SUITE, false, 1));
    let old = sealed(&mut a, &datagram(true, b""));
    a.sent = 1024;
    assert!(open(&mut b, &sealed(&mut a, &datagram(true, b""))).is_ok());
    assert_eq!(open(&mut b, &old), Err(OpenError::Replayed));
}

#[test]
fn a_forged_number_does_not_move_the_window() {
    let (mut a, mut b) = ends(params(SUITE, false, 1));
    let good = sealed(&mut a, &datagram(true, b""));
    let mut far_ahead = good.clone();
    far_ahead[4] = 0xff;
    assert_eq!(open(&mut b, &far_ahead), Err(OpenError::Forged));
    assert!(open(&mut b, &good).is_ok());
}

#[test]
fn extended_numbers_run_across_2_to_the_32() {
    for suite in SUITES {
        let (mut a, mut b) = ends(params(suite, true, 1));
        a.sent = RUN - 4;
        b.window.mark(RUN - 4);
        let inner = datagram(true, b"x");
        let packets: Vec<_> = (0..8).map(|_| sealed(&mut a, &inner)).collect();
        assert_eq!(packets[3][4..8], [0; 4], "the low half starts again");
        // Out of order across the wrap, both ways.
        for at in [5, 0, 3, 1, 7, 2, 6, 4] {
            assert_eq!(open(&mut b, &packets[at]).as_ref(), Ok(&inner), "{suite:?} {at}");
            assert!(open(&mut b, &packets[at]).is_err());
        }
        assert_eq!((a.packets(), b.packets()), (RUN + 4, RUN + 4));
    }
}

#[test]
fn the_high_half_is_authenticated() {
    for suite in [SUITE, SUITES[7]] {
        let (mut a, mut b) = ends(params(suite, true, 1));
        a.sent = RUN + 5;
        assert_eq!(open(&mut b, &sealed(&mut a, &datagram(true, b""))), Err(OpenError::Forged));
    }
}

#[test]
fn sequence_numbers_end() {
    for (esn, last) in [(false, RUN - 1), (true, u64::MAX)] {
        let (mut a, mut b) = ends(params(SUITE, esn, 1));
        a.sent = last - 1;
        b.window.mark(last - 1);
        let inner = datagram(true, b"");
        assert_eq!(open(&mut b, &sealed(&mut a, &inner)).as_ref(), Ok(&inner));
        let mut frame = frame(&inner);
        let before = frame.clone();
        assert_eq!(a.seal(&mut frame, &mut Seeded::new(1)), Err(SealError::Exhausted));
        assert_eq!((frame, a.stats().packets_out, a.packets()), (before, 1, last));
    }
}

#[test]
fn selectors_are_checked_both_ways() {
    let inner = datagram(true, b"");
    let host = |text: &str| vec![TrafficSelector::host(text.parse().unwrap())];
    let narrow =
        SaParams { local: host("192.168.20.5"), remote: host("192.168.10.1"), ..params(SUITE, false, 1) };
    let (mut a, mut b) = ends(narrow.clone());
    assert!(open(&mut b, &sealed(&mut a, &inner)).is_ok());

    let strange = datagram(false, b"");
    let mut strange_frame = frame(&strange);
    assert_eq!(a.seal(&mut strange_frame, &mut Seeded::new(1)), Err(SealError::Selector));
    assert_eq!(strange_frame, frame(&strange));
    assert_eq!((a.packets(), a.stats().packets_out), (1, 1));

    // A peer that sends what was not agreed: authentic, so it counts as seen, but it is thrown away.
    let mut rogue = SaPair::new(params(SUITE, false, 1));
    rogue.sent = 1;
    let packet = sealed(&mut rogue, &strange);
    assert_eq!(open(&mut b, &packet), Err(OpenError::Selector));
    assert_eq!(open(&mut b, &packet), Err(OpenError::Replayed));
    let mut wrong_way = SaPair::new(params(SUITE, false, 1));
    wrong_way.sent = 2;
    let mut back = inner.clone();
    let (source, destination) = (inner[12..16].to_vec(), inner[16..20].to_vec());
    back[12..16].copy_from_slice(&destination);
    back[16..20].copy_from_slice(&source);
    assert_eq!(open(&mut b, &sealed(&mut wrong_way, &back)), Err(OpenError::Selector));
    assert_eq!(b.stats(), SaStats { packets_in: 1, bytes_in: 28, drops: 3, ..SaStats::default() });
}

#[test]
fn only_whole_packets_are_sealed() {
    let mut pair = SaPair::new(params(SUITE, false, 1));
    let inner = datagram(true, b"abc");
    let mut longer = frame(&inner);
    longer.push(0);
    let shorter = frame(&inner[..inner.len() - 1]);
    for mut bad in [Vec::new(), vec![0; HEADROOM - 1], vec![0x45; HEADROOM], vec![0; 100], longer, shorter] {
        let before = bad.clone();
        assert_eq!(pair.seal(&mut bad, &mut Seeded::new(1)), Err(SealError::NotIp));
        assert_eq!(bad, before);
    }
    assert_eq!((pair.packets(), pair.stats()), (0, SaStats::default()));
}

#[test]
fn what_follows_the_inner_packet_is_cut_off() {
    for four in [true, false] {
        let inner = datagram(four, b"abc");
        let next = if four { 4 } else { 41 };
        let confidential = [&inner[..], &[0; 100], &[1, 2, 2, next]].concat();
        assert_eq!(opened(&confidential).as_ref(), Ok(&inner));
        // Padding with other content than 1, 2, 3 is authentic all the same.
        assert_eq!(opened(&[&inner[..], &[7, 7, 2, next]].concat()).as_ref(), Ok(&inner));
        assert_eq!(opened(&[&inner[..], &[0, next]].concat()).as_ref(), Ok(&inner));
        // The largest padding there is.
        assert_eq!(opened(&[&inner[..], &[0; 255], &[255, next]].concat()).as_ref(), Ok(&inner));
    }
}

#[test]
fn authentic_packets_that_hold_no_ip_packet() {
    let inner = datagram(true, b"abc");
    assert_eq!(opened(&[1, 2, 2, 59]), Err(OpenError::Dummy));
    assert_eq!(opened(&[&inner[..], &[0, 59]].concat()), Err(OpenError::Dummy));
    assert_eq!(opened(&[&inner[..], &[200, 59]].concat()), Err(OpenError::Dummy));
    for plain in [
        &[&inner[..], &[0, 41]].concat(),  // the other version
        &[&inner[..], &[0, 17]].concat(),  // transport mode
        &[&inner[..], &[1, 4]].concat(),   // padding that takes the packet's last octet
        &[&inner[..], &[255, 4]].concat(), // padding longer than everything
        &[0, 4].to_vec(),
        &[0x45, 0, 0, 4].to_vec(),
    ] {
        let error = opened(plain).unwrap_err();
        assert_eq!(error, OpenError::NotIp);
        assert!(error.is_authentic());
    }
    assert!(!OpenError::Forged.is_authentic() && !OpenError::Replayed.is_authentic());
}

#[test]
fn packets_of_wrong_size_or_spi() {
    for suite in SUITES {
        let params = params(suite, false, 1);
        let good = crafted(&params, 1, &[0; 16]);
        let mut peer = SaPair::new(mirrored(params));
        assert_eq!(open(&mut peer, &good[..3]), Err(OpenError::Malformed));
        for cut in 4..good.len() {
            let error = open(&mut peer, &good[..cut]).unwrap_err();
            assert!(matches!(error, OpenError::Malformed | OpenError::Forged), "{suite:?} {cut}");
        }
        assert_eq!(open(&mut peer, &[&[0, 0, 0, 9], &good[4..]].concat()), Err(OpenError::UnknownSpi(9)));
        assert_eq!(open(&mut peer, &crafted_zero(&good)), Err(OpenError::Replayed));
    }
}

/// The same with sequence number 0, which is never sent.
fn crafted_zero(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[4..8].fill(0);
    packet
}

/// Everything of a pair that a packet which is not authentic may not change.
fn state(pair: &SaPair) -> (ReplayWindow, u64, SaStats) {
    (pair.window.clone(), pair.sent, SaStats { drops: 0, ..pair.stats })
}

fn any_suite() -> impl Strategy<Value = (Encr, Option<Integ>)> {
    prop::sample::select(SUITES.to_vec())
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        suite in any_suite(), esn: bool, four: bool, sent in prop_oneof![Just(0u64), 0..RUN - 2],
        payload in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let (mut a, mut b) = ends(params(suite, esn, 1));
        a.sent = sent;
        b.window.mark(sent);
        let inner = datagram(four, &payload);
        prop_assert_eq!(open(&mut b, &sealed(&mut a, &inner)), Ok(inner.clone()));
        prop_assert_eq!((a.stats().packets_out, a.stats().bytes_out), (1, inner.len() as u64));
        prop_assert_eq!((b.stats().packets_in, b.stats().bytes_in), (1, inner.len() as u64));
        prop_assert_eq!(b.packets(), sent + 1);
        // And back.
        prop_assert_eq!(open(&mut a, &sealed(&mut b, &inner)), Ok(inner));
    }

    #[test]
    fn a_flipped_bit_is_refused_and_changes_nothing(
        suite in any_suite(), esn: bool, at: prop::sample::Index, bit in 0u8..8,
    ) {
        let (mut a, mut b) = ends(params(suite, esn, 1));
        open(&mut b, &sealed(&mut a, &datagram(true, b"first"))).unwrap();
        let before = state(&b);
        let good = sealed(&mut a, &datagram(true, b"second"));
        let mut bad = good.clone();
        bad[at.index(good.len())] ^= 1 << bit;
        prop_assert!(open(&mut b, &bad).is_err_and(|error| !error.is_authentic()));
        prop_assert_eq!((state(&b), b.stats.drops), (before, 1));
        prop_assert!(open(&mut b, &good).is_ok(), "the true one still counts");
    }

    #[test]
    fn any_octets_are_refused_and_change_nothing(
        suite in any_suite(), esn: bool, mut packet in proptest::collection::vec(any::<u8>(), 0..200), ours: bool,
    ) {
        let mut pair = SaPair::new(params(suite, esn, 1));
        if let (true, Some(spi)) = (ours, packet.first_chunk_mut()) {
            *spi = 1u32.to_be_bytes();
        }
        let before = state(&pair);
        prop_assert!(open(&mut pair, &packet).is_err_and(|error| !error.is_authentic()));
        prop_assert_eq!((state(&pair), pair.stats.drops), (before, 1));
    }

    #[test]
    fn any_content_is_survived(
        content in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x45), Just(0x60), Just(4), Just(0)], 0..120),
        pad_len in 0u8..40, next in prop::sample::select(vec![4u8, 41, 59, 0]),
    ) {
        let plain = [&content[..], &[pad_len, next]].concat();
        if let Ok(inner) = opened(&plain) {
            prop_assert!(content.starts_with(&inner));
            prop_assert_eq!(InnerPacket::parse(&inner).map(|p| p.length), Some(inner.len()));
        }
    }

    #[test]
    fn delivery_in_any_order_counts_each_packet_once(
        esn: bool, start in prop_oneof![Just(0u64), Just(RUN - 20), Just(5 * RUN - 20)],
        order in proptest::collection::vec(0usize..40, 1..120),
    ) {
        let start = if esn { start } else { start.min(RUN - 50) };
        let (mut a, mut b) = ends(params(SUITES[7], esn, 1));
        a.sent = start;
        b.window.mark(start);
        let packets: Vec<_> = (0..40).map(|n| sealed(&mut a, &datagram(true, &[n]))).collect();
        let mut delivered = [false; 40];
        for at in order {
            let opened = open(&mut b, &packets[at]);
            if delivered[at] {
                prop_assert_eq!(opened, Err(OpenError::Replayed));
            } else {
                prop_assert_eq!(opened, Ok(datagram(true, &[at as u8])));
            }
            delivered[at] = true;
        }
    }
}

proptest! {
    #[test]
    fn the_largest_packet_fits_and_a_larger_one_does_not(suite in 0..SUITES.len(), room in 0..3000_usize) {
        let pair = SaPair::new(params(SUITES[suite], true, 1));
        match pair.largest_inner(room) {
            Some(inner) => {
                prop_assert!(pair.sealed_len(inner) <= room);
                prop_assert!(pair.sealed_len(inner + 1) > room);
            }
            None => prop_assert!(pair.sealed_len(0) > room),
        }
    }

    #[test]
    fn a_slice_is_sealed_as_a_frame_is(suite in 0..SUITES.len(), size in 0..200_usize) {
        let params = params(SUITES[suite], true, 1);
        let inner = datagram(true, &vec![0x33; size]);
        let mut pair = SaPair::new(params.clone());
        let (lead, whole) = (pair.lead(), pair.sealed_len(inner.len()));
        let mut buffer = vec![0xee; whole + 7];
        buffer[lead..lead + inner.len()].copy_from_slice(&inner);
        prop_assert_eq!(pair.seal_slice(&mut buffer, inner.len(), &mut Seeded::new(1)), Ok(whole));
        prop_assert_eq!(&buffer[whole..], &[0xee; 7][..], "nothing behind it is touched");
        prop_assert_eq!(open(&mut SaPair::new(mirrored(params)), &buffer[..whole]), Ok(inner.clone()));
        // Too short a buffer costs nothing.
        prop_assert_eq!(pair.seal_slice(&mut buffer[..whole - 1], inner.len(), &mut Seeded::new(1)), Err(SealError::NotIp));
        prop_assert_eq!(pair.stats().packets_out, 1);
    }
}
