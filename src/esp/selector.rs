//! Traffic selectors (RFC 7296 3.13) and the check of inner packets against them.

use super::InnerPacket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every port, and packets whose ports cannot be seen.
const ALL_PORTS: (u16, u16) = (0, u16::MAX);
/// Only packets whose ports cannot be seen (RFC 7296 3.13.1, OPAQUE).
const OPAQUE_PORTS: (u16, u16) = (u16::MAX, 0);

/// One range of addresses, ports and a protocol. `protocol` 0 is any. Both ends are of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct TrafficSelector {
    /// IP protocol, 0 for any.
    pub protocol: u8,
    /// First and last port (ICMP: type and code, RFC 7296 3.13.1). `(65535, 0)` is OPAQUE: only packets without ports.
    pub ports: (u16, u16),
    /// First and last address.
    pub addresses: (IpAddr, IpAddr),
}

impl TrafficSelector {
    /// Every IPv4 packet.
    pub fn any_v4() -> Self {
        Self::range(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into())
    }

    /// Every IPv6 packet.
    pub fn any_v6() -> Self {
        Self::range(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from(u128::MAX).into())
    }

    /// Exactly one host, any protocol.
    pub fn host(address: IpAddr) -> Self {
        Self::range(address, address)
    }

    /// Any protocol and port from `first` to `last`, both included.
    fn range(first: IpAddr, last: IpAddr) -> Self {
        Self { protocol: 0, ports: ALL_PORTS, addresses: (first, last) }
    }

    /// The part common to both, if any (narrowing, RFC 7296 2.9).
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if !self.is_sound() || !other.is_sound() || !same_family(self.addresses.0, other.addresses.0) {
            return None;
        }
        let protocol = match (self.protocol, other.protocol) {
            (0, any) | (any, 0) => any,
            (a, b) if a == b => a,
            _ => return None,
        };
        let ports = match (self.ports, other.ports) {
            (ALL_PORTS, any) | (any, ALL_PORTS) => any,
            (OPAQUE_PORTS, OPAQUE_PORTS) => OPAQUE_PORTS,
            (OPAQUE_PORTS, _) | (_, OPAQUE_PORTS) => return None,
            // Apart, [65535, 65535] and [0, 0] would give (65535, 0): OPAQUE, which neither of them is.
            (a, b) if a.0.max(b.0) > a.1.min(b.1) => return None,
            (a, b) => (a.0.max(b.0), a.1.min(b.1)),
        };
        let addresses = (self.addresses.0.max(other.addresses.0), self.addresses.1.min(other.addresses.1));
        let common = Self { protocol, ports, addresses };
        common.is_sound().then_some(common)
    }

    /// True where every packet of `other` fits `self`.
    pub fn contains(&self, other: &Self) -> bool {
        self.intersect(other).is_some_and(|common| common == *other)
    }

    /// True where one of `local` covers our end of the packet and one of `remote` the other: `outbound` packets have their
    /// source on our side, inbound ones their destination.
    pub(super) fn cover(local: &[Self], remote: &[Self], packet: &InnerPacket, outbound: bool) -> bool {
        let (source, destination) = if outbound { (local, remote) } else { (remote, local) };
        let ports = packet.ports;
        source.iter().any(|ts| ts.matches(packet.source, packet.protocol, ports.map(|p| p.0)))
            && destination
                .iter()
                .any(|ts| ts.matches(packet.destination, packet.protocol, ports.map(|p| p.1)))
    }

    /// A packet whose protocol or port cannot be seen (a later fragment, an endless chain of extension headers) fits only
    /// where any will do.
    fn matches(&self, address: IpAddr, protocol: Option<u8>, port: Option<u16>) -> bool {
        same_family(self.addresses.0, address)
            && same_family(self.addresses.1, address)
            && (self.addresses.0..=self.addresses.1).contains(&address)
            && (self.protocol == 0 || protocol == Some(self.protocol))
            && match (self.ports, port) {
                (ALL_PORTS, _) => true,
                (OPAQUE_PORTS, port) => port.is_none(),
                ((first, last), Some(port)) => (first..=last).contains(&port),
                (_, None) => false,
            }
    }

    /// One family, and no range upside down.
    fn is_sound(&self) -> bool {
        let (first, last) = self.addresses;
        same_family(first, last)
            && first <= last
            && (self.ports.0 <= self.ports.1 || self.ports == OPAQUE_PORTS)
    }
}

fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

#[cfg(test)]
mod tests;
