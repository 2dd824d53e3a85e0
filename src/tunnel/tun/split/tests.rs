use super::super::testing::{Segment, sound};
use super::*;
use proptest::prelude::*;

fn read(header: [u8; VNET_HEADER], packet: &[u8]) -> Vec<u8> {
    [&header[..], packet].concat()
}

fn all(read: &[u8]) -> Vec<Vec<u8>> {
    let mut split = Split::new(read).unwrap();
    let mut parts = Vec::new();
    let mut room = vec![0xee; split.largest()];
    while let Some(length) = split.next(&mut room) {
        parts.push(room[..length].to_vec());
    }
    parts
}

#[test]
fn a_split_goes_on_where_it_stopped_and_not_beyond_the_end() {
    let octets = read(Header::tcp(true, 52, 1000, 20), &Segment::data(4000, 0, &[7; 2500]).octets());
    let whole = all(&octets);
    let mut room = vec![0; 1052];
    let mut first = Split::new(&octets).unwrap();
    for part in 0..3 {
        let length = first.next(&mut room).unwrap();
        let mut rest = Split::new(&octets).unwrap().go_on(first.done());
        assert_eq!(room[..length], whole[part]);
        let next = rest.next(&mut room).map(|length| room[..length].to_vec());
        assert_eq!(next.as_ref(), whole.get(part + 1));
    }
}

proptest! {
    #[test]
    fn a_super_packet_becomes_sound_segments_of_the_same_octets(
        ipv6: bool, payload in proptest::collection::vec(any::<u8>(), 1..9000), size in 1..1500_u16,
        sequence: u32, push: bool, cwr: bool,
    ) {
        let flags = 0x10 | if push { 8 } else { 0 } | if cwr { 0x80 } else { 0 };
        let whole = Segment { ipv6, sequence, flags, ..Segment::data(4000, 0, &payload) };
        let octets = whole.octets();
        let l4 = if ipv6 { 40 } else { 20 };
        let parts = all(&read(Header::tcp(!ipv6, l4 + 32, size.into(), l4), &octets));
        prop_assert_eq!(parts.len(), payload.len().div_ceil(size.into()));
        let mut joined = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            prop_assert!(sound(part));
            let at = u32::from_be_bytes(part[l4 + 4..l4 + 8].try_into().unwrap());
            prop_assert_eq!(at, sequence.wrapping_add(joined.len() as u32));
            let last = number + 1 == parts.len();
            prop_assert_eq!(part[l4 + 13] & 8 != 0, push && last);
            prop_assert_eq!(part[l4 + 13] & 0x80 != 0, cwr && number == 0);
            if !ipv6 {
                let id = u16::from_be_bytes([part[4], part[5]]);
                prop_assert_eq!(id, 0x1234_u16.wrapping_add(number as u16));
            }
            joined.extend_from_slice(&part[l4 + 32..]);
        }
        prop_assert_eq!(joined, payload);
    }

    #[test]
    fn any_octets_are_split_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300), gso in 0..6_u8, v in 4..7_u8) {
        let mut octets = octets;
        if octets.len() > 30 {
            octets[1] = gso;
            octets[10] = (v << 4) | 5;
        }
        if let Ok(mut split) = Split::new(&octets) {
            let mut room = vec![0; split.largest()];
            let mut count = 0;
            while split.next(&mut room).is_some() {
                count += 1;
                prop_assert!(count <= octets.len());
            }
        }
    }
}

#[test]
fn a_checksum_that_was_left_to_us_is_made() {
    let mut packet = Segment::data(4000, 7, b"hello").octets();
    let right = packet.clone();
    let partial = super::super::checksum::pseudo(&packet[12..20], 6, packet.len() - 20).fold();
    packet[36..38].copy_from_slice(&partial);
    let mut header = Header::tcp(true, 0, 0, 20);
    header[1] = 0;
    assert_eq!(all(&read(header, &packet)), [right]);
}

#[test]
fn udp_is_cut_too() {
    let payload: Vec<u8> = (0..2500_u16).map(|n| n as u8).collect();
    let mut packet = Segment::data(4000, 0, &[]).octets()[..20].to_vec();
    packet[9] = 17;
    let l4 = payload.len() + 8;
    packet[2..4].copy_from_slice(&((20 + l4) as u16).to_be_bytes());
    packet.extend([0x0f, 0xa0, 0, 53]);
    packet.extend((l4 as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(&payload);
    let mut header = Header::tcp(true, 28, 1000, 20);
    header[1] = 5;
    let parts = all(&read(header, &packet));
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1028, 1028, 528]);
    assert!(parts.iter().all(|part| sound(part)));
    assert_eq!(parts.iter().flat_map(|part| part[28..].to_vec()).collect::<Vec<_>>(), payload);
}
