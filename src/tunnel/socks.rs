//! SOCKS5 (RFC 1928) as a server reads it: CONNECT without authentication. No IO.
//!
//! [`Handshake::wanted`] says how many octets to read; whoever reads no more than that leaves what follows the request in the
//! socket, where it belongs to the connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// Version, method count or command, reserved, address type.
const HEAD: usize = 4;
const PORT: usize = 2;

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
    /// BIND, UDP ASSOCIATE.
    CommandNotSupported = 7,
    /// Not IPv4, IPv6 or a name.
    AddressNotSupported = 8,
}

impl Reply {
    /// As the client reads it, with the address and port that the connection has on our side.
    pub fn encode(self, bound: SocketAddr) -> Vec<u8> {
        let mut reply = vec![VERSION, self as u8, 0];
        match bound.ip() {
            IpAddr::V4(address) => {
                reply.push(IPV4);
                reply.extend(address.octets());
            }
            IpAddr::V6(address) => {
                reply.push(IPV6);
                reply.extend(address.octets());
            }
        }
        reply.extend(bound.port().to_be_bytes());
        reply
    }

    /// As the client reads it where there is no connection.
    pub fn without_address(self) -> Vec<u8> {
        self.encode(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
    }
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
    /// Send these, then close.
    Refuse(Vec<u8>),
}

/// Where a client is with its request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handshake {
    stage: Stage,
    /// Of the message that is being read: 262 octets at most.
    read: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Greeting,
    Request,
    Over,
}

impl Handshake {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self { stage: Stage::Greeting, read: Vec::new() }
    }

    /// Octets that are certainly still missing of the message that is being read; 0: the handshake is over.
    pub fn wanted(&self) -> usize {
        let length = match (self.stage, self.read.as_slice()) {
            (Stage::Over, _) => return 0,
            (Stage::Greeting, [_, methods, ..]) => 2 + usize::from(*methods),
            (Stage::Greeting, _) => 2,
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
            Stage::Request => self.request(),
            Stage::Over => Step::More,
        };
        match step {
            Step::More => {}
            Step::Send(_) => {
                self.stage = Stage::Request;
                self.read.clear();
            }
            Step::Connect(_) | Step::Refuse(_) => self.stage = Stage::Over,
        }
        step
    }

    fn greeting(&self) -> Step {
        let no_method = || Step::Refuse(vec![VERSION, NO_METHOD]);
        match self.read.as_slice() {
            [VERSION, ..] if self.wanted() > 0 => Step::More,
            [VERSION, _, methods @ ..] if methods.contains(&NO_AUTHENTICATION) => {
                Step::Send(vec![VERSION, NO_AUTHENTICATION])
            }
            [] => Step::More,
            _ => no_method(),
        }
    }

    fn request(&self) -> Step {
        let refuse = |reply: Reply| Step::Refuse(reply.without_address());
        match self.read.as_slice() {
            [version, ..] if *version != VERSION => return refuse(Reply::Failure),
            [_, command, _, _, ..] if *command != CONNECT => return refuse(Reply::CommandNotSupported),
            [_, _, _, kind, ..] if ![IPV4, NAME, IPV6].contains(kind) => {
                return refuse(Reply::AddressNotSupported);
            }
            _ if self.wanted() > 0 => return Step::More,
            _ => {}
        }
        self.target().map_or_else(refuse, Step::Connect)
    }

    /// The target of a whole request.
    fn target(&self) -> Result<Target, Reply> {
        let (head, port) = self.read.split_last_chunk::<PORT>().ok_or(Reply::Failure)?;
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
}

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
    }
}

/// Clients that hand everything to the proxy as a name write addresses as names too, IPv6 with or without brackets.
fn name_or_address(name: &[u8]) -> Result<Result<IpAddr, String>, Reply> {
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
