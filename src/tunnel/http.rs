//! HTTP as a proxy reads it: CONNECT (RFC 9110 9.3.6), and requests for `http://` URLs, of which one goes through a connection.
//! No IO.
//!
//! A browser's page reaches this port too: `http://127.0.0.1:1080/`, or a name of its own that leads here (DNS rebinding). What a
//! browser sends then is no request for a proxy (RFC 9112 3.2.1: a path alone), and is refused whatever its Host says.

use super::access::Access;
use super::socks::{Reply, Target, name_or_address};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Longest request line and header fields together, octets.
pub const LIMIT: usize = 16 << 10;
const END: &[u8] = b"\r\n\r\n";
/// What belongs to one hop, or to the proxy (RFC 9110 7.6.1), and Host, which the URL decides (RFC 9112 3.2.2).
const NOT_FORWARDED: &[&str] = &[
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "upgrade",
];

/// What to do after some octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read on.
    More,
    /// Connect.
    Connect {
        /// Where to.
        target: Target,
        /// CONNECT: the client waits for an answer. Else it is the server that answers.
        tunnel: bool,
        /// What goes to the server first: the request where it was none for a tunnel, and what has come after its head.
        first: Vec<u8>,
    },
    /// Send these, then close.
    Refuse(Vec<u8>),
}

/// The head of one request.
#[derive(Debug)]
pub struct Head {
    access: Option<Arc<Access>>,
    read: Zeroizing<Vec<u8>>,
    over: bool,
}

impl Head {
    /// Nothing was read yet. `access`: who may use it; `None`: anybody.
    pub fn new(access: Option<Arc<Access>>) -> Self {
        Self { access, read: Zeroizing::new(Vec::with_capacity(LIMIT)), over: false }
    }

    /// So many octets may be read; 0: the head is over.
    pub fn wanted(&self) -> usize {
        if self.over { 0 } else { LIMIT - self.read.len() }
    }

    /// Takes octets, [`Head::wanted`] at most; those beyond are not looked at.
    pub fn receive(&mut self, octets: &[u8]) -> Step {
        let taken = octets.len().min(self.wanted());
        // Where the end may begin in what was there before.
        let from = self.read.len().saturating_sub(END.len() - 1);
        self.read.extend_from_slice(&octets[..taken]);
        let end = self.read[from..].windows(END.len()).position(|four| four == END).map(|at| from + at);
        let step = match end {
            Some(end) => self.request(end).unwrap_or_else(Step::Refuse),
            None if self.read.len() < LIMIT => return Step::More,
            None => Step::Refuse(answer(
                "431 Request Header Fields Too Large",
                "",
                "the request's head is too long",
            )),
        };
        self.over = true;
        step
    }

    /// The request whose empty line begins at `end`.
    fn request(&self, end: usize) -> Result<Step, Vec<u8>> {
        let bad = |why: &str| answer("400 Bad Request", "", why);
        let (head, rest) = (&self.read[..end], &self.read[end + END.len()..]);
        if !head.iter().all(|octet| matches!(octet, b'\t' | b'\r' | b'\n' | b' '..=0x7e | 0x80..)) {
            return Err(bad("control characters in the request's head"));
        }
        let mut lines = lines(head);
        let line = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
        let fields = lines
            .map(field)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| bad("a line that is no header field"))?;
        let mut words = line.split(' ');
        let (Some(method), Some(to), Some("HTTP/1.1" | "HTTP/1.0"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad("no request of HTTP/1.1"));
        };
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(bad("no method"));
        }
        // Before anything else about it, so that a page that reaches this port learns nothing from its answer.
        let url = match (method, to.split_once("://")) {
            ("CONNECT", _) => None,
            (_, Some((scheme, url))) if scheme.eq_ignore_ascii_case("http") => Some(url),
            _ => return Err(bad("this is a proxy: it takes CONNECT, and requests with a whole http:// URL")),
        };
        self.admit(&fields)?;
        let unreachable = |_| bad("no host and port");
        let Some(url) = url else {
            let target = authority(to, None).ok_or(()).map_err(unreachable)?;
            return Ok(Step::Connect { target, tunnel: true, first: rest.to_vec() });
        };
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (host, path) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        let target = authority(host, Some(80)).ok_or(()).map_err(unreachable)?;
        let root = if path.starts_with('/') { "" } else { "/" };
        let mut first = format!("{method} {root}{path} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        let of_this_hop = named_by_connection(&fields);
        for (name, line) in &fields {
            let stays = |other: &&str| name.eq_ignore_ascii_case(other);
            if !NOT_FORWARDED.iter().chain(&of_this_hop).any(stays) {
                first.extend_from_slice(line);
                first.extend_from_slice(b"\r\n");
            }
        }
        // The next request may be for somebody else.
        first.extend_from_slice(b"Connection: close\r\n\r\n");
        first.extend_from_slice(rest);
        Ok(Step::Connect { target, tunnel: false, first })
    }

    fn admit(&self, fields: &[(&str, &[u8])]) -> Result<(), Vec<u8>> {
        let Some(access) = &self.access else { return Ok(()) };
        let named = |(name, line): &(&str, &[u8])| {
            let value =
                name.eq_ignore_ascii_case("proxy-authorization").then(|| line.get(name.len() + 1..))??;
            let value = std::str::from_utf8(value).ok()?.trim();
            let (scheme, login) = value.split_once(' ')?;
            let login =
                scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(login.trim()).ok())??;
            let login = Zeroizing::new(login);
            let colon = login.iter().position(|octet| *octet == b':')?;
            Some(access.admits(&login[..colon], &login[colon + 1..]))
        };
        if fields.iter().find_map(named) == Some(true) {
            return Ok(());
        }
        let ask = "Proxy-Authenticate: Basic realm=\"ikeep\", charset=\"UTF-8\"\r\n";
        Err(answer("407 Proxy Authentication Required", ask, "this proxy wants a user and a password"))
    }
}

/// What the client of a tunnel reads where there is one.
pub fn connected() -> Vec<u8> {
    b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec()
}

/// What it reads where there is none.
pub fn refusal(reply: Reply) -> Vec<u8> {
    let (status, why) = match reply {
        Reply::NotAllowed => ("403 Forbidden", "the tunnel does not lead there"),
        Reply::NetworkUnreachable => {
            ("503 Service Unavailable", "there is no tunnel, or none of this address family")
        }
        Reply::HostUnreachable => {
            ("504 Gateway Timeout", "the name is not known in the tunnel, or nobody answered")
        }
        Reply::Refused => ("502 Bad Gateway", "the destination refused the connection"),
        _ => ("503 Service Unavailable", "the proxy has as many connections as it takes"),
    };
    answer(status, "", why)
}

fn answer(status: &str, fields: &str, why: &str) -> Vec<u8> {
    let length = why.len() + "ikeep: \n".len();
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\nikeep: {why}\n"
    )
    .into_bytes()
}

/// Host and port. `port`: where none is said; `None`: one has to be.
fn authority(text: &str, port: Option<u16>) -> Option<Target> {
    let after_bracket = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[after_bracket..].rfind(':').map(|at| after_bracket + at) {
        Some(colon) => {
            let digits = &text[colon + 1..];
            let number = digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok());
            (&text[..colon], number??)
        }
        None => (text, port?),
    };
    // "user@host" and its like belong to no proxy (RFC 9110 4.2.4); an address in brackets is one of IPv6.
    let plain = |host: &str| !host.contains(['@', '/', '?', '#', '\\', '%', '[', ']', ':']);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if port == 0 || host.len() > 255 || !bare.map_or_else(|| plain(host), |bare| bare.contains(':')) {
        return None;
    }
    match name_or_address(host.as_bytes()).ok()? {
        Ok(address) => Some(Target::Address((address.to_canonical(), port).into())),
        Err(name) => (bare.is_none()).then_some(Target::Name(name, port)),
    }
}

/// Lines that end with CR LF.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(head);
    std::iter::from_fn(move || {
        let from = rest?;
        let end = from.windows(2).position(|two| two == b"\r\n");
        rest = end.map(|end| &from[end + 2..]);
        Some(&from[..end.unwrap_or(from.len())])
    })
}

/// Name and whole line. `None`: it is none, a continuation (RFC 9112 5.2), or has a line end of its own.
fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|octet| *octet == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    let whole = !line.contains(&b'\r') && !line.contains(&b'\n');
    (whole && !name.is_empty() && name.bytes().all(is_token)).then_some((name, line))
}

/// The fields that the client says are for this hop alone (RFC 9110 7.6.1).
fn named_by_connection<'a>(fields: &[(&'a str, &'a [u8])]) -> Vec<&'a str> {
    let connection = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let values = connection.filter_map(|(name, line)| std::str::from_utf8(&line[name.len() + 1..]).ok());
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

/// RFC 9110 5.6.2.
fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

#[cfg(test)]
mod tests;
