//! The configuration payload (RFC 7296 3.15).

use super::read::{DecodeError, Reader, limits};
use std::fmt;
use zeroize::Zeroize as _;

/// Configuration types.
#[allow(missing_docs)]
pub mod cfg_kind {
    pub const REQUEST: u8 = 1;
    pub const REPLY: u8 = 2;
    pub const SET: u8 = 3;
    pub const ACK: u8 = 4;
}

/// A configuration payload (RFC 7296 3.15).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// 1 request, 2 reply, 3 set, 4 ack.
    pub kind: u8,
    /// Attributes in order.
    pub attributes: Vec<ConfigAttribute>,
}

/// A configuration attribute: always TLV, the top bit of the type is reserved and ignored. A session token travels in
/// one: `Debug` prints the length of the value.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigAttribute {
    /// Type, 15 bits.
    pub kind: u16,
    /// Value.
    pub value: Vec<u8>,
}

/// It may be a session token.
impl Drop for ConfigAttribute {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// The bits of the type.
const TYPE: u16 = 0x7fff;

impl ConfigAttribute {
    /// An attribute without a value, as a request asks for it.
    pub fn request(kind: u16) -> Self {
        Self { kind, value: Vec::new() }
    }
}

impl fmt::Debug for ConfigAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{} octets]", self.kind, self.value.len())
    }
}

impl Configuration {
    /// The value of the first attribute of this type.
    pub fn find(&self, kind: u16) -> Option<&[u8]> {
        self.all(kind).next()
    }

    /// The values of all attributes of this type, in order.
    pub fn all(&self, kind: u16) -> impl Iterator<Item = &[u8]> {
        self.attributes.iter().filter(move |a| a.kind == kind).map(|a| a.value.as_slice())
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, _reserved) = (reader.u8()?, reader.array::<3>()?);
        let mut attributes = Vec::new();
        while !reader.is_empty() {
            if attributes.len() == limits::ATTRIBUTES {
                return Err(DecodeError::Limit {
                    what: "attributes in a CP payload",
                    max: limits::ATTRIBUTES,
                });
            }
            let (kind, length) = (reader.u16()? & TYPE, reader.u16()?);
            attributes.push(ConfigAttribute { kind, value: reader.take(usize::from(length))?.to_vec() });
        }
        Ok(Self { kind, attributes })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind, 0, 0, 0]);
        for attribute in &self.attributes {
            debug_assert!(
                attribute.value.len() <= limits::BODY,
                "attribute of {} octets",
                attribute.value.len()
            );
            let value = &attribute.value[..attribute.value.len().min(limits::BODY)];
            out.extend_from_slice(&(attribute.kind & TYPE).to_be_bytes());
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
            out.extend_from_slice(value);
        }
    }
}
