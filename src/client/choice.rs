//! Which of several certificates a login is made with: the profile's CertificateMatch.
//!
//! All criteria of a profile have to hold (the vendor's manual: "must match all specified criteria"). The first certificate for
//! which they do is the one.

use crate::ike::cert::{Facts, UNREADABLE};
use crate::profile::{CertificateMatch, DistinguishedName};
use crate::time::UnixTime;
use std::fmt;

/// Names of key usages, by their bit.
const KEY_USAGES: [&str; 9] = [
    "Digital_Signature",
    "Non_Repudiation",
    "Key_Encipherment",
    "Data_Encipherment",
    "Key_Agreement",
    "Key_Cert_Sign",
    "CRL_Sign",
    "Encipher_Only",
    "Decipher_Only",
];
/// Names of extended key usages and their OIDs.
const EXTENDED: [(&str, &str); 11] = [
    ("ServerAuth", "1.3.6.1.5.5.7.3.1"),
    ("ClientAuth", "1.3.6.1.5.5.7.3.2"),
    ("CodeSign", "1.3.6.1.5.5.7.3.3"),
    ("EmailProtect", "1.3.6.1.5.5.7.3.4"),
    ("IPSecEndSystem", "1.3.6.1.5.5.7.3.5"),
    ("IPSecTunnel", "1.3.6.1.5.5.7.3.6"),
    ("IPSecUser", "1.3.6.1.5.5.7.3.7"),
    ("TimeStamp", "1.3.6.1.5.5.7.3.8"),
    ("OCSPSign", "1.3.6.1.5.5.7.3.9"),
    ("DVCS", "1.3.6.1.5.5.7.3.10"),
    ("IKE_Intermediate", "1.3.6.1.5.5.8.2.2"),
];
/// anyExtendedKeyUsage is each of them.
const ANY: &str = "2.5.29.37.0";

/// Why a certificate is none for this profile. `Display` for people, after the certificate's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// Its time has not come.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// It lacks a key usage (or has no such extension, where the profile wants one).
    KeyUsage(String),
    /// The same for extended key usages.
    ExtendedKeyUsage(String),
    /// A part of its names is not as it has to be.
    Name(String),
    /// The profile names something that is not known here, so nothing can match it.
    Unknown(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetValid => f.write_str("it is not valid yet"),
            Self::Expired => f.write_str("it has expired"),
            Self::KeyUsage(name) => write!(f, "it lacks the key usage {name}"),
            Self::ExtendedKeyUsage(name) => write!(f, "it lacks the extended key usage {name}"),
            Self::Name(rule) => write!(f, "its names do not match {rule}"),
            Self::Unknown(name) => write!(f, "the profile wants {name}, which is not known here"),
        }
    }
}

/// The first of `certificates` that does for `rules` at `now`; the reasons, in their order, where none does.
///
/// # Errors
/// One reason a certificate.
pub fn choose(certificates: &[Facts], rules: &CertificateMatch, now: UnixTime) -> Result<usize, Vec<Misfit>> {
    let mut misfits = Vec::new();
    for (at, certificate) in certificates.iter().enumerate() {
        match fits(certificate, rules, now) {
            Ok(()) => return Ok(at),
            Err(misfit) => misfits.push(misfit),
        }
    }
    Err(misfits)
}

/// Whether a certificate does for `rules` at `now`.
///
/// # Errors
/// The first reason why not.
pub fn fits(certificate: &Facts, rules: &CertificateMatch, now: UnixTime) -> Result<(), Misfit> {
    match now {
        _ if now < certificate.not_before => return Err(Misfit::NotYetValid),
        _ if now > certificate.not_after => return Err(Misfit::Expired),
        _ => {}
    }
    key_usage(certificate, rules)?;
    extended_key_usage(certificate, rules)?;
    rules.distinguished_names.iter().try_for_each(|rule| name(certificate, rule))
}

fn key_usage(certificate: &Facts, rules: &CertificateMatch) -> Result<(), Misfit> {
    let only = &rules.only_with_key_usage;
    let Some(flags) = certificate.key_usage else {
        let wanted = only.value && (only.set.is_some() || !rules.key_usage.is_empty());
        return if wanted { Err(Misfit::KeyUsage("at all".into())) } else { Ok(()) };
    };
    for wanted in &rules.key_usage {
        let bit = KEY_USAGES.iter().position(|name| same(name, wanted));
        let bit = bit.ok_or_else(|| Misfit::Unknown(format!("the key usage {wanted}")))?;
        if flags & (1 << bit) == 0 {
            return Err(Misfit::KeyUsage(wanted.clone()));
        }
    }
    Ok(())
}

fn extended_key_usage(certificate: &Facts, rules: &CertificateMatch) -> Result<(), Misfit> {
    let only = &rules.only_with_extended_key_usage;
    let named = !rules.extended_key_usage.is_empty() || !rules.custom_extended_key_usage.is_empty();
    let Some(usages) = &certificate.extended_key_usage else {
        let wanted = only.value && (only.set.is_some() || named);
        return if wanted { Err(Misfit::ExtendedKeyUsage("at all".into())) } else { Ok(()) };
    };
    let has = |wanted: &str, oid: &str| {
        let has = usages.iter().any(|usage| usage == oid || usage == ANY);
        if has { Ok(()) } else { Err(Misfit::ExtendedKeyUsage(wanted.to_owned())) }
    };
    for wanted in &rules.extended_key_usage {
        let known = EXTENDED.iter().find(|(name, _)| same(name, wanted));
        let (_, oid) = known.ok_or_else(|| Misfit::Unknown(format!("the extended key usage {wanted}")))?;
        has(wanted, oid)?;
    }
    rules.custom_extended_key_usage.iter().try_for_each(|oid| has(oid, oid.trim()))
}

/// A rule about a part of subject or issuer. `Operator` is Equal unless NotEqual, `Wildcard` Disabled unless Enabled (the pattern may
/// stand anywhere in the value), `MatchCase` Enabled unless Disabled.
fn name(certificate: &Facts, rule: &DistinguishedName) -> Result<(), Misfit> {
    let is = |attribute: &str, value: &str| {
        let found = rule.attributes.iter().find(|(name, _)| *name == attribute);
        found.is_some_and(|(_, written)| written.eq_ignore_ascii_case(value))
    };
    let wanted = rule.name.trim();
    let (parts, part) = match wanted.get(..7).filter(|head| head.eq_ignore_ascii_case("ISSUER-")) {
        Some(head) => (&certificate.issuer, wanted.get(head.len()..).unwrap_or_default()),
        None => (&certificate.subject, wanted),
    };
    // Two names of one thing.
    let part = if part.eq_ignore_ascii_case("SP") { "ST" } else { part };
    let case = |text: &str| if is("MatchCase", "Disabled") { text.to_lowercase() } else { text.to_owned() };
    let pattern = case(rule.pattern.trim());
    let matches = |value: &str| {
        let value = case(value);
        if is("Wildcard", "Enabled") { value.contains(&pattern) } else { value == pattern }
    };
    let any = parts.iter().any(|(name, value)| name.eq_ignore_ascii_case(part) && matches(value));
    let not = is("Operator", "NotEqual");
    // Of what cannot be read nobody can say that it is another one.
    if not && parts.iter().any(|(name, value)| name.eq_ignore_ascii_case(part) && value == UNREADABLE) {
        return Err(Misfit::Name(format!("a readable {wanted}")));
    }
    if any != not {
        return Ok(());
    }
    Err(Misfit::Name(format!("{wanted} {} '{}'", if not { "other than" } else { "=" }, rule.pattern.trim())))
}

/// The same name, whatever its letters' case and its signs.
fn same(known: &str, written: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    letters(known) == letters(written)
}

#[cfg(test)]
mod tests;
