//! What a network plan asks of this machine.

use super::item::{Address, INTO_TUNNEL, Item, Kind, Leads, PAST_TUNNEL, Route, Rule};
use crate::plan::{Net, Network};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where IKE is spoken, beside the ports that the plan names.
const IKE_PORTS: [u16; 2] = [500, 4500];

/// The shortest prefixes of a network that is believed to be a local one, IPv4 and IPv6: who gives out addresses on a foreign
/// network must not be able to claim the Internet for it.
const WIDEST_LAN: (u8, u8) = (8, 32);

/// What is true of this machine, and matters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Machine {
    /// Index of the tunnel's device.
    pub(super) device: u32,
    /// The networks that its other interfaces are attached to.
    pub(super) on_link: Vec<Net>,
    /// How strictly it looks at where IPv4 packets come from.
    pub(super) reverse_path: ReversePath,
    /// Whether the tunnel's device can have IPv6.
    pub(super) ipv6: Ipv6,
}

/// `rp_filter` of the interface that is strictest. Ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum ReversePath {
    /// Packets may come from anywhere.
    Off,
    /// There has to be a route back.
    Loose,
    /// The route back has to be by the interface that the packet came in by.
    Strict,
}

/// Whether there is IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ipv6 {
    /// On the tunnel's device.
    On,
    /// Not on the tunnel's device, but perhaps on others: what the tunnel would take must not leave by them.
    OffHere,
    /// The kernel has none.
    Absent,
}

/// What the plan asks for, on such a machine.
pub(super) fn wanted(network: &Network, machine: &Machine) -> BTreeSet<Item> {
    let routes = routes(network, machine);
    let mut items: BTreeSet<Item> =
        routes.iter().map(|(to, kind)| Item::Route(Route::new(*to, *kind))).collect();
    let addresses = network.addresses.iter().filter(|ip| ip.is_ipv4() || machine.ipv6 == Ipv6::On);
    items.extend(
        addresses.map(|ip| {
            Item::Address(Address { device: machine.device, ip: *ip, prefix: Net::host(*ip).prefix })
        }),
    );
    for ipv6 in [false, true] {
        if routes.keys().any(|to| to.address.is_ipv6() == ipv6) {
            items.insert(Item::Rule(Rule { ipv6, priority: INTO_TUNNEL, leads: Leads::IntoTunnel }));
        }
    }
    let past = past_tunnel(network, &routes, machine.reverse_path);
    items.extend(past.into_iter().map(|gateway| {
        Item::Rule(Rule { ipv6: false, priority: PAST_TUNNEL, leads: Leads::PastTunnel(gateway) })
    }));
    items
}

/// The same while the gap is open: what is asked for anew goes past the tunnel. What has an address of the tunnel's does not:
/// connections that were made through it say nothing outside.
pub(super) fn in_gap(mut items: BTreeSet<Item>) -> BTreeSet<Item> {
    let into = |item: &Item| matches!(item, Item::Rule(Rule { leads: Leads::IntoTunnel, .. }));
    items.retain(|item| !into(item));
    let addresses = items.iter().filter_map(|item| match item {
        Item::Address(address) => Some(address.ip),
        _ => None,
    });
    let from = |ip: IpAddr| Rule { ipv6: ip.is_ipv6(), priority: INTO_TUNNEL, leads: Leads::FromTunnel(ip) };
    let rules: Vec<Item> = addresses.map(from).map(Item::Rule).collect();
    items.extend(rules);
    items
}

/// What people should know of a plan on such a machine.
pub(super) fn notes(network: &Network, machine: &Machine) -> Vec<String> {
    let mut notes = Vec::new();
    let ipv6 =
        network.addresses.iter().chain(network.include.iter().map(|net| &net.address)).any(IpAddr::is_ipv6);
    if ipv6 && machine.ipv6 != Ipv6::On {
        let why = if network.mtu < super::link::MIN_IPV6_MTU {
            "the path to the gateway is too narrow for it"
        } else {
            "it is switched off on this machine"
        };
        notes.push(format!("the tunnel has no IPv6: {why}"));
    }
    if network.local_lan {
        notes.extend(
            machine
                .on_link
                .iter()
                .filter(|net| !is_lan(net))
                .map(|net| format!("{net} is too wide to be a local network: it goes through the tunnel")),
        );
        notes.extend(network.include.iter().filter(|net| hidden(network, machine, net)).map(|net| {
            format!("{net} is in the tunnel, and part of the local network here: the local one is used")
        }));
    }
    notes
}

/// The routes of the tunnel's table.
fn routes(network: &Network, machine: &Machine) -> BTreeMap<Net, Kind> {
    let possible = |net: &Net| net.address.is_ipv4() || machine.ipv6 != Ipv6::Absent;
    let into = |net: &Net| match machine.ipv6 {
        Ipv6::OffHere if net.address.is_ipv6() => Kind::Unreachable,
        _ => Kind::Device(machine.device),
    };
    let mut taken: BTreeMap<Net, Kind> = BTreeMap::new();
    for net in network.include.iter().filter(|net| possible(net) && !hidden(network, machine, net)) {
        taken.insert(*net, into(net));
    }
    let refused = [(network.refused.ipv4, default4()), (network.refused.ipv6, default6())];
    taken.extend(
        refused
            .into_iter()
            .filter(|(refused, net)| *refused && possible(net))
            .map(|(_, net)| (net, Kind::Unreachable)),
    );
    // What leads outside is named where the tunnel would take it, and only there.
    let outside: Vec<Net> = (link_local().into_iter())
        .chain(lans(network, machine))
        .chain(network.exclude.iter().copied())
        .filter(|net| taken.keys().any(|wider| covers(wider, net)))
        .collect();
    let mut routes = taken.clone();
    routes.extend(outside.iter().map(|net| (*net, Kind::Throw)));
    // A resolver of the tunnel's is asked inside, whatever is excluded around it.
    for server in network.dns.servers.iter().copied().map(Net::host).filter(possible) {
        let taken = taken.keys().any(|net| covers(net, &server));
        if taken && outside.iter().any(|net| covers(net, &server)) {
            routes.insert(server, into(&server));
        }
    }
    routes
}

/// The gateway's addresses and ports that need a rule of their own. Our sockets carry the mark and need none, but the kernel
/// looks the way back up without it: it would find the tunnel (strict), or that there is no way (a refused family), and drop
/// what the gateway sends. A route for the address would let everything else that is sent there out, too. (The kernel looks the
/// ports up the other way round, as it should, since 5.13.)
fn past_tunnel(
    network: &Network,
    routes: &BTreeMap<Net, Kind>,
    reverse_path: ReversePath,
) -> BTreeSet<SocketAddr> {
    let way_back = |ip: IpAddr| {
        let best = routes.iter().filter(|(net, _)| net.contains(ip)).max_by_key(|(net, _)| net.prefix);
        match best {
            Some((_, Kind::Unreachable)) => reverse_path == ReversePath::Off,
            Some((_, Kind::Device(_))) => reverse_path != ReversePath::Strict,
            _ => true,
        }
    };
    let gateways = network.gateways.iter().filter(|to| to.is_ipv4() && !way_back(to.ip()));
    gateways
        .flat_map(|to| IKE_PORTS.into_iter().chain([to.port()]).map(|port| SocketAddr::new(to.ip(), port)))
        .collect()
}

/// What goes into the tunnel or nowhere (`true`), and what stays outside within that.
pub(super) fn taken(network: &Network, machine: &Machine) -> BTreeMap<Net, bool> {
    routes(network, machine).into_iter().map(|(net, kind)| (net, kind != Kind::Throw)).collect()
}

/// The local networks that stay outside.
fn lans(network: &Network, machine: &Machine) -> Vec<Net> {
    let granted = machine.on_link.iter().filter(|net| network.local_lan && is_lan(net));
    granted.copied().collect()
}

/// A network of the plan that is the local one, whole. A part of it stays in the tunnel: whoever gives out addresses on a foreign
/// network must not be able to draw the company's out of it.
fn hidden(network: &Network, machine: &Machine, net: &Net) -> bool {
    let resolver = network.dns.servers.iter().any(|server| Net::host(*server) == *net);
    !resolver && lans(network, machine).contains(net)
}

/// Only addresses that no company's server on the Internet has.
pub(super) fn is_lan(net: &Net) -> bool {
    let (private, widest) = match net.address {
        IpAddr::V4(ip) => (ip.is_private() || ip.is_link_local(), WIDEST_LAN.0),
        IpAddr::V6(ip) => (ip.is_unique_local() || ip.is_unicast_link_local(), WIDEST_LAN.1),
    };
    private && net.prefix >= widest
}

/// What is never anybody's but the link's: neighbours, routers, DHCP.
fn link_local() -> [Net; 4] {
    let v4 = |a, b, c, d, prefix| Net { address: Ipv4Addr::new(a, b, c, d).into(), prefix };
    let v6 = |first, prefix| Net { address: Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), prefix };
    [v4(224, 0, 0, 0, 24), v4(255, 255, 255, 255, 32), v6(0xfe80, 10), v6(0xff02, 16)]
}

fn default4() -> Net {
    Net { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 }
}

fn default6() -> Net {
    Net { address: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 }
}

fn covers(wider: &Net, net: &Net) -> bool {
    wider.prefix <= net.prefix && wider.contains(net.address)
}

#[cfg(test)]
mod tests;
