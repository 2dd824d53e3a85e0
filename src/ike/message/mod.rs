//! The codec: header and payload chain, without secrets (RFC 7296 3).
//!
//! Decoding is strict about lengths and limits and lenient about what the RFC says to ignore. Encoding what was decoded
//! gives a message of the same meaning.

use crate::esp::TrafficSelector;

/// Length of the IKE header.
pub const HEADER_LEN: usize = 28;
/// An IKE SPI, eight octets as on the wire.
pub type Spi = [u8; 8];

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
    /// Any other number.
    Other(u8),
}

/// Payload type numbers (RFC 7296 3.2).
#[allow(missing_docs)]
pub mod payload_type {
    pub const NONE: u8 = 0;
    pub const SA: u8 = 33;
    pub const KE: u8 = 34;
    pub const ID_I: u8 = 35;
    pub const ID_R: u8 = 36;
    pub const CERT: u8 = 37;
    pub const CERTREQ: u8 = 38;
    pub const AUTH: u8 = 39;
    pub const NONCE: u8 = 40;
    pub const NOTIFY: u8 = 41;
    pub const DELETE: u8 = 42;
    pub const VENDOR_ID: u8 = 43;
    pub const TS_I: u8 = 44;
    pub const TS_R: u8 = 45;
    pub const SK: u8 = 46;
    pub const CP: u8 = 47;
    pub const EAP: u8 = 48;
    pub const SKF: u8 = 53;
    /// Pre-standard fragmentation (dialect `legacy_fragmentation`).
    pub const LEGACY_FRAGMENT: u8 = 132;
}

/// One payload. Key material never appears here, but EAP and CP data may be secret: `Debug` prints lengths for those.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Security association.
    Sa(Vec<Proposal>),
    /// Key exchange.
    Ke {
        /// Group number.
        group: u16,
        /// Public value.
        data: Vec<u8>,
    },
    /// Identification of the initiator.
    IdI(Identity),
    /// Identification of the responder.
    IdR(Identity),
    /// Certificate; encoding 4 is X.509 DER.
    Cert {
        /// Encoding.
        encoding: u8,
        /// Data.
        data: Vec<u8>,
    },
    /// Certificate request.
    CertReq {
        /// Encoding.
        encoding: u8,
        /// Concatenated SHA-1 hashes of trusted CAs' public keys (SPKI).
        authorities: Vec<u8>,
    },
    /// Authentication.
    Auth {
        /// Method number.
        method: u8,
        /// Data.
        data: Vec<u8>,
    },
    /// Nonce, 16 to 256 octets.
    Nonce(Vec<u8>),
    /// Notify.
    Notify(Notify),
    /// Delete.
    Delete(Delete),
    /// Vendor ID.
    VendorId(Vec<u8>),
    /// Traffic selectors of the initiator. Selectors of unknown types are left out.
    TsI(Vec<TrafficSelector>),
    /// Traffic selectors of the responder.
    TsR(Vec<TrafficSelector>),
    /// Configuration.
    Cp(Configuration),
    /// A whole EAP packet.
    Eap(Vec<u8>),
    /// Any other payload.
    Unknown {
        /// Type.
        kind: u8,
        /// Critical bit.
        critical: bool,
        /// Body.
        data: Vec<u8>,
    },
}

/// A proposal (RFC 7296 3.3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Number, from 1.
    pub number: u8,
    /// 1 IKE, 3 ESP.
    pub protocol: u8,
    /// SPI: 0, 4 or 8 octets.
    pub spi: Vec<u8>,
    /// Transforms in order.
    pub transforms: Vec<Transform>,
}

/// A transform with its key length attribute. Transforms with other attributes are not understood and left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Transform {
    /// 1 encryption, 2 PRF, 3 integrity, 4 key exchange, 5 ESN.
    pub kind: u8,
    /// Transform ID.
    pub id: u16,
    /// Key length in bits.
    pub key_bits: Option<u16>,
}

/// An identity (RFC 7296 3.5): the type is a number because the dialect uses private ones (201).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// ID type.
    pub kind: u8,
    /// Data.
    pub data: Vec<u8>,
}

/// A notify payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// 0 none, 1 IKE, 3 ESP.
    pub protocol: u8,
    /// SPI the notify is about, mostly empty.
    pub spi: Vec<u8>,
    /// Type: below 16384 an error, else a status.
    pub kind: u16,
    /// Data.
    pub data: Vec<u8>,
}

/// Notify message types (RFC 7296 3.10.1 and others).
#[allow(missing_docs)]
pub mod notify {
    pub const UNSUPPORTED_CRITICAL_PAYLOAD: u16 = 1;
    pub const INVALID_IKE_SPI: u16 = 4;
    pub const INVALID_MAJOR_VERSION: u16 = 5;
    pub const INVALID_SYNTAX: u16 = 7;
    pub const INVALID_MESSAGE_ID: u16 = 9;
    pub const INVALID_SPI: u16 = 11;
    pub const NO_PROPOSAL_CHOSEN: u16 = 14;
    pub const INVALID_KE_PAYLOAD: u16 = 17;
    pub const AUTHENTICATION_FAILED: u16 = 24;
    pub const SINGLE_PAIR_REQUIRED: u16 = 34;
    pub const NO_ADDITIONAL_SAS: u16 = 35;
    pub const INTERNAL_ADDRESS_FAILURE: u16 = 36;
    pub const FAILED_CP_REQUIRED: u16 = 37;
    pub const TS_UNACCEPTABLE: u16 = 38;
    pub const INVALID_SELECTORS: u16 = 39;
    pub const TEMPORARY_FAILURE: u16 = 43;
    pub const CHILD_SA_NOT_FOUND: u16 = 44;
    pub const INITIAL_CONTACT: u16 = 16384;
    pub const NAT_DETECTION_SOURCE_IP: u16 = 16388;
    pub const NAT_DETECTION_DESTINATION_IP: u16 = 16389;
    pub const COOKIE: u16 = 16390;
    pub const USE_TRANSPORT_MODE: u16 = 16391;
    pub const REKEY_SA: u16 = 16393;
    pub const MOBIKE_SUPPORTED: u16 = 16396;
    pub const UPDATE_SA_ADDRESSES: u16 = 16400;
    pub const REDIRECT_SUPPORTED: u16 = 16406;
    pub const REDIRECT: u16 = 16407;
    pub const EAP_ONLY_AUTHENTICATION: u16 = 16417;
    pub const IKEV2_FRAGMENTATION_SUPPORTED: u16 = 16430;
    pub const SIGNATURE_HASH_ALGORITHMS: u16 = 16431;
}

/// A delete payload: protocol 1 has no SPIs, protocol 3 four octets each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delete {
    /// 1 IKE, 3 ESP.
    pub protocol: u8,
    /// ESP SPIs: the sender's inbound ones.
    pub spis: Vec<u32>,
}

/// A configuration payload (RFC 7296 3.15).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// 1 request, 2 reply, 3 set, 4 ack.
    pub kind: u8,
    /// Attributes in order.
    pub attributes: Vec<ConfigAttribute>,
}

/// A configuration attribute: always TLV, the top bit of the type is reserved and ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigAttribute {
    /// Type, 15 bits.
    pub kind: u16,
    /// Value.
    pub value: Vec<u8>,
}
