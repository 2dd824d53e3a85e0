use super::*;
use crate::plan::{Dns, Refused};
use proptest::prelude::*;

const DEVICE: u32 = 7;

fn net(text: &str) -> Net {
    let (address, prefix) = text.split_once('/').unwrap();
    Net::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
}

fn nets(list: &[&str]) -> Vec<Net> {
    list.iter().map(|text| net(text)).collect()
}

fn machine() -> Machine {
    Machine { device: DEVICE, on_link: Vec::new(), reverse_path: ReversePath::Off, ipv6: Ipv6::On }
}

fn full() -> Network {
    Network {
        addresses: vec!["10.7.0.2".parse().unwrap(), "fd07::2".parse().unwrap()],
        include: nets(&["0.0.0.0/0", "::/0"]),
        mtu: 1400,
        ..Network::default()
    }
}

fn split(include: &[&str]) -> Network {
    Network { include: nets(include), ..full() }
}

/// Where the kernel would send a packet that has not our mark: the longest prefix wins. `None`: outside.
fn way(items: &BTreeSet<Item>, to: &str) -> Option<Kind> {
    let to: IpAddr = to.parse().unwrap();
    let ruled = |item: &Item| matches!(item, Item::Rule(Rule { ipv6, leads: Leads::IntoTunnel, .. }) if *ipv6 == to.is_ipv6());
    let routes = items.iter().filter_map(|item| match item {
        Item::Route(route) if route.to.contains(to) => Some(route),
        _ => None,
    });
    let best = routes.max_by_key(|route| route.to.prefix).map(|route| route.kind);
    best.filter(|kind| *kind != Kind::Throw && items.iter().any(ruled))
}

const INTO: Option<Kind> = Some(Kind::Device(DEVICE));
const NOWHERE: Option<Kind> = Some(Kind::Unreachable);

#[test]
fn a_full_tunnel_takes_all_but_what_belongs_to_the_link() {
    let items = wanted(&full(), &machine());
    for to in ["1.1.1.1", "192.168.1.1", "224.0.1.1", "2001:db8::1", "fd00::1", "ff05::2"] {
        assert_eq!(way(&items, to), INTO, "{to}");
    }
    for to in ["224.0.0.251", "255.255.255.255", "fe80::1", "ff02::1:2"] {
        assert_eq!(way(&items, to), None, "{to}");
    }
    let addresses = items.iter().filter(|item| matches!(item, Item::Address(_))).count();
    assert_eq!(addresses, 2);
}

#[test]
fn in_a_gap_only_what_has_the_tunnels_addresses_goes_into_it() {
    for network in [full(), split(&["10.0.0.0/8"])] {
        let closed = wanted(&network, &machine());
        let open = in_gap(closed.clone());
        for to in ["1.1.1.1", "10.1.0.1", "2001:db8::1"] {
            assert_eq!(way(&open, to), None, "{to}");
        }
        let rules = |items: &BTreeSet<Item>| -> Vec<Leads> {
            items
                .iter()
                .filter_map(|item| match item {
                    Item::Rule(rule) => Some(rule.leads),
                    _ => None,
                })
                .collect()
        };
        let from = |ip: &str| Leads::FromTunnel(ip.parse().unwrap());
        assert_eq!(rules(&open), [from("10.7.0.2"), from("fd07::2")]);
        // Device, addresses and routes stay as they are.
        let rest = |items: BTreeSet<Item>| {
            items.into_iter().filter(|item| !matches!(item, Item::Rule(_))).collect::<Vec<_>>()
        };
        assert_eq!(rest(open), rest(closed));
    }
}

#[test]
fn a_split_tunnel_takes_its_networks_and_names_nothing_else() {
    let network = Network { exclude: nets(&["10.2.0.0/16", "172.16.0.0/12"]), ..split(&["10.0.0.0/8"]) };
    let items = wanted(&network, &machine());
    for (to, expected) in [("10.1.0.1", INTO), ("10.2.0.1", None), ("1.1.1.1", None), ("fd00::1", None)] {
        assert_eq!(way(&items, to), expected, "{to}");
    }
    let routes = items.iter().filter(|item| matches!(item, Item::Route(_))).count();
    let rules = items.iter().filter(|item| matches!(item, Item::Rule(_))).count();
    assert_eq!((routes, rules), (2, 1), "no route for what the tunnel would not take, no rule for IPv6");
}

#[test]
fn a_refused_family_goes_nowhere_and_keeps_its_link() {
    let network =
        Network { include: nets(&["0.0.0.0/0"]), refused: Refused { ipv4: false, ipv6: true }, ..full() };
    for ipv6 in [Ipv6::On, Ipv6::OffHere] {
        let items = wanted(&network, &Machine { ipv6, ..machine() });
        assert_eq!(way(&items, "2001:db8::1"), NOWHERE);
        assert_eq!(way(&items, "ff02::1:2"), None);
        assert_eq!(way(&items, "1.1.1.1"), INTO);
    }
}

#[test]
fn without_ipv6_on_the_device_what_it_would_take_goes_nowhere() {
    let off = Machine { ipv6: Ipv6::OffHere, ..machine() };
    let items = wanted(&full(), &off);
    assert_eq!((way(&items, "2001:db8::1"), way(&items, "1.1.1.1")), (NOWHERE, INTO));
    assert!(!items.iter().any(|item| matches!(item, Item::Address(address) if address.ip.is_ipv6())));
    assert_eq!(notes(&full(), &off), ["the tunnel has no IPv6: it is switched off on this machine"]);
    let absent = Machine { ipv6: Ipv6::Absent, ..machine() };
    let items = wanted(&full(), &absent);
    let ipv6 = items.iter().any(|item| match item {
        Item::Address(address) => address.ip.is_ipv6(),
        Item::Route(route) => route.to.address.is_ipv6(),
        Item::Rule(rule) => rule.ipv6,
    });
    assert!(!ipv6, "a kernel without IPv6 is asked for none");
    assert!(notes(&full(), &machine()).is_empty());
}

#[test]
fn the_local_network_stays_outside_whatever_is_included() {
    let at_home = Machine { on_link: nets(&["192.168.1.0/24", "fd11::/64"]), ..machine() };
    let granted = Network { local_lan: true, ..full() };
    let items = wanted(&granted, &at_home);
    assert_eq!((way(&items, "192.168.1.9"), way(&items, "192.168.2.9")), (None, INTO));
    assert_eq!(way(&items, "fd11::9"), None);
    assert_eq!(way(&wanted(&full(), &at_home), "192.168.1.9"), INTO, "not granted");
    // The same network at both places: here it is the local one. A part of it is the company's.
    let inner =
        Network { local_lan: true, ..split(&["192.168.0.0/16", "192.168.1.0/24", "192.168.1.128/25"]) };
    let items = wanted(&inner, &at_home);
    assert_eq!((way(&items, "192.168.1.9"), way(&items, "192.168.1.200")), (None, INTO));
    assert_eq!(notes(&inner, &at_home).len(), 1);
}

#[test]
fn a_network_cannot_claim_the_internet_for_local() {
    let hostile = Machine { on_link: nets(&["0.0.0.0/1", "2000::/3", "9.0.0.0/8"]), ..machine() };
    let granted = Network { local_lan: true, ..full() };
    let items = wanted(&granted, &hostile);
    assert_eq!((way(&items, "8.8.8.8"), way(&items, "2001:db8::1")), (INTO, INTO));
    assert_eq!(way(&items, "9.9.9.9"), INTO);
    assert_eq!(notes(&granted, &hostile).len(), 3);
}

#[test]
fn the_tunnels_resolver_is_asked_inside() {
    let servers = vec!["192.168.1.53".parse().unwrap(), "10.9.9.9".parse().unwrap()];
    let network = Network {
        local_lan: true,
        exclude: nets(&["10.9.0.0/16"]),
        dns: Dns { servers, ..Dns::default() },
        ..full()
    };
    let items = wanted(&network, &Machine { on_link: nets(&["192.168.1.0/24"]), ..machine() });
    for (to, expected) in
        [("192.168.1.53", INTO), ("192.168.1.54", None), ("10.9.9.9", INTO), ("10.9.9.8", None)]
    {
        assert_eq!(way(&items, to), expected, "{to}");
    }
}

#[test]
fn the_gateways_answers_pass_a_strict_kernel() {
    let gateways = vec![
        "203.0.113.1:500".parse().unwrap(),
        "203.0.113.1:10500".parse().unwrap(),
        "[2001:db8::1]:500".parse().unwrap(),
    ];
    let rules = |network: &Network, reverse_path| {
        let items = wanted(network, &Machine { reverse_path, ..machine() });
        let past = items.iter().filter_map(|item| match item {
            Item::Rule(Rule { leads: Leads::PastTunnel(to), priority: PAST_TUNNEL, .. }) => Some(to.port()),
            _ => None,
        });
        past.collect::<Vec<_>>()
    };
    let network = Network { gateways: gateways.clone(), ..full() };
    assert_eq!(rules(&network, ReversePath::Strict), [500, 4500, 10500]);
    assert!(rules(&network, ReversePath::Loose).is_empty(), "there is a way back");
    let elsewhere = Network { gateways: gateways.clone(), ..split(&["10.0.0.0/8"]) };
    assert!(rules(&elsewhere, ReversePath::Strict).is_empty(), "the tunnel does not take the gateway");
    let ipv6 = Network {
        include: nets(&["::/0"]),
        refused: Refused { ipv4: true, ipv6: false },
        gateways,
        ..full()
    };
    assert_eq!(rules(&ipv6, ReversePath::Loose), [500, 4500, 10500], "unreachable is no way back");
    assert!(rules(&ipv6, ReversePath::Off).is_empty());
}

fn any_net() -> impl Strategy<Value = Net> {
    let ip = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    (ip, 0..=128_u8).prop_filter_map("a prefix", |(ip, prefix)| Net::new(ip, prefix % 33))
}

proptest! {
    #[test]
    fn what_is_excluded_is_never_more_than_asked_for(
        include in proptest::collection::vec(any_net(), 0..8),
        exclude in proptest::collection::vec(any_net(), 0..8),
        on_link in proptest::collection::vec(any_net(), 0..4),
        local_lan: bool,
        to in any_net(),
    ) {
        let network = Network { include: include.clone(), exclude: exclude.clone(), local_lan, mtu: 1400, ..Network::default() };
        let items = wanted(&network, &Machine { on_link: on_link.clone(), ..machine() });
        let to = to.address;
        let best = |nets: &[Net]| nets.iter().filter(|net| net.contains(to)).map(|net| net.prefix).max();
        let inside = best(&include).is_some_and(|included| best(&exclude).is_none_or(|excluded| included > excluded));
        let of_link = link_local().iter().any(|net| net.contains(to));
        let local = local_lan && on_link.iter().any(|net| is_lan(net) && net.contains(to));
        let way = way(&items, &to.to_string());
        if !of_link && !local {
            prop_assert_eq!(way, inside.then_some(Kind::Device(DEVICE)));
        }
        if local && !of_link {
            prop_assert_eq!(way, None);
        }
    }
}
