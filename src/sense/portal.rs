//! Whether a captive portal stands in the way: one page is asked for in the clear, over the interface that leads to the gateway.

use crate::config::ProbeUrl;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Largest header of an answer that is read, octets.
pub const MAX_HEADER: usize = 8 << 10;
/// Octets of an answer that are read at most; the start of the page is all that counts.
const MAX_ANSWER: usize = MAX_HEADER + (4 << 10);
/// Longest address of a portal that is passed on, octets.
const MAX_LOCATION: usize = 1024;
/// Addresses of the page's server that are tried.
const MAX_ADDRESSES: usize = 4;

/// What is asked, and what the answer is without a portal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The page.
    pub url: ProbeUrl,
    /// How it begins. Empty: it has no content.
    pub expect: String,
    /// For everything together: name, connection, answer.
    pub timeout: Duration,
}

/// What the answer says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The page came as it is: no portal.
    Open,
    /// Another page came: a portal answers for everybody.
    Captive {
        /// Where it sends people, if it says so: an `http://` or `https://` URL of printable ASCII. It comes from whoever answers.
        location: Option<String>,
    },
    /// The page's server could not be asked, or said something that a portal does not say.
    Unknown {
        /// For people.
        why: String,
    },
}

fn unknown(why: impl Into<String>) -> Verdict {
    Verdict::Unknown { why: why.into() }
}

/// Asks for the page at `addresses`, which belong to its server's name, from this address, and over this interface (0: not known)
/// where that is allowed. No redirect is followed.
///
/// `open` makes the sockets (true: IPv6).
pub async fn probe<F: Future<Output = io::Result<TcpSocket>>>(
    probe: &Probe,
    addresses: &[IpAddr],
    from: IpAddr,
    interface: u32,
    open: impl Fn(bool) -> F,
) -> Verdict {
    match tokio::time::timeout(probe.timeout, ask(probe, addresses, from, interface, open)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => unknown(format!("{} cannot be asked: {error}", probe.url)),
        Err(_) => unknown(format!("{} did not answer within {:?}", probe.url, probe.timeout)),
    }
}

/// A socket like any other.
///
/// # Errors
/// No descriptor is left, or the kernel has no such family.
pub async fn plain(ipv6: bool) -> io::Result<TcpSocket> {
    if ipv6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() }
}

async fn ask<F: Future<Output = io::Result<TcpSocket>>>(
    probe: &Probe,
    addresses: &[IpAddr],
    from: IpAddr,
    interface: u32,
    open: impl Fn(bool) -> F,
) -> io::Result<Verdict> {
    let to = addresses.iter().map(|ip| SocketAddr::new(*ip, probe.url.port.get()));
    let mut stream = connect(to, from, interface, open).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ikeep\r\nAccept: */*\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
        probe.url.path,
        probe.url.authority()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let length = stream.read(&mut buffer).await?;
        answer.extend(buffer.iter().take(length));
        if let Some(verdict) = judge(&answer, length == 0, probe) {
            return Ok(verdict);
        }
    }
}

async fn connect<F: Future<Output = io::Result<TcpSocket>>>(
    found: impl Iterator<Item = SocketAddr>,
    from: IpAddr,
    interface: u32,
    open: impl Fn(bool) -> F,
) -> io::Result<TcpStream> {
    let usable = found.filter(|at| at.is_ipv4() == from.is_ipv4()).take(MAX_ADDRESSES);
    let mut last =
        io::Error::new(io::ErrorKind::AddrNotAvailable, format!("it has no address to reach from {from}"));
    for at in usable {
        let socket = open(at.is_ipv6()).await?;
        socket.bind(SocketAddr::new(from, 0))?;
        pin(&socket, interface);
        match socket.connect(at).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Keeps the socket on this interface. Kernels before 5.7 allow that to root only; the source address is set anyway.
fn pin(socket: &TcpSocket, interface: u32) {
    if interface == 0 {
        return;
    }
    let name = rustix::net::netdevice::index_to_name(socket, interface).map_err(io::Error::from);
    if let Err(error) = name.and_then(|name| socket.bind_device(Some(name.as_bytes()))) {
        tracing::debug!(%error, interface, "the probe is not kept on its interface");
    }
}

/// What the answer so far says; `None`: more of it is needed. `ended`: there is no more.
pub fn judge(answer: &[u8], ended: bool, probe: &Probe) -> Option<Verdict> {
    if !answer.iter().zip(b"HTTP/1.").all(|(got, wanted)| got == wanted) {
        return Some(unknown("the answer is not HTTP"));
    }
    let Some((header, body)) = split_header(answer) else {
        return if answer.len() > MAX_HEADER {
            Some(unknown(format!("the header of the answer has more than {MAX_HEADER} octets")))
        } else {
            ended.then(|| unknown("the answer ended before its header did"))
        };
    };
    if header.len() > MAX_HEADER {
        return Some(unknown(format!("the header of the answer has more than {MAX_HEADER} octets")));
    }
    let status = header.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    match status {
        Some(204) => Some(Verdict::Open),
        Some(300..=399) => Some(Verdict::Captive { location: location(header, &probe.url) }),
        // RFC 6585 6.
        Some(511) => Some(Verdict::Captive { location: None }),
        Some(200) => judge_page(header, body, ended || answer.len() >= MAX_ANSWER, probe),
        Some(status) => Some(unknown(format!("{} answers with status {status}", probe.url))),
        None => Some(unknown("the answer is not HTTP")),
    }
}

fn judge_page(header: &[u8], body: &[u8], ended: bool, probe: &Probe) -> Option<Verdict> {
    let captive = Some(Verdict::Captive { location: None });
    let expected = probe.expect.as_bytes();
    let chunked =
        field(header, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let (page, whole) = if chunked {
        unchunk(body)
    } else {
        let length = field(header, "content-length").and_then(|value| value.parse::<usize>().ok());
        let page = length.and_then(|length| body.get(..length)).unwrap_or(body);
        // Without a length the page ends with the connection.
        (page.to_vec(), length.map_or(ended, |length| body.len() >= length))
    };
    if !page.iter().zip(expected).all(|(got, wanted)| got == wanted) {
        return captive;
    }
    if expected.is_empty() {
        return match (page.is_empty(), whole) {
            (true, true) => Some(Verdict::Open),
            (true, false) => ended.then(|| unknown("the answer was cut off")),
            (false, _) => captive,
        };
    }
    if page.len() >= expected.len() {
        return Some(Verdict::Open);
    }
    if whole {
        return captive;
    }
    ended.then(|| unknown("the answer was cut off"))
}

/// Header without its final empty line, and what follows.
fn split_header(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = |mark: &[u8]| Some((answer.windows(mark.len()).position(|at| at == mark)?, mark.len()));
    let (at, length) = [end(b"\r\n\r\n"), end(b"\n\n")].into_iter().flatten().min()?;
    Some((answer.get(..at)?, answer.get(at + length..)?))
}

/// The value of a field; its name in lower case.
fn field<'h>(header: &'h [u8], name: &str) -> Option<&'h str> {
    header.split(|octet| *octet == b'\n').skip(1).find_map(|line| {
        let (found, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Where the answer sends people. A path alone belongs to whom we asked.
fn location(header: &[u8], asked: &ProbeUrl) -> Option<String> {
    let value = field(header, "location")?;
    let starts_with =
        |scheme: &str| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if value.len() > MAX_LOCATION || !value.bytes().all(|octet| octet.is_ascii_graphic()) {
        return None;
    }
    if starts_with("http://") || starts_with("https://") {
        Some(value.to_owned())
    } else if value.starts_with('/') && !value.starts_with("//") {
        Some(format!("http://{}{value}", asked.authority()))
    } else {
        None
    }
}

/// The content in chunks (RFC 9112 7.1) as far as it is there, and whether that is all of it.
fn unchunk(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    loop {
        let Some(end) = body.iter().position(|octet| *octet == b'\n') else { return (content, false) };
        let (line, rest) = body.split_at(end + 1);
        let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let size = line.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
        // What is no chunk ends the content: it is another page than the one that was asked for.
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()).filter(|size| *size > 0)
        else {
            return (content, true);
        };
        let Some(chunk) = rest.get(..size) else {
            content.extend(rest);
            return (content, false);
        };
        content.extend(chunk);
        body = rest.get(size..).unwrap_or_default();
        body = body.strip_prefix(b"\r").unwrap_or(body);
        body = body.strip_prefix(b"\n").unwrap_or(body);
    }
}

#[cfg(test)]
mod tests;
