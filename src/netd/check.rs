//! What a network plan may ask for. The agent is not trusted: it reads the network, and anybody who may use the helper can send
//! a plan of their own.
//!
//! Of a plan only its own table, its own device and its own rules are ever touched, so these limits are about what goes into
//! the tunnel and into the resolver's configuration.

use crate::ipc::helper::{MAX_MTU, MAX_NETS};
use crate::plan::{Net, Network};
use std::net::{IpAddr, SocketAddr};

/// Addresses of the tunnel, at most.
pub const MAX_ADDRESSES: usize = 16;
/// Addresses of the gateway, at most.
pub const MAX_GATEWAYS: usize = 64;
/// DNS servers, at most.
pub const MAX_SERVERS: usize = 16;
/// Names in each list of domains, at most.
pub const MAX_DOMAINS: usize = 256;
/// MTU of the device, octets: least and most.
pub const MTU: std::ops::RangeInclusive<u16> = 576..=MAX_MTU;
/// Longest DNS name, octets (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;

/// Why a plan is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// More entries than any tunnel needs.
    #[error("{count} {what}, more than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Not an address that a host can have here.
    #[error("{what} {address} is none that a host can have")]
    Address {
        /// Whose it would be.
        what: &'static str,
        /// As sent.
        address: IpAddr,
    },
    /// The prefix is longer than an address, or host bits are set.
    #[error("{net} is no network")]
    Net {
        /// As sent.
        net: Net,
    },
    /// Packets to this machine itself, or to groups, cannot go into a tunnel.
    #[error("{net} holds addresses that stay on this machine or its links")]
    Local {
        /// As sent.
        net: Net,
    },
    /// The gateway itself would be reached through the tunnel that needs it.
    #[error("the gateway {gateway} would be routed into its own tunnel")]
    Gateway {
        /// The gateway.
        gateway: IpAddr,
    },
    /// Out of [`MTU`].
    #[error("an MTU of {mtu} is not between {} and {}", MTU.start(), MTU.end())]
    Mtu {
        /// As sent.
        mtu: u16,
    },
    /// Not a domain name. It is not repeated here: it may hold anything.
    #[error("a domain is not a name")]
    Name,
    /// Without an address of the family nothing can be sent there.
    #[error("the tunnel has no address of the family of {net}")]
    Family {
        /// As sent.
        net: Net,
    },
    /// A tunnel without an address.
    #[error("the tunnel has no address")]
    NoAddress,
}

/// Checks a plan.
///
/// # Errors
/// The first thing in it that is out of bounds.
pub fn check(network: &Network) -> Result<(), Wrong> {
    // Taken apart, so that a new field cannot be forgotten here. Of the two left over each value is a sensible one.
    let Network { addresses, include, exclude, local_lan: _, refused: _, gateways, dns, mtu } = network;
    for (what, count, limit) in [
        ("addresses", addresses.len(), MAX_ADDRESSES),
        ("networks in the tunnel", include.len(), MAX_NETS),
        ("networks outside the tunnel", exclude.len(), MAX_NETS),
        ("gateways", gateways.len(), MAX_GATEWAYS),
        ("DNS servers", dns.servers.len(), MAX_SERVERS),
        ("search domains", dns.search.len(), MAX_DOMAINS),
        ("domains of the tunnel", dns.only.len(), MAX_DOMAINS),
    ] {
        if count > limit {
            return Err(Wrong::TooMany { what, count, limit });
        }
    }
    if !MTU.contains(mtu) {
        return Err(Wrong::Mtu { mtu: *mtu });
    }
    if addresses.is_empty() {
        return Err(Wrong::NoAddress);
    }
    for &address in addresses {
        is_host(address).then_some(()).ok_or(Wrong::Address { what: "the tunnel's address", address })?;
    }
    for &address in &dns.servers {
        is_host(address).then_some(()).ok_or(Wrong::Address { what: "the DNS server", address })?;
    }
    for gateway in gateways.iter().map(SocketAddr::ip) {
        // One on this machine, or next to it, is a gateway too: nothing is routed for it.
        let sane = !gateway.is_unspecified() && !gateway.is_multicast();
        sane.then_some(()).ok_or(Wrong::Address { what: "the gateway", address: gateway })?;
    }
    for net in include.iter().chain(exclude) {
        is_net(net).then_some(()).ok_or(Wrong::Net { net: *net })?;
    }
    for &net in include {
        if net.stays_here() {
            return Err(Wrong::Local { net });
        }
        if !addresses.iter().any(|address| address.is_ipv4() == net.address.is_ipv4()) {
            return Err(Wrong::Family { net });
        }
        if let Some(gateway) = gateways.iter().map(SocketAddr::ip).find(|ip| net == Net::host(*ip)) {
            return Err(Wrong::Gateway { gateway });
        }
    }
    let names = dns.search.iter().chain(&dns.only);
    if names.into_iter().any(|name| !is_name(name)) {
        return Err(Wrong::Name);
    }
    Ok(())
}

/// An address that a host can have in a tunnel.
fn is_host(address: IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(address) => address.is_broadcast() || address.is_link_local() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    !special && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

fn is_net(net: &Net) -> bool {
    Net::new(net.address, net.prefix) == Some(*net)
}

/// As the plan's own reader takes them (`plan::decode`): a resolver's configuration is made of it.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-'))
}

#[cfg(test)]
mod tests;
