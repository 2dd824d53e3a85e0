//! SOCKS5 (RFC 1928) as a server reads it: CONNECT and UDP ASSOCIATE, with user and password (RFC 1929) where that is wanted.
//! No IO.
//!
//! [`Handshake::wanted`] says how many octets to read; whoever reads no more than that leaves what follows the request in the
//! socket, where it belongs to the connection.

use super::access::Access;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
/// Of the message with user and password, and of its answer (RFC 1929 2).
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const UDP_ASSOCIATE: u8 = 3;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// Version, method count or command, reserved, address type.
const HEAD: usize = 4;
const PORT: usize = 2;
/// The longest message: user and password.
const MESSAGE: usize = 513;

/// What a client wants to reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// An address, written as one or as a name.
    Address(SocketAddr),
    /// A name of 1 to 255 printable ASCII characters, and a port.
    Name(String, u16),
}

/// The reply codes of RFC 1928 section 6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reply {
    /// Connected.
    Succeeded = 0,
    /// Anything that has no code of its own.
    Failure = 1,
    /// The destination is not for the tunnel.
    NotAllowed = 2,
    /// There is no tunnel, or none of this address family.
    NetworkUnreachable = 3,
    /// The name is not known, or nobody answered.
    HostUnreachable = 4,
    /// The destination refused.
    Refused = 5,
    /// BIND.
    CommandNotSupported = 7,
    /// Not IPv4, IPv6 or a name.
    AddressNotSupported = 8,
}

impl Reply {
    /// As the client reads it, with the address and port that the connection has on our side.
    pub fn encode(self, bound: SocketAddr) -> Vec<u8> {
        let mut reply = vec![VERSION, self as u8, 0];
        put_address(&mut reply, bound);
        reply
    }

    /// As the client reads it where there is no connection.
    pub fn without_address(self) -> Vec<u8> {
        self.encode(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
    }
}

fn put_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(address) => {
            out.push(IPV4);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.push(IPV6);
            out.extend(address.octets());
        }
    }
    out.extend(address.port().to_be_bytes());
}

/// What to do after some octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read on.
    More,
    /// Send these, then read on.
    Send(Vec<u8>),
    /// Connect, then send a [`Reply`].
    Connect(Target),
    /// Open a socket for datagrams ([`Datagram`]), then send a [`Reply`] with its address. The port that the client says its
    /// datagrams will come from; 0: it does not know.
    Associate(u16),
    /// Send these, then close.
    Refuse(Vec<u8>),
}

/// Where a client is with its request.
#[derive(Debug)]
pub struct Handshake {
    access: Option<Arc<Access>>,
    stage: Stage,
    /// Of the message that is being read: 513 octets at most. It may be a password.
    read: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Greeting,
    Login,
    Request,
    Over,
}

impl Handshake {
    /// Nothing was read yet. `access`: who may use it; `None`: anybody.
    pub fn new(access: Option<Arc<Access>>) -> Self {
        // Never longer, so that no copy of a password is left behind.
        Self { access, stage: Stage::Greeting, read: Zeroizing::new(Vec::with_capacity(MESSAGE)) }
    }

    /// Octets that are certainly still missing of the message that is being read; 0: the handshake is over.
    pub fn wanted(&self) -> usize {
        let length = match (self.stage, self.read.as_slice()) {
            (Stage::Over, _) => return 0,
            (Stage::Greeting, [_, methods, ..]) => 2 + usize::from(*methods),
            (Stage::Greeting, _) => 2,
            (Stage::Login, [_, user, rest @ ..]) => {
                let user = usize::from(*user);
                3 + user + rest.get(user).map_or(0, |length| usize::from(*length))
            }
            (Stage::Login, _) => 2,
            (Stage::Request, [_, _, _, IPV4, ..]) => HEAD + 4 + PORT,
            (Stage::Request, [_, _, _, IPV6, ..]) => HEAD + 16 + PORT,
            (Stage::Request, [_, _, _, NAME, length, ..]) => HEAD + 1 + usize::from(*length) + PORT,
            (Stage::Request, [_, _, _, NAME]) => HEAD + 1,
            (Stage::Request, _) => HEAD,
        };
        length.saturating_sub(self.read.len())
    }

    /// Takes octets, [`Handshake::wanted`] at most; those beyond are not looked at.
    pub fn receive(&mut self, octets: &[u8]) -> Step {
        let taken = octets.len().min(self.wanted());
        self.read.extend_from_slice(&octets[..taken]);
        let step = match self.stage {
            Stage::Greeting => self.greeting(),
            Stage::Login => self.login(),
            Stage::Request => self.request(),
            Stage::Over => Step::More,
        };
        match step {
            Step::More => {}
            Step::Send(_) => {
                let log_in = self.stage == Stage::Greeting && self.access.is_some();
                self.stage = if log_in { Stage::Login } else { Stage::Request };
                self.read.zeroize();
            }
            Step::Connect(_) | Step::Associate(_) | Step::Refuse(_) => self.stage = Stage::Over,
        }
        step
    }

    fn greeting(&self) -> Step {
        let no_method = || Step::Refuse(vec![VERSION, NO_METHOD]);
        let method = if self.access.is_some() { USER_AND_PASSWORD } else { NO_AUTHENTICATION };
        match self.read.as_slice() {
            [VERSION, ..] if self.wanted() > 0 => Step::More,
            [VERSION, _, methods @ ..] if methods.contains(&method) => Step::Send(vec![VERSION, method]),
            [] => Step::More,
            _ => no_method(),
        }
    }

    fn login(&self) -> Step {
        let no = || Step::Refuse(vec![LOGIN_VERSION, 1]);
        match self.read.as_slice() {
            [version, ..] if *version != LOGIN_VERSION => return no(),
            _ if self.wanted() > 0 => return Step::More,
            _ => {}
        }
        let admitted = || {
            let (user, rest) = self.read.get(2..)?.split_at_checked(usize::from(*self.read.get(1)?))?;
            Some(self.access.as_ref()?.admits(user, rest.get(1..)?))
        };
        if admitted() == Some(true) { Step::Send(vec![LOGIN_VERSION, 0]) } else { no() }
    }

    fn request(&self) -> Step {
        let refuse = |reply: Reply| Step::Refuse(reply.without_address());
        match self.read.as_slice() {
            [version, ..] if *version != VERSION => return refuse(Reply::Failure),
            [_, command, _, _, ..] if ![CONNECT, UDP_ASSOCIATE].contains(command) => {
                return refuse(Reply::CommandNotSupported);
            }
            [_, _, _, kind, ..] if ![IPV4, NAME, IPV6].contains(kind) => {
                return refuse(Reply::AddressNotSupported);
            }
            _ if self.wanted() > 0 => return Step::More,
            _ => {}
        }
        match (target(&self.read), self.read.as_slice()) {
            // The address is that of the control connection, whatever is said (RFC 1928 6 lets the server do so).
            (_, [_, UDP_ASSOCIATE, .., high, low]) => Step::Associate(u16::from_be_bytes([*high, *low])),
            (target, _) => target.map_or_else(refuse, Step::Connect),
        }
    }
}

/// What a request or a datagram says where to, all of it: three octets, then address and port.
fn target(read: &[u8]) -> Result<Target, Reply> {
    let (head, port) = read.split_last_chunk::<PORT>().ok_or(Reply::Failure)?;
    let port = u16::from_be_bytes(*port);
    let (kind, address) = match head {
        [_, _, _, kind, address @ ..] => (*kind, address),
        _ => return Err(Reply::Failure),
    };
    let ip = if let Ok(four) = <[u8; 4]>::try_from(address)
        && kind == IPV4
    {
        IpAddr::V4(four.into())
    } else if let Ok(six) = <[u8; 16]>::try_from(address)
        && kind == IPV6
    {
        IpAddr::V6(six.into())
    } else {
        let name = address.get(1..).filter(|_| kind == NAME).ok_or(Reply::Failure)?;
        match name_or_address(name)? {
            Ok(ip) => ip,
            Err(name) => return Ok(Target::Name(name, port)),
        }
    };
    // An IPv4 address in IPv6 clothes goes to the IPv4 host.
    Ok(Target::Address(SocketAddr::new(ip.to_canonical(), port)))
}

/// A datagram between the client and the proxy (RFC 1928 7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram<'a> {
    /// Where to.
    pub target: Target,
    /// What goes there.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads one of the client's. `None`: it is none, or a fragment of one, which nobody sends.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let [0, 0, 0, kind, rest @ ..] = octets else { return None };
        let address = match *kind {
            IPV4 => 4,
            IPV6 => 16,
            NAME => 1 + usize::from(*rest.first()?),
            _ => return None,
        };
        let (head, payload) = octets.split_at_checked(HEAD + address + PORT)?;
        Some(Self { target: target(head).ok()?, payload })
    }

    /// What goes before the payload of one that came from `source`.
    pub fn head(source: SocketAddr) -> Vec<u8> {
        let mut head = vec![0; 3];
        put_address(&mut head, source);
        head
    }
}

/// Clients that hand everything to the proxy as a name write addresses as names too, IPv6 with or without brackets.
pub(super) fn name_or_address(name: &[u8]) -> Result<Result<IpAddr, String>, Reply> {
    let printable = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let name = std::str::from_utf8(name).ok().filter(|_| printable).ok_or(Reply::HostUnreachable)?;
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok(),
    };
    Ok(address.ok_or_else(|| name.to_owned()))
}

#[cfg(test)]
mod tests;
