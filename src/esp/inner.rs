//! What the headers of an inner IP packet say, as far as the traffic selectors ask; and small packets for probes.

mod packets;

pub use packets::{
    Echo, Udp, echo_reply, echo_request, parse_echo_reply, parse_echo_request, parse_udp, udp,
};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers (IANA).
pub mod protocol {
    /// ICMP for IPv4
    pub const ICMP: u8 = 1;
    /// TCP
    pub const TCP: u8 = 6;
    /// UDP
    pub const UDP: u8 = 17;
    /// DCCP
    pub(super) const DCCP: u8 = 33;
    /// ICMP for IPv6
    pub const ICMPV6: u8 = 58;
    /// SCTP
    pub(super) const SCTP: u8 = 132;
    /// IPv6 mobility header
    pub(super) const MOBILITY: u8 = 135;
    /// UDP-Lite
    pub(super) const UDP_LITE: u8 = 136;
}

/// Extension headers of IPv6 that lead to another header (RFC 8200 4.1; 51 is AH, RFC 4302).
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
}

/// Longest chain of IPv6 extension headers that is followed. RFC 8200 orders seven at most.
const MAX_EXTENSIONS: usize = 8;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

/// The headers of one IP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InnerPacket {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The protocol above IP; `None` where it cannot be seen: a later IPv6 fragment that starts inside an extension header,
    /// or a chain of extension headers that is too long or broken off.
    pub protocol: Option<u8>,
    /// Source and destination port; ICMP: type and code as one number, in both places (RFC 7296 3.13.1). `None` for
    /// protocols without ports, and where they cannot be seen: later fragments, and packets too short to hold them.
    pub ports: Option<(u16, u16)>,
    /// Octets of the packet, as its header says.
    pub length: usize,
    /// Where the header of `protocol` begins.
    pub payload_at: usize,
    /// A fragment, first or later.
    pub fragment: bool,
}

impl InnerPacket {
    /// Reads the headers. `None`: not IP, or the header promises more octets than there are. Octets behind the end that
    /// the header gives are none of the packet's.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        match octets.first()? >> 4 {
            4 => Self::parse_v4(octets),
            6 => Self::parse_v6(octets),
            _ => None,
        }
    }

    /// 4 or 6.
    pub fn version(&self) -> u8 {
        if self.source.is_ipv4() { 4 } else { 6 }
    }

    fn parse_v4(octets: &[u8]) -> Option<Self> {
        let header: &[u8; IPV4_HEADER] = octets.first_chunk()?;
        let payload_at = usize::from(header[0] & 0x0f) * 4;
        let length = usize::from(u16_at(header, 2)?);
        if payload_at < IPV4_HEADER || length < payload_at || length > octets.len() {
            return None;
        }
        let flags_and_offset = u16_at(header, 6)?;
        let (more, offset) = (flags_and_offset & 0x2000 != 0, flags_and_offset & 0x1fff);
        let protocol = header[9];
        let payload = &octets[payload_at..length];
        Some(Self {
            source: Ipv4Addr::from(*octets[12..].first_chunk()?).into(),
            destination: Ipv4Addr::from(*octets[16..].first_chunk()?).into(),
            protocol: Some(protocol),
            ports: if offset == 0 { ports(protocol, payload) } else { None },
            length,
            payload_at,
            fragment: more || offset != 0,
        })
    }

    fn parse_v6(octets: &[u8]) -> Option<Self> {
        let header: &[u8; IPV6_HEADER] = octets.first_chunk()?;
        // A jumbogram (RFC 2675) says 0 and cannot be: a datagram of UDP does not hold it.
        let length = IPV6_HEADER + usize::from(u16_at(header, 4)?);
        let chain = Chain::walk(header[6], octets.get(..length)?);
        Some(Self {
            source: Ipv6Addr::from(*octets[8..].first_chunk()?).into(),
            destination: Ipv6Addr::from(*octets[24..].first_chunk()?).into(),
            protocol: chain.protocol,
            ports: match chain.protocol {
                Some(protocol) if !chain.later_fragment => ports(protocol, &octets[chain.at..length]),
                _ => None,
            },
            length,
            payload_at: chain.at,
            fragment: chain.fragment,
        })
    }
}

/// Where a chain of IPv6 extension headers ends. `at` never lies behind the packet's end.
struct Chain {
    protocol: Option<u8>,
    at: usize,
    fragment: bool,
    later_fragment: bool,
}

impl Chain {
    fn walk(first: u8, packet: &[u8]) -> Self {
        let mut chain = Self { protocol: None, at: IPV6_HEADER, fragment: false, later_fragment: false };
        let mut next = first;
        for _ in 0..=MAX_EXTENSIONS {
            let is_extension = matches!(
                next,
                extension::HOP_BY_HOP
                    | extension::ROUTING
                    | extension::FRAGMENT
                    | extension::AUTHENTICATION
                    | extension::DESTINATION
            );
            if !is_extension {
                chain.protocol = Some(next);
                return chain;
            }
            // Behind a later fragment's header lies the middle of something: `next` is only what the first fragment began
            // with.
            if chain.later_fragment {
                return chain;
            }
            let Some(&[following, len]) = packet[chain.at..].first_chunk() else { return chain };
            let len = match next {
                extension::FRAGMENT => 8,
                extension::AUTHENTICATION => (usize::from(len) + 2) * 4,
                _ => (usize::from(len) + 1) * 8,
            };
            if packet.len() - chain.at < len {
                return chain;
            }
            if next == extension::FRAGMENT {
                let Some(offset) = u16_at(packet, chain.at + 2) else { return chain };
                chain.fragment = true;
                chain.later_fragment = offset & 0xfff8 != 0;
            }
            next = following;
            chain.at += len;
        }
        chain
    }
}

/// Source and destination port of the protocols that have them.
fn ports(protocol: u8, payload: &[u8]) -> Option<(u16, u16)> {
    match protocol {
        protocol::TCP | protocol::UDP | protocol::DCCP | protocol::SCTP | protocol::UDP_LITE => {
            Some((u16_at(payload, 0)?, u16_at(payload, 2)?))
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let type_and_code = u16_at(payload, 0)?;
            Some((type_and_code, type_and_code))
        }
        protocol::MOBILITY => {
            let kind = u16::from(*payload.get(2)?) << 8;
            Some((kind, kind))
        }
        _ => None,
    }
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*octets.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
