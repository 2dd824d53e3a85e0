use super::*;
use crate::plan::{Dns, Plan, Wishes};
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn net(text: &str) -> Net {
    let (address, prefix) = text.split_once('/').unwrap();
    Net { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

fn good() -> Network {
    Network {
        addresses: vec!["192.168.20.5".parse().unwrap(), "fd00::5".parse().unwrap()],
        include: vec![net("0.0.0.0/0"), net("::/0")],
        exclude: vec![net("172.16.0.0/12")],
        gateways: vec!["198.51.100.1:4500".parse().unwrap()],
        dns: Dns {
            servers: vec!["10.1.1.1".parse().unwrap()],
            search: vec!["example.com".to_owned()],
            only: vec!["corp.example.com".to_owned(), "bücher.example".to_owned()],
        },
        mtu: 1400,
        ..Network::default()
    }
}

/// The good plan, changed.
fn with(change: impl FnOnce(&mut Network)) -> Result<(), Wrong> {
    let mut network = good();
    change(&mut network);
    check(&network)
}

#[test]
fn a_plan_of_a_gateway_passes() {
    assert_eq!(check(&good()), Ok(()));
    for mtu in [576, 1280, 9000] {
        assert_eq!(with(|network| network.mtu = mtu), Ok(()));
    }
}

#[test]
fn what_belongs_to_the_machine_stays_out_of_the_tunnel() {
    for local in [
        "127.0.0.0/8",
        "127.0.0.53/32",
        "224.0.0.0/4",
        "239.1.0.0/16",
        "255.255.255.255/32",
        "0.0.0.0/8",
        "169.254.0.0/16",
        "::1/128",
        "::/128",
        "fe80::/10",
        "fe80::1/128",
        "ff02::/16",
    ] {
        let net = net(local);
        assert_eq!(with(|network| network.include = vec![net]), Err(Wrong::Local { net }), "{local}");
    }
    for wide in ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "8000::/1", "10.0.0.0/8"] {
        assert_eq!(with(|network| network.include = vec![net(wide)]), Ok(()), "{wide}");
    }
}

#[test]
fn the_gateway_stays_out_of_its_tunnel() {
    let gateway = "198.51.100.1".parse().unwrap();
    let refused = with(|network| network.include.push(net("198.51.100.1/32")));
    assert_eq!(refused, Err(Wrong::Gateway { gateway }));
    assert_eq!(with(|network| network.include.push(net("198.51.100.0/24"))), Ok(()));
    let gateway: IpAddr = "2001:db8::1".parse().unwrap();
    let refused = with(|network| {
        network.gateways = vec![SocketAddr::new(gateway, 500)];
        network.include = vec![Net::host(gateway)];
    });
    assert_eq!(refused, Err(Wrong::Gateway { gateway }));
}

#[test]
fn addresses_and_servers_are_hosts() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.1.1",
        "::",
        "::1",
        "ff02::1",
        "::ffff:1.2.3.4",
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert!(with(|network| network.addresses.push(address)).is_err(), "{address}");
        assert!(with(|network| network.dns.servers.push(address)).is_err(), "{address}");
    }
    assert_eq!(with(|network| network.addresses.clear()), Err(Wrong::NoAddress));
    let net = net("::/0");
    assert_eq!(with(|network| network.addresses.truncate(1)), Err(Wrong::Family { net }));
}

#[test]
fn a_network_is_one() {
    for wrong in ["10.0.0.1/8", "10.0.0.0/33", "::/129", "fd00::1/64"] {
        let net = net(wrong);
        assert_eq!(with(|network| network.include = vec![net]), Err(Wrong::Net { net }));
        assert_eq!(with(|network| network.exclude = vec![net]), Err(Wrong::Net { net }));
    }
}

#[test]
fn lists_have_limits() {
    let many: Vec<Net> = (0..100_000u32).map(|n| Net::host(Ipv4Addr::from(0x0a00_0000 + n).into())).collect();
    assert!(matches!(with(|network| network.include = many.clone()), Err(Wrong::TooMany { .. })));
    assert!(matches!(with(|network| network.exclude = many.clone()), Err(Wrong::TooMany { .. })));
    assert_eq!(with(|network| network.include = many[..MAX_NETS].to_vec()), Ok(()));
    let names = vec!["a".to_owned(); MAX_DOMAINS + 1];
    assert!(with(|network| network.dns.search = names.clone()).is_err());
    assert!(with(|network| network.dns.only = names).is_err());
    assert!(with(|network| network.dns.servers = vec!["10.1.1.1".parse().unwrap(); 17]).is_err());
    assert!(with(|network| network.gateways = vec!["192.0.2.1:1".parse().unwrap(); 65]).is_err());
    for mtu in [0, 575, 9001, u16::MAX] {
        assert_eq!(with(|network| network.mtu = mtu), Err(Wrong::Mtu { mtu }));
    }
}

proptest! {
    /// No name that passes can begin a line, an option or a word of a resolver's configuration.
    #[test]
    fn a_name_that_passes_is_one_word(name in "\\PC{0,80}|[a-z.\\- \\n#;:]{0,40}") {
        if with(|network| network.dns.search = vec![name.clone()]).is_ok() {
            prop_assert!(!name.chars().any(|c| c.is_whitespace() || c.is_control() || "#;,~/\\\"'=".contains(c)));
            prop_assert!(!name.starts_with(['-', '.']) && name.len() <= MAX_NAME && !name.is_empty());
        }
    }

    /// A network that passes is a whole one, and holds more than what stays on the machine.
    #[test]
    fn a_network_that_passes_leads_somewhere(address in any::<u32>(), prefix in 0u8..40) {
        let net = Net { address: Ipv4Addr::from(address).into(), prefix };
        if with(|network| network.include = vec![net]).is_ok() {
            let (first, last) = net.range();
            prop_assert_eq!(first, net.address);
            prop_assert!(!(first.is_loopback() && last.is_loopback()));
            prop_assert!(!(first.is_multicast() && last.is_multicast()));
        }
    }

    /// What the agent makes of any gateway's reply passes, or is refused for a reason that the gateway is to blame for.
    #[test]
    fn an_honest_agent_is_not_refused(hosts in proptest::collection::vec(1u32..0x0100_0000, 0..20), mtu in 576u16..9000) {
        let include = hosts.iter().map(|host| Net::host(Ipv4Addr::from(0x0a00_0000 + host).into())).collect();
        let plan = Plan { address4: Some(Ipv4Addr::new(192, 168, 20, 5)), include, ..Plan::default() };
        let network = Network::new(&plan, Wishes::default(), &["192.0.2.1:500".parse().unwrap()], mtu);
        prop_assert_eq!(check(&network), Ok(()));
    }
}
