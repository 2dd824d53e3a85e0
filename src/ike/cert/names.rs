//! Whom a certificate names: HostAddress and IDr against it, and its names for people.

use super::error::CertError;
use crate::ike::eap::text::one_line;
use crate::ike::message::Identity;
use rustls_pki_types::{CertificateDer, DnsName, ServerName};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use webpki::EndEntityCert;
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Characters of one name in a message.
const SHOWN_CHARS: usize = 120;
/// Names listed in a message.
const SHOWN_NAMES: usize = 8;

/// How a certificate names the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    /// In an alternative name.
    AlternativeName,
    /// There is no alternative name, and the only common name is the host's.
    CommonName,
}

/// A reference identity: what the certificate must name.
pub(in crate::ike) fn server_name(host: &str) -> Result<ServerName<'static>, CertError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let bare = host.strip_suffix('.').unwrap_or(host);
    match DnsName::try_from(bare) {
        Ok(name) => Ok(ServerName::DnsName(name.to_owned())),
        Err(_) => Err(CertError::Host(clean(host))),
    }
}

/// Whether the leaf names the host: RFC 6125 with one-label wildcards in dNSName, iPAddress for an address. The common name is
/// looked at only where there is no alternative name of any kind; it must be the only one and match whole.
pub(super) fn names_host(
    entity: &EndEntityCert<'_>,
    leaf: &X509Certificate<'_>,
    host: &ServerName<'_>,
) -> Option<Named> {
    if has_alternative_names(leaf) {
        return entity.verify_is_valid_for_subject_name(host).is_ok().then_some(Named::AlternativeName);
    }
    let common_name = only_common_name(leaf)?;
    let same = match host {
        ServerName::DnsName(name) => common_name.eq_ignore_ascii_case(name.as_ref()),
        ServerName::IpAddress(address) => common_name.parse() == Ok(IpAddr::from(*address)),
        _ => false,
    };
    same.then_some(Named::CommonName)
}

/// Whether the certificate has the alternative-name extension, readable or not.
fn has_alternative_names(leaf: &X509Certificate<'_>) -> bool {
    leaf.extensions().iter().any(|e| e.oid == x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME)
}

/// The text of an attribute of a name: UTF-8 and ASCII of every kind, UTF-16 (BMPString), and Latin-1 for T61String, as which it is
/// written. `None` for anything else.
pub(super) fn text_of(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    if let Ok(text) = attribute.as_str() {
        return Some(text.to_owned());
    }
    let value = attribute.attr_value();
    match value.tag() {
        Tag::BmpString => {
            let units = value.data.chunks(2).map(|unit| Some(u16::from_be_bytes(unit.try_into().ok()?)));
            String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()
        }
        Tag::T61String => Some(value.data.iter().copied().map(char::from).collect()),
        _ => None,
    }
}

fn only_common_name<'a>(leaf: &'a X509Certificate<'_>) -> Option<&'a str> {
    let mut names = leaf.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(only), None) => only.as_str().ok(),
        _ => None,
    }
}

/// What is said of an IDr (RFC 7296 3.5, RFC 4945 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IdrMatch {
    /// The certificate carries it.
    InCertificate,
    /// It is an address that the certificate does not carry.
    Address,
    /// Anything else.
    No,
}

/// Compares an IDr with the leaf.
pub(super) fn match_idr(der: &CertificateDer<'_>, leaf: &X509Certificate<'_>, idr: &Identity) -> IdrMatch {
    let found = match read_idr(idr) {
        Idr::Address(address) => {
            let name = ServerName::IpAddress(address.into());
            let named = EndEntityCert::try_from(der)
                .is_ok_and(|entity| entity.verify_is_valid_for_subject_name(&name).is_ok());
            return if named { IdrMatch::InCertificate } else { IdrMatch::Address };
        }
        Idr::Fqdn(name) => match (EndEntityCert::try_from(der), server_name(name)) {
            (Ok(entity), Ok(name @ ServerName::DnsName(_))) => names_host(&entity, leaf, &name).is_some(),
            _ => false,
        },
        Idr::Mail(mail) => {
            alternative_names(leaf).any(|n| matches!(n, GeneralName::RFC822Name(m) if *m == mail))
        }
        Idr::DistinguishedName(name) => name == leaf.subject().as_raw(),
        Idr::Other => false,
    };
    if found { IdrMatch::InCertificate } else { IdrMatch::No }
}

/// An IDr for people.
pub(super) fn show_idr(idr: &Identity) -> String {
    match read_idr(idr) {
        Idr::Address(address) => address.to_string(),
        Idr::Fqdn(name) | Idr::Mail(name) => format!("'{}'", clean(name)),
        Idr::DistinguishedName(der) => {
            match <X509Name<'_> as x509_parser::prelude::FromDer<_>>::from_der(der) {
                Ok((_, name)) => show_name(&name),
                Err(_) => "an unreadable distinguished name".into(),
            }
        }
        Idr::Other => format!("an identity of type {} ({} octets)", idr.kind, idr.data.len()),
    }
}

enum Idr<'a> {
    Address(IpAddr),
    Fqdn(&'a str),
    Mail(&'a str),
    DistinguishedName(&'a [u8]),
    Other,
}

fn read_idr(idr: &Identity) -> Idr<'_> {
    let data = idr.data.as_slice();
    match idr.kind {
        1 => <[u8; 4]>::try_from(data).map_or(Idr::Other, |a| Idr::Address(Ipv4Addr::from(a).into())),
        5 => <[u8; 16]>::try_from(data).map_or(Idr::Other, |a| Idr::Address(Ipv6Addr::from(a).into())),
        2 => std::str::from_utf8(data).map_or(Idr::Other, Idr::Fqdn),
        3 => std::str::from_utf8(data).map_or(Idr::Other, Idr::Mail),
        9 => Idr::DistinguishedName(data),
        _ => Idr::Other,
    }
}

pub(super) fn alternative_names<'a>(
    leaf: &'a X509Certificate<'_>,
) -> impl Iterator<Item = &'a GeneralName<'a>> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    extension.into_iter().flat_map(|extension| extension.value.general_names.iter())
}

/// The names of a leaf for a message: alternative names, else the subject.
pub(super) fn show_names(leaf: &X509Certificate<'_>) -> String {
    let mut names: Vec<String> = alternative_names(leaf).map(show_general_name).collect();
    if names.is_empty() {
        return show_name(leaf.subject());
    }
    let more = names.len().saturating_sub(SHOWN_NAMES);
    names.truncate(SHOWN_NAMES);
    let list = names.join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

fn show_general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => clean(name),
        GeneralName::IPAddress(octets) => match (<[u8; 4]>::try_from(*octets), <[u8; 16]>::try_from(*octets))
        {
            (Ok(v4), _) => Ipv4Addr::from(v4).to_string(),
            (_, Ok(v6)) => Ipv6Addr::from(v6).to_string(),
            _ => "an unreadable address".into(),
        },
        GeneralName::DirectoryName(name) => show_name(name),
        _ => "a name of another kind".into(),
    }
}

/// A distinguished name for people.
pub(super) fn show_name(name: &X509Name<'_>) -> String {
    match name.to_string() {
        empty if empty.is_empty() => "a certificate without a name".into(),
        text => clean(&text),
    }
}

/// Text of somebody unknown, made fit for a terminal and a log line: in one line, at most [`SHOWN_CHARS`] characters.
pub(super) fn clean(text: &str) -> String {
    one_line(text, SHOWN_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_cannot_write_on_the_terminal() {
        assert_eq!(clean("evil\u{1b}[2J\nname\u{202e}"), "evil[2J name");
        assert!(clean(&"x".repeat(5000)).len() < 200);
    }
}
