//! Who is at the other end of a Unix socket, as the kernel wrote it down when the connection was made.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Groups of a peer that are looked at.
const MAX_GROUPS: usize = 1024;

/// The process that made the connection (or, seen from there, that listens).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its number; 0: it is in a process namespace that this one does not see.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Peer {
    /// `SO_PEERCRED`.
    ///
    /// # Errors
    /// Not a connected Unix socket.
    pub fn of(socket: impl AsFd) -> io::Result<Self> {
        let mut ucred = [0; 3];
        match option(socket, libc::SO_PEERCRED, &mut ucred)? {
            3 => Ok(Self { pid: ucred[0], uid: ucred[1], gid: ucred[2] }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// `SO_PEERGROUPS`: the supplementary groups (Linux 4.13).
    ///
    /// # Errors
    /// Not a connected Unix socket, or more than 1024 groups.
    pub fn groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
        let mut groups = vec![0; MAX_GROUPS];
        let found = option(socket, libc::SO_PEERGROUPS, &mut groups)?;
        groups.truncate(found);
        Ok(groups)
    }
}

/// Reads a socket option that is a row of 32-bit numbers; how many there were.
#[expect(
    unsafe_code,
    reason = "no crate of ours has these options without a process number that may not be 0"
)]
fn option(socket: impl AsFd, name: c_int, numbers: &mut [u32]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(size_of_val(numbers)).map_err(io::Error::other)?;
    let fd = socket.as_fd();
    // SAFETY: the kernel writes at most `length` octets, all of which `numbers` has, and any octets make a u32.
    let done = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            numbers.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(length).unwrap_or_default() / size_of::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        assert_eq!(peer, Peer { pid: std::process::id(), uid, gid });
        let mut groups: Vec<u32> =
            rustix::process::getgroups().unwrap().into_iter().map(rustix::fs::Gid::as_raw).collect();
        let mut theirs = Peer::groups(&one).unwrap();
        groups.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(theirs, groups);
    }

    #[test]
    fn another_socket_has_no_peer() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        // The kernel answers for a socket without a peer, too: nobody.
        assert!(Peer::of(&socket).is_ok_and(|peer| peer.uid == u32::MAX));
        assert!(Peer::groups(&socket).is_err());
    }
}
