//! ICMP echo and UDP over IPv4 and IPv6, built and read: probes, the lab, and what answers behind the embedded gateway.
//!
//! Readers check lengths and checksums and refuse fragments, IPv4 options included, IPv6 extension headers not.

use super::{InnerPacket, protocol};
use std::net::IpAddr;
use std::ops::Range;

/// ICMP types: request and reply (RFC 792, RFC 4443).
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);
const UDP_HEADER: usize = 8;
const ECHO_HEADER: usize = 8;
/// Hop limit of what we build.
const TTL: u8 = 64;

/// An ICMP echo request or reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Identifier.
    pub id: u16,
    /// Sequence number.
    pub sequence: u16,
    /// What is echoed.
    pub payload: &'a [u8],
}

/// A UDP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Udp<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Its port.
    pub source_port: u16,
    /// Receiver.
    pub destination: IpAddr,
    /// Its port.
    pub destination_port: u16,
    /// What it carries.
    pub payload: &'a [u8],
}

/// An ICMP echo request. Panics where the addresses are of two families or the packet exceeds 65,535 octets: both are the
/// caller's own.
pub fn echo_request(source: IpAddr, destination: IpAddr, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    echo(|(request, _)| request, &Echo { source, destination, id, sequence, payload })
}

/// An ICMP echo reply; panics as [`echo_request`] does.
pub fn echo_reply(source: IpAddr, destination: IpAddr, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    echo(|(_, reply)| reply, &Echo { source, destination, id, sequence, payload })
}

/// A UDP datagram; panics as [`echo_request`] does.
pub fn udp(
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    destination_port: u16,
    payload: &[u8],
) -> Vec<u8> {
    let (mut packet, at) = ip_packet(source, destination, protocol::UDP, UDP_HEADER + payload.len());
    packet.extend(source_port.to_be_bytes());
    packet.extend(destination_port.to_be_bytes());
    packet.extend(length_field(UDP_HEADER + payload.len()));
    packet.extend([0, 0]);
    packet.extend(payload);
    let sum = !checksum(pseudo_header(source, destination, protocol::UDP, packet.len() - at), &packet[at..]);
    // 0 would say "no checksum" (RFC 768).
    let sum = if sum == 0 { u16::MAX } else { sum };
    packet[at + 6..at + 8].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Reads an ICMP echo request; `None` for anything else.
pub fn parse_echo_request(packet: &[u8]) -> Option<Echo<'_>> {
    parse_echo(|(request, _)| request, packet)
}

/// Reads an ICMP echo reply; `None` for anything else.
pub fn parse_echo_reply(packet: &[u8]) -> Option<Echo<'_>> {
    parse_echo(|(_, reply)| reply, packet)
}

/// Reads a UDP datagram; `None` for anything else.
pub fn parse_udp(packet: &[u8]) -> Option<Udp<'_>> {
    let (inner, range) = whole_packet(packet)?;
    if inner.protocol != Some(protocol::UDP) {
        return None;
    }
    let (source_port, destination_port) = inner.ports?;
    let datagram = &packet[range];
    let length = usize::from(super::u16_at(datagram, 4)?);
    if length < UDP_HEADER {
        return None;
    }
    let datagram = datagram.get(..length)?;
    let no_checksum = super::u16_at(datagram, 6)? == 0;
    // Only IPv4 may go without (RFC 8200 8.1).
    let sum_is_right = if no_checksum {
        inner.version() == 4
    } else {
        sum_is_right(pseudo_header(inner.source, inner.destination, protocol::UDP, length), datagram)
    };
    sum_is_right.then_some(Udp {
        source: inner.source,
        source_port,
        destination: inner.destination,
        destination_port,
        payload: &datagram[UDP_HEADER..],
    })
}

fn echo(kind: impl Fn((u8, u8)) -> u8, echo: &Echo<'_>) -> Vec<u8> {
    let Echo { source, destination, id, sequence, payload } = *echo;
    let (protocol, kinds) = icmp_of(source);
    let (mut packet, at) = ip_packet(source, destination, protocol, ECHO_HEADER + payload.len());
    packet.extend([kind(kinds), 0, 0, 0]);
    packet.extend(id.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    let sum = !checksum(icmp_start(source, destination, packet.len() - at), &packet[at..]);
    packet[at + 2..at + 4].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn parse_echo(kind: impl Fn((u8, u8)) -> u8, packet: &[u8]) -> Option<Echo<'_>> {
    let (inner, range) = whole_packet(packet)?;
    let (protocol, kinds) = icmp_of(inner.source);
    let message = &packet[range];
    let (header, payload) = message.split_first_chunk::<ECHO_HEADER>()?;
    let [found, 0, _, _, i0, i1, s0, s1] = *header else { return None };
    let start = icmp_start(inner.source, inner.destination, message.len());
    (inner.protocol == Some(protocol) && found == kind(kinds) && sum_is_right(start, message)).then_some(
        Echo {
            source: inner.source,
            destination: inner.destination,
            id: u16::from_be_bytes([i0, i1]),
            sequence: u16::from_be_bytes([s0, s1]),
            payload,
        },
    )
}

/// The headers and where the payload lies; not a fragment, and the IPv4 header's checksum is right.
fn whole_packet(packet: &[u8]) -> Option<(InnerPacket, Range<usize>)> {
    let inner = InnerPacket::parse(packet)?;
    let header_is_right = inner.version() == 6 || sum_is_right(0, &packet[..inner.payload_at]);
    (header_is_right && !inner.fragment).then_some((inner, inner.payload_at..inner.length))
}

fn icmp_of(address: IpAddr) -> (u8, (u8, u8)) {
    match address {
        IpAddr::V4(_) => (protocol::ICMP, ECHO_V4),
        IpAddr::V6(_) => (protocol::ICMPV6, ECHO_V6),
    }
}

/// An IP header, and how long it is: the payload goes behind it.
fn ip_packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: usize) -> (Vec<u8>, usize) {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut packet = Vec::with_capacity(super::IPV4_HEADER + payload);
            packet.extend([0x45, 0]);
            packet.extend(length_field(super::IPV4_HEADER + payload));
            packet.extend([0, 0, 0x40, 0, TTL, protocol, 0, 0]); // do not fragment: the identification may be 0 (RFC 6864)
            packet.extend(source.octets());
            packet.extend(destination.octets());
            let sum = !checksum(0, &packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            (packet, super::IPV4_HEADER)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut packet = Vec::with_capacity(super::IPV6_HEADER + payload);
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length_field(payload));
            packet.extend([protocol, TTL]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
            (packet, super::IPV6_HEADER)
        }
        _ => panic!("{source} and {destination} are of two families"),
    }
}

fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("an IP packet of at most 65,535 octets").to_be_bytes()
}

/// ICMPv6 counts the pseudo-header, ICMP does not.
fn icmp_start(source: IpAddr, destination: IpAddr, length: usize) -> u32 {
    match source {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => pseudo_header(source, destination, protocol::ICMPV6, length),
    }
}

/// The sum over the pseudo-header (RFC 768, RFC 8200 8.1). `length` fits 16 bits.
fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> u32 {
    let address = |address| match address {
        IpAddr::V4(a) => u32::from(checksum(0, &a.octets())),
        IpAddr::V6(a) => u32::from(checksum(0, &a.octets())),
    };
    address(source) + address(destination) + u32::from(protocol) + length as u32
}

/// The ones' complement sum of 16-bit words (RFC 1071), not yet inverted.
fn checksum(start: u32, octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|word| match *word {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high] => u64::from(high) << 8,
        _ => 0,
    });
    let mut sum = u64::from(start) + words.sum::<u64>();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Over octets that hold their own checksum the sum is all ones.
fn sum_is_right(start: u32, octets: &[u8]) -> bool {
    checksum(start, octets) == u16::MAX
}
