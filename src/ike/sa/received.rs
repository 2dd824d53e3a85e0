//! What a datagram turned out to be, and why it was none.

use crate::ike::message::{Exchange, Payload};
use crate::ike::sk::{SkError, SliceError};
use std::time::Duration;

/// Why a datagram was thrown away; the SA is as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// Not IKE, or its header lies.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The header's SPIs or its initiator flag are not this SA's.
    #[error("not of this IKE SA")]
    Foreign,
    /// Neither the request we wait for nor the answer to one of ours.
    #[error("message ID {0} is outside the window")]
    Window(u32),
    /// It did not open.
    #[error(transparent)]
    Sk(#[from] SkError),
    /// A slice of before RFC 7383 is of no use.
    #[error("of pre-standard fragments: {0}")]
    Slice(#[from] SliceError),
}

/// What a datagram turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A new request; answer it with `respond`.
    Request {
        /// Message ID.
        id: u32,
        /// Exchange.
        exchange: Exchange,
        /// Content.
        payloads: Vec<Payload>,
    },
    /// The answer to our request.
    Response {
        /// Message ID.
        id: u32,
        /// Exchange.
        exchange: Exchange,
        /// Content.
        payloads: Vec<Payload>,
        /// From the last transmission; `None` where it was repeated (Karn).
        round_trip: Option<Duration>,
    },
    /// The peer repeated a request: its stored answer goes out again.
    Retransmission,
    /// A fragment, kept.
    Fragment,
    /// A slice ([`Fragmentation::Legacy`](crate::ike::sk::Fragmentation::Legacy)), kept. Anybody may have sent it.
    Slice,
}
