//! One connection between agent and helper: whole messages over a `SOCK_SEQPACKET` Unix socket, each with at most one
//! descriptor beside it.
//!
//! Such a socket keeps messages apart and whole, so there is no half of one to wait for.

use super::message::MAX_MESSAGE;
use super::peer::Peer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Between two attempts at a listener whose queue is full; there is no event to wait for.
const AGAIN: Duration = Duration::from_millis(20);

/// Why a message did not come, or did not go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The other side has ended the connection.
    #[error("the connection has ended")]
    Closed,
    /// Nothing in it.
    #[error("a message was empty")]
    Empty,
    /// Longer than a message may be.
    #[error("a message was longer than {MAX_MESSAGE} octets")]
    TooLong,
    /// Not a message of this protocol.
    #[error("a message could not be read: {0}")]
    Malformed(serde_json::Error),
    /// More than one descriptor, or something else beside the message.
    #[error("more than one descriptor came with a message")]
    Descriptors,
    /// The kernel refuses.
    #[error("the socket failed")]
    Io(#[from] io::Error),
}

impl From<Errno> for ChannelError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET => Self::Closed,
            Errno::MSGSIZE => Self::TooLong,
            error => Self::Io(error.into()),
        }
    }
}

/// A message as it goes over the socket.
///
/// # Errors
/// It would be longer than [`MAX_MESSAGE`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, ChannelError> {
    let octets = serde_json::to_vec(message).map_err(ChannelError::Malformed)?;
    if octets.len() > MAX_MESSAGE { Err(ChannelError::TooLong) } else { Ok(octets) }
}

/// The message in these octets: all of them, and nothing else in them.
///
/// # Errors
/// Empty, too long, or not such a message.
pub fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, ChannelError> {
    match octets.len() {
        0 => Err(ChannelError::Empty),
        length if length > MAX_MESSAGE => Err(ChannelError::TooLong),
        _ => serde_json::from_slice(octets).map_err(ChannelError::Malformed),
    }
}

/// A connection.
#[derive(Debug)]
pub struct Channel {
    socket: AsyncFd<OwnedFd>,
}

impl Channel {
    /// Takes a connected socket, and makes it one that does not block. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        // A message has to fit whole, whatever the machine's default is.
        sockopt::set_socket_send_buffer_size(&socket, 2 * MAX_MESSAGE)?;
        Ok(Self { socket: watched(socket)? })
    }

    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// Nobody listens there, or the path cannot be one of a socket.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let address = SocketAddrUnix::new(path)?;
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Self::new(socket),
                Err(Errno::AGAIN) => tokio::time::sleep(AGAIN).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn peer(&self) -> io::Result<Peer> {
        Peer::of(&self.socket)
    }

    /// Sends a message, with a descriptor of the same file as `beside` where there is one. Cancelled, it has sent all or
    /// nothing.
    ///
    /// # Errors
    /// Too long, or the connection has ended.
    pub async fn send<T: Serialize>(
        &self,
        message: &T,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<(), ChannelError> {
        let octets = encode(message)?;
        loop {
            match send_now(self.socket.get_ref().as_fd(), &octets, beside) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(Interest::WRITABLE).await?,
                done => return Ok(done?),
            }
        }
    }

    /// The next message, and the descriptor beside it. Cancelled, it has taken nothing.
    ///
    /// # Errors
    /// What came is not one message of this kind with at most one descriptor (it is taken, the descriptors are closed), or
    /// the connection has ended.
    pub async fn receive<T: DeserializeOwned>(&self) -> Result<(T, Option<OwnedFd>), ChannelError> {
        let mut octets = vec![0; MAX_MESSAGE];
        loop {
            match receive_now(self.socket.get_ref().as_fd(), &mut octets) {
                Err(ChannelError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(ChannelError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready(Interest::READABLE).await?;
                }
                Err(error) => return Err(error),
                Ok((length, beside)) => return Ok((decode(&octets[..length])?, beside)),
            }
        }
    }

    /// Waits until the other side has ended the connection; messages of its own that nobody has taken do not matter.
    pub async fn closed(&self) {
        loop {
            let Ok(mut guard) = self.socket.ready(Interest::READABLE).await else { return };
            if guard.ready().is_read_closed() {
                return;
            }
            // What can be read stays there: reading always tries before it waits.
            guard.clear_ready();
        }
    }

    /// Waits for an event of the socket. The kernel tells of each once, so the operation was tried before.
    async fn ready(&self, interest: Interest) -> io::Result<()> {
        let mut guard = self.socket.ready(interest).await?;
        let ready = guard.ready();
        // One that has ended stays so, and each further attempt says it.
        if !ready.is_read_closed() && !ready.is_write_closed() {
            guard.clear_ready_matching(ready);
        }
        Ok(())
    }
}

/// Listens at `path`, where nothing may stand.
///
/// # Errors
/// The path is taken or too long, or the folder is not there.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

/// Readiness of a descriptor that nobody else has.
///
/// # Errors
/// The kernel refuses, or there is no runtime.
#[expect(
    deprecated,
    reason = "an OwnedFd is closed by nobody else, so this is sound; the other way is unsafe code"
)]
pub fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

fn send_now(socket: BorrowedFd<'_>, octets: &[u8], beside: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let beside = beside.map(|fd| [fd]);
    if let Some(beside) = &beside {
        control.push(SendAncillaryMessage::ScmRights(beside));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket, &[IoSlice::new(octets)], &mut control, flags).map(drop)
}

/// A message of how many octets, and what came beside it.
fn receive_now(socket: BorrowedFd<'_>, octets: &mut [u8]) -> Result<(usize, Option<OwnedFd>), ChannelError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut receive = || recvmsg(socket, &mut [IoSliceMut::new(octets)], &mut control, flags);
    let received = match receive() {
        // Said once where the other side went without reading all; what it sent before that is still there.
        Err(Errno::CONNRESET) => receive()?,
        other => other?,
    };
    let mut beside = Vec::new();
    for message in control.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(descriptors) => beside.extend(descriptors),
            _ => return Err(ChannelError::Descriptors),
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) || beside.len() > 1 {
        return Err(ChannelError::Descriptors);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(ChannelError::TooLong);
    }
    if received.bytes == 0 {
        return Err(if beside.is_empty() && has_ended(socket) {
            ChannelError::Closed
        } else {
            ChannelError::Empty
        });
    }
    Ok((received.bytes, beside.pop()))
}

/// Tells the end from an empty message, which are received alike.
fn has_ended(socket: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
        && watched[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP)
}

#[cfg(test)]
mod tests;
