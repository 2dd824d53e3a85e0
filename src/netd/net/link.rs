//! The tunnel's device: MTU, queue, no addresses of the kernel's own, up.

use super::kernel::{Kernel, Request, is};
use super::{Device, NetError};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};
use rustix::io::Errno;

/// The narrowest link that may have IPv6 (RFC 8200 5), octets.
pub(super) const MIN_IPV6_MTU: u16 = 1280;

/// Packets that may wait for the device's reader: what a program sends while the reader waits for its turn (20 ms) at 200,000 a
/// second. The kernel's usual 500 are over in less than a turn.
pub(super) const QUEUE: u32 = 4000;

/// What the device lacks.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    /// Made before there are routes, in this order.
    pub(super) first: Vec<Request>,
    /// Made when the routes are as they have to be: with an MTU that is too small for it, the kernel takes IPv6 from the
    /// device, and its routes; what is refused in their place has to be there before.
    pub(super) last: Vec<Request>,
}

impl Lacks {
    /// All is as it has to be.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.last.is_empty()
    }
}

/// What the device lacks.
///
/// # Errors
/// It is gone.
pub(super) async fn lacks(kernel: &Kernel, device: &Device, mtu: u16, ipv6: bool) -> Result<Lacks, NetError> {
    let gone = || NetError::NoDevice { name: device.name.clone() };
    let question = RouteNetlinkMessage::GetLink(message(device, []));
    let link = match kernel.get("look at the tunnel's device", question).await {
        Ok(Some(RouteNetlinkMessage::NewLink(link))) => link,
        Ok(_) => return Err(gone()),
        Err(NetError::Refused { why, .. }) if is(&why, &[Errno::NODEV]) => return Err(gone()),
        Err(error) => return Err(error),
    };
    let name = LinkAttribute::IfName(device.name.clone());
    if !link.attributes.contains(&name) {
        return Err(gone());
    }
    let set = |what: &str, message: LinkMessage| Request {
        doing: format!("set {what} of {}", device.name),
        message: RouteNetlinkMessage::NewLink(message),
        flags: 0,
    };
    let mut lacks = Lacks::default();
    let attribute = LinkAttribute::Mtu(mtu.into());
    if !link.attributes.contains(&attribute) {
        let when = if mtu < MIN_IPV6_MTU { &mut lacks.last } else { &mut lacks.first };
        when.push(set("the MTU", message(device, [attribute])));
    }
    let attribute = LinkAttribute::TxQueueLen(QUEUE);
    if !link.attributes.contains(&attribute) {
        lacks.first.push(set("the queue", message(device, [attribute])));
    }
    // Where the MTU is too small as yet, the device has no IPv6 before the next look.
    if ipv6 && has_ipv6(&link) && !generates_nothing(&link) {
        let mode = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        lacks.first.push(set("the address mode", message(device, [LinkAttribute::AfSpecUnspec(vec![mode])])));
    }
    if !link.header.flags.contains(LinkFlags::Up) {
        let mut up = message(device, []);
        up.header.flags = LinkFlags::Up;
        up.header.change_mask = LinkFlags::Up;
        lacks.first.push(set("the state", up));
    }
    Ok(lacks)
}

fn message<const N: usize>(device: &Device, attributes: [LinkAttribute; N]) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = device.index;
    message.attributes = attributes.into();
    message
}

fn inet6(link: &LinkMessage) -> impl Iterator<Item = &AfSpecInet6> {
    link.attributes
        .iter()
        .filter_map(|attribute| match attribute {
            LinkAttribute::AfSpecUnspec(families) => Some(families),
            _ => None,
        })
        .flatten()
        .filter_map(|family| match family {
            AfSpecUnspec::Inet6(attributes) => Some(attributes),
            _ => None,
        })
        .flatten()
}

fn has_ipv6(link: &LinkMessage) -> bool {
    inet6(link).next().is_some()
}

fn generates_nothing(link: &LinkMessage) -> bool {
    inet6(link).any(|attribute| *attribute == AfSpecInet6::AddrGenMode(In6AddrGenMode::None))
}
