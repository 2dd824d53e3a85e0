use super::*;
use crate::esp::inner::{echo_request, parse_echo_reply};
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn behind() -> Behind {
    Behind::new([Net::new(ip("192.168.10.1"), 24).unwrap(), Net::new(ip("fd10::1"), 64).unwrap()])
}

#[test]
fn ping_is_answered_in_both_families() {
    for (client, host) in
        [("192.168.20.5", "192.168.10.1"), ("192.168.20.5", "192.168.10.77"), ("fd20::5", "fd10::9")]
    {
        let answer = behind().handle(&echo_request(ip(client), ip(host), 7, 9, b"hello")).unwrap();
        let reply = parse_echo_reply(&answer).unwrap();
        assert_eq!((reply.source, reply.destination), (ip(host), ip(client)));
        assert_eq!((reply.id, reply.sequence, reply.payload), (7, 9, &b"hello"[..]));
    }
}

#[test]
fn udp_echo_is_answered_in_both_families() {
    for (client, host) in [("192.168.20.5", "192.168.10.1"), ("fd20::5", "fd10::9")] {
        let answer = behind().handle(&udp(ip(client), 40_000, ip(host), 7, b"hello")).unwrap();
        let reply = parse_udp(&answer).unwrap();
        assert_eq!((reply.source, reply.source_port), (ip(host), 7));
        assert_eq!((reply.destination, reply.destination_port), (ip(client), 40_000));
        assert_eq!(reply.payload, b"hello");
    }
}

#[test]
fn everything_else_is_not_answered() {
    let (client, host) = (ip("192.168.20.5"), ip("192.168.10.1"));
    let behind = behind();
    let silent = |packet: &[u8]| assert_eq!(behind.handle(packet), None);
    silent(&echo_request(client, ip("192.168.11.1"), 1, 1, b""));
    silent(&echo_reply(client, host, 1, 1, b""));
    silent(&udp(client, 40_000, host, 8, b""));
    silent(&udp(client, 7, host, 7, b""));
    silent(&udp(ip("0.0.0.0"), 40_000, host, 7, b""));
    silent(&echo_request(ip("224.0.0.1"), host, 1, 1, b""));
    silent(&echo_request(ip("255.255.255.255"), host, 1, 1, b""));
    silent(&[]);
    // A wrong checksum, a fragment, a packet cut short.
    let good = udp(client, 40_000, host, 7, b"hello");
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    silent(&bad);
    let mut fragment = echo_request(client, host, 1, 1, b"");
    fragment[6] = 0x20;
    silent(&fragment);
    silent(&good[..good.len() - 1]);
}

#[test]
fn an_answer_is_as_long_as_the_packet() {
    let (client, host) = (ip("192.168.20.5"), ip("192.168.10.1"));
    let largest = echo_request(client, host, 1, 1, &vec![7; 65_535 - 28]);
    assert_eq!(behind().handle(&largest).unwrap().len(), largest.len());
}

proptest! {
    #[test]
    fn any_octets_are_survived(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(behind().handle(&packet).is_none_or(|answer| answer.len() <= packet.len()));
    }
}
