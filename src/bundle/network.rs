//! The addresses, routes and rules of this machine, of both families, as the kernel lists them. No privilege is needed; a
//! sandbox may forbid it, and then the bundle says so.

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia};
use netlink_packet_route::rule::{RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;

/// Entries of one list, at most; more are counted.
const MAX_LIST: usize = 4096;
/// Room for one answer of the kernel, octets: it never makes longer ones.
const ANSWER: usize = 64 << 10;

/// Four lists, of which each may be a sentence that says why it is missing.
pub(super) fn facts() -> Value {
    let links = dump(&[RouteNetlinkMessage::GetLink(LinkMessage::default())]);
    let names: BTreeMap<u32, String> = links.iter().flatten().filter_map(link_name).collect();
    let device = |index: u32| names.get(&index).cloned().unwrap_or_else(|| format!("#{index}"));
    let both = |question: fn(AddressFamily) -> RouteNetlinkMessage| {
        dump(&[question(AddressFamily::Inet), question(AddressFamily::Inet6)])
    };
    let addresses = both(|family| {
        let mut message = AddressMessage::default();
        message.header.family = family;
        RouteNetlinkMessage::GetAddress(message)
    });
    let routes = both(|family| {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        RouteNetlinkMessage::GetRoute(message)
    });
    let rules = both(|family| {
        let mut message = RuleMessage::default();
        message.header.family = family;
        RouteNetlinkMessage::GetRule(message)
    });
    json!({
        "links": list(links, |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(told_link(link)),
            _ => None,
        }),
        "addresses": list(addresses, |message| match message {
            RouteNetlinkMessage::NewAddress(address) => Some(told_address(address, &device)),
            _ => None,
        }),
        "routes": list(routes, |message| match message {
            RouteNetlinkMessage::NewRoute(route) => Some(told_route(route, &device)),
            _ => None,
        }),
        "rules": list(rules, |message| match message {
            RouteNetlinkMessage::NewRule(rule) => Some(told_rule(rule)),
            _ => None,
        }),
    })
}

fn list(
    messages: io::Result<Vec<RouteNetlinkMessage>>,
    told: impl Fn(&RouteNetlinkMessage) -> Option<Value>,
) -> Value {
    match messages {
        Ok(messages) => {
            let mut told: Vec<Value> = messages.iter().filter_map(told).collect();
            let more = told.len().saturating_sub(MAX_LIST);
            if more > 0 {
                told.truncate(MAX_LIST);
                told.push(json!({ "left_out": more }));
            }
            Value::from(told)
        }
        Err(error) => json!(format!("the kernel does not tell: {error}")),
    }
}

/// All that the kernel answers to each question.
fn dump(questions: &[RouteNetlinkMessage]) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut answers = Vec::new();
    for question in questions {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question.clone()));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        let family = rustix::net::AddressFamily::NETLINK;
        let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        sendto(&socket, &octets, SendFlags::DONTWAIT, &SocketAddrNetlink::new(0, 0))?;
        let mut answer = vec![0; ANSWER];
        // It answers while it is asked, so nothing waits.
        while {
            let (length, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::DONTWAIT)?;
            read(answer.get(..length).unwrap_or_default(), &mut answers)?
        } {}
    }
    Ok(answers)
}

/// Takes the messages of one datagram; whether more datagrams come.
fn read(mut octets: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    while let Some(length) = octets.first_chunk::<4>().map(|length| u32::from_ne_bytes(*length)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(one) = octets.get(..length).filter(|one| one.len() >= 16) else { break };
        // A message of a kind that is not known here does not hide the others.
        if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(one) {
            match message.payload {
                NetlinkPayload::InnerMessage(message) => answers.push(message),
                NetlinkPayload::Done(_) => return Ok(false),
                NetlinkPayload::Error(error) if error.raw_code() != 0 => return Err(error.to_io()),
                NetlinkPayload::Error(_) => return Ok(false),
                _ => {}
            }
        } else if is_end(one) {
            return Ok(false);
        }
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// `NLMSG_DONE`, in whatever form.
fn is_end(message: &[u8]) -> bool {
    message.get(4..6) == Some(&3_u16.to_ne_bytes())
}

fn link_name(message: &RouteNetlinkMessage) -> Option<(u32, String)> {
    let RouteNetlinkMessage::NewLink(link) = message else { return None };
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    Some((link.header.index, name?))
}

/// An object without the members that have no value.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let some = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(some.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn word(value: impl std::fmt::Debug) -> Value {
    Value::from(format!("{value:?}").to_lowercase())
}

fn told_link(link: &LinkMessage) -> Value {
    let mut told = object([("index", link.header.index.into()), ("flags", word(link.header.flags))]);
    let mut tell = |name: &str, value: Value| told[name] = value;
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => tell("name", name.clone().into()),
            LinkAttribute::Mtu(mtu) => tell("mtu", (*mtu).into()),
            LinkAttribute::OperState(state) => tell("state", word(state)),
            LinkAttribute::Address(octets) if octets.len() == 6 => tell("mac", mac(octets).into()),
            LinkAttribute::PermAddress(octets) if octets.len() == 6 => {
                tell("permanent_mac", mac(octets).into());
            }
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        tell("kind", word(kind));
                    }
                }
            }
            _ => {}
        }
    }
    told
}

fn mac(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}

fn told_address(address: &AddressMessage, device: &impl Fn(u32) -> String) -> Value {
    let header = &address.header;
    let (mut ip, mut local, mut flags) = (None, None, Value::Null);
    for attribute in &address.attributes {
        match attribute {
            AddressAttribute::Address(address) => ip = Some(*address),
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Flags(bits) => flags = word(bits),
            _ => {}
        }
    }
    let own = local.or(ip).map(|own| format!("{own}/{}", header.prefix_len));
    object([
        ("device", device(header.index).into()),
        ("address", own.into()),
        ("peer", ip.filter(|ip| local.is_some_and(|local| local != *ip)).map(|ip| ip.to_string()).into()),
        ("scope", word(header.scope)),
        ("flags", flags),
    ])
}

fn ip(address: &RouteAddress) -> Value {
    match address {
        RouteAddress::Inet(ip) => ip.to_string().into(),
        RouteAddress::Inet6(ip) => ip.to_string().into(),
        _ => Value::from("another family"),
    }
}

fn via(via: &RouteVia) -> Value {
    match via {
        RouteVia::Inet(ip) => ip.to_string().into(),
        RouteVia::Inet6(ip) => ip.to_string().into(),
        _ => Value::from("another family"),
    }
}

fn told_route(route: &RouteMessage, device: &impl Fn(u32) -> String) -> Value {
    let header = &route.header;
    let mut told = object([
        ("to", "default".into()),
        ("family", word(header.address_family)),
        ("table", header.table.into()),
        ("type", word(header.kind)),
        ("scope", word(header.scope)),
        ("protocol", u8::from(header.protocol).into()),
    ]);
    let mut tell = |name: &str, value: Value| told[name] = value;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(to) => {
                let to = ip(to);
                let to = to.as_str().unwrap_or_default();
                tell("to", format!("{to}/{}", header.destination_prefix_length).into());
            }
            RouteAttribute::Source(from) => {
                let from = ip(from);
                let from = from.as_str().unwrap_or_default();
                tell("from", format!("{from}/{}", header.source_prefix_length).into());
            }
            RouteAttribute::Gateway(gateway) => tell("via", ip(gateway)),
            RouteAttribute::Via(gateway) => tell("via", via(gateway)),
            RouteAttribute::PrefSource(source) => tell("source", ip(source)),
            RouteAttribute::Oif(index) => tell("device", device(*index).into()),
            RouteAttribute::Table(table) => tell("table", (*table).into()),
            RouteAttribute::Priority(metric) => tell("metric", (*metric).into()),
            RouteAttribute::Metrics(metrics) => tell("metrics", word(metrics)),
            RouteAttribute::MultiPath(hops) => {
                let hops = hops.iter().map(|hop| {
                    let gateway = hop.attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(gateway) => Some(ip(gateway)),
                        RouteAttribute::Via(gateway) => Some(via(gateway)),
                        _ => None,
                    });
                    object([
                        ("device", device(hop.interface_index).into()),
                        ("via", gateway.unwrap_or_default()),
                        ("weight", (u16::from(hop.hops) + 1).into()),
                    ])
                });
                tell("hops", hops.collect());
            }
            _ => {}
        }
    }
    told
}

fn told_rule(rule: &RuleMessage) -> Value {
    let header = &rule.header;
    let mut told = object([
        ("priority", 0.into()),
        ("family", word(header.family)),
        ("table", header.table.into()),
        ("action", word(header.action)),
    ]);
    if header.flags.contains(RuleFlags::Invert) {
        told["not"] = true.into();
    }
    let mut tell = |name: &str, value: Value| told[name] = value;
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => tell("priority", (*priority).into()),
            RuleAttribute::Table(table) => tell("table", (*table).into()),
            RuleAttribute::Source(from) => tell("from", format!("{from}/{}", header.src_len).into()),
            RuleAttribute::Destination(to) => tell("to", format!("{to}/{}", header.dst_len).into()),
            RuleAttribute::Iifname(name) => tell("in", name.clone().into()),
            RuleAttribute::Oifname(name) => tell("out", name.clone().into()),
            RuleAttribute::FwMark(mark) => tell("mark", format!("{mark:#x}").into()),
            RuleAttribute::FwMask(mask) if *mask != u32::MAX => tell("mask", format!("{mask:#x}").into()),
            RuleAttribute::Goto(priority) => tell("goto", (*priority).into()),
            RuleAttribute::SuppressPrefixLen(length) if *length != u32::MAX => {
                tell("suppress_prefix_length", (*length).into());
            }
            RuleAttribute::IpProtocol(protocol) => tell("ip_protocol", word(protocol)),
            RuleAttribute::UidRange(range) => tell("users", word(range)),
            RuleAttribute::SourcePortRange(range) => {
                tell("source_ports", json!([range.start, range.end]));
            }
            RuleAttribute::DestinationPortRange(range) => tell("ports", json!([range.start, range.end])),
            RuleAttribute::Protocol(protocol) => tell("protocol", u8::from(*protocol).into()),
            _ => {}
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_machine_has_a_loopback_and_its_rules() {
        let facts = facts();
        let has = |list: &str, name: &str, value: &str| {
            let entries = facts[list].as_array().unwrap_or_else(|| panic!("{list}: {}", facts[list]));
            entries.iter().any(|entry| entry[name] == value)
        };
        assert!(has("links", "name", "lo"), "{facts:#}");
        assert!(has("addresses", "address", "127.0.0.1/8"), "{facts:#}");
        assert!(has("routes", "device", "lo"), "{facts:#}");
        assert!(facts["rules"].as_array().unwrap().iter().any(|rule| rule["table"] == 254), "{facts:#}");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200), whole: bool) {
            let mut octets = octets;
            if whole && octets.len() >= 16 {
                let length = u32::try_from(octets.len()).unwrap();
                octets[..4].copy_from_slice(&length.to_ne_bytes());
            }
            let _ = read(&octets, &mut Vec::new());
        }
    }
}
