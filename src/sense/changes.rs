//! The kernel's word that something about links, addresses, routes or rules has changed; what, is asked elsewhere.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Groups as bits, `RTMGRP_*` of linux/rtnetlink.h; the last is `1 << (RTNLGRP_IPV6_RULE - 1)`.
const LINK: u32 = 0x1;
const IPV4_ADDRESS: u32 = 0x10;
const IPV4_ROUTE: u32 = 0x40;
const IPV4_RULE: u32 = 0x80;
const IPV6_ADDRESS: u32 = 0x100;
const IPV6_ROUTE: u32 = 0x400;
const IPV6_RULE: u32 = 1 << 18;

/// In a storm of changes: one ring in this time.
const PAUSE: Duration = Duration::from_millis(50);

/// Rings that need no pause before them: a link that comes up brings addresses and routes within moments, and the last of them
/// is the one that matters.
const BURST: u32 = 8;

/// Octets of messages that the kernel keeps for us. What it drops (ENOBUFS) rings just the same, so a storm costs little.
const QUEUE: usize = 16 << 10;

/// Messages that are taken at once; a storm must not keep the task.
const AT_ONCE: usize = 256;

/// A route netlink socket that hears of changes.
#[derive(Debug)]
struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // NETLINK_ROUTE is number 0: no protocol.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        set_socket_recv_buffer_size(&socket, QUEUE)?;
        let groups = LINK | IPV4_ADDRESS | IPV4_ROUTE | IPV4_RULE | IPV6_ADDRESS | IPV6_ROUTE | IPV6_RULE;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self(super::watched(socket)?))
    }

    /// Waits until there is something to drain.
    async fn wait(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else { return pending().await };
            // A look that takes nothing.
            match recv(self.0.get_ref(), &mut [0u8; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                _ => return,
            }
        }
    }

    /// Takes what is there.
    fn drain(&self) {
        // Only that there is a message counts. ENOBUFS (some were lost) is one too.
        let one = || recv(self.0.get_ref(), &mut [0u8; 1], RecvFlags::DONTWAIT);
        let mut left = AT_ONCE;
        while left > 0 && matches!(one(), Ok(_) | Err(Errno::INTR | Errno::NOBUFS)) {
            left -= 1;
        }
    }
}

/// Rings when something has changed: at once, in a storm once in 50 ms on average, and once more 50 ms after the last
/// ring, since some changes are told before they are made (RTM_NEWLINK of a link that goes down comes before its routes are gone).
#[derive(Debug)]
pub struct Bell {
    changes: Option<Changes>,
    /// A change was heard of, and the bell has not rung for it.
    heard: bool,
    /// Until the next ring is allowed.
    pause: Option<Pin<Box<Sleep>>>,
    /// When all rings so far are paid for, at one [`PAUSE`] each.
    paid: Option<Instant>,
    /// Until the ring after the last one.
    last: Option<Pin<Box<Sleep>>>,
}

impl Bell {
    /// A bell, and why it will never ring where it cannot: the kernel has no route netlink, or a sandbox forbids it.
    pub fn hang() -> (Self, Option<io::Error>) {
        let (changes, error) = match Changes::open() {
            Ok(changes) => (Some(changes), None),
            Err(error) => (None, Some(error)),
        };
        (Self { changes, heard: false, pause: None, paid: None, last: None }, error)
    }

    /// Waits for a ring. Dropped early, it loses nothing.
    pub async fn rings(&mut self) {
        let Some(changes) = &self.changes else { return pending().await };
        if !self.heard {
            tokio::select! {
                biased;
                () = changes.wait() => self.heard = true,
                () = super::elapsed(&mut self.last) => {
                    self.last = None;
                    return;
                }
            }
        }
        if let Some(pause) = &mut self.pause {
            pause.as_mut().await;
        }
        changes.drain();
        self.heard = false;
        self.last = Some(Box::pin(sleep(PAUSE)));
        // This ring is paid for a pause after the one before it, or a pause from now; a burst may be owed.
        let fresh = sleep(PAUSE).deadline();
        let paid = self.paid.map_or(fresh, |paid| fresh.max(paid + PAUSE));
        self.paid = Some(paid);
        self.pause = paid.checked_sub(PAUSE * BURST).map(|free| Box::pin(sleep_until(free)));
    }
}
