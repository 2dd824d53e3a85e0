//! Traffic selectors (RFC 7296 3.13) and the check of inner packets against them.

use std::net::IpAddr;

/// One range of addresses, ports and a protocol. `protocol` 0 is any. Both ends are of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct TrafficSelector {
    /// IP protocol, 0 for any.
    pub protocol: u8,
    /// First and last port (ICMP: type and code, RFC 7296 3.13.1).
    pub ports: (u16, u16),
    /// First and last address.
    pub addresses: (IpAddr, IpAddr),
}

impl TrafficSelector {
    /// Every IPv4 packet.
    pub fn any_v4() -> Self {
        todo!()
    }
    /// Every IPv6 packet.
    pub fn any_v6() -> Self {
        todo!()
    }
    /// Exactly one host, any protocol.
    pub fn host(_address: IpAddr) -> Self {
        todo!()
    }
    /// The part common to both, if any (narrowing, RFC 7296 2.9).
    pub fn intersect(&self, _other: &Self) -> Option<Self> {
        todo!()
    }
    /// True where every packet of `other` fits `self`.
    pub fn contains(&self, _other: &Self) -> bool {
        todo!()
    }
}
