//! Opening: one message, or fragments until it is whole.

use super::{FRAGMENT_FIELDS, MAX_FRAGMENTS, SkError};
use crate::crypto::PacketProtection;
use crate::ike::message::{
    Chain, DecodeError, Exchange, HEADER_LEN, Header, Payload, decode_payloads, limits, payload_type,
};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What opening a datagram gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// A whole message.
    Message(Vec<Payload>),
    /// A fragment of one; more are to come.
    Fragment,
}

/// A payload chain in octets, wiped when dropped: the type of the first payload, and the chain.
type Content = (u8, Zeroizing<Vec<u8>>);

/// The peer's direction of an IKE SA: keys, and the fragments of at most one request and one response, which may come
/// mixed (caps: 64 KiB, 64 fragments; a larger total number of fragments restarts it, RFC 7383 2.6).
pub struct Opener {
    protection: PacketProtection,
    request: Option<Assembly>,
    response: Option<Assembly>,
}

/// The fragments of one message so far, all authenticated.
struct Assembly {
    message_id: u32,
    exchange: Exchange,
    total: u16,
    /// The type of the first payload, once fragment 1 is there.
    first: u8,
    parts: BTreeMap<u16, Zeroizing<Vec<u8>>>,
}

impl Opener {
    /// From expanded keys.
    pub fn new(protection: PacketProtection) -> Self {
        Self { protection, request: None, response: None }
    }

    /// Opens a datagram (no marker) whose header was read; its message ID is the one awaited. Unencrypted payloads in front
    /// of SK are authenticated but ignored: RFC 7296 defines none.
    pub fn open(&mut self, header: &Header, datagram: &[u8]) -> Result<Opened, SkError> {
        let Some((first, chain)) = self.open_chain(header, datagram)? else { return Ok(Opened::Fragment) };
        Self::decode(first, &chain)
    }

    /// What [`Opener::open_chain`] has opened.
    pub fn decode(first: u8, chain: &[u8]) -> Result<Opened, SkError> {
        decode_payloads(first, chain).map(Opened::Message).map_err(|error| match error {
            DecodeError::Critical(kind) => SkError::Critical(kind),
            other => SkError::Content(other.to_string()),
        })
    }

    /// [`Opener::open`] without decoding: the type of the first payload and the chain as the peer encoded it, `None` where
    /// fragments are missing.
    pub fn open_chain(&mut self, header: &Header, datagram: &[u8]) -> Result<Option<Content>, SkError> {
        let outer = datagram.get(HEADER_LEN..).ok_or(SkError::NotEncrypted)?;
        let last = Chain::new(header.next_payload, outer).last();
        let link = last.and_then(Result::ok).ok_or(SkError::NotEncrypted)?;
        let body_at = HEADER_LEN + link.body_at;
        match (link.kind, link.body) {
            (payload_type::SK, _) => {
                let content = self.decrypt(datagram, body_at)?;
                self.forget(header);
                Ok(Some((link.next, content)))
            }
            (payload_type::SKF, &[n1, n0, t1, t0, ..]) => {
                let (number, total) = (u16::from_be_bytes([n1, n0]), u16::from_be_bytes([t1, t0]));
                self.check_fragment(header, number, total)?;
                let part = self.decrypt(datagram, body_at + FRAGMENT_FIELDS)?;
                self.keep(header, number, total, link.next, part)
            }
            _ => Err(SkError::NotEncrypted),
        }
    }

    /// Authenticates, decrypts and takes the padding off.
    fn decrypt(&self, datagram: &[u8], iv_at: usize) -> Result<Zeroizing<Vec<u8>>, SkError> {
        let mut packet = Zeroizing::new(datagram.to_vec());
        let plaintext = self.protection.open(&mut packet, iv_at, None).map_err(|_forged| SkError::Forged)?;
        let (&pad_length, padded) = packet[plaintext]
            .split_last()
            .ok_or_else(|| SkError::Content("there is no pad length".to_owned()))?;
        let content = padded.len().checked_sub(usize::from(pad_length));
        let content = content.ok_or_else(|| SkError::Content("more padding than content".to_owned()))?;
        Ok(Zeroizing::new(padded[..content].to_vec()))
    }

    fn slot(&mut self, header: &Header) -> &mut Option<Assembly> {
        if header.response { &mut self.response } else { &mut self.request }
    }

    /// A whole message makes the fragments of the same one useless.
    fn forget(&mut self, header: &Header) {
        self.slot(header).take_if(|assembly| assembly.message_id == header.message_id);
    }

    /// The rules of RFC 7383 2.6 that need no key, so that repeated fragments cost nothing.
    fn check_fragment(&mut self, header: &Header, number: u16, total: u16) -> Result<(), SkError> {
        let useless = |reason| Err(SkError::Fragment { number, total, reason });
        if number == 0 || number > total {
            return useless("there is no such number");
        }
        if total > MAX_FRAGMENTS {
            return useless("too many fragments");
        }
        match self.slot(header).as_ref().filter(|assembly| assembly.is_of(header)) {
            Some(assembly) if total < assembly.total => useless("there are more fragments already"),
            Some(assembly) if total == assembly.total && assembly.parts.contains_key(&number) => {
                useless("it is there already")
            }
            _ => Ok(()),
        }
    }

    /// Keeps an authenticated fragment; the message, where it was the last one missing.
    fn keep(
        &mut self,
        header: &Header,
        number: u16,
        total: u16,
        inner: u8,
        part: Zeroizing<Vec<u8>>,
    ) -> Result<Option<Content>, SkError> {
        let slot = self.slot(header);
        // Another message, or the peer found a smaller size and starts over with more fragments.
        let assembly = match slot.take_if(|old| !old.is_of(header) || old.total < total) {
            None => slot.get_or_insert_with(|| Assembly::new(header, total)),
            Some(_outdated) => slot.insert(Assembly::new(header, total)),
        };
        if assembly.len() + part.len() > limits::MESSAGE {
            return Err(SkError::Fragment { number, total, reason: "the message is too large" });
        }
        if number == 1 {
            assembly.first = inner;
        }
        assembly.parts.insert(number, part);
        if assembly.parts.len() < usize::from(total) {
            return Ok(None);
        }
        Ok(slot.take().map(Assembly::whole))
    }
}

impl Assembly {
    fn new(header: &Header, total: u16) -> Self {
        let Header { message_id, exchange, .. } = *header;
        Self { message_id, exchange, total, first: payload_type::NONE, parts: BTreeMap::new() }
    }

    fn is_of(&self, header: &Header) -> bool {
        self.message_id == header.message_id && self.exchange == header.exchange
    }

    fn len(&self) -> usize {
        self.parts.values().map(|part| part.len()).sum()
    }

    fn whole(self) -> Content {
        let mut chain = Zeroizing::new(Vec::with_capacity(self.len()));
        self.parts.values().for_each(|part| chain.extend_from_slice(part));
        (self.first, chain)
    }
}
