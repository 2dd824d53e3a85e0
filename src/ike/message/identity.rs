//! Identities (RFC 7296 3.5).

use super::dn;
use super::read::{DecodeError, Reader};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// ID types (RFC 7296 3.5; 201 is EAP-AnyConnect's, `fork`, `seen`).
#[allow(missing_docs)]
pub mod id_type {
    pub const IPV4_ADDR: u8 = 1;
    pub const FQDN: u8 = 2;
    pub const RFC822_ADDR: u8 = 3;
    pub const IPV6_ADDR: u8 = 5;
    pub const DER_ASN1_DN: u8 = 9;
    pub const KEY_ID: u8 = 11;
    pub const ANYCONNECT: u8 = 201;
}

/// An identity (RFC 7296 3.5): the type is a number because the dialect uses private ones (201).
///
/// `Display` is for people: an address or a name where it is one, text where that is printable, else hex after `0x`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// ID type.
    pub kind: u8,
    /// Data.
    pub data: Vec<u8>,
}

impl Identity {
    /// Any type.
    pub fn new(kind: u8, data: impl Into<Vec<u8>>) -> Self {
        Self { kind, data: data.into() }
    }

    /// Opaque octets.
    pub fn key_id(data: impl Into<Vec<u8>>) -> Self {
        Self::new(id_type::KEY_ID, data)
    }

    /// A DNS name.
    pub fn fqdn(name: &str) -> Self {
        Self::new(id_type::FQDN, name)
    }

    /// As people write it: an address, a distinguished name in the order of its certificate (`C=DE, O=Example, CN=Anna`), an
    /// e-mail address (with `@`), else a DNS name; `dn:`, `key-id:`, `email:` and `fqdn:` in front say which it is. `None`
    /// where nothing is left of it, where it is no name though it is said to be one, or no ASCII text where it has to be.
    pub fn from_text(text: &str) -> Option<Self> {
        let kinds = [
            ("dn:", id_type::DER_ASN1_DN),
            ("key-id:", id_type::KEY_ID),
            ("email:", id_type::RFC822_ADDR),
            ("fqdn:", id_type::FQDN),
        ];
        let named = kinds.iter().find_map(|(prefix, kind)| Some((*kind, text.strip_prefix(prefix)?)));
        let (kind, value) = match named {
            Some((id_type::DER_ASN1_DN, name)) => return dn::from_text(name).map(Self::dn),
            Some(named) => named,
            None => match (text.parse(), dn::from_text(text)) {
                (Ok(address), _) => return Some(Self::from_address(address)),
                (_, Some(name)) => return Some(Self::dn(name)),
                _ if text.contains('@') => (id_type::RFC822_ADDR, text),
                _ => (id_type::FQDN, text),
            },
        };
        let printable = kind == id_type::KEY_ID || value.bytes().all(|c| c.is_ascii_graphic());
        (!value.is_empty() && printable).then(|| Self::new(kind, value))
    }

    fn dn(der: Vec<u8>) -> Self {
        Self::new(id_type::DER_ASN1_DN, der)
    }

    /// An address.
    pub fn from_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::new(id_type::IPV4_ADDR, v4.octets()),
            IpAddr::V6(v6) => Self::new(id_type::IPV6_ADDR, v6.octets()),
        }
    }

    /// The address, where this is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
            id_type::IPV4_ADDR => {
                <[u8; 4]>::try_from(self.data.as_slice()).ok().map(|a| Ipv4Addr::from(a).into())
            }
            id_type::IPV6_ADDR => {
                <[u8; 16]>::try_from(self.data.as_slice()).ok().map(|a| Ipv6Addr::from(a).into())
            }
            _ => None,
        }
    }

    /// The body of the ID payload: type, three reserved zeroes, data. AUTH covers it (RFC 7296 2.15, RestOfIDPayload).
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.data.len());
        self.encode(&mut out);
        out
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, _reserved) = (reader.u8()?, reader.array::<3>()?);
        Ok(Self { kind, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind, 0, 0, 0]);
        out.extend_from_slice(&self.data);
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.address() {
            return address.fmt(f);
        }
        if let Some(name) = (self.kind == id_type::DER_ASN1_DN).then(|| dn::show(&self.data)).flatten() {
            return f.write_str(&name);
        }
        let printable = !self.data.is_empty() && self.data.iter().all(|c| matches!(c, b' '..=b'~'));
        match std::str::from_utf8(&self.data) {
            Ok(text) if printable => f.write_str(text),
            _ => {
                f.write_str("0x")?;
                self.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, {self})", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_as_people_write_them() {
        for (text, kind, data) in [
            ("vpn.example.com", id_type::FQDN, &b"vpn.example.com"[..]),
            ("anna@example.com", id_type::RFC822_ADDR, b"anna@example.com"),
            ("192.0.2.1", id_type::IPV4_ADDR, &[192, 0, 2, 1]),
            ("key-id:Staff & Co", id_type::KEY_ID, b"Staff & Co"),
            ("fqdn:192.0.2.1", id_type::FQDN, b"192.0.2.1"),
            ("email:root", id_type::RFC822_ADDR, b"root"),
            ("a=b@example.com", id_type::RFC822_ADDR, b"a=b@example.com"),
        ] {
            assert_eq!(Identity::from_text(text), Some(Identity::new(kind, data)), "{text}");
        }
        let anna = Identity::from_text("dn:C=DE, CN=Anna").unwrap();
        assert_eq!((anna.kind, anna.to_string().as_str()), (id_type::DER_ASN1_DN, "C=DE, CN=Anna"));
        assert_eq!(Identity::from_text("C=DE,CN=Anna"), Some(anna));
        for text in
            ["", "key-id:", "dn:", "dn:Anna", "a b.example.com", "email:\u{e9}@example.com", "fqdn:a\nb"]
        {
            assert_eq!(Identity::from_text(text), None, "{text}");
        }
    }
}
