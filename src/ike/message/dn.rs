//! Distinguished names as text (RFC 4514), in the order of the certificate as OpenSSL and IKE daemons show them: RFC 4514's own
//! order is the reverse.

use super::super::eap::text::one_line;
use std::str::FromStr;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Encode, Tag, Tagged};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// Octets of text that are read: more is a mistake.
const MAX_TEXT: usize = 1024;
/// Characters that are shown.
const SHOWN: usize = 200;

/// The DER of a name such as `C=DE, O=Example, CN=Anna`; attributes by name or number, `+` between those that belong together,
/// `\` before what would otherwise divide. `None` where it is none.
pub(super) fn from_text(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut name = RdnSequence::default();
    for part in divided(text, ',') {
        let mut together = RelativeDistinguishedName::default();
        for one in divided(part, '+') {
            let attribute = AttributeTypeAndValue::from_str(&tidy(one)?).ok()?;
            if !is_text(&attribute.value) {
                return None;
            }
            together.insert(attribute).ok()?;
        }
        name.push(together);
    }
    name.to_der().ok()
}

/// `TYPE=VALUE` without the blanks that people put around them; a blank after a backslash belongs to the value.
fn tidy(text: &str) -> Option<String> {
    let (kind, value) = text.split_once('=')?;
    let (kind, value) = (kind.trim(), value.trim_start());
    let mut end = value.trim_end();
    let backslashes = end.len() - end.trim_end_matches('\\').len();
    if backslashes % 2 == 1 {
        end = value.get(..end.len() + 1)?;
    }
    // The crate knows E under its longer name alone, and OpenSSL shows it as that too.
    let kind = if kind.eq_ignore_ascii_case("E") { "emailAddress" } else { kind };
    (!end.is_empty()).then(|| format!("{kind}={end}"))
}

/// Between the separators that no backslash stands before.
fn divided(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let divides = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        divides
    })
}

/// Whether a value is what its type says: the crate takes any octets.
fn is_text(value: &x509_cert::der::Any) -> bool {
    match value.tag() {
        Tag::PrintableString => PrintableStringRef::try_from(value).is_ok(),
        Tag::Ia5String => Ia5StringRef::try_from(value).is_ok(),
        Tag::Utf8String => Utf8StringRef::try_from(value).is_ok(),
        _ => true,
    }
}

/// A name for people, in the order of the certificate; `None` where the octets are none.
pub(super) fn show(der: &[u8]) -> Option<String> {
    let (rest, name) = X509Name::from_der(der).ok()?;
    let text = rest.is_empty().then(|| one_line(&name.to_string(), SHOWN))?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Option<String> {
        from_text(text).map(|der| der.iter().map(|octet| format!("{octet:02x}")).collect())
    }

    /// The octets are OpenSSL's: `openssl req -x509 -subj /C=DE/O=Example/CN=Anna -utf8` and the subject of that certificate.
    #[test]
    fn names_are_what_openssl_makes_of_them() {
        let anna = "302e310b30090603550406130244453110300e060355040a0c074578616d706c65310d300b06035504030c04416e6e61";
        for text in [
            "C=DE, O=Example, CN=Anna",
            "C = DE,O = Example,CN = Anna",
            "c=DE,o=Example,commonName=Anna",
            "2.5.4.6=DE, 2.5.4.10=Example, 2.5.4.3=Anna",
        ] {
            assert_eq!(hex(text).as_deref(), Some(anna), "{text}");
        }
        assert_eq!(
            show(&from_text("C=DE, O=Example, CN=Anna").unwrap()).unwrap(),
            "C=DE, O=Example, CN=Anna"
        );
        // `-subj '/O=A, B+C\/CN=x+UID=7' -multivalue-rdn` has one name of two attributes, in the order of DER.
        let shown = |text: &str| show(&from_text(text).unwrap()).unwrap();
        assert!(shown(r"O=A\, B\+C, UID=7+CN=x").starts_with("O=A, B+C, CN=x + "));
        assert!(hex("CN=S\u{e9}same").unwrap().ends_with("0c0753c3a973616d65"));
        assert!(hex("E=a@example.com").unwrap().contains("2a864886f70d010901160d"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = format!("CN={}", "x".repeat(MAX_TEXT));
        for text in [
            "",
            "Anna",
            "CN=",
            "CN=a,",
            ",CN=a",
            "nothing=a",
            "C=D\u{c9}",
            "E=\u{e9}@example.com",
            r"CN=a\",
            &long,
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
        for der in [&b""[..], b"\x30\x00", b"CN=Anna", &[0x30, 0x80]] {
            assert_eq!(show(der), None, "{der:?}");
        }
    }

    proptest! {
        /// Any value that is escaped comes back as it was.
        #[test]
        fn values_survive(value in r#"[a-zA-Z0-9,+\\"<>;=# .äß€]{1,40}"#, org in "[A-Z a-z]{1,9}[a-z]") {
            let escaped: String = value.chars().flat_map(|c| {
                let special = matches!(c, ',' | '+' | '\\' | '"' | '<' | '>' | ';' | '=' | '#' | ' ');
                special.then_some('\\').into_iter().chain([c])
            }).collect();
            let der = from_text(&format!("O={}, CN={escaped}", org.trim())).unwrap();
            let (_, name) = X509Name::from_der(&der).unwrap();
            let read = name.iter_common_name().next().unwrap().as_str().unwrap();
            prop_assert_eq!(read, value.as_str());
        }

        #[test]
        fn no_text_does_harm(text in "\\PC{0,60}", der in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(der) = from_text(&text) {
                prop_assert!(X509Name::from_der(&der).is_ok_and(|(rest, _)| rest.is_empty()));
            }
            prop_assert!(show(&der).is_none_or(|shown| !shown.chars().any(char::is_control)));
        }
    }
}
