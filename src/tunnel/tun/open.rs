//! The kernel's TUN device: made, taken over from a descriptor, let go.
//!
//! A device lives as long as a descriptor of it: routes, addresses and per-link DNS settings go with the last one.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, IntegerSetter, Opcode, Updater, ioctl, opcode};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::ffi::{c_int, c_short, c_uint};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where devices are made.
const CLONE_DEVICE: &str = "/dev/net/tun";
/// Every device of ours is named this, and a number.
const PREFIX: &str = "ikeep";
/// What the kernel makes the first free name of.
const PATTERN: &[u8] = b"ikeep%d";

/// `struct virtio_net_hdr` without the fields of later versions, octets.
pub const VNET_HEADER: usize = 10;

// linux/if_tun.h
const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
const TUNSETPERSIST: Opcode = opcode::write::<c_int>(b'T', 203);
const TUNSETOFFLOAD: Opcode = opcode::write::<c_uint>(b'T', 208);
const TUNGETIFF: Opcode = opcode::read::<c_uint>(b'T', 210);
const TUNGETVNETHDRSZ: Opcode = opcode::read::<c_int>(b'T', 215);
const TUNSETVNETHDRSZ: Opcode = opcode::write::<c_int>(b'T', 216);
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;
const IFF_MULTI_QUEUE: u16 = 0x0100;
const IFF_VNET_HDR: u16 = 0x4000;
const IFF_PERSIST: u16 = 0x0800;
const TUN_F_CSUM: usize = 0x01;
const TUN_F_TSO4: usize = 0x02;
const TUN_F_TSO6: usize = 0x04;
const TUN_F_USO4: usize = 0x20;
const TUN_F_USO6: usize = 0x40;

/// `struct ifreq` as these requests use it: a name, then flags.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    name: [u8; 16],
    flags: c_short,
    /// The union's longest member is `struct ifmap`, of 24 octets on a 64-bit kernel.
    rest: [u8; 22],
}

/// Why there is no device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The kernel has no TUN devices.
    #[error("the kernel has no TUN devices ({CLONE_DEVICE}): load the module (`modprobe tun`)")]
    NoTun(#[source] io::Error),
    /// CAP_NET_ADMIN is missing.
    #[error("making a TUN device needs CAP_NET_ADMIN")]
    NotPermitted(#[source] io::Error),
    /// The kernel refuses.
    #[error("the kernel refuses to {what} a TUN device")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A descriptor that was handed over is not one of our devices.
    #[error("the descriptor is no TUN device of ours ({what}): let a new one be made")]
    NotOurs {
        /// What is wrong.
        what: &'static str,
    },
}

/// A TUN device (no packet information before packets, one queue), by its descriptor.
#[derive(Debug)]
pub struct TunDevice {
    fd: OwnedFd,
    name: String,
    index: u32,
    offload: bool,
}

impl TunDevice {
    /// Its name: `ikeep0` or the next free one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Packets carry a header of [`VNET_HEADER`] octets and may be larger than the MTU, see [`offload`].
    pub fn offload(&self) -> bool {
        self.offload
    }

    /// Makes sure that the device ends with its last descriptor, whatever was asked of another descriptor of it (nothing but
    /// a descriptor is needed for that).
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn not_persistent(&self) -> io::Result<()> {
        set::<TUNSETPERSIST>(self.fd.as_fd(), 0)
    }

    /// Its descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for TunDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes a device named `ikeep` and the first free number, down and without addresses. It has offload where the kernel has.
/// Reads and writes do not block.
///
/// # Errors
/// No TUN devices in this kernel, no CAP_NET_ADMIN, no free name.
pub fn open() -> Result<TunDevice, OpenError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = || rustix::fs::open(CLONE_DEVICE, flags, Mode::empty());
    let mut fd = opened().map_err(no_tun)?;
    let mut wanted = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    if let Err(error) = make(fd.as_fd(), wanted) {
        if error.kind() != io::ErrorKind::InvalidInput {
            return Err(not_made(error));
        }
        // A kernel without the header: a plain device, from a descriptor that nothing was asked of yet.
        fd = opened().map_err(no_tun)?;
        wanted &= !IFF_VNET_HDR;
        make(fd.as_fd(), wanted).map_err(not_made)?;
    }
    if wanted & IFF_VNET_HDR != 0 {
        let size = c_int::try_from(VNET_HEADER).unwrap_or(c_int::MAX);
        set_by_reference::<TUNSETVNETHDRSZ>(fd.as_fd(), size).map_err(refuses("set the header of"))?;
        // Where the kernel takes none of it the header stays, and says of each packet that it is an ordinary one.
        let _ = offload(fd.as_fd(), Offload::TcpAndUdp).or_else(|_| offload(fd.as_fd(), Offload::Tcp));
    }
    adopt(fd)
}

/// Takes over a device that another process has made with [`open`].
///
/// # Errors
/// The descriptor is something else.
pub fn adopt(fd: OwnedFd) -> Result<TunDevice, OpenError> {
    let request = interface(fd.as_fd()).map_err(|_| OpenError::NotOurs { what: "it is no TUN device" })?;
    let end = request.name.iter().position(|octet| *octet == 0).unwrap_or(request.name.len());
    let name = str::from_utf8(&request.name[..end]).unwrap_or_default().to_owned();
    let number = name.strip_prefix(PREFIX);
    if !number.is_some_and(|number| !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit()))
    {
        return Err(OpenError::NotOurs { what: "its name is another" });
    }
    let flags = request.flags.cast_unsigned();
    if flags & (IFF_TUN | IFF_NO_PI) != IFF_TUN | IFF_NO_PI || flags & IFF_MULTI_QUEUE != 0 {
        return Err(OpenError::NotOurs { what: "its kind is another" });
    }
    if flags & IFF_PERSIST != 0 {
        set::<TUNSETPERSIST>(fd.as_fd(), 0).map_err(refuses("make an end of"))?;
    }
    let offload = flags & IFF_VNET_HDR != 0;
    if offload {
        let size = header(fd.as_fd()).map_err(refuses("ask for the header of"))?;
        if usize::try_from(size).ok() != Some(VNET_HEADER) {
            return Err(OpenError::NotOurs { what: "its header has another length" });
        }
    }
    // The socket is of this process's network namespace: a device of another is not found, or is somebody else's.
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| OpenError::Kernel { what: "look for", source: error.into() })?;
    let index = name_to_index(&socket, &name)
        .map_err(|_| OpenError::NotOurs { what: "it is not on this machine" })?;
    Ok(TunDevice { fd, name, index, offload })
}

/// Which packets larger than the MTU the kernel may hand to the reader of a device, with their checksums still to be made; and
/// takes from its writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offload {
    /// None.
    Nothing,
    /// TCP, both families.
    Tcp,
    /// TCP and UDP (`VIRTIO_NET_HDR_GSO_UDP_L4`), both families; Linux 6.2.
    TcpAndUdp,
}

/// Says what the reader of the device can take. Needs no privilege but the descriptor. [`open`] has asked for all that the
/// kernel has; whoever reads less asks again.
///
/// # Errors
/// The kernel has no such offload (`EINVAL`): then nothing has changed.
pub fn offload(device: BorrowedFd<'_>, offload: Offload) -> io::Result<()> {
    let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    set::<TUNSETOFFLOAD>(
        device,
        match offload {
            Offload::Nothing => 0,
            Offload::Tcp => tcp,
            Offload::TcpAndUdp => tcp | TUN_F_USO4 | TUN_F_USO6,
        },
    )
}

fn no_tun(error: Errno) -> OpenError {
    match error {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => OpenError::NoTun(error.into()),
        Errno::PERM | Errno::ACCESS => OpenError::NotPermitted(error.into()),
        _ => OpenError::Kernel { what: "open", source: error.into() },
    }
}

fn not_made(error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => OpenError::NotPermitted(error),
        _ => OpenError::Kernel { what: "make", source: error },
    }
}

fn refuses(what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Kernel { what, source }
}

#[expect(unsafe_code, reason = "an ioctl is given memory by its number: here a whole ifreq")]
fn make(fd: BorrowedFd<'_>, flags: u16) -> io::Result<()> {
    let mut request = Request { name: [0; 16], flags: flags.cast_signed(), rest: [0; 22] };
    request.name[..PATTERN.len()].copy_from_slice(PATTERN);
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, and `Request` is as long (asserted below).
    Ok(unsafe { ioctl(fd, Updater::<TUNSETIFF, Request>::new(&mut request)) }?)
}

#[expect(unsafe_code, reason = "an ioctl is given memory by its number: here a whole ifreq")]
fn interface(fd: BorrowedFd<'_>) -> io::Result<Request> {
    let mut request = Request { name: [0; 16], flags: 0, rest: [0; 22] };
    // SAFETY: TUNGETIFF writes one `struct ifreq`. Another kind of descriptor refuses the number (ENOTTY): the letter 'T'
    // with 210 as a read is nobody else's in the kernel, and no request with this number writes more.
    unsafe { ioctl(fd, Updater::<TUNGETIFF, Request>::new(&mut request)) }?;
    Ok(request)
}

#[expect(unsafe_code, reason = "an ioctl is given memory by its number: here one int")]
fn header(fd: BorrowedFd<'_>) -> io::Result<c_int> {
    // SAFETY: TUNGETVNETHDRSZ writes one int; only a TUN device is asked.
    Ok(unsafe { ioctl(fd, Getter::<TUNGETVNETHDRSZ, c_int>::new()) }?)
}

/// A request whose argument is a number.
#[expect(unsafe_code, reason = "an ioctl takes what its number says: here no memory at all")]
fn set<const OPCODE: Opcode>(fd: BorrowedFd<'_>, value: usize) -> io::Result<()> {
    // SAFETY: the requests that this is used with take their argument by value.
    Ok(unsafe { ioctl(fd, IntegerSetter::<OPCODE>::new_usize(value)) }?)
}

/// A request whose argument is the place of a number.
#[expect(unsafe_code, reason = "an ioctl is given memory by its number: here one int")]
fn set_by_reference<const OPCODE: Opcode>(fd: BorrowedFd<'_>, mut value: c_int) -> io::Result<()> {
    // SAFETY: the requests that this is used with read one int.
    Ok(unsafe { ioctl(fd, Updater::<OPCODE, c_int>::new(&mut value)) }?)
}

const _: () = assert!(size_of::<Request>() == 40, "as long as struct ifreq of a 64-bit kernel, the longest");

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn the_numbers_are_the_kernels() {
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            assert_eq!(TUNSETIFF, 0x4004_54ca);
            assert_eq!(TUNSETPERSIST, 0x4004_54cb);
            assert_eq!(TUNSETOFFLOAD, 0x4004_54d0);
            assert_eq!(TUNGETIFF, 0x8004_54d2);
            assert_eq!(TUNGETVNETHDRSZ, 0x8004_54d7);
            assert_eq!(TUNSETVNETHDRSZ, 0x4004_54d8);
        }
    }

    #[test]
    fn another_descriptor_is_no_device() {
        let null = File::open("/dev/null").unwrap();
        assert!(matches!(adopt(null.into()), Err(OpenError::NotOurs { .. })));
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        assert!(matches!(adopt(socket.into()), Err(OpenError::NotOurs { .. })));
        let Ok(unused) = rustix::fs::open(CLONE_DEVICE, OFlags::RDWR, Mode::empty()) else { return };
        assert!(matches!(adopt(unused), Err(OpenError::NotOurs { .. })), "nothing was made of it yet");
    }
}
