//! IKE fragmentation from before RFC 7383 (dialect `legacy_fragmentation`, PROTOCOL section 3): the encrypted message is cut.
//!
//! `[IKE header, next payload 132][next, reserved, length 16][fragment ID 16][number 8, from 1][flags 8, 1 = last][slice]`.
//! Nothing protects a slice: who can write datagrams can spoil a message with one. So nothing is believed before the whole has
//! opened, little is kept, and a whole that does not open costs its own slices only; the peer's repetition is a new chance.

use crate::ike::message::{
    Chain, GENERIC_LEN, HEADER_LEN, Header, Outgoing, Payload, limits, notify, payload_type,
};
use std::collections::{BTreeMap, VecDeque};

/// Announces it; four octets of capabilities may follow.
pub const LEGACY_VENDOR_ID: [u8; 16] =
    [0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3];
/// Octets between the generic header and the slice.
const FIELDS: usize = 4;
const LAST: u8 = 1;
/// Slices of one message at most: 64 KiB need 56 of 1,200 octets.
const MAX_SLICES: u8 = 64;
/// Messages whose slices are kept at a time: one of each direction.
const MAX_SETS: usize = 2;

/// How IKE messages are cut that are larger than a path takes. Sizes: octets of the largest IKE message of one datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fragmentation {
    /// Not at all: they leave as IP fragments.
    #[default]
    Off,
    /// RFC 7383: each fragment is encrypted and authentic.
    Standard(usize),
    /// The way of before: slices of the encrypted message.
    Legacy(usize),
}

impl Fragmentation {
    /// By what the peer's IKE_SA_INIT (or IKE_SESSION_RESUME) announces, where we announce RFC 7383 (`standard`) and the way of
    /// before (`legacy`): the RFC's, where both sides have it.
    pub fn agreed(peer: &[Payload], standard: bool, legacy: bool, size: usize) -> Self {
        let has_standard =
            |p: &Payload| matches!(p, Payload::Notify(n) if n.kind == notify::IKEV2_FRAGMENTATION_SUPPORTED);
        let has_legacy =
            |p: &Payload| matches!(p, Payload::VendorId(id) if id.starts_with(&LEGACY_VENDOR_ID));
        if standard && peer.iter().any(has_standard) {
            Self::Standard(size)
        } else if legacy && peer.iter().any(has_legacy) {
            Self::Legacy(size)
        } else {
            Self::Off
        }
    }

    /// What RFC 7383 cuts to.
    pub fn standard(self) -> Option<usize> {
        match self {
            Self::Standard(size) => Some(size),
            Self::Off | Self::Legacy(_) => None,
        }
    }
}

/// Cuts a sealed message into slices of at most `most` octets of IKE message each, headers included, or more where they would be
/// too many. One that is small enough stays as it is.
pub fn slice(head: &Outgoing, id: u16, message: Vec<u8>, most: usize) -> Vec<Vec<u8>> {
    const AROUND: usize = HEADER_LEN + GENERIC_LEN + FIELDS;
    if message.len() <= most {
        return vec![message];
    }
    let room = most.saturating_sub(AROUND).max(message.len().div_ceil(MAX_SLICES.into()));
    let last = message.len().div_ceil(room);
    (1..)
        .zip(message.chunks(room))
        .map(|(number, slice)| {
            let length = AROUND + slice.len();
            let mut out = head.header(payload_type::LEGACY_FRAGMENT, length).encode().to_vec();
            // A sealed message has 65,535 octets at most; what is cut off it is smaller.
            let payload_length = u16::try_from(length - HEADER_LEN).unwrap_or(u16::MAX);
            out.extend([payload_type::NONE, 0]);
            out.extend(payload_length.to_be_bytes());
            out.extend(id.to_be_bytes());
            out.extend([number, if usize::from(number) == last { LAST } else { 0 }]);
            out.extend(slice);
            out
        })
        .collect()
}

/// Why a slice was thrown away; those that are kept are as they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SliceError {
    /// Not one payload 132 with a slice in it.
    #[error("not a payload 132 with a slice in it, alone")]
    Malformed,
    /// Number 0, or beyond 64.
    #[error("there is no slice of number {0}")]
    Number(u8),
}

/// The slices that have come, of two messages at most and of 64 KiB and 64 slices each; a third message takes the oldest one's
/// place. What is left of a message that has become whole stands in no later one's way, whatever fragment IDs the peer gives. A slice that contradicts those before begins its message anew: one of them is false, and nothing tells which. So two
/// repetitions by the peer are enough, whatever was there, once nobody disturbs them.
#[derive(Default)]
pub struct Assembler {
    sets: VecDeque<Set>,
}

/// The slices of one message so far, by whomever.
struct Set {
    message: u32,
    id: u16,
    response: bool,
    last: Option<u8>,
    slices: BTreeMap<u8, Vec<u8>>,
}

impl Assembler {
    /// Takes a datagram (no marker) with payload 132, whose header was read and belongs to the SA. The message, where it was the
    /// last slice missing: it may be anything, and is forgotten here.
    pub fn take(&mut self, header: &Header, datagram: &[u8]) -> Result<Option<Vec<u8>>, SliceError> {
        let outer = datagram.get(HEADER_LEN..).ok_or(SliceError::Malformed)?;
        let link = Chain::new(header.next_payload, outer).next().and_then(Result::ok);
        let link = link.filter(|l| l.kind == payload_type::LEGACY_FRAGMENT).ok_or(SliceError::Malformed)?;
        let &[i1, i0, number, flags, ref slice @ ..] = link.body else { return Err(SliceError::Malformed) };
        if slice.is_empty() || link.body_at + link.body.len() != outer.len() {
            return Err(SliceError::Malformed);
        }
        if !(1..=MAX_SLICES).contains(&number) {
            return Err(SliceError::Number(number));
        }
        let (id, message, response) = (u16::from_be_bytes([i1, i0]), header.message_id, header.response);
        let same = |set: &Set| (set.message, set.id, set.response) == (message, id, response);
        let at = match self.sets.iter().position(same) {
            Some(at) => at,
            None => {
                if self.sets.len() == MAX_SETS {
                    self.sets.pop_front();
                }
                self.sets.push_back(Set { message, id, response, last: None, slices: BTreeMap::new() });
                self.sets.len() - 1
            }
        };
        let set = &mut self.sets[at];
        set.keep(number, flags & LAST != 0, slice);
        if !set.is_whole() {
            return Ok(None);
        }
        Ok(self.sets.remove(at).map(|set| set.slices.into_values().flatten().collect()))
    }
}

impl Set {
    fn keep(&mut self, number: u8, last: bool, slice: &[u8]) {
        if self.contradicts(number, last, slice) {
            self.last = None;
            self.slices.clear();
        }
        if last {
            self.last = Some(number);
        }
        self.slices.insert(number, slice.to_vec());
    }

    fn contradicts(&self, number: u8, last: bool, slice: &[u8]) -> bool {
        match self.slices.get(&number) {
            Some(known) => known != slice || last != (self.last == Some(number)),
            None => {
                let beyond = self.last.is_some_and(|known| number > known || last);
                let largest = self.slices.last_key_value().map_or(0, |(largest, _)| *largest);
                let octets = self.slices.values().map(Vec::len).sum::<usize>() + slice.len();
                beyond || last && number < largest || octets > limits::MESSAGE
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.last.is_some_and(|last| self.slices.len() == usize::from(last))
    }
}

#[cfg(test)]
mod tests;
