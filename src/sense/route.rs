//! The one question: by which way would an address of the gateway be reached now?

use super::outside::DEVICE;
use super::{Way, ask};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The way towards `to` that the kernel would choose for a socket of ours, by its routes and rules of this moment; `None` where
/// there is none. Nothing is sent. A tunnel of ours does not stand in the way: its rules leave marked packets alone.
///
/// # Errors
/// The kernel cannot be asked: no descriptor is left, or no memory.
pub fn way_to(to: SocketAddr) -> io::Result<Option<Way>> {
    match asked(to) {
        Ok(way) => Ok(way),
        // A sandbox may forbid netlink.
        Err(error) => {
            tracing::debug!(%error, "the kernel's routes cannot be asked; a socket is connected instead");
            let way = |from| Way { to, from, interface: scope(to), mtu: None };
            Ok(connected(to)?.map(way))
        }
    }
}

fn asked(to: SocketAddr) -> io::Result<Option<Way>> {
    let scope = scope(to);
    let Some(free) = ask::route(to, None, scope)? else { return Ok(None) };
    let Some(from) = free.source else { return Ok(None) };
    // Two interfaces can carry the same address, and rules may send what comes from an address elsewhere.
    let Some(bound) = ask::route(to, Some(from), scope)? else { return Ok(None) };
    let interface = if scope == 0 { bound.interface } else { scope };
    // Routes that somebody adds while a tunnel of ours is up may lead into it: its own packets would go round in circles.
    if is_our_device(interface) {
        return Ok(None);
    }
    let link = ask::mtu(interface).unwrap_or_else(|error| {
        tracing::debug!(%error, interface, "the interface's MTU is not known");
        None
    });
    Ok(Some(Way { to, from, interface, mtu: link.into_iter().chain(bound.mtu).min() }))
}

fn is_our_device(interface: u32) -> bool {
    let name = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .ok()
        .and_then(|socket| rustix::net::netdevice::index_to_name(&socket, interface).ok());
    name.is_some_and(|name| is_ours(&name))
}

/// As `netd` names its devices.
fn is_ours(name: &str) -> bool {
    name.strip_prefix(DEVICE)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The interface that an address names itself; 0: none.
fn scope(to: SocketAddr) -> u32 {
    match to {
        SocketAddr::V6(to) => to.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

/// The source address of a connected socket: connecting looks the route up. Such a socket has no mark.
fn connected(gateway: SocketAddr) -> io::Result<Option<IpAddr>> {
    let any: IpAddr = match gateway {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Without an address family (IPv6 off) there is no way either.
    let socket = match UdpSocket::bind((any, 0)) {
        Err(error) if ask::is_no_way(&error) => return Ok(None),
        other => other?,
    };
    match socket.connect(gateway) {
        Ok(()) => Ok(Some(socket.local_addr()?.ip())),
        Err(error) if ask::is_no_way(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_of_ours_is_no_way_to_the_gateway() {
        for (name, ours) in
            [("ikeep0", true), ("ikeep12", true), ("ikeep", false), ("ikeepx", false), ("eth0", false)]
        {
            assert_eq!(is_ours(name), ours, "{name}");
        }
        assert!(!is_our_device(0));
    }

    #[test]
    fn what_has_no_route_has_no_way() {
        // Class E is not routable on any kernel that has no route for it.
        let nowhere = "255.255.255.255:500".parse().unwrap();
        assert_eq!(way_to(nowhere).unwrap(), None);
        assert_eq!(connected(nowhere).unwrap(), None);
    }

    #[test]
    fn the_way_to_oneself_is_the_loopback() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let loopback = rustix::net::netdevice::name_to_index(&socket, "lo").unwrap();
        let to = "127.0.0.2:500".parse().unwrap();
        let from: IpAddr = "127.0.0.1".parse().unwrap();
        let way = way_to(to).unwrap().unwrap();
        assert_eq!((way.to, way.from, way.interface), (to, from, loopback));
        assert!(way.mtu.is_some());
        assert_eq!(connected(to).unwrap(), Some(from), "where netlink is forbidden");
    }
}
