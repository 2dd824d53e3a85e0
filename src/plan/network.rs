//! What the machine has to look like while a tunnel is up: one typed value, made of the gateway's reply and the user's settings.

use super::{Net, Plan};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The mark of packets that stay outside the tunnel ("ikee"); sockets towards the gateway carry it.
pub const MARK: u32 = 0x696b_6565;
/// The routing table of the tunnel ("ik"), and the priority of the rules that lead there.
pub const TABLE: u32 = 26_987;
/// Written into every route, rule and address that is ours (`rtm_protocol`): nobody else's is ever touched.
pub const PROTOCOL: u8 = 107;

/// Stands for the local LAN in the gateway's list of networks outside the tunnel.
const LOCAL_LAN: Net = Net { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 32 };

/// Routes, addresses and resolver settings of one tunnel. Lists are sorted where their order means nothing, and hold no
/// entry twice: equal values ask for the same machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Our addresses in the tunnel, host addresses.
    pub addresses: Vec<IpAddr>,
    /// What is routed into the tunnel. `0.0.0.0/0` and `::/0` are a full tunnel of that family.
    pub include: Vec<Net>,
    /// What stays outside although `include` covers it.
    pub exclude: Vec<Net>,
    /// The networks that an interface is directly attached to stay outside, whatever `include` says.
    pub local_lan: bool,
    /// Families that may not leave the machine at all: the tunnel takes everything, but has no address of this family.
    pub refused: Refused,
    /// Where the gateway is, outside: nothing to or from there may enter the tunnel.
    pub gateways: Vec<SocketAddr>,
    /// Resolver settings.
    pub dns: Dns,
    /// Of the device, octets.
    pub mtu: u16,
}

/// Which families are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

/// What the resolver is told.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Servers inside the tunnel, in the gateway's order. Empty: the resolver stays as it is.
    pub servers: Vec<IpAddr>,
    /// Domains that short names are completed with.
    pub search: Vec<String>,
    /// Only names under these (and under `search`) are asked of `servers`, where the resolver can; empty: every name.
    pub only: Vec<String>,
}

/// What the user and the profile want of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wishes {
    /// LocalLanAccess: granted where the gateway allows it, too.
    pub local_lan: bool,
    /// A family that the tunnel has no address of may go past a full tunnel of the other.
    pub bypass: bool,
}

impl Network {
    /// The machine as `plan` wants it. `gateways`: where the gateway is, outside. `mtu`: of the device.
    pub fn new(plan: &Plan, wishes: Wishes, gateways: &[SocketAddr], mtu: u16) -> Self {
        let addresses = plan.addresses();
        let (ipv4, ipv6) = (addresses.iter().any(IpAddr::is_ipv4), addresses.iter().any(IpAddr::is_ipv6));
        let has = |net: &Net| if net.address.is_ipv4() { ipv4 } else { ipv6 };
        let full = plan.include.is_empty();
        let mut include: Vec<Net> = if full { everything() } else { plan.include.clone() };
        // Of another address of its own it could not know at which it is asked.
        let is_gateway = |net: &Net| gateways.iter().any(|gateway| Net::host(gateway.ip()) == *net);
        include.retain(|net| has(net) && !is_gateway(net));
        let servers: Vec<IpAddr> =
            plan.dns.iter().copied().filter(|ip| !is_gateway(&Net::host(*ip))).collect();
        let (lan, mut exclude): (Vec<Net>, Vec<Net>) = plan
            .exclude
            .iter()
            .copied()
            .partition(|net| *net == LOCAL_LAN || *net == Net::host(Ipv6Addr::UNSPECIFIED.into()));
        exclude.retain(has);
        // A resolver that the gateway names lies in the tunnel, whatever the lists say of the networks around it.
        for server in servers.iter().copied().map(Net::host).filter(has) {
            if !include.iter().any(|net| net.contains(server.address)) {
                include.push(server);
            }
        }
        for list in [&mut include, &mut exclude] {
            list.sort_unstable();
            list.dedup();
        }
        let mut gateways = gateways.to_vec();
        gateways.sort_unstable();
        gateways.dedup();
        Self {
            refused: Refused { ipv4: full && !ipv4 && !wishes.bypass, ipv6: full && !ipv6 && !wishes.bypass },
            addresses,
            include,
            exclude,
            local_lan: wishes.local_lan && !lan.is_empty(),
            gateways,
            dns: Dns { servers, search: plan.domains.clone(), only: plan.split_dns.clone() },
            mtu,
        }
    }
}

fn everything() -> Vec<Net> {
    vec![
        Net { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 },
        Net { address: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        let (address, prefix) = text.split_once('/').unwrap();
        Net::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
    }

    fn plan() -> Plan {
        Plan {
            address4: Some("192.168.20.5".parse().unwrap()),
            dns: vec!["10.1.1.1".parse().unwrap()],
            ..Plan::default()
        }
    }

    #[test]
    fn a_full_tunnel_takes_its_family_and_refuses_the_other() {
        let network = Network::new(&plan(), Wishes::default(), &[], 1400);
        assert_eq!(network.include, [net("0.0.0.0/0")]);
        assert_eq!(network.refused, Refused { ipv4: false, ipv6: true });
        let bypass = Network::new(&plan(), Wishes { bypass: true, ..Wishes::default() }, &[], 1400);
        assert_eq!(bypass.refused, Refused::default());
    }

    #[test]
    fn a_split_tunnel_takes_its_networks_and_the_resolver() {
        let split = Plan { include: vec![net("192.168.10.0/24"), net("2001:db8::/32")], ..plan() };
        let network = Network::new(&split, Wishes::default(), &[], 1400);
        assert_eq!(
            network.include,
            [net("10.1.1.1/32"), net("192.168.10.0/24")],
            "no IPv6 without an address"
        );
        assert_eq!(network.refused, Refused::default());
    }

    #[test]
    fn no_address_of_the_gateway_is_inside() {
        let gateways = ["198.51.100.1:4500".parse().unwrap(), "198.51.100.7:4500".parse().unwrap()];
        let mut plan = plan();
        plan.include = ["10.0.0.0/8", "198.51.100.0/24", "198.51.100.7/32"].map(net).to_vec();
        plan.dns.push("198.51.100.7".parse().unwrap());
        let network = Network::new(&plan, Wishes::default(), &gateways, 1400);
        assert_eq!(network.include, [net("10.0.0.0/8"), net("198.51.100.0/24")]);
        assert_eq!(network.dns.servers, ["10.1.1.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn the_local_lan_needs_the_gateways_word_and_the_users() {
        let allowed = Plan { exclude: vec![LOCAL_LAN, net("172.16.0.0/12")], ..plan() };
        let wanted = Wishes { local_lan: true, ..Wishes::default() };
        for (plan, wishes, granted) in
            [(&allowed, wanted, true), (&allowed, Wishes::default(), false), (&plan(), wanted, false)]
        {
            assert_eq!(Network::new(plan, wishes, &[], 1400).local_lan, granted);
        }
        assert_eq!(Network::new(&allowed, wanted, &[], 1400).exclude, [net("172.16.0.0/12")]);
    }
}
