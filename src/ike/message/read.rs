//! Reading octets: errors, limits and a cursor.

/// What a message may hold at most. A peer that goes beyond sends nonsense or wants our memory.
pub mod limits {
    /// Octets of a message, fragments put together.
    pub const MESSAGE: usize = 65_535;
    /// Payloads of one chain.
    pub const PAYLOADS: usize = 128;
    /// Proposals of one SA payload.
    pub const PROPOSALS: usize = 32;
    /// Transforms of one proposal: what its count field can say (some peers offer every algorithm they have).
    pub const TRANSFORMS: usize = 255;
    /// Selectors of one TS payload: what its count field can say.
    pub const SELECTORS: usize = 255;
    /// Attributes of one CP payload (a long list of split routes has one each).
    pub const ATTRIBUTES: usize = 1024;
    /// SPIs of one DELETE payload.
    pub const SPIS: usize = 256;
    /// Octets of a nonce (RFC 7296 2.10).
    pub const NONCE: std::ops::RangeInclusive<usize> = 16..=256;
    /// Octets of one payload's body: its length field less the generic header.
    pub const BODY: usize = 65_531;
}

/// Why octets are not a message. Nothing of a message that fails is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It ends before its fields do.
    #[error("{0} ends too early")]
    Truncated(&'static str),
    /// A field contradicts another one or the RFC.
    #[error("{what}: {reason}")]
    Malformed {
        /// Which structure.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More of something than [`limits`] allows.
    #[error("more than {max} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The length field of the header is not the length of the datagram.
    #[error("the header says {said} octets, the datagram has {found}")]
    Length {
        /// The length field.
        said: u32,
        /// Octets received.
        found: usize,
    },
    /// Another major version than 2 (RFC 7296 2.5: a request is answered INVALID_MAJOR_VERSION).
    #[error("IKE version {major}.{minor} is not spoken here, only version 2")]
    Version {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// A critical payload of this unknown type (RFC 7296 2.5: answered UNSUPPORTED_CRITICAL_PAYLOAD).
    #[error("unknown critical payload {0}")]
    Critical(u8),
    /// A second payload of a type that a message has once: whichever was meant, the other would be unheard.
    #[error("a second payload of type {0}")]
    Repeated(u8),
}

/// A cursor over the octets of one structure, which it names in its errors.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(what: &'static str, octets: &'a [u8]) -> Self {
        Self { rest: octets, what }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated(self.what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// An inner structure whose length field counts `already` octets before this point.
    pub(super) fn inner(
        &mut self,
        what: &'static str,
        length: u16,
        already: usize,
    ) -> Result<Reader<'a>, DecodeError> {
        let len = usize::from(length)
            .checked_sub(already)
            .ok_or(DecodeError::Malformed { what, reason: "its length is less than that of its header" })?;
        self.take(len).map(|octets| Reader::new(what, octets))
    }

    pub(super) fn malformed(&self, reason: &'static str) -> DecodeError {
        DecodeError::Malformed { what: self.what, reason }
    }

    /// Fails where octets are left.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed("octets are left over at its end")) }
    }
}

/// Appends a structure and then writes its length, the two octets at `length_at` of it, over the zeroes there.
/// A structure that its length field cannot express is a mistake of the caller; it is cut rather than mislabelled.
pub(super) fn with_length(out: &mut Vec<u8>, length_at: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    debug_assert!(out.len() - start <= usize::from(u16::MAX), "structure of {} octets", out.len() - start);
    out.truncate(start + usize::from(u16::MAX));
    let length = (out.len() - start) as u16;
    out[start + length_at..start + length_at + 2].copy_from_slice(&length.to_be_bytes());
}

/// `what` in the one octet that the wire has for it; a larger number is a mistake of the caller.
pub(super) fn count(what: usize) -> u8 {
    debug_assert!(what <= 255, "{what} does not fit a count of one octet");
    u8::try_from(what).unwrap_or(u8::MAX)
}
