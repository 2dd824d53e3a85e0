//! `[portal]`: the page that tells whether a captive portal stands between this machine and the internet.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// Longest URL that is taken, octets.
const MAX_URL: usize = 512;
/// Longest start of a page that is compared, octets.
pub const MAX_EXPECT: usize = 256;

/// `[portal]`. The page is asked for only while the gateway does not answer although there is a route to it, over the interface
/// that leads to the gateway, and never where the profile says DisableCaptivePortalDetection. Its server learns that this
/// machine's address has asked, and nothing else. The default is what NetworkManager asks in Debian: the Debian project.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Portal {
    /// The page; `None` ("" or "off" in the file): nobody is ever asked.
    #[serde(deserialize_with = "page")]
    pub probe: Option<ProbeUrl>,
    /// How the page begins where no portal is in the way, at most [`MAX_EXPECT`] octets. Where this is empty, only an answer
    /// without content (status 204) will do.
    #[serde(deserialize_with = "expect")]
    pub expect: String,
}

impl Default for Portal {
    fn default() -> Self {
        let port = NonZeroU16::MIN.saturating_add(79);
        let probe = ProbeUrl { host: "network-test.debian.org".into(), port, path: "/nm".into() };
        Self { probe: Some(probe), expect: "NetworkManager is online".into() }
    }
}

/// An `http://` URL. Its parts hold printable ASCII without blanks only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeUrl {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: NonZeroU16,
    /// Path and query, from the first slash on.
    pub path: String,
}

/// Why a text is no [`ProbeUrl`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeUrlError {
    /// HTTPS, or no URL.
    #[error("expected http://HOST/PATH (a portal cannot answer for a page of HTTPS)")]
    Scheme,
    /// Too long.
    #[error("a URL of more than {MAX_URL} octets")]
    Length,
    /// Something that is not printable ASCII.
    #[error("expected printable ASCII without blanks (write %20 for a blank)")]
    Octets,
    /// `user@host`.
    #[error("expected no user name before the host")]
    User,
    /// Empty, or something that no name holds.
    #[error("expected a host name or an address after http://, an IPv6 address in brackets")]
    Host,
    /// No number from 1 to 65535.
    #[error("expected a port from 1 to 65535 after the colon")]
    Port,
    /// `#part`.
    #[error("expected no # (a server is never told what follows it)")]
    Fragment,
}

impl FromStr for ProbeUrl {
    type Err = ProbeUrlError;

    fn from_str(text: &str) -> Result<Self, ProbeUrlError> {
        if text.len() > MAX_URL {
            return Err(ProbeUrlError::Length);
        }
        if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(ProbeUrlError::Octets);
        }
        let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let rest = scheme.and(text.get(7..)).ok_or(ProbeUrlError::Scheme)?;
        if rest.contains('#') {
            return Err(ProbeUrlError::Fragment);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(ProbeUrlError::User);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(ProbeUrlError::Host)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| ProbeUrlError::Host)?;
                (host, port)
            }
            None => {
                let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
                let good = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
                if host.is_empty() || !host.bytes().all(good) {
                    return Err(ProbeUrlError::Host);
                }
                (host, port)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(port) if port.bytes().all(|octet| octet.is_ascii_digit()) => {
                port.parse().map_err(|_| ProbeUrlError::Port)?
            }
            None if port.is_empty() => NonZeroU16::MIN.saturating_add(79),
            _ => return Err(ProbeUrlError::Port),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { host: host.to_owned(), port, path: format!("{slash}{path}") })
    }
}

impl ProbeUrl {
    /// Host and port as a URL and the header `Host` write them.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port.get() == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for ProbeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

fn page<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ProbeUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text == "off" {
        return Ok(None);
    }
    let wrong = |error| D::Error::custom(format!("invalid URL: {error}; \"off\" never asks"));
    text.parse().map(Some).map_err(wrong)
}

fn expect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > MAX_EXPECT {
        return Err(D::Error::custom(format!("{} octets, expected at most {MAX_EXPECT}", text.len())));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
