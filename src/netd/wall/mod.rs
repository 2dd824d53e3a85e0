//! The kill switch: one nftables table (`inet ikeep`) of our own, spoken to the kernel over netlink.
//!
//! It has one chain, behind routing and every change of an address (`postrouting`, priority 300), so what is forwarded and what
//! another program's rules have turned round passes it like everything else. Its rules take
//! the place of those before them in one transaction: at no moment are there none.
//!
//! What goes to the gateway is known by our mark ([`MARK`](crate::plan::MARK)), as the routes know it: a mark can be set with
//! `CAP_NET_ADMIN` (and, since Linux 5.17, `CAP_NET_RAW`) only, so it is on the sockets that this helper hands out, and on no other. No list of addresses can be wrong
//! or late then: backup servers, redirects, and the agent's own questions to DNS pass, and nobody else's do.
//!
//! Where somebody else changes anything in the table (`nft flush`, `nft add element`), it is put up again.
//!
//! Packet sockets (DHCP clients mostly) are not seen by nftables at all.

mod message;
mod ranges;
mod rules;

pub use ranges::{Range, both, held, others};

use super::net::{Looks, NetError};
use crate::sense::Bell;
use rules::{put, take};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname, recv, sendto,
    socket_with,
};
use std::future::pending;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// The table's name, in the family `inet`.
pub const TABLE: &str = "ikeep";

/// Longest transaction, octets: a plan with every network that it may have makes a third of this.
const SEND: usize = 2 << 20;
/// Octets of answers that the kernel keeps for us.
const RECEIVE: usize = 256 << 10;
/// Longest datagram of notices that is read whole, octets: the kernel sends them in pages.
const NOTICES: usize = 64 << 10;
/// Answers to one transaction that are read, at most.
const MAX_ANSWERS: usize = 4096;
/// The group of those who hear of changes, as a bit: `1 << (NFNLGRP_NFTABLES - 1)`.
const CHANGES: u32 = 1 << 6;

/// What is not let through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    /// Everything.
    All,
    /// What goes to these addresses; they do not overlap, and are sorted.
    Only(Vec<Range>),
}

/// What the table says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wall {
    /// Index of the tunnel's device, by which everything may leave; `None`: there is none.
    pub device: Option<u32>,
    /// What may leave in no other way.
    pub held: Held,
    /// To these everything may leave all the same; they do not overlap, and are sorted.
    pub lan: Vec<Range>,
    /// A person logs in at a captive portal: web pages and names may leave.
    pub open: bool,
}

/// Puts the table up, and takes it down, in the network namespace in which it was made. Opens its sockets with the first of that.
#[derive(Debug, Default)]
pub struct Builder {
    socket: Option<OwnedFd>,
    /// The kernel's number of that.
    number: u32,
    /// What was put up last.
    stands: Option<Wall>,
    /// It was changed by others, and nobody was told.
    missed: bool,
    /// Hears of everybody's changes.
    changes: Option<AsyncFd<OwnedFd>>,
}

impl Builder {
    /// Puts `wall` up in the place of what is there, in one transaction; nothing is done where it stands already. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// The kernel has no nftables, or refuses: then all is as it was.
    pub fn put(&mut self, wall: &Wall) -> Result<(), NetError> {
        let doing = "put up the kill switch";
        self.open().map_err(refused(doing))?;
        if self.stands.as_ref() == Some(wall) && self.is_there() {
            return Ok(());
        }
        let odd = [Errno::EXIST, Errno::OPNOTSUPP, Errno::BUSY].map(Errno::raw_os_error);
        // What others have done before this does not count any more.
        let _ = self.hear();
        let put = || self.transact(&put(wall));
        put()
            .or_else(|error| match error.raw_os_error() {
                // One of another version, or of another program: it has to go first.
                Some(errno) if odd.contains(&errno) && self.is_there() => {
                    self.transact(&take()).and_then(|()| put())
                }
                _ => Err(error),
            })
            .map_err(refused(doing))?;
        self.stands = Some(wall.clone());
        // Since then: it is put up again at once.
        self.missed = matches!(self.hear(), ControlFlow::Break(Heard::Changed));
        Ok(())
    }

    /// Takes the table down, whoever put it up. None there is no error.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn take(&mut self) -> Result<(), NetError> {
        self.stands = None;
        self.missed = false;
        match self.open() {
            Ok(()) => {}
            // A kernel without nftables has no table.
            Err(error) if error.raw_os_error() == Some(Errno::PROTONOSUPPORT.raw_os_error()) => return Ok(()),
            Err(error) => return Err(refused("take down the kill switch")(error)),
        }
        let none = [Errno::NOENT, Errno::OPNOTSUPP].map(|errno| Some(errno.raw_os_error()));
        match self.transact(&take()) {
            Err(error) if none.contains(&error.raw_os_error()) => Ok(()),
            done => done.map_err(refused("take down the kill switch")),
        }
    }

    /// Waits until another program has taken down what was put up, or changed anything in it. Never, where nothing was.
    pub async fn changed(&mut self) {
        while !self.missed {
            let (Some(changes), Some(_)) = (&self.changes, &self.stands) else { return pending().await };
            let Ok(mut ready) = changes.readable().await else { return pending().await };
            ready.clear_ready();
            self.missed = self.hear().is_break();
        }
        (self.missed, self.stands) = (false, None);
    }

    /// Reads what was told of changes until now.
    fn hear(&self) -> ControlFlow<Heard> {
        let Some(changes) = &self.changes else { return ControlFlow::Continue(()) };
        let mut heard = ControlFlow::Continue(());
        let mut buffer = vec![0; NOTICES];
        loop {
            match recv(changes.get_ref(), &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let notices = buffer.get(..length).unwrap_or_default();
                    if message::by_others(notices, self.number, TABLE) {
                        heard = ControlFlow::Break(Heard::Changed);
                    }
                }
                Err(Errno::INTR) => {}
                // Of our own perhaps: one change of ours can be more than the kernel keeps.
                Err(Errno::NOBUFS) if heard.is_continue() => heard = ControlFlow::Break(Heard::Lost),
                Err(Errno::NOBUFS) => {}
                Err(_) => return heard,
            }
        }
    }

    /// Whether there is a table of our name.
    pub fn is_there(&self) -> bool {
        self.transact(&message::get_table(TABLE)).is_ok()
    }

    fn open(&mut self) -> io::Result<()> {
        if self.socket.is_some() {
            return Ok(());
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let open = |groups| -> io::Result<OwnedFd> {
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
            bind(&socket, &SocketAddrNetlink::new(0, groups))?;
            Ok(socket)
        };
        let socket = open(0)?;
        self.number = SocketAddrNetlink::try_from(getsockname(&socket)?)?.pid();
        set_socket_send_buffer_size_force(&socket, SEND)?;
        set_socket_recv_buffer_size(&socket, RECEIVE)?;
        match open(CHANGES).and_then(crate::ipc::helper::watched) {
            Ok(changes) => self.changes = Some(changes),
            Err(error) => {
                tracing::warn!(%error, "nobody tells when other programs take the kill switch down")
            }
        }
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends it whole and reads the answers. The kernel works while it is sent to, so they are there then.
    fn transact(&self, octets: &[u8]) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        sendto(socket, octets, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut buffer = vec![0; 32 << 10];
        let mut verdict = message::Verdict::default();
        for _ in 0..MAX_ANSWERS {
            match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => verdict.read(buffer.get(..length).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        verdict.result()
    }
}

/// What was told of changes.
enum Heard {
    /// Somebody else has changed our table.
    Changed,
    /// Not everything was told.
    Lost,
}

fn refused(doing: &str) -> impl FnOnce(io::Error) -> NetError {
    move |why| NetError::Refused { doing: doing.to_owned(), why }
}

/// Waits for changes of links, addresses and routes until `differs` says that they matter.
pub(super) async fn until(looks: &mut Looks, differs: impl AsyncFn() -> bool) {
    let (mut bell, mute) = Bell::hang();
    if let Some(error) = mute {
        tracing::warn!(%error, "changes of the network are not noticed");
        return pending().await;
    }
    // What has changed before the bell hung is not told again. What stays different must not keep a processor busy.
    loop {
        looks.next().await;
        if differs().await {
            return;
        }
        bell.rings().await;
    }
}

#[cfg(test)]
mod tests;
