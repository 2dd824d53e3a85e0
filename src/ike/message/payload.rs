//! One payload of each type (RFC 7296 3.3 to 3.16).

use super::config::Configuration;
use super::identity::Identity;
use super::notify::{Delete, Notify};
use super::proposal::{self, Proposal};
use super::read::{DecodeError, Reader, limits};
use super::selector;
use crate::esp::TrafficSelector;
use std::fmt;
use zeroize::Zeroize as _;

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

    /// A message has one at most (RFC 7296 1.2 to 1.5, 2.16 and appendix C).
    pub(in crate::ike) fn is_single(kind: u8) -> bool {
        matches!(kind, SA | KE | ID_I | ID_R | AUTH | NONCE | TS_I | TS_R | CP | EAP)
    }
}

/// One payload. Key material never appears here, but EAP and CP data may be secret: `Debug` prints lengths for those.
#[derive(Clone, PartialEq, Eq)]
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
    /// A whole EAP packet; wiped when dropped.
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

/// An EAP packet may hold a password.
impl Drop for Payload {
    fn drop(&mut self) {
        if let Self::Eap(packet) = self {
            packet.zeroize();
        }
    }
}

impl Payload {
    /// Its type number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Sa(_) => payload_type::SA,
            Self::Ke { .. } => payload_type::KE,
            Self::IdI(_) => payload_type::ID_I,
            Self::IdR(_) => payload_type::ID_R,
            Self::Cert { .. } => payload_type::CERT,
            Self::CertReq { .. } => payload_type::CERTREQ,
            Self::Auth { .. } => payload_type::AUTH,
            Self::Nonce(_) => payload_type::NONCE,
            Self::Notify(_) => payload_type::NOTIFY,
            Self::Delete(_) => payload_type::DELETE,
            Self::VendorId(_) => payload_type::VENDOR_ID,
            Self::TsI(_) => payload_type::TS_I,
            Self::TsR(_) => payload_type::TS_R,
            Self::Cp(_) => payload_type::CP,
            Self::Eap(_) => payload_type::EAP,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The critical bit to send: none for the types of RFC 7296, which every peer knows (RFC 7296 3.2).
    pub(super) fn critical(&self) -> bool {
        matches!(self, Self::Unknown { critical: true, .. })
    }

    /// Octets of its body where that may be secret, else 0.
    pub(super) fn secret_len(&self) -> usize {
        match self {
            Self::Eap(packet) => packet.len(),
            Self::Cp(configuration) => {
                4 + configuration.attributes.iter().map(|attribute| 4 + attribute.value.len()).sum::<usize>()
            }
            Self::Notify(notify) => 4 + notify.spi.len() + notify.data.len(),
            _ => 0,
        }
    }

    /// Reads one body.
    pub(super) fn decode(kind: u8, critical: bool, body: &[u8]) -> Result<Self, DecodeError> {
        let reader = |what| Reader::new(what, body);
        Ok(match kind {
            payload_type::SA => Self::Sa(proposal::decode(reader("SA payload"))?),
            payload_type::KE => {
                let mut reader = reader("KE payload");
                let (group, _reserved) = (reader.u16()?, reader.u16()?);
                Self::Ke { group, data: reader.rest().to_vec() }
            }
            payload_type::ID_I => Self::IdI(Identity::decode(reader("IDi payload"))?),
            payload_type::ID_R => Self::IdR(Identity::decode(reader("IDr payload"))?),
            payload_type::CERT => {
                let mut reader = reader("CERT payload");
                Self::Cert { encoding: reader.u8()?, data: reader.rest().to_vec() }
            }
            payload_type::CERTREQ => {
                let mut reader = reader("CERTREQ payload");
                Self::CertReq { encoding: reader.u8()?, authorities: reader.rest().to_vec() }
            }
            payload_type::AUTH => {
                let mut reader = reader("AUTH payload");
                let (method, _reserved) = (reader.u8()?, reader.array::<3>()?);
                Self::Auth { method, data: reader.rest().to_vec() }
            }
            payload_type::NONCE => {
                if !limits::NONCE.contains(&body.len()) {
                    return Err(reader("nonce payload").malformed("a nonce has 16 to 256 octets"));
                }
                Self::Nonce(body.to_vec())
            }
            payload_type::NOTIFY => Self::Notify(Notify::decode(reader("notify payload"))?),
            payload_type::DELETE => Self::Delete(Delete::decode(reader("delete payload"))?),
            payload_type::VENDOR_ID => Self::VendorId(body.to_vec()),
            payload_type::TS_I => Self::TsI(selector::decode(reader("TSi payload"))?),
            payload_type::TS_R => Self::TsR(selector::decode(reader("TSr payload"))?),
            payload_type::CP => Self::Cp(Configuration::decode(reader("CP payload"))?),
            payload_type::EAP => Self::Eap(eap(reader("EAP payload"), body)?),
            payload_type::SK | payload_type::SKF => {
                return Err(reader("payload chain").malformed("an encrypted payload does not belong here"));
            }
            unknown if critical => return Err(DecodeError::Critical(unknown)),
            unknown => Self::Unknown { kind: unknown, critical, data: body.to_vec() },
        })
    }

    /// Appends the body.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sa(proposals) => proposal::encode(proposals, out),
            Self::Ke { group, data } => {
                out.extend_from_slice(&group.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(data);
            }
            Self::IdI(identity) | Self::IdR(identity) => identity.encode(out),
            Self::Cert { encoding: first, data } | Self::CertReq { encoding: first, authorities: data } => {
                out.push(*first);
                out.extend_from_slice(data);
            }
            Self::Auth { method, data } => {
                out.extend_from_slice(&[*method, 0, 0, 0]);
                out.extend_from_slice(data);
            }
            Self::Notify(notify) => notify.encode(out),
            Self::Delete(delete) => delete.encode(out),
            Self::TsI(selectors) | Self::TsR(selectors) => selector::encode(selectors, out),
            Self::Cp(configuration) => configuration.encode(out),
            Self::Nonce(data) | Self::VendorId(data) | Self::Eap(data) | Self::Unknown { data, .. } => {
                out.extend_from_slice(data);
            }
        }
    }
}

/// A whole EAP packet: code, identifier, length of the packet (RFC 3748 4).
fn eap(mut reader: Reader<'_>, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (_code, _identifier, length) = (reader.u8()?, reader.u8()?, reader.u16()?);
    if usize::from(length) != body.len() {
        return Err(reader.malformed("the EAP packet's length is not that of the payload"));
    }
    Ok(body.to_vec())
}

/// How much there is of something that is long, or nobody's business.
struct Octets(usize);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} octets]", self.0)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tuple = |f: &mut fmt::Formatter<'_>, name, value: &dyn fmt::Debug| {
            f.debug_tuple(name).field(value).finish()
        };
        let pair = |f: &mut fmt::Formatter<'_>, name, key, value: &dyn fmt::Debug, data: &[u8]| {
            f.debug_struct(name).field(key, value).field("data", &Octets(data.len())).finish()
        };
        match self {
            Self::Sa(proposals) => tuple(f, "Sa", proposals),
            Self::Ke { group, data } => pair(f, "Ke", "group", group, data),
            Self::IdI(identity) => tuple(f, "IdI", identity),
            Self::IdR(identity) => tuple(f, "IdR", identity),
            Self::Cert { encoding, data } => pair(f, "Cert", "encoding", encoding, data),
            Self::CertReq { encoding, authorities } => pair(f, "CertReq", "encoding", encoding, authorities),
            // With a PSK of few bits the data is enough to guess it.
            Self::Auth { method, data } => pair(f, "Auth", "method", method, data),
            Self::Nonce(data) => tuple(f, "Nonce", &Octets(data.len())),
            Self::Notify(notify) => tuple(f, "Notify", notify),
            Self::Delete(delete) => tuple(f, "Delete", delete),
            Self::VendorId(data) => tuple(f, "VendorId", &Octets(data.len())),
            Self::TsI(selectors) => tuple(f, "TsI", selectors),
            Self::TsR(selectors) => tuple(f, "TsR", selectors),
            Self::Cp(configuration) => tuple(f, "Cp", configuration),
            Self::Eap(packet) => tuple(f, "Eap", &Octets(packet.len())),
            Self::Unknown { kind, data, .. } => pair(f, "Unknown", "kind", kind, data),
        }
    }
}
