//! What a certificate says that a choice among several can go by.

use super::names::{clean, show_name, text_of};
use super::{CertError, parse, unix_time};
use crate::time::UnixTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Name;

/// In the place of a part that nobody can read.
pub const UNREADABLE: &str = "\u{fffd}";

/// Parts of a distinguished name, by the names that profiles have for them.
const PARTS: [(&str, &str); 16] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "T"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "I"),
    ("2.5.4.44", "GENQ"),
    ("2.5.4.46", "DNQ"),
    ("1.2.840.113549.1.9.1", "EA"),
    ("1.2.840.113549.1.9.2", "N"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("2.5.4.5", "SERIALNUMBER"),
];

/// A certificate, as far as a choice goes by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The subject, for people.
    pub name: String,
    /// Parts of the subject in order: "CN", "OU" .., and the value. Those without a name here are left out.
    pub subject: Vec<(&'static str, String)>,
    /// The same of the issuer.
    pub issuer: Vec<(&'static str, String)>,
    /// Key usage: bit 0 is digitalSignature, bit 8 decipherOnly (RFC 5280 4.2.1.3). `None`: no such extension.
    pub key_usage: Option<u16>,
    /// Extended key usages, OIDs in digits and dots. `None`: no such extension.
    pub extended_key_usage: Option<Vec<String>>,
    /// Valid from.
    pub not_before: UnixTime,
    /// Valid until.
    pub not_after: UnixTime,
}

impl Facts {
    /// Reads a certificate. Nothing of it is verified.
    ///
    /// # Errors
    /// [`CertError::Malformed`].
    pub fn read(der: &[u8]) -> Result<Self, CertError> {
        let cert = parse(der)?;
        let malformed = |error: x509_parser::error::X509Error| CertError::Malformed(error.to_string());
        let key_usage = cert.key_usage().map_err(malformed)?.map(|usage| usage.value.flags);
        Ok(Self {
            name: show_name(cert.subject()),
            subject: parts(cert.subject()),
            issuer: parts(cert.issuer()),
            key_usage,
            extended_key_usage: extended(&cert)?,
            not_before: unix_time(cert.validity().not_before.timestamp()),
            not_after: unix_time(cert.validity().not_after.timestamp()),
        })
    }
}

fn parts(name: &X509Name<'_>) -> Vec<(&'static str, String)> {
    let part = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let oid = attribute.attr_type().to_id_string();
        let (_, name) = PARTS.iter().find(|(known, _)| *known == oid)?;
        Some((*name, text_of(attribute).unwrap_or_else(|| UNREADABLE.to_owned())))
    };
    name.iter_attributes().filter_map(part).collect()
}

fn extended(cert: &X509Certificate<'_>) -> Result<Option<Vec<String>>, CertError> {
    let usage = cert.extended_key_usage().map_err(|error| CertError::Malformed(error.to_string()))?;
    let Some(usage) = usage.map(|usage| usage.value) else { return Ok(None) };
    let known = [
        (usage.any, "2.5.29.37.0"),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let known = known.into_iter().filter(|(has, _)| *has).map(|(_, oid)| oid.to_owned());
    Ok(Some(known.chain(usage.other.iter().map(|oid| clean(&oid.to_id_string()))).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::pki::Pki;

    #[test]
    fn the_facts_of_a_users_certificate() {
        let now = UnixTime::from_secs(1_800_000_000);
        let pki = Pki::new(now).unwrap();
        let facts = Facts::read(&pki.user("anna").unwrap().chain[0]).unwrap();
        assert_eq!(facts.subject, [("CN", "anna".to_owned())]);
        assert_eq!(facts.issuer, [("CN", "ikeep lab CA".to_owned())]);
        assert_eq!(facts.key_usage, Some(1));
        assert_eq!(facts.extended_key_usage, Some(vec!["1.3.6.1.5.5.7.3.2".to_owned()]));
        assert!(facts.not_before < now && now < facts.not_after);
        assert!(Facts::read(b"0\x03abc").is_err());
    }
}
