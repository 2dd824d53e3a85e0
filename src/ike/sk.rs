//! Encrypted messages: the SK payload, RFC 7383 fragments, and their reassembly.

pub use super::message::Outgoing;
use super::message::{Header, Payload};
use crate::crypto::{PacketProtection, Random};

/// Our direction of an IKE SA: keys and the counter that GCM's IVs come from.
pub struct Sealer {}

impl Sealer {
    /// From expanded keys.
    pub fn new(_protection: PacketProtection) -> Self {
        todo!()
    }
    /// Seals a message into one datagram, or into fragments of at most `fragment` octets of IKE message each where it would
    /// be larger (RFC 7383 allowed by both sides). No non-ESP marker.
    pub fn seal(
        &mut self,
        _head: &Outgoing,
        _payloads: &[Payload],
        _fragment: Option<usize>,
        _random: &mut dyn Random,
    ) -> Vec<Vec<u8>> {
        todo!()
    }
}

/// Why an encrypted message is thrown away. The SA stays as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SkError {
    /// Integrity check failed.
    #[error("integrity check failed")]
    Forged,
    /// No SK or SKF payload.
    #[error("not an encrypted message")]
    NotEncrypted,
    /// The opened payload chain is malformed (authenticated: a request is answered INVALID_SYNTAX).
    #[error("malformed content: {0}")]
    Content(String),
    /// A critical payload of this type is unknown (answered UNSUPPORTED_CRITICAL_PAYLOAD).
    #[error("unknown critical payload {0}")]
    Critical(u8),
}

/// What opening a datagram gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// A whole message.
    Message(Vec<Payload>),
    /// A fragment of one; more are to come.
    Fragment,
}

/// The peer's direction of an IKE SA: keys, and the fragments of at most one message (caps: 64 KiB, 64 fragments;
/// a larger total number of fragments restarts it, RFC 7383 2.6).
pub struct Opener {}

impl Opener {
    /// From expanded keys.
    pub fn new(_protection: PacketProtection) -> Self {
        todo!()
    }
    /// Opens a datagram (no marker) whose header was read; its message ID is the one awaited.
    pub fn open(&mut self, _header: &Header, _datagram: &[u8]) -> Result<Opened, SkError> {
        todo!()
    }
}
