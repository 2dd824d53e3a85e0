//! The payload chain: generic headers (RFC 7296 3.2).

use super::payload::{Payload, payload_type};
use super::read::{DecodeError, Reader, limits, with_length};
use zeroize::Zeroizing;

/// Octets of a generic payload header.
pub(in crate::ike) const GENERIC_LEN: usize = 4;
const CRITICAL: u8 = 0x80;

/// One payload as the chain shows it.
#[derive(Clone, Copy)]
pub(in crate::ike) struct Link<'a> {
    /// Its type.
    pub(in crate::ike) kind: u8,
    /// The critical bit.
    pub(in crate::ike) critical: bool,
    /// The next payload field: of SK and SKF the type of the first payload inside.
    pub(in crate::ike) next: u8,
    /// Where its body starts, from the start of the chain.
    pub(in crate::ike) body_at: usize,
    /// What follows the generic header.
    pub(in crate::ike) body: &'a [u8],
}

/// Walks a chain. It ends after SK and SKF, whose next payload field points inward, and fails where octets are left over
/// or payloads are too many; after a failure it ends.
pub(in crate::ike) struct Chain<'a> {
    reader: Reader<'a>,
    next: u8,
    at: usize,
    seen: usize,
}

impl<'a> Chain<'a> {
    pub(in crate::ike) fn new(first: u8, octets: &'a [u8]) -> Self {
        Self { reader: Reader::new("payload chain", octets), next: first, at: 0, seen: 0 }
    }

    fn link(&mut self) -> Result<Link<'a>, DecodeError> {
        if self.seen == limits::PAYLOADS {
            return Err(DecodeError::Limit { what: "payloads in a message", max: limits::PAYLOADS });
        }
        let kind = self.next;
        let (next, flags, length) = (self.reader.u8()?, self.reader.u8()?, self.reader.u16()?);
        let body = self.reader.inner("payload", length, GENERIC_LEN)?.rest();
        let body_at = self.at + GENERIC_LEN;
        self.at = body_at + body.len();
        self.seen += 1;
        let inward = matches!(kind, payload_type::SK | payload_type::SKF);
        self.next = if inward { payload_type::NONE } else { next };
        if self.next == payload_type::NONE {
            self.reader.finish()?;
        }
        Ok(Link { kind, critical: flags & CRITICAL != 0, next, body_at, body })
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Result<Link<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == payload_type::NONE {
            let empty = self.seen > 0 || self.reader.is_empty();
            self.seen = self.seen.max(1);
            return (!empty).then(|| Err(self.reader.malformed("octets where no payload is announced")));
        }
        let link = self.link();
        if link.is_err() {
            self.next = payload_type::NONE;
            self.seen = self.seen.max(1);
        }
        Some(link)
    }
}

/// Reads a chain of payloads, `first` being the type of the first one. The critical bit of known types is ignored;
/// a critical payload of an unknown type fails the whole message, another one is kept as [`Payload::Unknown`]. SK and SKF
/// are no payloads of such a chain. Of a type that a message has once, a second one fails it, too.
pub fn decode_payloads(first: u8, octets: &[u8]) -> Result<Vec<Payload>, DecodeError> {
    let mut seen = 0u64;
    Chain::new(first, octets)
        .map(|link| {
            let link = link?;
            if payload_type::is_single(link.kind) {
                let bit = 1 << (link.kind % 64);
                if seen & bit != 0 {
                    return Err(DecodeError::Repeated(link.kind));
                }
                seen |= bit;
            }
            Payload::decode(link.kind, link.critical, link.body)
        })
        .collect()
}

/// Writes a chain of payloads: the type of the first one, and the octets, in a buffer that never moved: a `Vec` that grows
/// leaves what it held behind, and that may be a password.
pub fn encode_payloads(payloads: &[Payload]) -> (u8, Vec<u8>) {
    let types = payloads.iter().map(Payload::kind);
    let following = types.clone().skip(1).chain([payload_type::NONE]);
    let encode = |(payload, next): (&Payload, u8)| {
        let mut piece = Zeroizing::new(Vec::with_capacity(GENERIC_LEN + payload.secret_len()));
        with_length(&mut piece, 2, |out| {
            out.extend_from_slice(&[next, if payload.critical() { CRITICAL } else { 0 }, 0, 0]);
            payload.encode(out);
        });
        piece
    };
    let pieces: Vec<Zeroizing<Vec<u8>>> = payloads.iter().zip(following).map(encode).collect();
    let mut out = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    (types.clone().next().unwrap_or(payload_type::NONE), out)
}
