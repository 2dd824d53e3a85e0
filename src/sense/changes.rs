//! The kernel's word that something about links, addresses, routes or rules has changed; what, is asked elsewhere.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Groups as bits, `RTMGRP_*` of linux/rtnetlink.h; the last is `1 << (RTNLGRP_IPV6_RULE - 1)`.
const LINK: u32 = 0x1;
const IPV4_ADDRESS: u32 = 0x10;
const IPV4_ROUTE: u32 = 0x40;
const IPV4_RULE: u32 = 0x80;
const IPV6_ADDRESS: u32 = 0x100;
const IPV6_ROUTE: u32 = 0x400;
const IPV6_RULE: u32 = 1 << 18;

/// A route netlink socket that hears of changes.
#[derive(Debug)]
pub(super) struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    /// # Errors
    /// The kernel has no route netlink, or a sandbox forbids it.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // NETLINK_ROUTE is number 0: no protocol.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        let groups = LINK | IPV4_ADDRESS | IPV4_ROUTE | IPV4_RULE | IPV6_ADDRESS | IPV6_ROUTE | IPV6_RULE;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self(super::watched(socket)?))
    }

    async fn changed(&self) {
        let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
        // All that is there is one change. ENOBUFS (some was lost) is one too.
        let mut buffer = [0u8; 4096];
        while let Ok(_) | Err(Errno::INTR | Errno::NOBUFS) =
            recv(self.0.get_ref(), &mut buffer, RecvFlags::DONTWAIT)
        {}
        ready.clear_ready();
    }
}

/// Waits for a change; for ever where nobody tells.
pub(super) async fn changed(changes: Option<&Changes>) {
    match changes {
        Some(changes) => changes.changed().await,
        None => std::future::pending().await,
    }
}
