//! UDP sockets towards a gateway: one datagram at once, or many of one size in a batch (GSO), and batches received (GRO).

use crate::esp::ecn::Ecn;
use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag, sockopt::ReceiveTimestampns};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::SendFlags;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_socket_recv_buffer_size, set_socket_recv_buffer_size_force, set_socket_send_buffer_size,
    set_socket_send_buffer_size_force,
};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Asked of the kernel, which may give less: a burst of ESP must not be lost while the task waits for its turn.
const BUFFER: usize = 4 << 20;
/// Octets of a buffer that holds whatever one receive can give: the largest UDP payload, or many datagrams joined.
const ROOM: usize = 1 << 16;
/// Buffers of one receive.
const BUFFERS: usize = 4;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
    ipv4: bool,
    /// The kernel has told of an error since [`Udp::told_mtu`] was asked last.
    troubled: AtomicBool,
}

impl Udp {
    /// A socket bound to `local` (port 0: any). `raw`: one that the helper has made, not bound; else it is made here.
    ///
    /// DF is set on what fits the path MTU that the kernel knows; what is larger (IKE messages without RFC 7383, PROTOCOL
    /// section 1) leaves in fragments.
    ///
    /// # Errors
    /// The address is not this machine's (any more), the port is taken, or no descriptor is left.
    pub(crate) fn open(local: SocketAddr, raw: Option<OwnedFd>) -> io::Result<Self> {
        let socket = match raw {
            Some(raw) => {
                rustix::net::bind(&raw, &local)?;
                StdUdpSocket::from(raw)
            }
            None => {
                let socket = StdUdpSocket::bind(local)?;
                // Who may goes beyond what this machine lets everybody have.
                let receive = set_socket_recv_buffer_size_force(&socket, BUFFER)
                    .or_else(|_| set_socket_recv_buffer_size(&socket, BUFFER));
                let send = set_socket_send_buffer_size_force(&socket, BUFFER)
                    .or_else(|_| set_socket_send_buffer_size(&socket, BUFFER));
                for result in [receive, send] {
                    if let Err(error) = result {
                        tracing::debug!(%error, "the kernel keeps its usual socket buffer");
                    }
                }
                socket
            }
        };
        let state = prepare(&socket, local.is_ipv4())?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            state,
            ipv4: local.is_ipv4(),
            troubled: AtomicBool::new(false),
        })
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends now or not at all. The runtime is not asked whether the socket is writable: of a new socket it does not know yet,
    /// and the first datagram of a reconnect waits for nobody.
    ///
    /// # Errors
    /// No route, a full buffer, a datagram that is too large.
    pub(crate) fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let send = || rustix::net::sendto(&self.socket, datagram, SendFlags::DONTWAIT, &to);
        // An ICMP error about an earlier datagram is told to the next one, which is not sent then.
        match send() {
            Ok(_) => Ok(()),
            Err(error) if error == rustix::io::Errno::AGAIN => {
                self.is_full();
                Err(error.into())
            }
            Err(_) => {
                self.troubled.store(true, Ordering::Relaxed);
                send().map(|_| ()).map_err(io::Error::from)
            }
        }
    }

    /// Sends `contents` as datagrams of `segment` octets with this mark, the last of which may be shorter: as one call where the
    /// kernel can.
    /// How many octets were taken, with the error that ended it.
    pub(crate) fn send_batch(
        &self,
        contents: &[u8],
        segment: usize,
        to: SocketAddr,
        ecn: Ecn,
    ) -> (usize, io::Result<()>) {
        let many = contents.len() > segment;
        if many && self.state.max_gso_segments() > 1 {
            match self.transmit(contents, Some(segment), to, ecn) {
                Ok(()) => return (contents.len(), Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_full();
                    return (0, Err(error));
                }
                // Larger than the path carries, or no such thing here: one at a time.
                Err(error) => {
                    self.troubled.store(true, Ordering::Relaxed);
                    tracing::debug!(%error, "a batch is sent one by one");
                }
            }
        }
        let mut sent = 0;
        for datagram in contents.chunks(segment.max(1)) {
            if let Err(error) = self.send_marked(datagram, to, ecn) {
                return (sent, Err(error));
            }
            sent += datagram.len();
        }
        (sent, Ok(()))
    }

    /// One datagram. Where the kernel does not take it with its mark it goes without.
    fn send_marked(&self, datagram: &[u8], to: SocketAddr, ecn: Ecn) -> io::Result<()> {
        if ecn == Ecn::NotEct {
            return self.send(datagram, to);
        }
        match self.transmit(datagram, None, to, ecn) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_full();
                Err(error)
            }
            Err(_) => self.send(datagram, to),
            Ok(()) => Ok(()),
        }
    }

    fn transmit(&self, contents: &[u8], segment: Option<usize>, to: SocketAddr, ecn: Ecn) -> io::Result<()> {
        let ecn = EcnCodepoint::from_bits(ecn as u8);
        let transmit = Transmit { destination: to, ecn, contents, segment_size: segment, src_ip: None };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// The runtime hears that the socket has no room: [`Udp::poll_writable`] waits until it has.
    fn is_full(&self) {
        let full = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        drop(self.socket.try_io(Interest::WRITABLE, full));
    }

    /// Datagrams that one batch may hold.
    pub(crate) fn batch(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Receives what is there into `inbox`, which is emptied first. False where nothing is.
    ///
    /// # Errors
    /// An ICMP error about an earlier datagram: anybody can send one, so it decides nothing.
    pub(crate) fn receive(&self, inbox: &mut Inbox) -> io::Result<bool> {
        inbox.datagrams.clear();
        let Inbox { buffer, datagrams } = inbox;
        let mut metas = [RecvMeta::default(); BUFFERS];
        let count = self.socket.try_io(Interest::READABLE, || {
            let mut slices = buffer.chunks_exact_mut(ROOM);
            let mut buffers: [IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| IoSliceMut::new(slices.next().unwrap_or_default()));
            self.state.recv(UdpSockRef::from(&self.socket), &mut buffers, &mut metas)
        });
        let count = match count {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => {
                self.troubled.store(true, Ordering::Relaxed);
                return Err(error);
            }
        };
        for (number, meta) in metas.iter().take(count).enumerate() {
            let start = number * ROOM;
            let end = start + meta.len.min(ROOM);
            let stride = meta.stride.max(1);
            let mark = meta.ecn.map_or(Ecn::NotEct, |mark| Ecn::of_class(mark as u8));
            let mut at = start;
            while at < end {
                let next = end.min(at + stride);
                datagrams.push((meta.addr, at..next, mark));
                at = next;
            }
        }
        Ok(true)
    }

    /// The smaller path MTU that an ICMP message has told of since the last question, octets. The kernel has checked that it
    /// quotes a datagram of this socket.
    pub(crate) fn told_mtu(&self) -> Option<u32> {
        if !self.troubled.swap(false, Ordering::Relaxed) {
            return None;
        }
        let mut told = None;
        while let Ok(Some(error)) = self.state.recv_transport_error(UdpSockRef::from(&self.socket)) {
            told = error.mtu().into_iter().chain(told).min();
        }
        told
    }

    /// Batches are tried again: the one that failed was of datagrams that the path does not carry any more.
    pub(crate) fn try_batches_again(&mut self) {
        match prepare(&self.socket, self.ipv4) {
            Ok(state) => self.state = state,
            Err(error) => tracing::debug!(%error, "the socket stays as it is"),
        }
    }

    /// Ready when there is something to receive.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_recv_ready(context).map(|_| ())
    }

    /// Ready when there is room to send.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_send_ready(context).map(|_| ())
    }
}

/// Options of a bound socket, and what is known of what it can do.
fn prepare(socket: &impl AsFd, ipv4: bool) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    // quinn-udp 0.6.3 asks for times and has no room for them beside the rest (88 octets): what comes last, the ECN bits, would be
    // cut off where datagrams come joined.
    setsockopt(socket, ReceiveTimestampns, &false)?;
    if ipv4 {
        set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    } else {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
        setsockopt(socket, Ipv6DontFrag, &false)?;
    }
    state.enable_transport_errors(UdpSockRef::from(socket))?;
    Ok(state)
}

/// What was received in one go.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Where the datagrams are.
    pub(crate) buffer: Vec<u8>,
    /// Who sent them, their places, and the mark that came with them, in order.
    pub(crate) datagrams: Vec<(SocketAddr, Range<usize>, Ecn)>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { buffer: vec![0; BUFFERS * ROOM], datagrams: Vec::with_capacity(256) }
    }
}

#[cfg(test)]
mod tests;
