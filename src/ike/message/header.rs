//! The IKE header and whole messages.

use super::read::{DecodeError, Reader, limits};
use super::{Payload, decode_payloads, encode_payloads};

/// Length of the IKE header.
pub const HEADER_LEN: usize = 28;
/// An IKE SPI, eight octets as on the wire.
pub type Spi = [u8; 8];

/// Version 2.0 as the header's octet.
const VERSION: u8 = 0x20;
const FLAG_INITIATOR: u8 = 0x08;
const FLAG_RESPONSE: u8 = 0x20;

/// The IKE header (RFC 7296 3.1), version 2.0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Initiator's SPI.
    pub spi_i: Spi,
    /// Responder's SPI, zero in the first request.
    pub spi_r: Spi,
    /// Type of the first payload.
    pub next_payload: u8,
    /// Exchange type.
    pub exchange: Exchange,
    /// Sent by the original initiator of the IKE SA (flag I).
    pub initiator: bool,
    /// A response (flag R).
    pub response: bool,
    /// Message ID.
    pub message_id: u32,
    /// Length of the whole message, header included.
    pub length: u32,
}

/// Exchange types.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Exchange {
    /// 34
    IkeSaInit,
    /// 35
    IkeAuth,
    /// 36
    CreateChildSa,
    /// 37
    Informational,
    /// 38 (RFC 5723)
    IkeSessionResume,
    /// 43 (RFC 9242)
    IkeIntermediate,
    /// Any other number.
    Other(u8),
}

impl Exchange {
    /// The number of the header.
    pub fn number(self) -> u8 {
        match self {
            Self::IkeSaInit => 34,
            Self::IkeAuth => 35,
            Self::CreateChildSa => 36,
            Self::Informational => 37,
            Self::IkeSessionResume => 38,
            Self::IkeIntermediate => 43,
            Self::Other(number) => number,
        }
    }
}

impl From<u8> for Exchange {
    fn from(number: u8) -> Self {
        match number {
            34 => Self::IkeSaInit,
            35 => Self::IkeAuth,
            36 => Self::CreateChildSa,
            37 => Self::Informational,
            38 => Self::IkeSessionResume,
            43 => Self::IkeIntermediate,
            other => Self::Other(other),
        }
    }
}

impl Header {
    /// Reads the header of a whole datagram (no non-ESP marker), whose length it must state. The minor version and the
    /// reserved flags are ignored (RFC 7296 3.1).
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("IKE header", datagram);
        let (spi_i, spi_r, next_payload) = (reader.array()?, reader.array()?, reader.u8()?);
        let (version, exchange, flags) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let (message_id, length) = (reader.u32()?, reader.u32()?);
        let (major, minor) = (version >> 4, version & 0x0f);
        if major != VERSION >> 4 {
            return Err(DecodeError::Version { major, minor });
        }
        if datagram.len() > limits::MESSAGE {
            return Err(DecodeError::Limit { what: "octets in a message", max: limits::MESSAGE });
        }
        if usize::try_from(length) != Ok(datagram.len()) {
            return Err(DecodeError::Length { said: length, found: datagram.len() });
        }
        Ok(Self {
            spi_i,
            spi_r,
            next_payload,
            exchange: exchange.into(),
            initiator: flags & FLAG_INITIATOR != 0,
            response: flags & FLAG_RESPONSE != 0,
            message_id,
            length,
        })
    }

    /// The octets of the header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let flags =
            if self.initiator { FLAG_INITIATOR } else { 0 } | if self.response { FLAG_RESPONSE } else { 0 };
        out[..8].copy_from_slice(&self.spi_i);
        out[8..16].copy_from_slice(&self.spi_r);
        out[16..20].copy_from_slice(&[self.next_payload, VERSION, self.exchange.number(), flags]);
        out[20..24].copy_from_slice(&self.message_id.to_be_bytes());
        out[24..].copy_from_slice(&self.length.to_be_bytes());
        out
    }
}

/// What of the header of a message to send the caller decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Initiator's SPI.
    pub spi_i: Spi,
    /// Responder's SPI.
    pub spi_r: Spi,
    /// Exchange.
    pub exchange: Exchange,
    /// Flag I.
    pub initiator: bool,
    /// Flag R.
    pub response: bool,
    /// Message ID.
    pub message_id: u32,
}

impl Outgoing {
    /// The whole header, once the first payload and the length are known.
    pub fn header(&self, next_payload: u8, length: usize) -> Header {
        let Self { spi_i, spi_r, exchange, initiator, response, message_id } = *self;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Header { spi_i, spi_r, next_payload, exchange, initiator, response, message_id, length }
    }
}

/// An unencrypted message: IKE_SA_INIT, and errors about unknown SPIs. No non-ESP marker.
pub fn encode_message(head: &Outgoing, payloads: &[Payload]) -> Vec<u8> {
    let (first, chain) = encode_payloads(payloads);
    let mut out = head.header(first, HEADER_LEN + chain.len()).encode().to_vec();
    out.extend_from_slice(&chain);
    out
}

/// Reads an unencrypted message (no non-ESP marker). One with an SK payload is malformed here.
pub fn decode_message(datagram: &[u8]) -> Result<(Header, Vec<Payload>), DecodeError> {
    let header = Header::decode(datagram)?;
    let chain = datagram.get(HEADER_LEN..).unwrap_or_default();
    Ok((header, decode_payloads(header.next_payload, chain)?))
}
