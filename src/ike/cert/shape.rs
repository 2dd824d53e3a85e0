//! What kind of certificate one is, without whose.

use super::names::{alternative_names, clean};
use super::{CertError, parse, show_algorithm};
use crate::time::UnixTime;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::public_key::PublicKey;

/// A certificate as it may be shown to anybody: no name, no number, no key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// "RSA 2048", "EC 256", or the algorithm's OID.
    pub key: String,
    /// How its issuer signed it.
    pub signature: String,
    /// Subject and issuer are the same.
    pub self_issued: bool,
    /// Kinds of its alternative names, in order.
    pub names: Vec<&'static str>,
    /// Its extended key usages; empty: it has none.
    pub usages: Vec<String>,
    /// How long it is still valid; `None`: not any more.
    pub left: Option<Duration>,
}

/// Reads a certificate. Nothing of it is verified.
///
/// # Errors
/// [`CertError::Malformed`].
pub fn shape(der: &[u8], now: UnixTime) -> Result<Shape, CertError> {
    let cert = parse(der)?;
    let until = super::unix_time(cert.validity().not_after.timestamp());
    Ok(Shape {
        key: key(&cert),
        signature: show_algorithm(&cert),
        self_issued: cert.subject() == cert.issuer(),
        names: alternative_names(&cert).map(kind).collect(),
        usages: usages(&cert),
        left: (until > now).then(|| until.since(now)),
    })
}

fn key(cert: &X509Certificate<'_>) -> String {
    match cert.public_key().parsed() {
        // The modulus may begin with a zero octet; sizes are multiples of eight in practice.
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
        _ => clean(&cert.public_key().algorithm.algorithm.to_id_string()),
    }
}

fn kind(name: &GeneralName<'_>) -> &'static str {
    match name {
        GeneralName::DNSName(_) => "DNS name",
        GeneralName::IPAddress(_) => "address",
        GeneralName::RFC822Name(_) => "e-mail address",
        GeneralName::URI(_) => "URI",
        GeneralName::DirectoryName(_) => "distinguished name",
        _ => "other",
    }
}

fn usages(cert: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(usage)) = cert.extended_key_usage() else { return Vec::new() };
    let usage = usage.value;
    let named = [(usage.any, "any"), (usage.server_auth, "serverAuth"), (usage.client_auth, "clientAuth")];
    let named = named.into_iter().filter(|(has, _)| *has).map(|(_, name)| name.to_owned());
    named.chain(usage.other.iter().map(|oid| clean(&oid.to_id_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::pki::Pki;

    #[test]
    fn a_shape_tells_the_kind_of_a_certificate_and_not_whose() {
        let now = UnixTime::from_secs(1_800_000_000);
        let pki = Pki::new(now).unwrap();
        let issued = pki.issue(&pki.leaf("vpn.secret.example")).unwrap();
        let shape = shape(&issued.chain[0], now).unwrap();
        assert!(shape.key.starts_with("RSA "), "{shape:?}");
        assert!(shape.names.contains(&"DNS name") && !shape.self_issued, "{shape:?}");
        assert!(shape.left.is_some_and(|left| left > Duration::from_secs(3600)), "{shape:?}");
        assert!(!format!("{shape:?}").contains("secret"), "{shape:?}");
        let later = UnixTime::from_secs(now.as_secs() + 100 * 366 * 86_400);
        assert_eq!(super::shape(&issued.chain[0], later).unwrap().left, None);
        assert!(super::shape(b"\x30\x03abc", now).is_err());
    }
}
