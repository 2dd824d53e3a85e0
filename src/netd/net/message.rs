//! Items as the kernel's messages, and back.

use super::difference::Step;
use super::item::{Address, Foreign, Item, Kind, Leads, Route, Rule};
use super::kernel::Request;
use crate::plan::{MARK, Net, PROTOCOL, TABLE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage, RulePortRange};
use netlink_packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The main table.
pub(super) const MAIN: u32 = 254;
/// Stands in the header for a number that does not fit there.
const COMPAT: u8 = 252;
/// Every bit of a mark.
const WHOLE_MARK: u32 = u32::MAX;

/// The family's number.
pub(super) fn family(ipv6: bool) -> AddressFamily {
    if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

impl Step {
    /// What the kernel is asked for this step.
    pub(super) fn request(&self) -> Request {
        let (item, flags) = match self {
            Self::Add(item) => (item, NLM_F_CREATE | NLM_F_EXCL),
            Self::Replace(item) => (item, NLM_F_CREATE | NLM_F_REPLACE),
            Self::Remove(item) => (item, 0),
        };
        let message = match (item, self.removes()) {
            (Item::Address(address), false) => RouteNetlinkMessage::NewAddress(address_message(address)),
            (Item::Address(address), true) => RouteNetlinkMessage::DelAddress(address_message(address)),
            (Item::Route(route), false) => RouteNetlinkMessage::NewRoute(route_message(route)),
            (Item::Route(route), true) => RouteNetlinkMessage::DelRoute(route_message(route)),
            (Item::Rule(rule), false) => RouteNetlinkMessage::NewRule(rule_message(rule)),
            (Item::Rule(rule), true) => RouteNetlinkMessage::DelRule(rule_message(rule)),
        };
        Request { doing: self.to_string(), message, flags }
    }
}

fn address_message(address: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.ip.is_ipv6());
    message.header.prefix_len = address.prefix;
    message.header.scope = AddressScope::Universe;
    message.header.index = address.device;
    message.attributes = vec![
        AddressAttribute::Address(address.ip),
        AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)),
    ];
    if address.ip.is_ipv4() {
        message.attributes.push(AddressAttribute::Local(address.ip));
    } else {
        // Nobody else is on this link; the kernel's route for the address would go to the main table.
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Noprefixroute));
    }
    message
}

/// An address of this device.
pub(super) fn read_address(message: &AddressMessage) -> Option<(Address, bool)> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let ip = local.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })?;
    let marked = AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL));
    let address = Address { device: message.header.index, ip, prefix: message.header.prefix_len };
    Some((address, message.attributes.contains(&marked)))
}

fn route_message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.to.address.is_ipv6());
    message.header.destination_prefix_length = route.to.prefix;
    message.header.table = COMPAT;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    (message.header.kind, message.header.scope) = match route.kind {
        Kind::Device(_) => (RouteType::Unicast, RouteScope::Link),
        Kind::Throw => (RouteType::Throw, RouteScope::Universe),
        Kind::Unreachable => (RouteType::Unreachable, RouteScope::Universe),
        // Only taken away: whatever it is.
        Kind::Other => (RouteType::Unspec, RouteScope::NoWhere),
    };
    message.attributes =
        vec![RouteAttribute::Table(TABLE), RouteAttribute::Destination(route.to.address.into())];
    if route.metric != 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    if let Kind::Device(index) = route.kind {
        message.attributes.push(RouteAttribute::Oif(index));
    }
    message
}

/// A route as the kernel lists it.
pub(super) struct Listed {
    pub(super) table: u32,
    pub(super) protocol: u8,
    pub(super) link_scope: bool,
    pub(super) route: Route,
}

impl Listed {
    /// As another program's.
    pub(super) fn foreign(&self) -> Foreign {
        Foreign { to: self.route.to, metric: self.route.metric, protocol: self.protocol }
    }
}

/// Reads a route; `None` for what is no route of IP, or only a copy that the kernel keeps for itself.
pub(super) fn read_route(message: &RouteMessage) -> Option<Listed> {
    let header = &message.header;
    let mut to: IpAddr = match header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    if header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let (mut table, mut metric, mut device, mut direct) = (u32::from(header.table), 0, None, true);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => to = (*ip).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => to = (*ip).into(),
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Gateway(_)
            | RouteAttribute::Via(_)
            | RouteAttribute::MultiPath(_)
            | RouteAttribute::Encap(_)
            | RouteAttribute::NhId(_) => direct = false,
            _ => {}
        }
    }
    let kind = match (header.kind, device) {
        (RouteType::Unicast, Some(index)) if direct => Kind::Device(index),
        (RouteType::Throw, _) => Kind::Throw,
        (RouteType::Unreachable, _) => Kind::Unreachable,
        _ => Kind::Other,
    };
    let to = Net::new(to, header.destination_prefix_length)?;
    Some(Listed {
        table,
        protocol: header.protocol.into(),
        link_scope: header.scope == RouteScope::Link,
        route: Route { to, metric, kind },
    })
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.ipv6);
    message.header.action = RuleAction::ToTable;
    message.attributes =
        vec![RuleAttribute::Priority(rule.priority), RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL))];
    let table = match rule.leads {
        Leads::IntoTunnel => {
            message.header.flags = RuleFlags::Invert;
            message.attributes.extend([RuleAttribute::FwMark(MARK), RuleAttribute::FwMask(WHOLE_MARK)]);
            TABLE
        }
        Leads::FromTunnel(ip) => {
            message.header.src_len = Net::host(ip).prefix;
            message.attributes.push(RuleAttribute::Source(ip));
            TABLE
        }
        Leads::PastTunnel(to) => {
            message.header.dst_len = Net::host(to.ip()).prefix;
            message.attributes.extend([
                RuleAttribute::Destination(to.ip()),
                RuleAttribute::IpProtocol(IpProtocol::Udp),
                RuleAttribute::DestinationPortRange(RulePortRange { start: to.port(), end: to.port() }),
            ]);
            MAIN
        }
        Leads::Elsewhere(table) => table,
    };
    message.header.table = u8::try_from(table).unwrap_or(COMPAT);
    message.attributes.push(RuleAttribute::Table(table));
    message
}

/// Reads a rule; `None` where it is not ours.
pub(super) fn read_rule(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    let ipv6 = match header.family {
        AddressFamily::Inet => false,
        AddressFamily::Inet6 => true,
        _ => return None,
    };
    let (mut table, mut priority, mut ours) = (u32::from(header.table), 0, false);
    let (mut mark, mut from, mut to, mut udp, mut port, mut more) = (None, None, None, false, None, false);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            RuleAttribute::FwMark(number) => mark = Some(*number),
            RuleAttribute::Source(ip) => from = Some(*ip),
            RuleAttribute::Destination(ip) => to = Some(*ip),
            RuleAttribute::IpProtocol(protocol) => udp = *protocol == IpProtocol::Udp,
            RuleAttribute::DestinationPortRange(range) if range.start == range.end => {
                port = Some(range.start)
            }
            // What the kernel writes into every rule.
            RuleAttribute::FwMask(WHOLE_MARK) | RuleAttribute::SuppressPrefixLen(u32::MAX) => {}
            RuleAttribute::Other(_) => {}
            _ => more = true,
        }
    }
    let to_us = table == TABLE || (table, priority) == (MAIN, super::item::PAST_TUNNEL);
    if !(ours && to_us) {
        return None;
    }
    let invert = header.flags.contains(RuleFlags::Invert);
    let plain = !more && header.tos == 0 && header.action == RuleAction::ToTable;
    let plain = plain && header.src_len == from.map_or(0, |ip| Net::host(ip).prefix);
    let leads = match (mark, from, to, port) {
        (Some(MARK), None, None, None) if plain && invert && table == TABLE && !udp => Leads::IntoTunnel,
        (None, Some(ip), None, None) if plain && !invert && table == TABLE && !udp => Leads::FromTunnel(ip),
        (None, None, Some(ip), Some(port))
            if plain && !invert && table == MAIN && udp && Net::host(ip).prefix == header.dst_len =>
        {
            Leads::PastTunnel(SocketAddr::new(ip, port))
        }
        _ => Leads::Elsewhere(table),
    };
    Some(Rule { ipv6, priority, leads })
}

#[cfg(test)]
mod tests;
