//! The network plan: what a CFG_REPLY asks of the machine, as one typed value.

pub mod attribute;
mod decode;
mod encode;
mod net;
mod network;

pub use decode::{MAX_DNS, MAX_NAMES, MAX_NETS, MAX_NOTES, MAX_TEXT, PlanNote};
pub use net::Net;
pub use network::{Dns, MARK, Network, PROTOCOL, Refused, TABLE, Wishes};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the gateway assigned. Made by [`Plan::from_reply`]; lists hold no entry twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// INTERNAL_IP4_ADDRESS.
    pub address4: Option<Ipv4Addr>,
    /// INTERNAL_IP4_NETMASK as a prefix length. Kept for completeness: the tunnel's address is a host address.
    pub prefix4: Option<u8>,
    /// INTERNAL_IP6_ADDRESS with its prefix length.
    pub address6: Option<(Ipv6Addr, u8)>,
    /// DNS servers of both families, in the gateway's order.
    pub dns: Vec<IpAddr>,
    /// NetBIOS name servers.
    pub nbns: Vec<Ipv4Addr>,
    /// Search domains (28674, 25).
    pub domains: Vec<String>,
    /// Split-DNS domains (28675).
    pub split_dns: Vec<String>,
    /// Networks that go into the tunnel (28676, 13, 15), sorted; empty means everything.
    pub include: Vec<Net>,
    /// Networks that stay outside (28678), sorted. 0.0.0.0/32 stands for the local LAN.
    pub exclude: Vec<Net>,
    /// Banner (28672).
    pub banner: Option<String>,
    /// Backup servers (28681): names or addresses.
    pub backup_servers: Vec<String>,
    /// APPLICATION_VERSION of the gateway.
    pub gateway_version: Option<String>,
    /// The client may keep the password (28673).
    pub save_password: bool,
    /// UDP port for ESP (28677).
    pub nat_port: Option<u16>,
    /// Rekeys should exchange keys again (28679).
    pub pfs: bool,
    /// Host name for dynamic DNS (28682).
    pub ddns_host: Option<String>,
}

impl Plan {
    /// The inner addresses, IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let four = self.address4.map(IpAddr::V4);
        let six = self.address6.map(|(address, _)| IpAddr::V6(address));
        four.into_iter().chain(six).collect()
    }

    /// Takes out what no gateway may have in its tunnel, whatever it asks: what stays on this machine or its links, and `gateway`
    /// itself, as networks or as DNS servers. A list of nothing but that becomes our own addresses: an empty one would mean
    /// everything.
    pub fn leave_here(&mut self, gateway: IpAddr) -> Vec<PlanNote> {
        let mut notes = Vec::new();
        let mut stays = |net: Net, what| {
            let here = net.stays_here() || net == Net::host(gateway);
            if here && notes.len() < MAX_NOTES {
                notes.push(PlanNote::Here { net, what });
            }
            !here
        };
        let everything = self.include.is_empty();
        self.include.retain(|net| stays(*net, "in the tunnel"));
        self.dns.retain(|server| stays(Net::host(*server), "as a DNS server"));
        if self.include.is_empty() && !everything {
            self.include = self.addresses().into_iter().map(Net::host).collect();
        }
        notes
    }

    /// What is not as in `other`, in words for people; empty where nothing changed.
    pub fn differs(&self, other: &Self) -> Vec<&'static str> {
        // Taken apart, so that a new field cannot be forgotten here.
        let Self {
            address4,
            prefix4,
            address6,
            dns,
            nbns,
            domains,
            split_dns,
            include,
            exclude,
            banner,
            backup_servers,
            gateway_version,
            save_password,
            nat_port,
            pfs,
            ddns_host,
        } = self;
        let changes = [
            (*address4 != other.address4, "IPv4 address"),
            (*prefix4 != other.prefix4, "netmask"),
            (*address6 != other.address6, "IPv6 address"),
            (*dns != other.dns, "DNS servers"),
            (*nbns != other.nbns, "NetBIOS name servers"),
            (*domains != other.domains, "search domains"),
            (*split_dns != other.split_dns, "split DNS domains"),
            (*include != other.include, "networks in the tunnel"),
            (*exclude != other.exclude, "networks outside the tunnel"),
            (*banner != other.banner, "banner"),
            (*backup_servers != other.backup_servers, "backup servers"),
            (*gateway_version != other.gateway_version, "gateway version"),
            (*save_password != other.save_password, "password may be kept"),
            (*nat_port != other.nat_port, "port for ESP"),
            (*pfs != other.pfs, "key exchange in rekeys"),
            (*ddns_host != other.ddns_host, "dynamic DNS host name"),
        ];
        changes.into_iter().filter_map(|(changed, what)| changed.then_some(what)).collect()
    }
}

#[cfg(test)]
mod tests;
