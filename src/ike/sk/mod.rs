//! Encrypted messages: the SK payload (RFC 7296 3.14, RFC 5282), RFC 7383 fragments, those from before it, and their reassembly.
//!
//! `[IKE header][SK header] [IV][payload chain, padding, pad length][ICV]`; in a fragment the SKF header is followed by the
//! fragment number and the total, 16 bits each. What comes before the IV is authenticated but not encrypted.

mod legacy;
mod open;
mod seal;
#[cfg(test)]
mod tests;

pub use super::message::Outgoing;
pub use legacy::{Assembler, Fragmentation, LEGACY_VENDOR_ID, SliceError, slice};
pub use open::{Opened, Opener};
pub use seal::Sealer;

/// Octets between the SKF header and the IV: fragment number and total.
const FRAGMENT_FIELDS: usize = 4;
/// Fragments of one message that are kept at most. A message of 64 KiB needs 55 of 1,280 octets.
pub const MAX_FRAGMENTS: u16 = 64;

/// Why an encrypted message is thrown away. The SA stays as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SkError {
    /// Integrity check failed.
    #[error("integrity check failed")]
    Forged,
    /// No SK or SKF payload, or not as the last one.
    #[error("not an encrypted message")]
    NotEncrypted,
    /// The opened payload chain is malformed (authenticated: a request is answered INVALID_SYNTAX).
    #[error("malformed content: {0}")]
    Content(String),
    /// A critical payload of this type is unknown (answered UNSUPPORTED_CRITICAL_PAYLOAD).
    #[error("unknown critical payload {0}")]
    Critical(u8),
    /// A fragment that is of no use; the fragments kept are as they were.
    #[error("fragment {number} of {total} thrown away: {reason}")]
    Fragment {
        /// Fragment number, from 1.
        number: u16,
        /// Total number of fragments that it names.
        total: u16,
        /// Why.
        reason: &'static str,
    },
}
