use super::*;
use proptest::prelude::*;

fn read(attributes: &[(u16, &[u8])]) -> (Plan, Vec<PlanNote>) {
    Plan::from_reply(attributes.iter().copied())
}

fn net(text: &str) -> Net {
    let (address, prefix) = text.split_once('/').unwrap();
    Net::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
}

fn ip6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().unwrap().octets()
}

fn ip6_and_prefix(text: &str, prefix: u8) -> Vec<u8> {
    [&ip6(text)[..], &[prefix]].concat()
}

#[test]
fn the_reply_of_the_seed() {
    let split = [192, 168, 10, 0, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0];
    let (plan, notes) = read(&[
        (1, &[192, 168, 20, 5]),
        (2, &[255, 255, 255, 0]),
        (3, &[192, 168, 10, 53]),
        (7, b"Cisco IOS Software"),
        (28674, b"example.com"),
        (28676, &split),
    ]);
    assert_eq!(notes, []);
    assert_eq!(
        plan,
        Plan {
            address4: Some(Ipv4Addr::new(192, 168, 20, 5)),
            prefix4: Some(24),
            dns: vec![Ipv4Addr::new(192, 168, 10, 53).into()],
            gateway_version: Some("Cisco IOS Software".into()),
            domains: vec!["example.com".into()],
            include: vec![net("192.168.10.0/24")],
            ..Plan::default()
        }
    );
    assert_eq!(plan.addresses(), [IpAddr::from([192, 168, 20, 5])]);
}

#[test]
fn attributes_of_one_kind_add_up() {
    let (plan, notes) = read(&[
        (3, &[10, 0, 0, 53]),
        (10, &ip6("fd00::53")),
        (3, &[10, 0, 0, 54]),
        (3, &[10, 0, 0, 53]),
        (13, &[10, 1, 2, 3, 255, 255, 0, 0]),
        (13, &[10, 0, 0, 0, 255, 128, 0, 0]),
        (15, &ip6_and_prefix("fd01::1", 64)),
        (28674, b"a.example"),
        (25, b"b.example"),
        (25, b"a.example"),
        (28675, b"x.example,y.example, .z.example.,,"),
        (28675, b"w.example"),
        (28672, b"Welcome\r\n\0"),
        (28672, b"Be good\0"),
        (28681, b"vpn1.example.com,192.0.2.1,2001:db8::1"),
    ]);
    assert_eq!(notes, []);
    let dns: Vec<String> = plan.dns.iter().map(ToString::to_string).collect();
    assert_eq!(dns, ["10.0.0.53", "fd00::53", "10.0.0.54"]);
    assert_eq!(plan.include, [net("10.0.0.0/9"), net("10.1.0.0/16"), net("fd01::/64")]);
    assert_eq!(plan.domains, ["a.example", "b.example"]);
    assert_eq!(plan.split_dns, ["x.example", "y.example", "z.example", "w.example"]);
    assert_eq!(plan.banner.as_deref(), Some("Welcome\n\nBe good"));
    assert_eq!(plan.backup_servers, ["vpn1.example.com", "192.0.2.1", "2001:db8::1"]);
}

#[test]
fn the_private_attributes() {
    let local_lan = [0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0];
    let (plan, notes) = read(&[
        (4, &[10, 0, 0, 137]),
        (8, &ip6_and_prefix("fd20::5", 64)),
        (28673, &[0, 1]),
        (28677, &[0x11, 0x94]),
        (28678, &local_lan),
        (28679, &[1]),
        (28682, b"laptop.example.com"),
    ]);
    assert_eq!(notes, []);
    assert_eq!(plan.nbns, [Ipv4Addr::new(10, 0, 0, 137)]);
    assert_eq!(plan.address6, Some(("fd20::5".parse().unwrap(), 64)));
    assert!(plan.save_password && plan.pfs);
    assert_eq!(plan.nat_port, Some(4500));
    assert_eq!(plan.exclude, [net("0.0.0.0/32")]);
    assert_eq!(plan.ddns_host.as_deref(), Some("laptop.example.com"));
}

#[test]
fn what_is_malformed_is_left_out_and_noted() {
    let bad_mask = [
        &[10, 0, 0, 0, 255, 0, 255, 0, 0, 0, 0, 0, 0, 0],
        &[10, 9, 8, 7, 255, 255, 255, 0, 1, 2, 3, 4, 5, 6][..],
    ];
    let cases: &[(u16, &[u8], PlanNote)] = &[
        (1, &[10, 0, 0], PlanNote::Length { kind: 1, length: 3 }),
        (1, &[], PlanNote::Length { kind: 1, length: 0 }),
        (1, &[0, 0, 0, 0], PlanNote::Address { kind: 1, address: IpAddr::from([0, 0, 0, 0]) }),
        (1, &[255; 4], PlanNote::Address { kind: 1, address: IpAddr::from([255; 4]) }),
        (2, &[255, 0, 255, 0], PlanNote::Mask { kind: 2, mask: Ipv4Addr::new(255, 0, 255, 0) }),
        (3, &[127, 0, 0, 53], PlanNote::Address { kind: 3, address: IpAddr::from([127, 0, 0, 53]) }),
        (8, &[1; 16], PlanNote::Length { kind: 8, length: 16 }),
        (8, &[129; 17], PlanNote::Prefix { kind: 8, prefix: 129 }),
        (10, &[0; 15], PlanNote::Length { kind: 10, length: 15 }),
        (13, &[0; 7], PlanNote::Length { kind: 13, length: 7 }),
        (15, &[0; 18], PlanNote::Length { kind: 15, length: 18 }),
        (15, &[200; 17], PlanNote::Prefix { kind: 15, prefix: 200 }),
        (7, &[0xff, 0xfe], PlanNote::Text { kind: 7 }),
        (7, &[0, 0], PlanNote::Length { kind: 7, length: 2 }),
        (28672, &[7, 27], PlanNote::Control { kind: 28672 }),
        (28672, &vec![b'a'; MAX_TEXT + 1], PlanNote::TooMany { kind: 28672, limit: MAX_TEXT }),
        (28674, b"a;b", PlanNote::Name { kind: 28674 }),
        (28674, b"-a", PlanNote::Name { kind: 28674 }),
        (25, b"a..b", PlanNote::Name { kind: 25 }),
        (25, &[b'a'; 64], PlanNote::Name { kind: 25 }),
        (28676, &[0; 13], PlanNote::Length { kind: 28676, length: 13 }),
        (28676, &[0; 15], PlanNote::Length { kind: 28676, length: 15 }),
        (28676, &[], PlanNote::Length { kind: 28676, length: 0 }),
        (28677, &[0, 0], PlanNote::Value { kind: 28677, value: 0 }),
        (28677, &[0, 1, 0, 0], PlanNote::Value { kind: 28677, value: 65_536 }),
        (28679, &[0; 3], PlanNote::Length { kind: 28679, length: 3 }),
        (28700, b"secret", PlanNote::Unknown { kind: 28700, length: 6 }),
    ];
    for (kind, value, note) in cases {
        let (plan, notes) = read(&[(*kind, *value)]);
        assert_eq!(notes, std::slice::from_ref(note));
        assert_eq!(plan, Plan::default(), "{note}");
    }
    // One bad entry does not take the others along.
    let (plan, notes) = read(&[(28676, &bad_mask.concat())]);
    assert_eq!(plan.include, [net("10.9.8.0/24")]);
    assert_eq!(notes, [PlanNote::Mask { kind: 28676, mask: Ipv4Addr::new(255, 0, 255, 0) }]);
}

#[test]
fn the_first_address_counts() {
    let (plan, notes) = read(&[(1, &[10, 0, 0, 1]), (1, &[10, 0, 0, 2])]);
    assert_eq!(plan.address4, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(notes, [PlanNote::Again { kind: 1 }]);
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    let (plan, notes) = read(&[(28672, "\u{1b}[2Jhi\u{9b}31m\tyou\nthere".as_bytes())]);
    assert_eq!(plan.banner.as_deref(), Some("[2Jhi31m\tyou\nthere"));
    assert_eq!(notes, [PlanNote::Control { kind: 28672 }]);
}

#[test]
fn hostile_amounts_are_bounded() {
    let nets: Vec<u8> = (0..4000u32)
        .flat_map(|n| [&(0x0a00_0000 + n).to_be_bytes()[..], &[255; 4], &[0; 6]].concat())
        .collect();
    let dns: Vec<[u8; 4]> = (0..500u32).map(|n| (0x0a00_0001 + n).to_be_bytes()).collect();
    let names = (0..9000).map(|n| format!("n{n}")).collect::<Vec<_>>().join(",");
    let names = &names.as_bytes()[..MAX_TEXT];
    let mut attributes: Vec<(u16, &[u8])> = vec![(28676, &nets), (28678, &nets), (28675, names)];
    attributes.extend(dns.iter().map(|address| (3, &address[..])));
    attributes.extend([(28672, &[b'x'; 10_000][..]); 3]);
    let (plan, notes) = read(&attributes);
    assert_eq!((plan.include.len(), plan.exclude.len()), (MAX_NETS, MAX_NETS));
    assert_eq!((plan.dns.len(), plan.split_dns.len()), (MAX_DNS, MAX_NAMES));
    assert_eq!(plan.banner.map(|b| b.len()), Some(10_000));
    assert_eq!(notes.len(), MAX_NOTES);
    assert!(matches!(notes.last(), Some(PlanNote::More { count }) if *count > 1000));
}

#[test]
fn differences_are_named() {
    let (old, _) = read(&[(1, &[10, 0, 0, 1]), (3, &[10, 0, 0, 53])]);
    let (new, _) = read(&[(1, &[10, 0, 0, 2]), (3, &[10, 0, 0, 53]), (28672, b"hi")]);
    assert_eq!(new.differs(&old), ["IPv4 address", "banner"]);
    assert_eq!(old.differs(&new), ["IPv4 address", "banner"]);
    assert_eq!(new.differs(&new), <[&str; 0]>::default());
}

#[test]
fn networks() {
    assert_eq!(net("10.1.2.3/8").to_string(), "10.0.0.0/8");
    assert_eq!(net("fd00::1:2/112").to_string(), "fd00::1:0/112");
    assert_eq!(net("0.0.0.0/0").range(), ("0.0.0.0".parse().unwrap(), "255.255.255.255".parse().unwrap()));
    assert_eq!(net("fd00::/64").range().1, "fd00::ffff:ffff:ffff:ffff".parse::<IpAddr>().unwrap());
    assert_eq!(net("10.0.0.7/32").range().1, "10.0.0.7".parse::<IpAddr>().unwrap());
    assert!(net("10.0.0.0/8").contains("10.255.0.1".parse().unwrap()));
    assert!(!net("10.0.0.0/8").contains("11.0.0.0".parse().unwrap()));
    assert!(!net("0.0.0.0/0").contains("::1".parse().unwrap()));
    assert!(net("::/0").contains("::1".parse().unwrap()));
    assert_eq!(Net::host("10.0.0.7".parse().unwrap()), net("10.0.0.7/32"));
    assert_eq!(Net::new("10.0.0.0".parse().unwrap(), 33), None);
    assert_eq!(Net::new("::".parse().unwrap(), 129), None);
    let mask = |a: [u8; 4]| Net::with_mask(Ipv4Addr::new(10, 1, 2, 3), a.into());
    assert_eq!(mask([0; 4]), Some(net("0.0.0.0/0")));
    assert_eq!(mask([255; 4]), Some(net("10.1.2.3/32")));
    assert_eq!(mask([255, 255, 255, 253]), None);
    assert_eq!(mask([0, 255, 255, 255]), None);
}

/// Octets that look like attributes: known numbers, and lengths near the right ones.
fn any_attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let kind = prop_oneof![
        8 => prop::sample::select(vec![1u16, 2, 3, 4, 7, 8, 10, 13, 15, 25]),
        8 => 28672u16..28684,
        1 => any::<u16>(),
    ];
    let length = prop::sample::select(vec![0usize, 1, 2, 4, 8, 14, 16, 17, 28, 42]);
    (kind, length, any::<[u8; 48]>()).prop_map(|(kind, length, octets)| (kind, octets[..length].to_vec()))
}

fn any_net4() -> impl Strategy<Value = Net> {
    (any::<u32>(), 0u8..=32).prop_map(|(a, p)| Net::new(Ipv4Addr::from(a).into(), p).unwrap())
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let name = || "[a-z0-9_][a-z0-9-]{0,9}(\\.[a-z0-9]{1,5}){0,3}";
    let names = move || proptest::collection::btree_set(name(), 0..4).prop_map(|s| s.into_iter().collect());
    let text = || proptest::option::of("[ -~äöü\n\t]{1,40}");
    let host4 = || {
        (1u32..0x7f00_0000)
            .prop_map(|n| Ipv4Addr::from(n + 0x0100_0000))
            .prop_filter("", |a| !a.is_loopback())
    };
    let host6 = || any::<u64>().prop_map(|n| Ipv6Addr::from((0xfd << 120) | u128::from(n)));
    let net6 = (any::<u128>(), 0u8..=128).prop_map(|(a, p)| Net::new(Ipv6Addr::from(a).into(), p).unwrap());
    let dns = prop_oneof![host4().prop_map(IpAddr::V4), host6().prop_map(IpAddr::V6)];
    let addresses = (
        proptest::option::of(host4()),
        proptest::option::of(0u8..=32),
        proptest::option::of((host6(), 0u8..=128)),
        proptest::collection::btree_set(dns, 0..4),
        proptest::collection::btree_set(host4(), 0..3),
    );
    let nets = (
        proptest::collection::btree_set(prop_oneof![any_net4(), net6], 0..8),
        proptest::collection::btree_set(any_net4(), 0..8),
    );
    let texts = (names(), names(), names(), text(), text(), proptest::option::of(name()));
    let numbers = (any::<bool>(), any::<bool>(), proptest::option::of(1u16..));
    (addresses, nets, texts, numbers).prop_map(|(a, n, t, (save_password, pfs, nat_port))| Plan {
        address4: a.0,
        prefix4: a.1,
        address6: a.2,
        dns: a.3.into_iter().rev().collect(),
        nbns: a.4.into_iter().rev().collect(),
        domains: t.0,
        split_dns: t.1,
        include: n.0.into_iter().collect(),
        exclude: n.1.into_iter().collect(),
        banner: t.3,
        backup_servers: t.2,
        gateway_version: t.4,
        save_password,
        nat_port,
        pfs,
        ddns_host: t.5,
    })
}

fn read_back(plan: &Plan) -> (Plan, Vec<PlanNote>) {
    let attributes = plan.to_attributes();
    Plan::from_reply(attributes.iter().map(|(kind, value)| (*kind, &value[..])))
}

proptest! {
    #[test]
    fn a_plan_survives_the_wire(plan in any_plan()) {
        let (read, notes) = read_back(&plan);
        prop_assert_eq!(notes, vec![]);
        prop_assert_eq!(read.differs(&plan), Vec::<&str>::new());
        prop_assert_eq!(read, plan);
    }

    /// Whatever was read can be sent on and is read the same; nothing exceeds the limits.
    #[test]
    fn any_attributes_are_survived(attributes in proptest::collection::vec(any_attribute(), 0..40)) {
        let (mut plan, notes) = Plan::from_reply(attributes.iter().map(|(kind, value)| (*kind, &value[..])));
        prop_assert!(notes.len() <= MAX_NOTES && plan.dns.len() <= MAX_DNS && plan.include.len() <= MAX_NETS);
        let (read, _) = read_back(&plan);
        plan.exclude.retain(|net| net.address.is_ipv4());
        prop_assert_eq!(read, plan);
    }

    #[test]
    fn a_network_holds_its_ends(net in any_net4(), address: u32) {
        let (first, last) = net.range();
        let address = IpAddr::from(Ipv4Addr::from(address));
        prop_assert!(net.contains(first) && net.contains(last));
        prop_assert_eq!(net.contains(address), (first..=last).contains(&address));
    }
}

proptest! {
    #[test]
    fn networks_cover_a_range_exactly(first: u32, length in 0..5000_u32) {
        let (first, last) = (first.min(u32::MAX - 5000), first.min(u32::MAX - 5000) + length);
        let nets = Net::cover(Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into());
        let mut next = u64::from(first);
        for net in &nets {
            let (IpAddr::V4(a), IpAddr::V4(b)) = net.range() else { panic!("{net}") };
            prop_assert_eq!(u64::from(u32::from(a)), next);
            next = u64::from(u32::from(b)) + 1;
        }
        prop_assert_eq!(next, u64::from(last) + 1);
        prop_assert!(nets.len() <= 64);
    }
}

#[test]
fn whole_families_are_one_network() {
    let all4 = Net::cover(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into());
    assert_eq!(all4, [Net { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 }]);
    let all6 = Net::cover(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from(u128::MAX).into());
    assert_eq!(all6, [Net { address: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 }]);
    assert!(Net::cover(Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()).is_empty());
    assert!(Net::cover(Ipv4Addr::BROADCAST.into(), Ipv4Addr::UNSPECIFIED.into()).is_empty());
}

#[test]
fn what_is_the_machines_own_stays_here_and_the_rest_holds() {
    let gateway: IpAddr = "198.51.100.1".parse().unwrap();
    let own = [
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "::1/128",
        "fe80::/10",
        "ff02::/16",
        "198.51.100.1/32",
    ];
    let include = own.iter().chain(&["10.0.0.0/8", "198.51.100.0/24"]).map(|text| net(text)).collect();
    let dns = ["169.254.1.1", "10.1.1.1", "198.51.100.1"].map(|text| text.parse().unwrap()).to_vec();
    let address4 = Some(Ipv4Addr::new(10, 9, 8, 7));
    let mut plan = Plan { include, dns, address4, ..Plan::default() };
    let notes = plan.leave_here(gateway);
    assert_eq!(plan.include, [net("10.0.0.0/8"), net("198.51.100.0/24")]);
    assert_eq!(plan.dns, ["10.1.1.1".parse::<IpAddr>().unwrap()]);
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    for text in
        own.map(|net| format!("{net} in the tunnel")).iter().chain(&["169.254.1.1/32 as a DNS".to_owned()])
    {
        assert!(notes.iter().any(|note| note.contains(text)), "{text}: {notes:?}");
    }
    assert_eq!(notes.len(), 9);
    assert!(plan.leave_here(gateway).is_empty());

    // Of nothing but that no full tunnel is made; a full tunnel stays one.
    plan.include = vec![net("127.0.0.0/8")];
    assert_eq!(plan.leave_here(gateway).len(), 1);
    assert_eq!(plan.include, [net("10.9.8.7/32")]);
    plan.include.clear();
    assert!(plan.leave_here(gateway).is_empty() && plan.include.is_empty());
}
