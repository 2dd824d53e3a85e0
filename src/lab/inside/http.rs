//! HTTP/1.1 (RFC 9112) as far as a download needs it: GET and HEAD, one range, keep-alive. No IO.

use super::pattern;
use std::ops::Range;

/// The longest head of a request, octets.
const HEAD: usize = 8 << 10;
const TEXT: &str = "This is the network behind the embedded gateway of ikeep.\n\
    GET /bytes/N gives N octets, each of which says where it belongs; ranges are honoured.\n";

/// One client's connection: requests in, answers out, one after the other.
#[derive(Debug)]
pub struct Conversation {
    /// Of the next request's head, [`HEAD`] at most.
    read: Vec<u8>,
    /// Of the present answer's head, and its text.
    write: Vec<u8>,
    /// Of `write`.
    written: usize,
    /// What is left of a body of the pattern.
    body: Range<u64>,
    /// After this answer there is none.
    last: bool,
}

/// What a request asks for.
struct Request<'a> {
    head_only: bool,
    target: &'a str,
    range: Option<&'a str>,
    keep_alive: bool,
}

/// Why a request gets no page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// 400
    Malformed,
    /// 404
    NotFound,
    /// 405
    Method,
    /// 416, with the length of the whole.
    Range(u64),
    /// 431
    TooLarge,
}

impl Conversation {
    /// A client that has just connected.
    pub fn new() -> Self {
        Self { read: Vec::new(), write: Vec::new(), written: 0, body: 0..0, last: false }
    }

    /// True where the next request may be read. Requests that come before an answer is out wait in the socket.
    pub fn wants_input(&self) -> bool {
        !self.has_output() && !self.last
    }

    /// True where an answer, or the rest of one, is to be sent.
    pub fn has_output(&self) -> bool {
        self.written < self.write.len() || !self.body.is_empty()
    }

    /// True where the last answer is out: now the connection is to be closed.
    pub fn is_over(&self) -> bool {
        self.last && !self.has_output()
    }

    /// Takes octets up to the end of the next request; how many.
    pub fn receive(&mut self, octets: &[u8]) -> usize {
        let before = self.read.len();
        let taken = octets.len().min(HEAD - before);
        self.read.extend_from_slice(&octets[..taken]);
        // The end may lie across what came before.
        let searched = before.saturating_sub(3);
        let end = self.read[searched..].windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.map(|at| searched + at + 4) else {
            if self.read.len() == HEAD {
                self.refuse(Refusal::TooLarge);
            }
            return taken;
        };
        let head = std::mem::take(&mut self.read);
        match Request::parse(&head[..end]).and_then(|request| self.answer(&request)) {
            Ok(()) => {}
            Err(refusal) => self.refuse(refusal),
        }
        end - before
    }

    /// Writes of the answer what `room` takes; how much.
    pub fn send(&mut self, room: &mut [u8]) -> usize {
        let head = self.write.len() - self.written;
        let from_head = head.min(room.len());
        room[..from_head].copy_from_slice(&self.write[self.written..self.written + from_head]);
        self.written += from_head;
        let left = &mut room[from_head..];
        let from_body =
            usize::try_from(self.body.end - self.body.start).unwrap_or(usize::MAX).min(left.len());
        pattern::fill(self.body.start, &mut left[..from_body]);
        self.body.start += from_body as u64;
        from_head + from_body
    }

    fn answer(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        self.last = !request.keep_alive;
        if request.target == "/" {
            self.head("200 OK", "Content-Type: text/plain; charset=utf-8", TEXT.len() as u64);
            if !request.head_only {
                self.write.extend(TEXT.as_bytes());
            }
            return Ok(());
        }
        let length = request.target.strip_prefix("/bytes/").ok_or(Refusal::NotFound)?;
        let length = parse_number(length).ok_or(Refusal::NotFound)?;
        let kind = format!("Content-Type: application/octet-stream\r\nETag: \"{length}\"");
        // A range in a form that we do not know is as none (RFC 9110 14.2).
        let body = match request.range.and_then(|range| parse_range(range, length)) {
            None => {
                self.head("200 OK", &format!("{kind}\r\nAccept-Ranges: bytes"), length);
                0..length
            }
            Some(range) if range.is_empty() => return Err(Refusal::Range(length)),
            Some(range) => {
                let last = range.end - 1;
                let named = format!("{kind}\r\nContent-Range: bytes {}-{last}/{length}", range.start);
                self.head("206 Partial Content", &named, range.end - range.start);
                range
            }
        };
        self.body = if request.head_only { 0..0 } else { body };
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) {
        let length;
        let (status, field) = match refusal {
            Refusal::Malformed => ("400 Bad Request", ""),
            Refusal::NotFound => ("404 Not Found", ""),
            Refusal::Method => ("405 Method Not Allowed", "Allow: GET, HEAD"),
            Refusal::Range(whole) => {
                length = format!("Content-Range: bytes */{whole}");
                ("416 Range Not Satisfiable", length.as_str())
            }
            Refusal::TooLarge => ("431 Request Header Fields Too Large", ""),
        };
        // Where a request was not understood, nobody knows where the next one begins.
        self.last |= !matches!(refusal, Refusal::NotFound | Refusal::Range(_));
        self.read.clear();
        self.head(status, field, 0);
    }

    fn head(&mut self, status: &str, fields: &str, length: u64) {
        let connection = if self.last { "close" } else { "keep-alive" };
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
        self.write = format!(
            "HTTP/1.1 {status}\r\nServer: ikeep\r\n{fields}Content-Length: {length}\r\nConnection: {connection}\r\n\r\n"
        )
        .into_bytes();
        self.written = 0;
        self.body = 0..0;
    }
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Request<'a> {
    /// Reads a whole head.
    fn parse(head: &'a [u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
        let mut lines = text.split("\r\n");
        let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let &[method, target, version] = first.as_slice() else { return Err(Refusal::Malformed) };
        let is_newer = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return Err(Refusal::Malformed),
        };
        let (mut range, mut keep_alive, mut has_host) = (None, is_newer, false);
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "host" => has_host = true,
                "range" => range = Some(value),
                "connection" if value.eq_ignore_ascii_case("close") => keep_alive = false,
                "connection" if value.eq_ignore_ascii_case("keep-alive") => keep_alive = true,
                // A body is not wanted with any request, and it would be taken for the next one.
                "transfer-encoding" => return Err(Refusal::Malformed),
                "content-length" if value != "0" && matches!(method, "GET" | "HEAD") => {
                    return Err(Refusal::Malformed);
                }
                _ => {}
            }
        }
        if is_newer && !has_host {
            return Err(Refusal::Malformed);
        }
        let head_only = match method {
            "GET" => false,
            "HEAD" => true,
            _ => return Err(Refusal::Method),
        };
        // A client may name the host here too (RFC 9112 3.2.2).
        let target = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |path| &rest[path..]),
            None => target,
        };
        let target = target.split(['?', '#']).next().unwrap_or_default();
        Ok(Self { head_only, target, range, keep_alive })
    }
}

/// Digits only; `u64::parse` would take a sign.
fn parse_number(text: &str) -> Option<u64> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// One range of a body of `length` octets, cut to it; empty where it lies behind the end. `None`: several ranges, or another
/// unit.
fn parse_range(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (first, last) {
        ("", last) => {
            let count = parse_number(last).filter(|_| !last.is_empty())?;
            Some(length.saturating_sub(count)..length)
        }
        (first, "") => Some(parse_number(first)?.min(length)..length),
        (first, last) => {
            let (first, last) = (parse_number(first)?, parse_number(last)?);
            (first <= last).then(|| first.min(length)..last.saturating_add(1).min(length))
        }
    }
}

#[cfg(test)]
mod tests;
