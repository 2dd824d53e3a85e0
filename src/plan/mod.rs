//! The network plan: what a CFG_REPLY asks of the machine, as one typed value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: address and prefix length. Host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Net {
    /// First address.
    pub address: IpAddr,
    /// Prefix length, bits.
    pub prefix: u8,
}

/// What the gateway assigned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// INTERNAL_IP4_ADDRESS.
    pub address4: Option<Ipv4Addr>,
    /// INTERNAL_IP6_ADDRESS with its prefix length.
    pub address6: Option<(Ipv6Addr, u8)>,
    /// DNS servers of both families.
    pub dns: Vec<IpAddr>,
    /// Search domains (28674, 25).
    pub domains: Vec<String>,
    /// Split-DNS domains (28675).
    pub split_dns: Vec<String>,
    /// Networks that go into the tunnel; empty means everything.
    pub include: Vec<Net>,
    /// Networks that stay outside (28678).
    pub exclude: Vec<Net>,
    /// Banner (28672).
    pub banner: Option<String>,
    /// Backup servers (28681).
    pub backup_servers: Vec<String>,
}
