//! Octets between a client's socket and its connection in the tunnel, without a queue between the two.

use super::stack::{Handle, Inward, Stack};
use rustix::net::Shutdown;
use std::io;
use tokio::net::TcpStream;

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
