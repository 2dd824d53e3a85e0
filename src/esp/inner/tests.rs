use super::*;
use proptest::prelude::*;

const A4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 20, 5));
const B4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 10, 1));
const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 5));
const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1));

/// The ping of `eap-anyconnect-login.jsonl`, as another program built it: checksums included.
const RECORDED_PING: &str = "45000054f28840004001a8c9c0a81405c0a80a0108009540101e0001d449026b00000000b618070000000000\
    101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// An IPv6 packet with these octets behind its header.
fn six(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = udp(A6, 0, B6, 0, &[]);
    packet.truncate(IPV6_HEADER);
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet[6] = next;
    packet.extend(payload);
    packet
}

#[test]
fn a_ping_of_another_program_is_read() {
    let packet = unhex(RECORDED_PING);
    let inner = InnerPacket::parse(&packet).unwrap();
    assert_eq!((inner.source, inner.destination), (A4, B4));
    assert_eq!((inner.protocol, inner.ports), (Some(1), Some((0x0800, 0x0800))));
    assert_eq!((inner.length, inner.payload_at, inner.version(), inner.fragment), (84, 20, 4, false));
    let echo = parse_echo_request(&packet).unwrap();
    assert_eq!((echo.id, echo.sequence, echo.payload.len()), (0x101e, 1, 56));
    assert_eq!(parse_echo_reply(&packet), None);
    let ours = echo_request(A4, B4, 0x101e, 1, echo.payload);
    assert_eq!(ours[20..], packet[20..], "the ICMP message and its checksum are the same");
}

#[test]
fn a_datagram_without_checksum_is_fine_in_ipv4_only() {
    let mut udp4 = udp(A4, 1, B4, 2, b"abc");
    assert!(parse_udp(&udp4).is_some());
    udp4[26..28].fill(0);
    assert!(parse_udp(&udp4).is_some());
    let mut udp6 = udp(A6, 1, B6, 2, b"abc");
    assert!(parse_udp(&udp6).is_some());
    udp6[46..48].fill(0);
    assert_eq!(parse_udp(&udp6), None);
}

#[test]
fn extension_headers_are_followed() {
    let datagram = &udp(A6, 1000, B6, 7, b"abc")[IPV6_HEADER..];
    let mut chain = vec![43, 0, 0, 0, 0, 0, 0, 0]; // hop-by-hop
    chain.extend([60, 1].iter().chain(&[0; 14])); // routing, 16 octets
    chain.extend([51, 0].iter().chain(&[0; 6])); // destination options
    chain.extend([17, 1].iter().chain(&[0; 10])); // AH, 12 octets
    chain.extend(datagram);
    let packet = six(0, &chain);
    let inner = InnerPacket::parse(&packet).unwrap();
    assert_eq!((inner.protocol, inner.ports), (Some(17), Some((1000, 7))));
    assert_eq!(inner.payload_at, IPV6_HEADER + 8 + 16 + 8 + 12);
    assert_eq!(parse_udp(&packet).unwrap().payload, b"abc");
}

#[test]
fn fragments_show_ports_only_in_the_first() {
    let fragment = |offset: u16, more: bool| {
        let [high, low] = ((offset << 3) | u16::from(more)).to_be_bytes();
        six(44, &[17, 0, high, low, 0, 0, 0, 1, 0, 9, 0, 7, 0, 0, 0, 0])
    };
    let first = InnerPacket::parse(&fragment(0, true)).unwrap();
    assert_eq!((first.protocol, first.ports, first.fragment), (Some(17), Some((9, 7)), true));
    let later = InnerPacket::parse(&fragment(100, false)).unwrap();
    assert_eq!((later.protocol, later.ports, later.fragment), (Some(17), None, true));
    // A later fragment that begins inside destination options: what follows is not a header.
    let inside = InnerPacket::parse(&six(44, &[60, 0, 0, 8, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 0])).unwrap();
    assert_eq!((inside.protocol, inside.ports), (None, None));

    let mut four = udp(A4, 9, B4, 7, &[0; 32]);
    four[6] = 0x20;
    let first = InnerPacket::parse(&four).unwrap();
    assert_eq!((first.ports, first.fragment), (Some((9, 7)), true));
    four[7] = 1;
    let later = InnerPacket::parse(&four).unwrap();
    assert_eq!((later.protocol, later.ports, later.fragment), (Some(17), None, true));
}

#[test]
fn endless_and_broken_chains_show_no_protocol() {
    let header = [60, 0, 0, 0, 0, 0, 0, 0];
    let eight = [&header.repeat(7)[..], &[17, 0, 0, 0, 0, 0, 0, 0], &[0; 8]].concat();
    assert_eq!(InnerPacket::parse(&six(60, &eight)).unwrap().protocol, Some(17));
    let nine = [&header[..], &eight].concat();
    assert_eq!(InnerPacket::parse(&six(60, &nine)).unwrap().protocol, None);
    assert_eq!(InnerPacket::parse(&six(60, &[17])).unwrap().protocol, None);
    assert_eq!(InnerPacket::parse(&six(60, &[17, 9, 0, 0, 0, 0, 0, 0])).unwrap().protocol, None);
}

#[test]
fn lengths_are_checked() {
    let good = udp(A4, 1, B4, 2, b"abcd");
    assert!(InnerPacket::parse(&good[..good.len() - 1]).is_none());
    assert_eq!(InnerPacket::parse(&[&good[..], b"more"].concat()).unwrap().length, good.len());
    let mut short_header = good.clone();
    short_header[0] = 0x44;
    assert!(InnerPacket::parse(&short_header).is_none());
    let mut long_header = good.clone();
    long_header[0] = 0x4f;
    assert!(InnerPacket::parse(&long_header).is_none());
    let mut total_below_header = good.clone();
    total_below_header[2..4].copy_from_slice(&[0, 19]);
    assert!(InnerPacket::parse(&total_below_header).is_none());
    // Too short for ports: a protocol, no ports.
    let mut cut = good.clone();
    cut[2..4].copy_from_slice(&[0, 23]);
    assert_eq!(InnerPacket::parse(&cut).unwrap().ports, None);
    let six = udp(A6, 1, B6, 2, b"abcd");
    assert!(InnerPacket::parse(&six[..six.len() - 1]).is_none());
    assert!(InnerPacket::parse(&[]).is_none());
    assert!(InnerPacket::parse(&[0x50; 64]).is_none());
}

proptest! {
    #[test]
    fn what_is_built_is_read(
        four: bool, id: u16, sequence: u16, sport: u16, dport: u16,
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (a, b) = if four { (A4, B4) } else { (A6, B6) };
        let request = echo_request(a, b, id, sequence, &payload);
        let echo = Echo { source: a, destination: b, id, sequence, payload: &payload };
        prop_assert_eq!(parse_echo_request(&request), Some(echo));
        prop_assert_eq!(parse_echo_reply(&request), None);
        let reply = echo_reply(a, b, id, sequence, &payload);
        prop_assert_eq!(parse_echo_reply(&reply), Some(echo));
        let datagram = udp(a, sport, b, dport, &payload);
        prop_assert_eq!(
            parse_udp(&datagram),
            Some(Udp { source: a, source_port: sport, destination: b, destination_port: dport, payload: &payload })
        );
        let inner = InnerPacket::parse(&datagram).unwrap();
        prop_assert_eq!((inner.length, inner.ports), (datagram.len(), Some((sport, dport))));
    }

    /// One flipped bit anywhere behind version and lengths is noticed, except where no checksum looks: IPv6 class, flow
    /// label and hop limit.
    #[test]
    fn a_flipped_bit_is_noticed(four: bool, at: prop::sample::Index, bit in 0u8..8) {
        let (a, b) = if four { (A4, B4) } else { (A6, B6) };
        let good = echo_request(a, b, 1, 2, b"payload");
        let mut bad = good.clone();
        let at = at.index(bad.len());
        prop_assume!(four || at > 7);
        bad[at] ^= 1 << bit;
        prop_assert_eq!(parse_echo_request(&bad), None);
    }

    #[test]
    fn any_octets_keep_the_limits(mut octets in proptest::collection::vec(any::<u8>(), 0..160), version in 0u8..16) {
        if let Some(first) = octets.first_mut() {
            *first = version << 4 | *first & 0x0f;
        }
        if let Some(inner) = InnerPacket::parse(&octets) {
            prop_assert!(inner.payload_at <= inner.length && inner.length <= octets.len());
        }
        let _ = (parse_udp(&octets), parse_echo_request(&octets), parse_echo_reply(&octets));
    }

    #[test]
    fn any_chain_keeps_the_limits(
        next in prop::sample::select(vec![0u8, 43, 44, 51, 60, 17, 58, 135]),
        mut payload in proptest::collection::vec(prop::sample::select(vec![0u8, 1, 2, 17, 43, 44, 51, 58, 60]), 0..120),
    ) {
        payload.truncate(payload.len() & !3);
        let packet = six(next, &payload);
        let inner = InnerPacket::parse(&packet).unwrap();
        prop_assert!(inner.payload_at <= inner.length && inner.length == packet.len());
    }
}
