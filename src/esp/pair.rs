//! One Child SA: an inbound and an outbound ESP SA.

use super::TrafficSelector;
use crate::crypto::{Encr, Integ, Random, Secret};
use std::ops::Range;

/// What a Child SA negotiation leaves behind.
#[derive(Clone, Debug)]
pub struct SaParams {
    /// The SPI we chose: inbound packets carry it.
    pub spi_in: u32,
    /// The SPI the peer chose: outbound packets carry it.
    pub spi_out: u32,
    /// Encryption.
    pub encr: Encr,
    /// Integrity, `None` with AEAD.
    pub integ: Option<Integ>,
    /// 64-bit sequence numbers.
    pub esn: bool,
    /// Inbound encryption key (with salt).
    pub encr_in: Secret,
    /// Inbound integrity key, empty with AEAD.
    pub integ_in: Secret,
    /// Outbound encryption key (with salt).
    pub encr_out: Secret,
    /// Outbound integrity key, empty with AEAD.
    pub integ_out: Secret,
    /// What lies on our side: sources of outbound, destinations of inbound packets.
    pub local: Vec<TrafficSelector>,
    /// What lies on the peer's side.
    pub remote: Vec<TrafficSelector>,
}

/// Counters of one pair. Octets are those of inner packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SaStats {
    /// Inner octets received.
    pub bytes_in: u64,
    /// Inner octets sent.
    pub bytes_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Received and thrown away: forged, replayed, outside the selectors.
    pub drops: u64,
}

/// Why an inner packet is not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// Not an IP packet, or its length is a lie.
    #[error("not a whole IP packet")]
    NotIp,
    /// The SA's selectors do not cover it.
    #[error("outside the traffic selectors of the SA")]
    Selector,
    /// The sequence numbers are used up: a rekey is overdue.
    #[error("the sequence numbers are used up")]
    Exhausted,
    /// There is no outbound SA.
    #[error("there is no Child SA")]
    NoSa,
}

/// Why a received packet is thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// No SA has this SPI.
    #[error("unknown SPI {0:08x}")]
    UnknownSpi(u32),
    /// Too short or of a wrong block length.
    #[error("malformed ESP packet")]
    Malformed,
    /// Seen before, or older than the window.
    #[error("replayed")]
    Replayed,
    /// Integrity check failed.
    #[error("integrity check failed")]
    Forged,
    /// Not an IP packet inside (or a dummy, RFC 4303 2.6: authenticated all the same).
    #[error("no IP packet inside")]
    NotIp,
    /// The SA's selectors do not cover it.
    #[error("outside the traffic selectors of the SA")]
    Selector,
}

/// Octets that `seal` needs free in front of the inner packet.
pub const HEADROOM: usize = 24;

/// A Child SA in use. `Debug` prints SPIs and algorithms.
pub struct SaPair {}

impl SaPair {
    /// Expands the keys.
    pub fn new(_params: SaParams) -> Self {
        todo!()
    }
    /// The SPI of inbound packets.
    pub fn spi_in(&self) -> u32 {
        todo!()
    }
    /// The SPI of outbound packets.
    pub fn spi_out(&self) -> u32 {
        todo!()
    }
    /// The parameters without key material (keys are zeroized after expansion): selectors, algorithms.
    pub fn params(&self) -> &SaParams {
        todo!()
    }
    /// The counters.
    pub fn stats(&self) -> SaStats {
        todo!()
    }
    /// Outbound packets sent plus inbound highest sequence, whichever is larger: for the rekey before 2^31 packets.
    pub fn packets(&self) -> u64 {
        todo!()
    }
    /// `frame[HEADROOM..]` is an inner IP packet; afterwards `frame[range]` is the ESP packet (no UDP header).
    /// The vector grows by padding and ICV; nothing is allocated where its capacity suffices.
    pub fn seal(&mut self, _frame: &mut Vec<u8>, _random: &mut dyn Random) -> Result<Range<usize>, SealError> {
        todo!()
    }
    /// Opens an ESP packet in place; the range of the inner IP packet.
    pub fn open(&mut self, _packet: &mut [u8]) -> Result<Range<usize>, OpenError> {
        todo!()
    }
}
