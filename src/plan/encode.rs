//! A [`Plan`] to CFG_REPLY attributes: what the embedded gateway sends.

use super::{Net, Plan, attribute, net};
use std::net::IpAddr;

impl Plan {
    /// The attributes that [`Plan::from_reply`] reads back as this plan. Excluded IPv6 networks are left out: there is no
    /// attribute for them. Values too long for one attribute (65,535 octets) are the caller's to avoid.
    pub fn to_attributes(&self) -> Vec<(u16, Vec<u8>)> {
        let mut out = Vec::new();
        let mut push = |kind, value: Vec<u8>| out.push((kind, value));
        if let Some(address) = self.address4 {
            push(attribute::IP4_ADDRESS, address.octets().to_vec());
        }
        if let Some(prefix) = self.prefix4 {
            push(attribute::IP4_NETMASK, net::mask4(prefix).to_be_bytes().to_vec());
        }
        if let Some((address, prefix)) = self.address6 {
            push(attribute::IP6_ADDRESS, [&address.octets()[..], &[prefix]].concat());
        }
        for dns in &self.dns {
            match dns {
                IpAddr::V4(address) => push(attribute::IP4_DNS, address.octets().to_vec()),
                IpAddr::V6(address) => push(attribute::IP6_DNS, address.octets().to_vec()),
            }
        }
        for address in &self.nbns {
            push(attribute::IP4_NBNS, address.octets().to_vec());
        }
        if let Some((first, others)) = self.domains.split_first() {
            push(attribute::DEFAULT_DOMAIN, first.clone().into_bytes());
            for domain in others {
                push(attribute::DNS_DOMAIN, domain.clone().into_bytes());
            }
        }
        for (kind, nets) in
            [(attribute::SPLIT_INCLUDE, &self.include), (attribute::SPLIT_EXCLUDE, &self.exclude)]
        {
            let entries: Vec<u8> = nets.iter().flat_map(split_entry).collect();
            if !entries.is_empty() {
                push(kind, entries);
            }
        }
        for net in &self.include {
            if let IpAddr::V6(address) = net.address {
                push(attribute::IP6_SUBNET, [&address.octets()[..], &[net.prefix]].concat());
            }
        }
        for (kind, names) in
            [(attribute::SPLIT_DNS, &self.split_dns), (attribute::BACKUP_SERVERS, &self.backup_servers)]
        {
            if !names.is_empty() {
                push(kind, names.join(",").into_bytes());
            }
        }
        for (kind, text) in [
            (attribute::BANNER, &self.banner),
            (attribute::APPLICATION_VERSION, &self.gateway_version),
            (attribute::DDNS_HOST, &self.ddns_host),
        ] {
            if let Some(text) = text {
                push(kind, text.clone().into_bytes());
            }
        }
        for (kind, flag) in [(attribute::SAVE_PASSWORD, self.save_password), (attribute::PFS, self.pfs)] {
            if flag {
                push(kind, vec![0, 1]);
            }
        }
        if let Some(port) = self.nat_port {
            push(attribute::NAT_PORT, port.to_be_bytes().to_vec());
        }
        out
    }
}

/// Address, mask, and zeros for protocol and ports; nothing for IPv6.
fn split_entry(net: &Net) -> Vec<u8> {
    match net.address {
        IpAddr::V4(address) => [address.octets(), net::mask4(net.prefix).to_be_bytes()]
            .concat()
            .into_iter()
            .chain([0; 6])
            .collect(),
        IpAddr::V6(_) => Vec::new(),
    }
}
