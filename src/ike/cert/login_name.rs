//! How a user's certificate calls its user.

use super::names::text_of;
use super::parse;
use crate::ike::eap::text::is_unprintable;
use x509_parser::extensions::GeneralName;

/// User principal name, an alternative name that directories know users by.
const UPN: &str = "1.3.6.1.4.1.311.20.2.3";
/// Octets of a name: EAP-Identity holds it.
const MAX_NAME: usize = 253;

/// The name that a login server knows the user of this certificate (DER) by: the user principal name, else an e-mail address, a
/// DNS name, the common name. `None` where it has none that fits into EAP-Identity (253 octets without control characters).
pub fn user_name(der: &[u8]) -> Option<String> {
    let cert = parse(der).ok()?;
    let names = cert.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let rank = |name: &GeneralName<'_>| match name {
        GeneralName::OtherName(kind, value) if kind.to_id_string() == UPN => {
            utf8_string(value).map(|name| (0, name.to_owned()))
        }
        GeneralName::RFC822Name(name) => Some((1, (*name).to_owned())),
        GeneralName::DNSName(name) => Some((2, (*name).to_owned())),
        _ => None,
    };
    let common = cert.subject().iter_common_name().filter_map(text_of);
    let common = common.map(|name| (3, name));
    let fits = |(_, name): &(u8, String)| {
        !name.is_empty() && name.len() <= MAX_NAME && name.trim() == name && !name.contains(is_unprintable)
    };
    names.filter_map(rank).chain(common).filter(fits).min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}

/// `[0] EXPLICIT UTF8String` of less than 128 octets.
fn utf8_string(value: &[u8]) -> Option<&str> {
    let &[0xa0, outer, 0x0c, inner, ref text @ ..] = value else { return None };
    let is_whole = usize::from(inner) == text.len() && outer == inner.checked_add(2)? && outer < 0x80;
    std::str::from_utf8(text).ok().filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of "CN=Anna" with these alternative names.
    fn named(names: Vec<rcgen::SanType>) -> Option<String> {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Anna");
        let key = rcgen::KeyPair::generate().unwrap();
        user_name(params.self_signed(&key).unwrap().der())
    }

    #[test]
    fn the_name_that_a_directory_knows() {
        use rcgen::SanType;
        let dns = || SanType::DnsName("laptop.example.com".try_into().unwrap());
        let mail = || SanType::Rfc822Name("anna@example.com".try_into().unwrap());
        let upn =
            |text: &str| SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], text.to_owned().into()));
        assert_eq!(named(vec![]).as_deref(), Some("Anna"));
        assert_eq!(named(vec![dns()]).as_deref(), Some("laptop.example.com"));
        assert_eq!(named(vec![dns(), mail()]).as_deref(), Some("anna@example.com"));
        assert_eq!(named(vec![dns(), mail(), upn("anna@corp")]).as_deref(), Some("anna@corp"));
        for unfit in ["a\u{1b}[2J", "an\nna", "an\tna", "anna ", ""] {
            assert_eq!(named(vec![upn(unfit), dns()]).as_deref(), Some("laptop.example.com"), "{unfit:?}");
        }
        assert_eq!(user_name(b"\x30\x00"), None);
    }
}
