//! What a supervisor (systemd, or one that speaks as it does) hands over at the start, and keeps for a helper after this one.

use crate::ipc::supervisor::Supervisor;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, socket_with, sockopt,
};
use sd_notify::NotifyState;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// The device's name in the supervisor's store.
const DEVICE: &str = "tun";

/// What was there when this process started.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    /// A listening socket.
    pub(super) listener: Option<OwnedFd>,
    /// The device that the helper before this one gave away to be kept.
    pub(super) device: Option<OwnedFd>,
}

/// Takes what the supervisor has handed over.
///
/// # Errors
/// The environment says what cannot be.
#[expect(unsafe_code, reason = "a descriptor that is inherited is known by its number only")]
pub(super) fn inherited() -> io::Result<Inherited> {
    let mut inherited = Inherited::default();
    for (number, name) in sd_notify::listen_fds_with_names()? {
        // SAFETY: the supervisor gave these numbers to this process (LISTEN_PID is checked), nothing else here knows them,
        // and they are taken once, before anything else is opened (see `server::run`).
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        if name == DEVICE {
            inherited.device = Some(fd);
        } else if is_listener(&fd) {
            rustix::io::ioctl_fionbio(&fd, true)?;
            inherited.listener = Some(fd);
        } else {
            tracing::warn!(name, "the supervisor has handed over something unknown: closed");
        }
    }
    Ok(inherited)
}

fn is_listener(fd: &OwnedFd) -> bool {
    sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(fd) == Ok(SocketType::SEQPACKET)
        && sockopt::socket_acceptconn(fd) == Ok(true)
}

/// The supervisor's store of descriptors: what is in it outlives this process.
#[derive(Debug)]
pub(super) struct Store {
    supervisor: Supervisor,
}

impl Store {
    /// The store of this process's supervisor. Whether it takes anything it does not say.
    pub(super) fn of_supervisor() -> Self {
        Self { supervisor: Supervisor::of_process() }
    }

    /// Without a supervisor.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { supervisor: Supervisor::none() }
    }

    /// Gives the device away to be kept, instead of one that was kept before. It is not watched: reading it is not the
    /// supervisor's business.
    pub(super) fn keep(&self, device: BorrowedFd<'_>) {
        self.forget();
        self.supervisor.told(store(device));
    }

    /// The device is to end.
    pub(super) fn forget(&self) {
        self.supervisor.say(&[NotifyState::Custom("FDSTOREREMOVE=1"), NotifyState::Custom("FDNAME=tun")]);
    }

    /// Clients are served.
    pub(super) fn ready(&self) {
        self.supervisor.ready("Serving agents");
    }

    /// This process ends.
    pub(super) fn stopping(&self) {
        self.supervisor.stopping();
    }
}

/// `FDSTORE=1` with the device beside it (sd-notify sends words only, or needs another crate).
fn store(device: BorrowedFd<'_>) -> io::Result<()> {
    let Some(supervisor) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match supervisor.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        path => SocketAddrUnix::new(path)?,
    };
    let words = format!("FDSTORE=1\nFDNAME={DEVICE}\nFDPOLL=0\n");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let beside = [device];
    control.push(SendAncillaryMessage::ScmRights(&beside));
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let words = [IoSlice::new(words.as_bytes())];
    rustix::net::sendmsg_addr(&socket, &address, &words, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
