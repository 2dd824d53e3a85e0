//! One IKE SA: message IDs, windows, retransmission, encryption. Both roles.

use super::keys::SaKeys;
use super::message::{Exchange, Payload, Spi};
use super::proposal::IkeSuite;
use crate::crypto::Random;
use crate::time::Instant;
use std::time::Duration;

/// How requests are repeated (law 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retransmission {
    /// First interval: the last known round trip, kept within 150 ms to 0.5 s.
    pub first: Duration,
    /// The interval doubles up to this.
    pub cap: Duration,
    /// Transmissions in all.
    pub tries: u32,
}

impl Default for Retransmission {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), cap: Duration::from_secs(2), tries: 12 }
    }
}

/// Why a datagram was thrown away; the SA is as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// Not IKE, or its header lies.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Neither the request we wait for nor the answer to one of ours.
    #[error("message ID {0} is outside the window")]
    Window(u32),
    /// It did not open.
    #[error(transparent)]
    Sk(#[from] super::sk::SkError),
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
}

/// An IKE SA. The initiator's first request has message ID 1, the responder's 0 (IKE_SA_INIT is not its business).
pub struct IkeSa {}

impl IkeSa {
    /// `initiator`: we sent IKE_SA_INIT (or started the rekey that made this SA). `first_ids`: next message ID of our requests
    /// and of the peer's. `fragment`: largest IKE message where both sides announced RFC 7383.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        _initiator: bool,
        _spi_i: Spi,
        _spi_r: Spi,
        _suite: IkeSuite,
        _keys: SaKeys,
        _first_ids: (u32, u32),
        _fragment: Option<usize>,
        _retransmission: Retransmission,
    ) -> Self {
        todo!()
    }
    /// Sends a request, or queues it while another is outstanding (window 1). Its message ID is in the `Response`.
    pub fn request(&mut self, _now: Instant, _exchange: Exchange, _payloads: Vec<Payload>, _random: &mut dyn Random) {
        todo!()
    }
    /// Answers the request with this message ID; the answer is kept for its retransmission.
    pub fn respond(&mut self, _id: u32, _exchange: Exchange, _payloads: &[Payload], _random: &mut dyn Random) {
        todo!()
    }
    /// Takes a datagram (no marker) with this SA's SPIs.
    pub fn handle(&mut self, _now: Instant, _datagram: &[u8], _random: &mut dyn Random) -> Result<Received, Dropped> {
        todo!()
    }
    /// Repeats what is due. True when the last try went unanswered: the peer is gone.
    pub fn handle_timeout(&mut self, _now: Instant) -> bool {
        todo!()
    }
    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// The next datagram to send, no marker.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        todo!()
    }
}
