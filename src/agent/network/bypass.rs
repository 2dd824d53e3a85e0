//! Sockets of the helper's whose packets go past the tunnel and the kill switch: for names, and for the page of a portal.

use std::io;
use std::os::fd::OwnedFd;
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::{mpsc, oneshot};

/// Asks for a socket that bypasses the tunnel.
#[derive(Clone, Debug)]
pub(in super::super) struct Bypass(pub(super) mpsc::Sender<Asked>);

/// A socket of this family (true: IPv6), please.
pub(super) type Asked = (Transport, bool, oneshot::Sender<OwnedFd>);

#[derive(Clone, Copy, Debug)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Bypass {
    /// A UDP socket, not bound.
    ///
    /// # Errors
    /// There is no helper now, or it refuses.
    pub(in super::super) async fn open(&self, ipv6: bool) -> io::Result<UdpSocket> {
        let socket = std::net::UdpSocket::from(self.ask(Transport::Udp, ipv6).await?);
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }

    /// A TCP socket, not bound or connected.
    ///
    /// # Errors
    /// There is no helper now, or it refuses.
    pub(in super::super) async fn open_tcp(&self, ipv6: bool) -> io::Result<TcpSocket> {
        let socket = std::net::TcpStream::from(self.ask(Transport::Tcp, ipv6).await?);
        socket.set_nonblocking(true)?;
        Ok(TcpSocket::from_std_stream(socket))
    }

    async fn ask(&self, transport: Transport, ipv6: bool) -> io::Result<OwnedFd> {
        let gone = || io::Error::other("the helper makes no socket now");
        let (answer, answered) = oneshot::channel();
        self.0.send((transport, ipv6, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}
