//! What is true of this machine, and what of ours is there.

use super::item::{Item, Kind, There};
use super::kernel::Kernel;
use super::message::{Listed, MAIN, family, read_address, read_route, read_rule};
use super::wanted::{Ipv6, Machine, ReversePath};
use super::{Device, NetError, link};
use crate::plan::{Net, Network, PROTOCOL, TABLE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use netlink_packet_route::rule::RuleMessage;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// The loopback's index, in every namespace.
const LOOPBACK: u32 = 1;

const IPV4: &str = "/proc/sys/net/ipv4/conf";
const IPV6: &str = "/proc/sys/net/ipv6/conf";

/// Whether the kernel has IPv6 at all. Where that cannot be told it has: what the tunnel should take must not leave beside it.
pub(super) fn has_ipv6() -> bool {
    let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    !matches!(socket, Err(Errno::AFNOSUPPORT))
}

/// What matters of the machine for this plan.
///
/// # Errors
/// The kernel does not tell.
pub(super) async fn look(kernel: &Kernel, device: &Device, network: &Network) -> Result<Machine, NetError> {
    let ipv6 = if !has_ipv6() {
        Ipv6::Absent
    } else if network.mtu >= link::MIN_IPV6_MTU && !is_off(&device.name) {
        Ipv6::On
    } else {
        Ipv6::OffHere
    };
    Ok(Machine {
        device: device.index,
        on_link: if network.local_lan {
            on_link(kernel, Some(device), ipv6 != Ipv6::Absent).await?
        } else {
            Vec::new()
        },
        reverse_path: if network.gateways.is_empty() { ReversePath::Off } else { reverse_path(&device.name) },
        ipv6,
    })
}

/// Whether the device may not have IPv6. One that has no folder here, or none that can be read, has none either.
fn is_off(device: &str) -> bool {
    let file = Path::new(IPV6).join(device).join("disable_ipv6");
    fs::read_to_string(file).map_or(true, |text| text.trim() != "0")
}

/// The strictest `rp_filter` of the other interfaces. The kernel takes the greater of an interface's and everybody's; 1 is
/// strict, 2 loose. What cannot be read may be strict.
fn reverse_path(device: &str) -> ReversePath {
    let read = |name: &str| -> u8 {
        let text = fs::read_to_string(Path::new(IPV4).join(name).join("rp_filter"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    };
    let all = read("all");
    let Ok(folders) = fs::read_dir(IPV4) else { return ReversePath::Strict };
    let names = folders.flatten().filter_map(|folder| folder.file_name().into_string().ok());
    names
        .filter(|name| !["all", "default", "lo", device].contains(&name.as_str()))
        .map(|name| match all.max(read(&name)) {
            0 => ReversePath::Off,
            1 => ReversePath::Strict,
            _ => ReversePath::Loose,
        })
        .max()
        .unwrap_or(ReversePath::Off)
}

/// The networks that interfaces are attached to, but for the loopback and the tunnel itself.
pub(super) async fn on_link(
    kernel: &Kernel,
    device: Option<&Device>,
    ipv6: bool,
) -> Result<Vec<Net>, NetError> {
    // Whoever reads router advertisements in the kernel's place writes IPv6 networks with the number of that.
    let sources = [(false, RouteProtocol::Kernel), (true, RouteProtocol::Kernel), (true, RouteProtocol::Ra)];
    let mut found = Vec::new();
    for (v6, protocol) in sources.into_iter().filter(|(v6, _)| !v6 || ipv6) {
        for listed in routes(kernel, v6, MAIN, Some(protocol)).await? {
            let Kind::Device(index) = listed.route.kind else { continue };
            let to = listed.route.to;
            let other = device.is_none_or(|device| index != device.index) && index != LOOPBACK;
            let local = match to.address {
                IpAddr::V4(_) => listed.link_scope,
                IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_multicast(),
            };
            if other && local && to.prefix > 0 && listed.protocol == u8::from(protocol) {
                found.push(to);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// What there is of ours: rules, routes, and the addresses of `device`, whoever made them; without a device, the addresses
/// that carry our number.
///
/// # Errors
/// The kernel does not tell.
pub(super) async fn there(kernel: &Kernel, device: Option<&Device>) -> Result<There, NetError> {
    let mut there = There::default();
    for ipv6 in [false, true] {
        if ipv6 && !has_ipv6() {
            break;
        }
        let mut question = RuleMessage::default();
        question.header.family = family(ipv6);
        for message in kernel.list("rules", &RouteNetlinkMessage::GetRule(question)).await? {
            let RouteNetlinkMessage::NewRule(rule) = message else { continue };
            there.items.extend(read_rule(&rule).filter(|rule| rule.ipv6 == ipv6).map(Item::Rule));
        }
        for listed in routes(kernel, ipv6, TABLE, None).await? {
            if listed.protocol == PROTOCOL {
                there.items.insert(Item::Route(listed.route));
            } else {
                there.foreign.push(listed.foreign());
            }
        }
        let mut question = AddressMessage::default();
        question.header.family = family(ipv6);
        question.header.index = device.map_or(0, |device| device.index);
        for message in kernel.list("addresses", &RouteNetlinkMessage::GetAddress(question)).await? {
            let RouteNetlinkMessage::NewAddress(address) = message else { continue };
            let Some((address, marked)) = read_address(&address) else { continue };
            let ours = device.map_or(marked, |device| device.index == address.device);
            if ours && address.ip.is_ipv6() == ipv6 {
                there.items.insert(Item::Address(address));
            }
        }
    }
    Ok(there)
}

/// The routes of a table; the kernel leaves the others out, and an old one, which does not, is not believed.
async fn routes(
    kernel: &Kernel,
    ipv6: bool,
    table: u32,
    protocol: Option<RouteProtocol>,
) -> Result<Vec<Listed>, NetError> {
    let mut question = RouteMessage::default();
    question.header.address_family = family(ipv6);
    question.header.protocol = protocol.unwrap_or_default();
    question.header.kind = RouteType::Unspec;
    question.attributes = vec![RouteAttribute::Table(table)];
    let list = kernel.list("routes", &RouteNetlinkMessage::GetRoute(question)).await?;
    let listed = list.into_iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewRoute(route) => read_route(&route),
        _ => None,
    });
    Ok(listed.filter(|it| it.table == table && it.route.to.address.is_ipv6() == ipv6).collect())
}
