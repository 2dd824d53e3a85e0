use super::super::item::{INTO_TUNNEL, PAST_TUNNEL};
use super::*;

fn asked(item: Item) -> RouteNetlinkMessage {
    Step::Add(item).request().message
}

#[test]
fn what_is_written_is_read_back() {
    for to in ["0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32"] {
        let (address, prefix) = to.split_once('/').unwrap();
        let to = Net::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap();
        for kind in [Kind::Device(3), Kind::Throw, Kind::Unreachable] {
            let route = Route::new(to, kind);
            let RouteNetlinkMessage::NewRoute(message) = asked(Item::Route(route)) else { panic!() };
            let listed = read_route(&message).unwrap();
            assert_eq!((listed.table, listed.protocol, listed.route), (TABLE, PROTOCOL, route));
        }
    }
    let rules = [
        Rule { ipv6: true, priority: INTO_TUNNEL, leads: Leads::IntoTunnel },
        Rule {
            ipv6: false,
            priority: PAST_TUNNEL,
            leads: Leads::PastTunnel("192.0.2.1:4500".parse().unwrap()),
        },
        Rule { ipv6: false, priority: INTO_TUNNEL, leads: Leads::FromTunnel("10.7.0.2".parse().unwrap()) },
        Rule { ipv6: true, priority: INTO_TUNNEL, leads: Leads::FromTunnel("fd07::2".parse().unwrap()) },
        Rule { ipv6: false, priority: 5, leads: Leads::Elsewhere(TABLE) },
    ];
    for rule in rules {
        let RouteNetlinkMessage::NewRule(message) = asked(Item::Rule(rule)) else { panic!() };
        assert_eq!(read_rule(&message), Some(rule));
    }
    for ip in ["10.0.0.1", "2001:db8::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        let address = Address { device: 3, ip, prefix: Net::host(ip).prefix };
        let RouteNetlinkMessage::NewAddress(message) = asked(Item::Address(address)) else { panic!() };
        assert_eq!(read_address(&message), Some((address, true)));
    }
}

#[test]
fn a_rule_is_ours_by_its_number_and_where_it_leads() {
    let rule = Rule { ipv6: false, priority: INTO_TUNNEL, leads: Leads::IntoTunnel };
    let RouteNetlinkMessage::NewRule(ours) = asked(Item::Rule(rule)) else { panic!() };
    let change = |old: RuleAttribute, new: RuleAttribute| {
        let mut message = ours.clone();
        message.attributes.retain(|attribute| *attribute != old);
        message.attributes.push(new);
        read_rule(&message)
    };
    let protocol = RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL));
    assert_eq!(change(protocol.clone(), RuleAttribute::Protocol(RouteProtocol::Static)), None);
    assert_eq!(change(RuleAttribute::Table(TABLE), RuleAttribute::Table(51_820)), None);
    // One of ours that somebody has given another condition is not the one that is wanted.
    let narrowed = change(protocol.clone(), RuleAttribute::Iifname("eth0".to_owned()));
    assert_eq!(narrowed, None, "without its number");
    let mut message = ours.clone();
    message.attributes.push(RuleAttribute::Iifname("eth0".to_owned()));
    assert_eq!(read_rule(&message), Some(Rule { leads: Leads::Elsewhere(TABLE), ..rule }));
}

#[test]
fn a_route_by_a_router_is_not_one_of_the_device() {
    let to = Net::host("10.0.0.1".parse().unwrap());
    let RouteNetlinkMessage::NewRoute(mut message) = asked(Item::Route(Route::new(to, Kind::Device(3))))
    else {
        panic!()
    };
    message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(Ipv4Addr::new(10, 0, 0, 254))));
    assert_eq!(read_route(&message).map(|listed| listed.route.kind), Some(Kind::Other));
}
