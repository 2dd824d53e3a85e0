use super::super::Split;
use super::super::testing::{Datagram, Segment, sound};
use super::*;
use proptest::prelude::*;

/// What the device would get, as packets with their headers.
fn join(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    join_for(Offload::TcpAndUdp, packets)
}

fn join_for(offload: Offload, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut merge = Merge::new(offload);
    let mut buffer = Vec::new();
    let mut places = Vec::new();
    for packet in packets {
        buffer.extend([0xaa; 16]); // what is between them: ESP
        places.push(buffer.len()..buffer.len() + packet.len());
        buffer.extend(packet);
    }
    for place in places {
        merge.push(&buffer, place);
    }
    let mut out = Vec::new();
    merge.flush(&mut buffer, |buffer, joined| {
        let mut octets = joined.header.to_vec();
        octets.extend(&buffer[joined.first]);
        for more in joined.more {
            octets.extend(&buffer[more.clone()]);
        }
        out.push(octets);
    });
    assert!(merge.is_empty());
    out
}

/// What the kernel would make of that.
fn cut(read: &[u8]) -> Vec<Vec<u8>> {
    let mut split = Split::new(read).unwrap();
    let mut room = vec![0; split.largest()];
    let mut parts = Vec::new();
    while let Some(length) = split.next(&mut room) {
        parts.push(room[..length].to_vec());
    }
    parts
}

fn stream(port: u16, start: u32, sizes: &[usize]) -> Vec<Segment> {
    let mut sequence = start;
    let mut out = Vec::new();
    for (n, size) in sizes.iter().enumerate() {
        out.push(Segment::data(port, sequence, &vec![n as u8; *size]));
        sequence = sequence.wrapping_add(*size as u32);
    }
    out
}

#[test]
fn segments_that_follow_each_other_become_one() {
    for ipv6 in [false, true] {
        let mut segments = stream(4000, u32::MAX - 1500, &[1000, 1000, 1000, 400]);
        segments.iter_mut().for_each(|segment| segment.ipv6 = ipv6);
        let packets: Vec<_> = segments.iter().map(Segment::octets).collect();
        let joined = join(&packets);
        assert_eq!(joined.len(), 1);
        let again = cut(&joined[0]);
        assert_eq!(again.len(), 4);
        for (again, packet) in again.iter().zip(&packets) {
            assert!(sound(again));
            let l4 = if ipv6 { 40 } else { 20 };
            assert_eq!(again[l4..], packet[l4..], "but for the identification all is as it was");
        }
    }
}

#[test]
fn what_does_not_follow_stays_alone() {
    let base = Segment::data(4000, 100, &[1; 50]);
    let next = Segment { sequence: 150, ..base.clone() };
    let other = |change: fn(&mut Segment)| {
        let mut segment = next.clone();
        change(&mut segment);
        segment.octets()
    };
    let strangers = [
        other(|s| s.sequence = 151),
        other(|s| s.port = 4001),
        other(|s| s.flags = 0x11),
        other(|s| s.flags = 0x30),
        other(|s| s.payload = vec![1; 51]),
        other(|s| s.payload = Vec::new()),
        other(|s| s.options[7] = 8),
        other(|s| s.options = Vec::new()),
        {
            let mut forged = next.octets();
            *forged.last_mut().unwrap() ^= 1; // its checksum is wrong now
            forged
        },
        {
            let mut ttl = next.octets();
            ttl[8] = 3;
            ttl
        },
    ];
    for stranger in strangers {
        let out = join(&[base.octets(), stranger.clone()]);
        assert_eq!(out.len(), 2, "{stranger:x?}");
        assert_eq!(out[1][VNET_HEADER..], stranger);
        assert_eq!(out[1][..VNET_HEADER], Header::PLAIN);
    }
    assert_eq!(join(&[base.octets(), next.octets()]).len(), 1);
}

#[test]
fn a_pushed_or_short_segment_is_the_last_one() {
    let mut segments = stream(4000, 0, &[100, 100, 100, 60, 100]);
    segments[1].flags |= 8;
    let packets: Vec<_> = segments.iter().map(Segment::octets).collect();
    let out = join(&packets);
    let sizes: Vec<usize> = out.iter().map(|octets| octets.len() - VNET_HEADER - 52).collect();
    assert_eq!(sizes, [200, 160, 100]);
    assert_eq!(out[0][VNET_HEADER + 33] & 8, 8, "pushed as a whole");
}

#[test]
fn datagrams_of_one_flow_and_size_become_one() {
    for ipv6 in [false, true] {
        let datagram = |n: u8, size| Datagram { ipv6, ..Datagram::new(4000, &vec![n; size]) }.octets();
        let packets: Vec<_> =
            [(1, 700), (2, 700), (3, 700), (4, 20), (5, 700)].map(|(n, size)| datagram(n, size)).into();
        let joined = join(&packets);
        assert_eq!(joined.len(), 2, "a shorter one is the last");
        let l4 = if ipv6 { 40 } else { 20 };
        let through: Vec<_> = joined.iter().flat_map(|read| cut(read)).collect();
        assert_eq!(through.len(), packets.len());
        for (again, packet) in through.iter().zip(&packets) {
            assert!(sound(again));
            assert_eq!(again[l4..], packet[l4..]);
        }
        // More than a kernel cuts, and more than an IP packet holds.
        for (size, most) in [(10, 64), (1400, 46)] {
            let many: Vec<_> = (0..130).map(|n| datagram(n, size)).collect();
            let counts: Vec<_> = join(&many).iter().map(|read| cut(read).len()).collect();
            assert_eq!(counts.iter().sum::<usize>(), 130);
            assert_eq!(counts[0], most, "{counts:?}");
        }
    }
}

#[test]
fn a_datagram_that_is_different_stays_alone() {
    let first = Datagram::new(4000, &[1; 50]);
    let next = |change: fn(&mut Vec<u8>)| {
        let mut octets = first.octets();
        change(&mut octets);
        octets
    };
    let strangers = [
        Datagram::new(4001, &[1; 50]).octets(),
        Datagram::new(4000, &[1; 51]).octets(),
        Datagram::new(4000, &[]).octets(),
        next(|octets| octets[8] = 3),          // TTL
        next(|octets| octets[1] = 4),          // DSCP
        next(|octets| octets[26..28].fill(0)), // no checksum
        next(|octets| octets[40] ^= 1),        // a wrong one
        next(|octets| octets[25] -= 1),        // UDP's length
    ];
    for stranger in strangers {
        for packets in [[first.octets(), stranger.clone()], [stranger.clone(), first.octets()]] {
            let out = join(&packets);
            let is_short = packets[0].len() > packets[1].len();
            if is_short && packets[0].len() == 79 {
                continue; // a shorter one may follow
            }
            assert_eq!(out.len(), 2, "{stranger:x?}");
            for (out, packet) in out.iter().zip(&packets) {
                assert_eq!(out[..VNET_HEADER], Header::PLAIN);
                assert_eq!(out[VNET_HEADER..], packet[..]);
            }
        }
    }
    assert_eq!(join(&[first.octets(), first.octets()]).len(), 1);
}

#[test]
fn nothing_goes_before_a_fragment() {
    let datagram = Datagram::new(4000, &[1; 50]).octets();
    let mut fragment = datagram.clone();
    fragment[6] = 0x20; // more fragments
    let out = join(&[datagram.clone(), datagram.clone(), fragment.clone(), datagram.clone()]);
    assert_eq!(out.len(), 3);
    assert_eq!(out[1][VNET_HEADER..], fragment);
}

#[test]
fn a_device_gets_joined_only_what_it_takes() {
    let datagrams = vec![Datagram::new(4000, &[1; 50]).octets(); 3];
    let segments: Vec<_> = stream(4000, 5, &[90; 3]).iter().map(Segment::octets).collect();
    for (offload, expected) in
        [(Offload::Nothing, [3, 3]), (Offload::Tcp, [3, 1]), (Offload::TcpAndUdp, [1, 1])]
    {
        assert_eq!([join_for(offload, &datagrams).len(), join_for(offload, &segments).len()], expected);
    }
}

proptest! {
    #[test]
    fn every_flow_of_datagrams_keeps_its_octets_and_order(choices in proptest::collection::vec((0..4_u16, 0..700_usize, 0..12_u8), 1..80)) {
        let sent: Vec<_> = choices.iter().enumerate().map(|(n, (flow, size, odd))| {
            let size = if *odd < 8 { 300 } else { *size };
            Datagram { ipv6: flow % 2 == 1, ..Datagram::new(5000 + flow, &vec![n as u8; size]) }.octets()
        }).collect();
        let bare = |packets: &[Vec<u8>], flow: u16| -> Vec<Vec<u8>> {
            let l4 = if flow % 2 == 1 { 40 } else { 20 };
            let of_flow = packets.iter().filter(|p| p.get(l4..l4 + 2) == Some(&(5000 + flow).to_be_bytes()));
            of_flow.map(|p| p[l4..].to_vec()).collect()
        };
        let through: Vec<Vec<u8>> = join(&sent).iter().flat_map(|read| cut(read)).collect();
        prop_assert_eq!(through.len(), sent.len());
        for flow in 0..4 {
            prop_assert_eq!(bare(&through, flow), bare(&sent, flow));
        }
    }

    #[test]
    fn every_flow_keeps_its_octets_and_order(choices in proptest::collection::vec((0..4_u16, 1..700_usize, 0..12_u8), 1..80)) {
        let mut next = [0_u32; 4];
        let mut packets = Vec::new();
        for (n, (flow, size, odd)) in choices.iter().enumerate() {
            let at = &mut next[usize::from(*flow)];
            let size = if *odd < 8 { 300 } else { *size };
            let mut segment = Segment::data(5000 + flow, *at, &vec![n as u8; size]);
            if *odd == 11 {
                segment.flags = 0x11;
            }
            *at = at.wrapping_add(size as u32);
            packets.push(segment.octets());
        }
        let bare = |packets: &[Vec<u8>], flow: u16| -> Vec<Vec<u8>> {
            let of_flow = packets.iter().filter(|p| p[20..22] == (5000 + flow).to_be_bytes());
            of_flow.map(|p| p[20..].to_vec()).collect()
        };
        let through: Vec<Vec<u8>> = join(&packets).iter().flat_map(|read| cut(read)).collect();
        for flow in 0..4 {
            prop_assert_eq!(bare(&through, flow), bare(&packets, flow));
        }
    }

    #[test]
    fn any_octets_pass(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..6)) {
        let out = join(&packets);
        prop_assert_eq!(out.len(), packets.len());
    }
}
