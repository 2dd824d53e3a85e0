//! The device's descriptor: packets of the machine, in batches.

use super::Offload;
use super::VNET_HEADER;
use super::merge::Joined;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Octets of the largest read: a header and a super-packet.
pub const LARGEST: usize = VNET_HEADER + 65_535;

/// A TUN device. It is gone when its last descriptor is closed.
#[derive(Debug)]
pub struct Device {
    fd: AsyncFd<OwnedFd>,
    name: String,
    index: u32,
    offload: Offload,
}

impl Device {
    /// Must be called within a tokio runtime. `offload`: packets carry a `virtio_net_hdr` of [`VNET_HEADER`] octets.
    ///
    /// # Errors
    /// No descriptor is left.
    #[expect(
        deprecated,
        reason = "an OwnedFd is closed by nobody else, so this is sound; the other way is unsafe code"
    )]
    pub fn new(fd: OwnedFd, name: String, index: u32, offload: bool) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        // What a kernel can hand over joined it can also cut. Who has made the device has asked for as much.
        let offload = if !offload {
            Offload::Nothing
        } else if super::offload(fd.as_fd(), Offload::TcpAndUdp).is_ok() {
            Offload::TcpAndUdp
        } else {
            Offload::Tcp
        };
        Ok(Self { fd: AsyncFd::new(fd)?, name, index, offload })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The descriptor, for a helper that lost its own.
    pub fn descriptor(&self) -> &OwnedFd {
        self.fd.get_ref()
    }

    /// Ready when there is something to read.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error of the reactor shows when it is read.
        self.fd.poll_read_ready(context).map(|_| ())
    }

    /// One read: a header and a packet, perhaps a super-packet. `None`: nothing is there now. `buffer` has [`LARGEST`] octets.
    ///
    /// # Errors
    /// The device is gone, or down.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let (skip, room) =
            if self.has_header() { (0, buffer) } else { (VNET_HEADER, &mut buffer[VNET_HEADER..]) };
        let read = self.fd.try_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, room)?));
        match read {
            Ok(length) => Ok(Some(skip + length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the machine a packet, now or not at all.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn write(&self, buffer: &[u8], packet: Joined<'_>) -> io::Result<()> {
        let mut parts = [IoSlice::new(&[]); 520];
        let mut count = 0;
        let mut push = |part| {
            if let Some(place) = parts.get_mut(count) {
                *place = IoSlice::new(part);
                count += 1;
            }
        };
        if self.has_header() {
            push(&packet.header);
        }
        push(buffer.get(packet.first).unwrap_or_default());
        for more in packet.more {
            push(buffer.get(more.clone()).unwrap_or_default());
        }
        rustix::io::writev(&self.fd, &parts[..count])?;
        Ok(())
    }

    fn has_header(&self) -> bool {
        self.offload != Offload::Nothing
    }

    /// What may be joined ([`Merge::new`](super::Merge::new)).
    pub fn offload(&self) -> Offload {
        self.offload
    }
}
