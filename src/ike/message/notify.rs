//! Notify and delete payloads (RFC 7296 3.10, 3.11), and the notify message types.

use super::payload::Payload;
use super::proposal::protocol;
use super::read::{DecodeError, Reader, count, limits};
use std::fmt;
use zeroize::Zeroize as _;

/// Declares the constants and their names at once.
macro_rules! types {
    ($($name:ident = $number:literal,)*) => {
        $(#[allow(missing_docs)] pub const $name: u16 = $number;)*

        /// The name of a notify message type as the RFCs write it.
        pub fn name(kind: u16) -> Option<&'static str> {
            match kind {
                $($name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

types! {
    UNSUPPORTED_CRITICAL_PAYLOAD = 1,
    INVALID_IKE_SPI = 4,
    INVALID_MAJOR_VERSION = 5,
    INVALID_SYNTAX = 7,
    INVALID_MESSAGE_ID = 9,
    INVALID_SPI = 11,
    NO_PROPOSAL_CHOSEN = 14,
    INVALID_KE_PAYLOAD = 17,
    AUTHENTICATION_FAILED = 24,
    SINGLE_PAIR_REQUIRED = 34,
    NO_ADDITIONAL_SAS = 35,
    INTERNAL_ADDRESS_FAILURE = 36,
    FAILED_CP_REQUIRED = 37,
    TS_UNACCEPTABLE = 38,
    INVALID_SELECTORS = 39,
    UNACCEPTABLE_ADDRESSES = 40,
    UNEXPECTED_NAT_DETECTED = 41,
    TEMPORARY_FAILURE = 43,
    CHILD_SA_NOT_FOUND = 44,
    INITIAL_CONTACT = 16384,
    SET_WINDOW_SIZE = 16385,
    ADDITIONAL_TS_POSSIBLE = 16386,
    NAT_DETECTION_SOURCE_IP = 16388,
    NAT_DETECTION_DESTINATION_IP = 16389,
    COOKIE = 16390,
    USE_TRANSPORT_MODE = 16391,
    REKEY_SA = 16393,
    ESP_TFC_PADDING_NOT_SUPPORTED = 16394,
    MOBIKE_SUPPORTED = 16396,
    ADDITIONAL_IP4_ADDRESS = 16397,
    ADDITIONAL_IP6_ADDRESS = 16398,
    NO_ADDITIONAL_ADDRESSES = 16399,
    UPDATE_SA_ADDRESSES = 16400,
    COOKIE2 = 16401,
    NO_NATS_ALLOWED = 16402,
    AUTH_LIFETIME = 16403,
    REDIRECT_SUPPORTED = 16406,
    REDIRECT = 16407,
    REDIRECTED_FROM = 16408,
    TICKET_LT_OPAQUE = 16409,
    TICKET_REQUEST = 16410,
    TICKET_ACK = 16411,
    TICKET_NACK = 16412,
    TICKET_OPAQUE = 16413,
    EAP_ONLY_AUTHENTICATION = 16417,
    CHILDLESS_IKEV2_SUPPORTED = 16418,
    IKEV2_FRAGMENTATION_SUPPORTED = 16430,
    SIGNATURE_HASH_ALGORITHMS = 16431,
    USE_PPK = 16435,
    PPK_IDENTITY = 16436,
    NO_PPK_AUTH = 16437,
    INTERMEDIATE_EXCHANGE_SUPPORTED = 16438,
}

/// The first status type: what is below is an error.
const FIRST_STATUS: u16 = 16_384;

/// A notify payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Notify {
    /// 0 none, 1 IKE, 3 ESP.
    pub protocol: u8,
    /// SPI the notify is about, mostly empty; 0, 4 or 8 octets.
    pub spi: Vec<u8>,
    /// Type: below 16384 an error, else a status.
    pub kind: u16,
    /// Data.
    pub data: Vec<u8>,
}

/// It may be a ticket.
impl Drop for Notify {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

impl Notify {
    /// A notify about no SA in particular: every status but REKEY_SA, and most errors.
    pub fn status(kind: u16, data: impl Into<Vec<u8>>) -> Self {
        Self { protocol: protocol::NONE, spi: Vec::new(), kind, data: data.into() }
    }

    /// A notify about an ESP SA: REKEY_SA, CHILD_SA_NOT_FOUND.
    pub fn about_esp(kind: u16, spi: u32) -> Self {
        Self { protocol: protocol::ESP, spi: spi.to_be_bytes().to_vec(), kind, data: Vec::new() }
    }

    /// An error type.
    pub fn is_error(&self) -> bool {
        self.kind < FIRST_STATUS
    }

    /// The ESP SPI it is about, if it is about one.
    pub fn esp_spi(&self) -> Option<u32> {
        let spi = <[u8; 4]>::try_from(self.spi.as_slice()).ok()?;
        (self.protocol == protocol::ESP).then_some(u32::from_be_bytes(spi))
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (protocol, spi_size, kind) = (reader.u8()?, reader.u8()?, reader.u16()?);
        // The protocol of a notify without SPI is to be ignored (RFC 7296 3.10), so the size is not held against it.
        if !matches!(spi_size, 0 | 4 | 8) {
            return Err(reader.malformed("no protocol has an SPI of that size"));
        }
        let spi = reader.take(usize::from(spi_size))?.to_vec();
        Ok(Self { protocol, spi, kind, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.protocol, count(self.spi.len())]);
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&self.spi);
        out.extend_from_slice(&self.data);
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.kind) {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "{}", self.kind)?,
        }
        if let Some(spi) = self.esp_spi() {
            write!(f, " of {spi:08x}")?;
        }
        write!(f, " [{} octets]", self.data.len())
    }
}

/// The first notify of this type.
pub fn find_notify(payloads: &[Payload], kind: u16) -> Option<&Notify> {
    notifies(payloads).find(|notify| notify.kind == kind)
}

/// The first notify that is an error.
pub fn first_error_notify(payloads: &[Payload]) -> Option<&Notify> {
    notifies(payloads).find(|notify| notify.is_error())
}

fn notifies(payloads: &[Payload]) -> impl Iterator<Item = &Notify> {
    payloads.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) => Some(notify),
        _ => None,
    })
}

/// A delete payload: protocol 1 has no SPIs, protocol 3 four octets each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delete {
    /// 1 IKE, 3 ESP.
    pub protocol: u8,
    /// ESP SPIs: the sender's inbound ones.
    pub spis: Vec<u32>,
}

impl Delete {
    /// The IKE SA that the message belongs to.
    pub fn ike() -> Self {
        Self { protocol: protocol::IKE, spis: Vec::new() }
    }

    /// ESP SAs, by the sender's inbound SPIs.
    pub fn esp(spis: impl Into<Vec<u32>>) -> Self {
        Self { protocol: protocol::ESP, spis: spis.into() }
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (protocol, spi_size, number) = (reader.u8()?, reader.u8()?, reader.u16()?);
        match (protocol, spi_size, number) {
            (protocol::IKE, 0, 0) | (protocol::AH | protocol::ESP, 4, _) => {}
            _ => return Err(reader.malformed("its protocol has no SPIs of that size and number")),
        }
        if usize::from(number) > limits::SPIS {
            return Err(DecodeError::Limit { what: "SPIs in a delete payload", max: limits::SPIS });
        }
        let spis = (0..number).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { protocol, spis })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.spis.len() <= limits::SPIS, "{} SPIs in a delete payload", self.spis.len());
        let spis = &self.spis[..self.spis.len().min(limits::SPIS)];
        out.extend_from_slice(&[self.protocol, if self.protocol == protocol::IKE { 0 } else { 4 }]);
        out.extend_from_slice(&(spis.len() as u16).to_be_bytes());
        spis.iter().for_each(|spi| out.extend_from_slice(&spi.to_be_bytes()));
    }
}
