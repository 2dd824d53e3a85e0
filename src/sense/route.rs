//! The one question: by which way would an address of the gateway be reached now?

use super::Way;
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The way that the kernel would choose towards `to`, by its routes and rules of this moment; `None` where there is none.
/// Nothing is sent.
///
/// # Errors
/// The kernel cannot be asked: no descriptor is left, or no memory.
pub fn way_to(to: SocketAddr) -> io::Result<Option<Way>> {
    let from = source_for(to)?;
    Ok(from.map(|from| Way { to, from, interface: 0 }))
}

fn source_for(gateway: SocketAddr) -> io::Result<Option<IpAddr>> {
    let any: IpAddr = match gateway {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Without an address family (IPv6 off) there is no way either.
    let socket = match UdpSocket::bind((any, 0)) {
        Err(error) if is_no_way(&error) => return Ok(None),
        other => other?,
    };
    // Connecting a UDP socket looks the route up and fixes the source address.
    match socket.connect(gateway) {
        Ok(()) => Ok(Some(socket.local_addr()?.ip())),
        Err(error) if is_no_way(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_no_way(error: &io::Error) -> bool {
    let no_way = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::ADDRNOTAVAIL,
        Errno::AFNOSUPPORT,
        // A route of type prohibit or unreachable, or one without a source address of this family.
        Errno::ACCESS,
        Errno::PERM,
        Errno::INVAL,
    ];
    error.raw_os_error().is_some_and(|code| no_way.iter().any(|errno| errno.raw_os_error() == code))
}
