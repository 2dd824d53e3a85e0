//! Octets between a client's socket and its connection in the tunnel, without a queue between the two.

use super::stack::{Handle, Inward, Stack};
use rustix::net::Shutdown;
use rustix::net::sockopt::{set_socket_keepalive, set_socket_send_buffer_size, set_tcp_keepidle};
use std::future::Future as _;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A client that says nothing for so long is asked by the kernel whether it still is there: the end of one that has died may never have
/// come.
const PROBE: Duration = Duration::from_secs(60);
/// What the kernel holds for a client that reads slowly, octets. Left to itself it takes megabytes, which first crowd the
/// tunnel and then lie around; between two programs of one machine this is enough.
const SEND_BUFFER: usize = 128 << 10;

/// Sets a new client's socket up. Where the kernel does not want to, it serves as it is.
pub(super) fn prepare(local: &TcpStream) {
    // Without it a small answer waits for the acknowledgement of the one before.
    if let Err(error) = local.set_nodelay(true) {
        tracing::debug!(%error, "the proxy's client keeps Nagle's algorithm");
    }
    if let Err(error) = set_socket_send_buffer_size(local, SEND_BUFFER) {
        tracing::debug!(%error, "the proxy's client keeps its usual socket buffer");
    }
    if let Err(error) = set_socket_keepalive(local, true).and_then(|()| set_tcp_keepidle(local, PROBE)) {
        tracing::debug!(%error, "the proxy's client is not probed");
    }
}

/// When the client's socket is dropped, the kernel sends RST instead of FIN: the client learns that this is no regular end.
pub(super) fn reset_on_drop(local: &TcpStream) {
    if let Err(error) = local.set_zero_linger() {
        tracing::debug!(%error, "the proxy's client gets FIN for RST");
    }
}

/// Which side of a connection has failed.
pub(super) enum Broken {
    Local,
    Remote,
}

/// True where the client has ended its side, as far as the kernel knows: while nobody takes its octets, its socket is not read and does
/// not tell.
pub(super) fn has_ended(local: &TcpStream) -> Result<bool, Broken> {
    let ready = pin!(local.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
    match (ready, local.take_error()) {
        (_, Ok(Some(_)) | Err(_)) => Err(Broken::Local),
        (Poll::Ready(Ok(ready)), _) => Ok(ready.is_read_closed()),
        _ => Ok(false),
    }
}

/// What the client had sent before there was a peer, as far as the send buffer has room; the octets that went.
pub(super) fn lead(first: &mut Vec<u8>, handle: &Handle, stack: &mut Stack) -> usize {
    let mut moved = 0;
    while !first.is_empty() && stack.can_send(handle) {
        let sent = stack.send_with(handle, |room| {
            let length = first.len().min(room.len());
            room[..length].copy_from_slice(&first[..length]);
            length
        });
        if sent == 0 {
            break;
        }
        first.drain(..sent);
        moved += sent;
    }
    moved
}

/// From the client to the peer, as far as the send buffer has room; the octets that went.
pub(super) fn upload(
    local: &TcpStream,
    handle: &Handle,
    done: &mut bool,
    stack: &mut Stack,
) -> Result<usize, Broken> {
    let mut moved = 0;
    while !*done && stack.can_send(handle) {
        let mut read = Ok(0);
        moved += stack.send_with(handle, |room| {
            read = local.try_read(room);
            read.as_ref().copied().unwrap_or_default()
        });
        match read {
            Ok(0) => {
                *done = true;
                stack.close(handle);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Broken::Local),
        }
    }
    Ok(moved)
}

/// From the peer to the client, as far as the client reads; the octets that went.
pub(super) fn download(
    local: &TcpStream,
    handle: &Handle,
    done: &mut bool,
    stack: &mut Stack,
) -> Result<usize, Broken> {
    let mut moved = 0;
    while stack.unread(handle) > 0 {
        let mut written = Ok(0);
        moved += stack.receive_with(handle, |octets| {
            written = local.try_write(octets);
            written.as_ref().copied().unwrap_or_default()
        });
        match written {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(moved),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Broken::Local),
        }
    }
    match stack.inward(handle) {
        Inward::Open => {}
        Inward::Aborted => return Err(Broken::Remote),
        Inward::Finished if *done => {}
        Inward::Finished => {
            *done = true;
            rustix::net::shutdown(local, Shutdown::Write).map_err(|_| Broken::Local)?;
        }
    }
    Ok(moved)
}
