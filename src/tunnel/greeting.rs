//! What a client of the proxy wants: SOCKS5 and HTTP share one port, and the first octet tells them apart. No IO.

use super::access::Access;
use super::socks::{Reply, Target};
use super::{http, socks};
use std::net::SocketAddr;
use std::sync::Arc;

/// The language of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voice {
    /// SOCKS5.
    Socks,
    /// HTTP's CONNECT.
    Tunnel,
    /// A request of HTTP, which the server answers.
    Request,
}

impl Voice {
    /// What a client reads when its connection is there; `bound` is our end.
    pub fn connected(self, bound: SocketAddr) -> Vec<u8> {
        match self {
            Self::Socks => Reply::Succeeded.encode(bound),
            Self::Tunnel => http::connected(),
            Self::Request => Vec::new(),
        }
    }

    /// What a client reads where there is no connection.
    pub fn refused(self, why: Reply) -> Vec<u8> {
        match self {
            Self::Socks => why.without_address(),
            Self::Tunnel | Self::Request => http::refusal(why),
        }
    }
}

/// What to do after some octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read on.
    More,
    /// Send these, then read on.
    Send(Vec<u8>),
    /// Connect, then answer in this voice.
    Connect {
        /// Where to.
        target: Target,
        /// How to answer.
        voice: Voice,
        /// What goes to the peer first; [`http::LIMIT`] and what one read takes at most.
        first: Vec<u8>,
    },
    /// Open a socket for datagrams, see [`socks::Step::Associate`].
    Associate(u16),
    /// Send these, then close.
    Refuse(Vec<u8>),
}

/// A client that has not yet said what it wants.
#[derive(Debug)]
pub enum Greeting {
    /// Nothing was read.
    Silent(Option<Arc<Access>>),
    /// SOCKS5.
    Socks(socks::Handshake),
    /// HTTP.
    Http(http::Head),
}

impl Greeting {
    /// `access`: who may use the proxy; `None`: anybody.
    pub fn new(access: Option<Arc<Access>>) -> Self {
        Self::Silent(access)
    }

    /// So many octets may be read; 0: nothing more is wanted.
    pub fn wanted(&self) -> usize {
        match self {
            Self::Silent(_) => 1,
            Self::Socks(handshake) => handshake.wanted(),
            Self::Http(head) => head.wanted(),
        }
    }

    /// Takes octets, [`Greeting::wanted`] at most.
    pub fn receive(&mut self, octets: &[u8]) -> Step {
        if let (Self::Silent(access), Some(first)) = (&mut *self, octets.first()) {
            let access = access.take();
            // Methods of HTTP are written in capitals.
            *self = if first.is_ascii_uppercase() {
                Self::Http(http::Head::new(access))
            } else {
                Self::Socks(socks::Handshake::new(access))
            };
        }
        match self {
            Self::Silent(_) => Step::More,
            Self::Socks(handshake) => match handshake.receive(octets) {
                socks::Step::More => Step::More,
                socks::Step::Send(answer) => Step::Send(answer),
                socks::Step::Connect(target) => {
                    Step::Connect { target, voice: Voice::Socks, first: Vec::new() }
                }
                socks::Step::Associate(port) => Step::Associate(port),
                socks::Step::Refuse(answer) => Step::Refuse(answer),
            },
            Self::Http(head) => match head.receive(octets) {
                http::Step::More => Step::More,
                http::Step::Connect { target, tunnel, first } => {
                    let voice = if tunnel { Voice::Tunnel } else { Voice::Request };
                    Step::Connect { target, voice, first }
                }
                http::Step::Refuse(answer) => Step::Refuse(answer),
            },
        }
    }
}
