//! RADIUS packets (RFC 2865): an Access-Request with PAP, and what comes back, believed only with a Message-Authenticator
//! (RFC 2869 5.14; without one answers can be forged, CVE-2024-3596).

use super::digest::hmac_md5;
use crate::crypto::Secret;
use crate::crypto::legacy::md5;
use crate::gateway::aaa::{Address4, Answer, Doubt, Grant, Question};
use crate::plan::Net;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Codes.
mod code {
    pub(super) const ACCESS_REQUEST: u8 = 1;
    pub(super) const ACCESS_ACCEPT: u8 = 2;
    pub(super) const ACCESS_REJECT: u8 = 3;
    pub(super) const ACCESS_CHALLENGE: u8 = 11;
}

/// Attributes (RFC 2865, RFC 2869, RFC 3162, RFC 6911).
mod attribute {
    pub(super) const USER_NAME: u8 = 1;
    pub(super) const USER_PASSWORD: u8 = 2;
    pub(super) const NAS_IP_ADDRESS: u8 = 4;
    pub(super) const SERVICE_TYPE: u8 = 6;
    pub(super) const FRAMED_IP_ADDRESS: u8 = 8;
    pub(super) const REPLY_MESSAGE: u8 = 18;
    pub(super) const STATE: u8 = 24;
    pub(super) const CLASS: u8 = 25;
    pub(super) const CALLING_STATION_ID: u8 = 31;
    pub(super) const NAS_IDENTIFIER: u8 = 32;
    pub(super) const NAS_PORT_TYPE: u8 = 61;
    pub(super) const MESSAGE_AUTHENTICATOR: u8 = 80;
    pub(super) const NAS_IPV6_ADDRESS: u8 = 95;
    pub(super) const FRAMED_IPV6_PREFIX: u8 = 97;
    pub(super) const FRAMED_IPV6_ADDRESS: u8 = 168;
}

/// Code, identifier, length, authenticator.
const HEADER: usize = 20;
/// Largest packet (RFC 2865 3), octets.
pub const MAX_PACKET: usize = 4096;
/// Longest value of an attribute, octets.
const MAX_VALUE: usize = 253;
/// Longest password (RFC 2865 5.2), octets.
const MAX_PASSWORD: usize = 128;
/// Where the value of the Message-Authenticator stands in a request: it is the first attribute.
const OURS: usize = HEADER + 2;
/// Framed-User.
const FRAMED: u32 = 2;
/// NAS-Port-Type Virtual.
const VIRTUAL: u32 = 5;
/// Characters of a message that are passed on to the user.
const SHOWN: usize = 1024;

/// An Access-Request.
pub struct Request {
    pub(super) octets: Vec<u8>,
    id: u8,
    authenticator: [u8; 16],
}

/// Why an answer does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Bad {
    /// Too short, too long, or an attribute whose length lies.
    #[error("it is malformed")]
    Malformed,
    /// Of another request.
    #[error("it answers another request")]
    Foreign,
    /// Made without the secret, or changed on its way.
    #[error("its authenticator is wrong: the secret differs, or it was changed on its way")]
    Forged,
    /// It has no Message-Authenticator.
    #[error("it has no Message-Authenticator: the RADIUS server must send one (CVE-2024-3596)")]
    Unsigned,
    /// A code that is no answer to an Access-Request.
    #[error("its code {0} answers no Access-Request")]
    Code(u8),
}

impl Bad {
    /// What the gateway makes of it.
    pub fn doubt(self) -> Doubt {
        match self {
            Self::Forged => Doubt::Forged,
            Self::Unsigned => Doubt::Unsigned,
            Self::Malformed | Self::Foreign | Self::Code(_) => Doubt::Unreadable,
        }
    }
}

/// What an Access-Accept grants and this gateway does not give, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unused {
    /// An address that no host can have.
    #[error("{name} {address}: no host can have that address; one of the pool is given")]
    NoHost {
        /// The attribute.
        name: &'static str,
        /// Its value.
        address: IpAddr,
    },
    /// RFC 3162 2.3.
    #[error(
        "Framed-IPv6-Prefix {0}: a client of this gateway is given one address and no network; Framed-IPv6-Address names one"
    )]
    Prefix(Net),
    /// An attribute whose value is too short, too long or makes no sense.
    #[error("{0} is malformed; it counts as not sent")]
    Malformed(&'static str),
}

impl Request {
    /// `random`: identifier and authenticator. `None` where there is no name (RFC 2865 5.1), or name or password are longer than
    /// RADIUS can say.
    pub fn new(
        question: &Question,
        nas: IpAddr,
        secret: &Secret,
        (id, authenticator): (u8, [u8; 16]),
    ) -> Option<Self> {
        if question.user.is_empty() {
            return None;
        }
        let mut octets = vec![code::ACCESS_REQUEST, id, 0, 0];
        octets.extend(authenticator);
        put(&mut octets, attribute::MESSAGE_AUTHENTICATOR, &[0; 16])?;
        put(&mut octets, attribute::USER_NAME, question.user.as_bytes())?;
        put(&mut octets, attribute::USER_PASSWORD, &hidden(&question.password, secret, &authenticator)?)?;
        match nas {
            // Its identifier says enough.
            _ if nas.is_unspecified() => {}
            IpAddr::V4(address) => put(&mut octets, attribute::NAS_IP_ADDRESS, &address.octets())?,
            IpAddr::V6(address) => put(&mut octets, attribute::NAS_IPV6_ADDRESS, &address.octets())?,
        }
        put(&mut octets, attribute::NAS_IDENTIFIER, b"ikeep")?;
        put(&mut octets, attribute::SERVICE_TYPE, &FRAMED.to_be_bytes())?;
        put(&mut octets, attribute::NAS_PORT_TYPE, &VIRTUAL.to_be_bytes())?;
        put(&mut octets, attribute::CALLING_STATION_ID, question.peer.to_string().as_bytes())?;
        if let Some(state) = &question.state {
            put(&mut octets, attribute::STATE, state)?;
        }
        let length = u16::try_from(octets.len()).ok()?;
        octets[2..4].copy_from_slice(&length.to_be_bytes());
        let signature = hmac_md5(secret, &[&octets]);
        octets[OURS..OURS + 16].copy_from_slice(&signature);
        Some(Self { octets, id, authenticator })
    }

    /// Reads an answer to this request, and what it grants in vain.
    ///
    /// # Errors
    /// It does not count: see [`Bad`]. Another one may follow.
    pub fn read(&self, octets: &[u8], secret: &Secret) -> Result<(Answer, Vec<Unused>), Bad> {
        let &[code, id, high, low, ..] = octets else { return Err(Bad::Malformed) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER..=MAX_PACKET).contains(&length) {
            return Err(Bad::Malformed);
        }
        // What follows its length is padding (RFC 2865 3).
        let octets = octets.get(..length).ok_or(Bad::Malformed)?;
        if id != self.id {
            return Err(Bad::Foreign);
        }
        let (head, body) = octets.split_at(HEADER);
        let expected = md5(&[&head[..4], &self.authenticator, body, secret.expose()]);
        if Secret::from(&expected[..]) != Secret::from(&head[4..]) {
            return Err(Bad::Forged);
        }
        let found = attributes(body)?;
        self.check_signature(octets, &found, secret)?;
        let answer = match code {
            code::ACCESS_ACCEPT => {
                let (grant, unused) = grant(&found);
                return Ok((Answer::Accept(grant), unused));
            }
            code::ACCESS_REJECT => Answer::Reject { message: message(&found) },
            code::ACCESS_CHALLENGE => Answer::Challenge {
                message: message(&found),
                state: first(&found, attribute::STATE).map(<[u8]>::to_vec).unwrap_or_default(),
            },
            other => return Err(Bad::Code(other)),
        };
        Ok((answer, Vec::new()))
    }

    /// The Message-Authenticator is made with the request's authenticator in its place, and with itself as zeros.
    fn check_signature(&self, octets: &[u8], found: &[Found<'_>], secret: &Secret) -> Result<(), Bad> {
        let mut signatures = found.iter().filter(|found| found.kind == attribute::MESSAGE_AUTHENTICATOR);
        let (Some(signature), None) = (signatures.next(), signatures.next()) else {
            return Err(Bad::Unsigned);
        };
        if signature.value.len() != 16 {
            return Err(Bad::Malformed);
        }
        let (before, after) = (&octets[HEADER..signature.at], &octets[signature.at + 16..]);
        let expected = hmac_md5(secret, &[&octets[..4], &self.authenticator, before, &[0; 16], after]);
        if Secret::from(&expected[..]) == Secret::from(signature.value) { Ok(()) } else { Err(Bad::Forged) }
    }
}

/// The value of an attribute, and where it stands in the packet.
struct Found<'a> {
    kind: u8,
    at: usize,
    value: &'a [u8],
}

fn attributes(body: &[u8]) -> Result<Vec<Found<'_>>, Bad> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&[kind, length]) = body.get(at..at + 2) {
        let value = body.get(at + 2..at + usize::from(length)).ok_or(Bad::Malformed)?;
        found.push(Found { kind, at: HEADER + at + 2, value });
        at += usize::from(length);
    }
    if at == body.len() { Ok(found) } else { Err(Bad::Malformed) }
}

fn first<'a>(found: &[Found<'a>], kind: u8) -> Option<&'a [u8]> {
    found.iter().find(|found| found.kind == kind).map(|found| found.value)
}

fn grant(found: &[Found<'_>]) -> (Grant, Vec<Unused>) {
    let mut unused = Vec::new();
    let v4 = address::<4>(found, attribute::FRAMED_IP_ADDRESS, "Framed-IP-Address", &mut unused);
    let address4 = match v4.map(Ipv4Addr::from) {
        // RFC 2865 5.8.
        None | Some(Ipv4Addr::BROADCAST) => Address4::Client,
        Some(address) if address.to_bits() == u32::MAX - 1 => Address4::Gateway,
        Some(address) if address.is_unspecified() || address.is_loopback() || address.is_multicast() => {
            unused.push(Unused::NoHost { name: "Framed-IP-Address", address: address.into() });
            Address4::Client
        }
        Some(address) => Address4::Fixed(address),
    };
    let v6 = address::<16>(found, attribute::FRAMED_IPV6_ADDRESS, "Framed-IPv6-Address", &mut unused);
    let mut address6 = v6.map(Ipv6Addr::from);
    let link = |address: &Ipv6Addr| address.is_unicast_link_local();
    if let Some(address) =
        address6.take_if(|a| a.is_unspecified() || a.is_loopback() || a.is_multicast() || link(a))
    {
        unused.push(Unused::NoHost { name: "Framed-IPv6-Address", address: address.into() });
    }
    unused.extend(
        first(found, attribute::FRAMED_IPV6_PREFIX)
            .map(|value| prefix(value).map_or(Unused::Malformed("Framed-IPv6-Prefix"), Unused::Prefix)),
    );
    let classes = found.iter().filter(|found| found.kind == attribute::CLASS);
    (Grant { address4, address6, class: classes.map(|found| found.value.to_vec()).collect() }, unused)
}

/// An attribute of so many octets.
fn address<const N: usize>(
    found: &[Found<'_>],
    kind: u8,
    name: &'static str,
    unused: &mut Vec<Unused>,
) -> Option<[u8; N]> {
    let value = first(found, kind)?;
    let octets = <[u8; N]>::try_from(value).ok();
    if octets.is_none() {
        unused.push(Unused::Malformed(name));
    }
    octets
}

/// Framed-IPv6-Prefix (RFC 3162 2.3): a reserved octet, the length in bits, and as many octets as are needed, or more.
fn prefix(value: &[u8]) -> Option<Net> {
    let (&[_, bits], octets) = value.split_first_chunk::<2>()?;
    let mut address = [0; 16];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    let enough = usize::from(bits).div_ceil(8) <= octets.len();
    Net::new(Ipv6Addr::from(address).into(), bits).filter(|_| enough)
}

/// All Reply-Messages, fit for a form.
fn message(found: &[Found<'_>]) -> String {
    let texts = found.iter().filter(|found| found.kind == attribute::REPLY_MESSAGE);
    let whole: Vec<u8> = texts.flat_map(|found| found.value.iter().copied()).collect();
    let text = String::from_utf8_lossy(&whole);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect::<String>()
        .trim()
        .to_owned()
}

fn put(octets: &mut Vec<u8>, kind: u8, value: &[u8]) -> Option<()> {
    let length = u8::try_from(value.len() + 2).ok().filter(|_| value.len() <= MAX_VALUE)?;
    octets.extend([kind, length]);
    octets.extend_from_slice(value);
    Some(())
}

/// RFC 2865 5.2: blocks of 16 octets, each under the MD5 of the secret and the block before.
fn hidden(password: &Secret, secret: &Secret, authenticator: &[u8; 16]) -> Option<Vec<u8>> {
    let octets = password.expose();
    if octets.len() > MAX_PASSWORD {
        return None;
    }
    let mut hidden = Vec::with_capacity(octets.len().next_multiple_of(16).max(16));
    let mut before = *authenticator;
    for block in 0..octets.len().div_ceil(16).max(1) {
        let mut mask = md5(&[secret.expose(), &before]);
        let plain = octets.get(16 * block..).unwrap_or_default();
        mask.iter_mut().zip(plain).for_each(|(mask, octet)| *mask ^= octet);
        hidden.extend(mask);
        before = mask;
    }
    Some(hidden)
}

#[cfg(test)]
mod tests;
