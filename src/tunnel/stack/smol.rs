//! What smoltcp calls things, made of what we call them.

use super::Buffers;
use crate::time::Instant;
use crate::tunnel::link::Link;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::net::IpAddr;
use std::time::Duration;

/// A socket without a connection.
pub(super) fn new_socket(buffers: Buffers) -> tcp::Socket<'static> {
    // Zeroed memory of this size is not resident before it is used.
    let buffer = |octets| tcp::SocketBuffer::new(vec![0; octets]);
    let mut socket = tcp::Socket::new(buffer(buffers.receive), buffer(buffers.send));
    socket.set_congestion_control(tcp::CongestionControl::Cubic);
    socket.set_nagle_enabled(false);
    socket
}

/// An interface on `link`; `seed` decides initial sequence numbers, and ports and numbers of DNS queries.
pub(in crate::tunnel) fn interface(link: &mut Link, seed: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    Interface::new(config, link, StackInstant::ZERO)
}

/// Host addresses: the first of each family that can be one.
pub(in crate::tunnel) fn set_addresses(interface: &mut Interface, addresses: &[IpAddr]) {
    let usable = |four: bool| {
        let own = addresses.iter().filter(move |address| address.is_ipv4() == four);
        own.map(|address| IpAddress::from(*address)).find(IpAddress::is_unicast)
    };
    interface.update_ip_addrs(|own| {
        own.clear();
        own.extend(usable(true).map(|address| IpCidr::new(address, 32)));
        own.extend(usable(false).map(|address| IpCidr::new(address, 128)));
    });
}

/// When the interface wants to be polled; at once is `now`.
pub(in crate::tunnel) fn poll_at(
    interface: &mut Interface,
    sockets: &SocketSet<'static>,
    now: Instant,
) -> Option<Instant> {
    let at = interface.poll_at(stack_time(now), sockets)?;
    let micros = u64::try_from(at.total_micros()).unwrap_or_default();
    Some(Instant::from_boot(Duration::from_micros(micros)).max(now))
}

/// A time as smoltcp counts it.
pub(in crate::tunnel) fn stack_time(now: Instant) -> StackInstant {
    StackInstant::from_micros(i64::try_from(now.since_boot().as_micros()).unwrap_or(i64::MAX))
}
