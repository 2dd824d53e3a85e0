//! UDP sockets towards a gateway.

use rustix::net::SendFlags;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_socket_recv_buffer_size, set_socket_send_buffer_size,
};
use std::io;
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use tokio::net::UdpSocket;

/// Asked of the kernel, which may give less: a burst of ESP must not be lost while the task waits for its turn.
const BUFFER: usize = 4 << 20;

/// A socket bound to `local` (port 0: any). It never sets DF: large IKE messages without RFC 7383 need IP fragments
/// (PROTOCOL section 1).
///
/// # Errors
/// The address is not this machine's (any more), the port is taken, or no descriptor is left.
pub(crate) fn open(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = StdUdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    match local {
        SocketAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DONT)?,
    }
    for result in [set_socket_recv_buffer_size(&socket, BUFFER), set_socket_send_buffer_size(&socket, BUFFER)]
    {
        if let Err(error) = result {
            tracing::debug!(%error, "the kernel keeps its usual socket buffer");
        }
    }
    UdpSocket::from_std(socket)
}

/// Sends now or not at all. The runtime is not asked whether the socket is writable: of a new socket it does not know yet, and
/// the first datagram of a reconnect waits for nobody.
///
/// # Errors
/// No route, a full buffer, a datagram that is too large.
pub(crate) fn send(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
    rustix::net::sendto(socket, datagram, SendFlags::DONTWAIT, &to)?;
    Ok(())
}
