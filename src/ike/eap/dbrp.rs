//! Framing (`fork`, `seen`): EAP packets in general (RFC 3748 4), and EAP-AnyConnect's expanded type with its TLVs.

use super::EapError;
use std::fmt;

/// EAP codes.
#[allow(missing_docs)]
pub mod code {
    pub const REQUEST: u8 = 1;
    pub const RESPONSE: u8 = 2;
    pub const SUCCESS: u8 = 3;
    pub const FAILURE: u8 = 4;
}

/// TLV types of EAP-AnyConnect. Type 2 exists and is unknown.
#[allow(missing_docs)]
pub mod tlv {
    /// The XML document.
    pub const XML: u16 = 0;
    /// The data of an RSA AUTH payload over the initiator's signed octets.
    pub const SIGNATURE: u16 = 1;
    /// PKCS#7, certificates only.
    pub const CERTIFICATES: u16 = 3;
}

/// The largest EAP packet: an IKE payload's length field without the payload header.
pub const MAX_EAP: usize = 65_531;
/// TLVs in one packet.
pub const MAX_TLVS: usize = 16;

const EAP_HEADER: usize = 4;
/// Expanded type, vendor 9, vendor type "DBRP".
const ANYCONNECT: [u8; 8] = [254, 0, 0, 9, b'D', b'B', b'R', b'P'];

/// An EAP packet, whatever its method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// Code.
    pub code: u8,
    /// Identifier: a response repeats the request's.
    pub id: u8,
    /// What follows the length: type and data of a request or response, nothing else otherwise.
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Cuts a packet. What follows its length is padding (RFC 3748 4.1). Requests and responses have a type.
    pub fn parse(packet: &'a [u8]) -> Result<Self, EapError> {
        let wrong = |what: &str| Err(EapError::Malformed(format!("EAP packet {what}")));
        let &[code, id, high, low, ..] = packet else { return wrong("of less than 4 octets") };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_EAP {
            return wrong("longer than an IKE payload can hold");
        }
        let Some(body) = packet.get(EAP_HEADER..length) else { return wrong("whose length field lies") };
        match code {
            code::REQUEST | code::RESPONSE if body.is_empty() => wrong("without a type"),
            code::REQUEST | code::RESPONSE => Ok(Self { code, id, body }),
            code::SUCCESS | code::FAILURE if body.is_empty() => Ok(Self { code, id, body }),
            code::SUCCESS | code::FAILURE => wrong("of success or failure with data"),
            _ => wrong("of unknown code"),
        }
    }

    /// The method's name, for messages. `None` for success and failure.
    pub fn method(&self) -> Option<Method> {
        let (&kind, data) = self.body.split_first()?;
        let &[v0, v1, v2, t0, t1, t2, t3, ..] = data else { return Some(Method { kind, expanded: None }) };
        let expanded = (kind == ANYCONNECT[0])
            .then_some((u32::from_be_bytes([0, v0, v1, v2]), u32::from_be_bytes([t0, t1, t2, t3])));
        Some(Method { kind, expanded })
    }

    /// Type and data of a request or response.
    pub(super) fn typed(&self) -> Option<(u8, &'a [u8])> {
        self.body.split_first().map(|(kind, data)| (*kind, data))
    }

    /// The TLVs of an EAP-AnyConnect request or response; `None` where it is another method.
    fn tlvs(&self) -> Option<&'a [u8]> {
        self.body.strip_prefix(&ANYCONNECT)
    }
}

/// An EAP method as a packet names it. `Display` gives a name for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// EAP type.
    pub kind: u8,
    /// Vendor and vendor type of an expanded type (254).
    pub expanded: Option<(u32, u32)>,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.kind, self.expanded) {
            (254, Some((9, 0x4442_5250))) => "EAP-AnyConnect",
            (_, Some((vendor, kind))) => return write!(f, "expanded EAP type {vendor}/{kind}"),
            (1, _) => "EAP-Identity",
            (2, _) => "EAP-Notification",
            (3, _) => "EAP-Nak",
            (4, _) => "EAP-MD5",
            (6, _) => "EAP-GTC",
            (13, _) => "EAP-TLS",
            (18, _) => "EAP-SIM",
            (21, _) => "EAP-TTLS",
            (23, _) => "EAP-AKA",
            (25, _) => "PEAP",
            (26, _) => "EAP-MSCHAPv2",
            (52, _) => "EAP-PWD",
            (kind, _) => return write!(f, "EAP type {kind}"),
        };
        f.write_str(name)
    }
}

/// EAP-Success.
pub fn success(id: u8) -> Vec<u8> {
    vec![code::SUCCESS, id, 0, 4]
}

/// EAP-Failure.
pub fn failure(id: u8) -> Vec<u8> {
    vec![code::FAILURE, id, 0, 4]
}

/// An EAP-AnyConnect request or response. `Debug` prints types and lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// [`code::REQUEST`] or [`code::RESPONSE`].
    pub code: u8,
    /// Identifier.
    pub id: u8,
    /// TLVs in order, those of unknown type included.
    pub tlvs: Vec<(u16, Vec<u8>)>,
}

impl Message {
    /// A message with an XML document only.
    pub fn xml_only(code: u8, id: u8, xml: Vec<u8>) -> Self {
        Self { code, id, tlvs: vec![(tlv::XML, xml)] }
    }

    /// Reads a packet. Errors: malformed, too many TLVs, two TLVs of one type, another method (by name).
    pub fn parse(packet: &[u8]) -> Result<Self, EapError> {
        let packet = Packet::parse(packet)?;
        let Some(mut rest) = packet.tlvs() else {
            let name = packet.method().map_or_else(|| "no method".to_owned(), |method| method.to_string());
            return Err(EapError::WrongMethod(name));
        };
        let mut tlvs: Vec<(u16, Vec<u8>)> = Vec::new();
        while let Some((header, after)) = rest.split_first_chunk::<4>() {
            let kind = u16::from_be_bytes([header[0], header[1]]);
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let Some((value, next)) = after.split_at_checked(length) else {
                return Err(EapError::Malformed(format!("TLV {kind} whose length lies")));
            };
            if tlvs.len() == MAX_TLVS {
                return Err(EapError::Malformed(format!("more than {MAX_TLVS} TLVs")));
            }
            if tlvs.iter().any(|(seen, _)| *seen == kind) {
                return Err(EapError::Malformed(format!("TLV {kind} twice")));
            }
            tlvs.push((kind, value.to_vec()));
            rest = next;
        }
        if !rest.is_empty() {
            return Err(EapError::Malformed("octets after the last TLV".into()));
        }
        Ok(Self { code: packet.code, id: packet.id, tlvs })
    }

    /// The value of the TLV of this type.
    pub fn tlv(&self, kind: u16) -> Option<&[u8]> {
        self.tlvs.iter().find(|(k, _)| *k == kind).map(|(_, value)| value.as_slice())
    }

    /// The packet; [`EapError::TooLong`] beyond [`MAX_EAP`].
    pub fn encode(&self) -> Result<Vec<u8>, EapError> {
        let values: usize = self.tlvs.iter().map(|(_, value)| 4 + value.len()).sum();
        let length = EAP_HEADER + ANYCONNECT.len() + values;
        if length > MAX_EAP || self.tlvs.len() > MAX_TLVS {
            return Err(EapError::TooLong);
        }
        let mut out = Vec::with_capacity(length);
        out.extend([self.code, self.id]);
        out.extend((length as u16).to_be_bytes());
        out.extend(ANYCONNECT);
        for (kind, value) in &self.tlvs {
            out.extend(kind.to_be_bytes());
            out.extend((value.len() as u16).to_be_bytes());
            out.extend(value);
        }
        Ok(out)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tlvs: Vec<(u16, usize)> = self.tlvs.iter().map(|(kind, value)| (*kind, value.len())).collect();
        f.debug_struct("Message")
            .field("code", &self.code)
            .field("id", &self.id)
            .field("tlvs", &tlvs)
            .finish()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.tlvs.iter_mut().for_each(|(_, value)| value.zeroize()); // an auth-reply holds the password
    }
}
