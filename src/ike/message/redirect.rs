//! REDIRECT and REDIRECTED_FROM notifies (RFC 5685 5): another gateway, named by address or host name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

const IPV4: u8 = 1;
const IPV6: u8 = 2;
const FQDN: u8 = 3;
/// The longest host name (RFC 1035 2.3.4).
const NAME: usize = 253;
/// The longest label of a host name.
const LABEL: usize = 63;

/// How a gateway is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GatewayId {
    /// By its address.
    Address(IpAddr),
    /// By a host name in ASCII, without a final dot.
    Name(String),
}

impl GatewayId {
    /// Reads type, length and identity; what follows them is the rest. `None` for another type, a wrong length, an address
    /// that no gateway can have, or what is not a host name.
    fn decode(data: &[u8]) -> Option<(Self, &[u8])> {
        let (&[kind, length], rest) = data.split_first_chunk::<2>()?;
        let (identity, rest) = rest.split_at_checked(usize::from(length))?;
        let id = match kind {
            IPV4 => Self::Address(IpAddr::from(<[u8; 4]>::try_from(identity).ok()?)),
            IPV6 => Self::Address(IpAddr::from(<[u8; 16]>::try_from(identity).ok()?)),
            FQDN => Self::Name(host_name(identity)?),
            _ => return None,
        };
        let usable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast();
        match &id {
            Self::Address(ip) if !usable(ip) => None,
            _ => Some((id, rest)),
        }
    }

    /// Data of a notify that names this gateway and nothing else: REDIRECTED_FROM, and REDIRECT under encryption.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, identity) = match self {
            Self::Address(IpAddr::V4(ip)) => (IPV4, ip.octets().to_vec()),
            Self::Address(IpAddr::V6(ip)) => (IPV6, ip.octets().to_vec()),
            Self::Name(name) => (FQDN, name.as_bytes().iter().copied().take(NAME).collect()),
        };
        let length = u8::try_from(identity.len()).unwrap_or(u8::MAX);
        [&[kind, length], identity.as_slice()].concat()
    }
}

impl FromStr for GatewayId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.parse().ok().map(Self::Address);
        let id = address.or_else(|| host_name(text.as_bytes()).map(Self::Name));
        id.ok_or("expected an address or a host name")
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Where a gateway wants its client to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// The other gateway.
    pub to: GatewayId,
    /// In the answer to IKE_SA_INIT: the client's nonce; else empty.
    pub nonce: Vec<u8>,
}

impl Redirect {
    /// Reads the data of a REDIRECT notify; `None` where it names no gateway.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let (to, nonce) = GatewayId::decode(data)?;
        Some(Self { to, nonce: nonce.to_vec() })
    }

    /// The data of a REDIRECT notify.
    pub fn encode(&self) -> Vec<u8> {
        [self.to.encode(), self.nonce.clone()].concat()
    }
}

/// A host name as DNS has them: letters, digits, hyphens and underscores between single dots.
fn host_name(octets: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(octets).ok()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let label = |label: &str| {
        (1..=LABEL).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-')
    };
    (name.len() <= NAME && name.split('.').all(label)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
