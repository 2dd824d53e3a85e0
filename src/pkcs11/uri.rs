//! Names of objects on tokens (RFC 7512).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How one begins.
pub(super) const SCHEME: &str = "pkcs11:";
/// Longest text, octets.
const MAX_TEXT: usize = 2048;
/// Longest value, octets.
const MAX_VALUE: usize = 512;

/// What a URI says. An attribute that is not there fits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uri {
    /// Label of the token.
    pub token: Option<String>,
    /// Who made the token.
    pub manufacturer: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Number of the slot.
    pub slot: Option<u64>,
    /// CKA_LABEL of the object.
    pub object: Option<String>,
    /// CKA_ID of the object.
    pub id: Option<Vec<u8>>,
    /// The module, an absolute path.
    pub module: Option<PathBuf>,
    text: String,
}

/// Why a text is no such URI. Values are not repeated: one may be a PIN.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// Another scheme.
    #[error("a token is named by a URI that begins with {SCHEME}")]
    Scheme,
    /// It is too long.
    #[error("a pkcs11 URI may have {MAX_TEXT} characters, a value in it {MAX_VALUE}")]
    TooLong,
    /// A PIN, or where to find one.
    #[error("a PIN is asked for, never named: take pin-value and pin-source out of the pkcs11 URI")]
    Pin,
    /// An attribute without `=`, or without a name.
    #[error("part {0} of the pkcs11 URI is no NAME=VALUE")]
    NoValue(usize),
    /// An attribute that is not known here.
    #[error(
        "the pkcs11 URI has an attribute that is not known here: {0}; known are token, manufacturer, model, serial, slot-id, object, \
         id, type and module-path"
    )]
    Unknown(String),
    /// It stands there twice.
    #[error("the pkcs11 URI has {0} twice")]
    Twice(&'static str),
    /// A value that cannot be one.
    #[error("{name} in the pkcs11 URI {what}")]
    Value {
        /// The attribute.
        name: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_TEXT {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self { text: text.to_owned(), ..Self::default() };
        let parts =
            path.split(';').map(|part| (part, false)).chain(query.split('&').map(|part| (part, true)));
        let mut has_type = false;
        for (at, (part, in_query)) in parts.filter(|(part, _)| !part.is_empty()).enumerate() {
            let (name, value) = part.split_once('=').ok_or(UriError::NoValue(at + 1))?;
            if value.len() > 3 * MAX_VALUE {
                return Err(UriError::TooLong);
            }
            match (in_query, name) {
                (_, "pin-value" | "pin-source") => return Err(UriError::Pin),
                (false, "token") => set(&mut uri.token, "token", words("token", value)?)?,
                (false, "manufacturer") => {
                    set(&mut uri.manufacturer, "manufacturer", words("manufacturer", value)?)?;
                }
                (false, "model") => set(&mut uri.model, "model", words("model", value)?)?,
                (false, "serial") => set(&mut uri.serial, "serial", words("serial", value)?)?,
                (false, "object") => set(&mut uri.object, "object", words("object", value)?)?,
                (false, "id") => set(&mut uri.id, "id", octets("id", value)?)?,
                (false, "slot-id") => {
                    let wrong = |_| UriError::Value { name: "slot-id", what: "is no number" };
                    set(&mut uri.slot, "slot-id", value.parse().map_err(wrong)?)?;
                }
                (false, "type") => {
                    // Certificate and key are found by each other.
                    if !matches!(value, "cert" | "private") {
                        return Err(UriError::Value { name: "type", what: "is neither cert nor private" });
                    }
                    if std::mem::replace(&mut has_type, true) {
                        return Err(UriError::Twice("type"));
                    }
                }
                (true, "module-path") => {
                    let path = PathBuf::from(words("module-path", value)?);
                    if !path.is_absolute() {
                        return Err(UriError::Value { name: "module-path", what: "is no absolute path" });
                    }
                    set(&mut uri.module, "module-path", path)?;
                }
                (_, name) => {
                    let known = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32);
                    return Err(UriError::Unknown(known.collect()));
                }
            }
        }
        Ok(uri)
    }
}

/// As it was written.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Uri {
    /// Whether an object with this label and ID is meant.
    pub fn means(&self, label: &[u8], id: &[u8]) -> bool {
        self.object.as_ref().is_none_or(|object| object.as_bytes() == label)
            && self.id.as_ref().is_none_or(|wanted| wanted == id)
    }
}

fn set<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), UriError> {
    if place.replace(value).is_some() { Err(UriError::Twice(name)) } else { Ok(()) }
}

/// A value that is text.
fn words(name: &'static str, value: &str) -> Result<String, UriError> {
    let text = String::from_utf8(octets(name, value)?);
    let text = text.map_err(|_| UriError::Value { name, what: "is no text in UTF-8" })?;
    if text.chars().any(char::is_control) {
        return Err(UriError::Value { name, what: "has a control character" });
    }
    Ok(text)
}

/// A value without its percent signs.
fn octets(name: &'static str, value: &str) -> Result<Vec<u8>, UriError> {
    let wrong = UriError::Value { name, what: "has a % without two hexadecimal digits" };
    let digit = |octet: Option<u8>| octet.and_then(|octet| char::from(octet).to_digit(16));
    let (mut out, mut rest) = (Vec::new(), value.bytes());
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else { return Err(wrong) };
        out.extend(u8::try_from(16 * high + low));
    }
    if out.len() > MAX_VALUE { Err(UriError::TooLong) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn what_rfc_7512_writes_is_read() {
        let text = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=7f;slot-id=3;\
                    object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD?module-path=/usr/lib/x.so";
        let uri: Uri = text.parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(
            (uri.model.as_deref(), uri.serial.as_deref(), uri.slot),
            (Some("1.0"), Some("7f"), Some(3))
        );
        assert_eq!(uri.module.as_deref(), Some(Path::new("/usr/lib/x.so")));
        let id = [0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd];
        assert!(uri.means(b"my-certificate", &id) && !uri.means(b"my-certificate", &id[1..]));
        assert!(!uri.means(b"another", &id));
        assert_eq!(uri.to_string(), text);
        assert!("pkcs11:".parse::<Uri>().unwrap().means(b"anything", b""));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_a_pin_is_not_repeated() {
        let error = |text: &str| text.parse::<Uri>().unwrap_err();
        assert_eq!(error("file:/x"), UriError::Scheme);
        assert_eq!(error("pkcs11"), UriError::Scheme);
        for pin in [
            "pkcs11:token=a?pin-value=123456",
            "pkcs11:?pin-source=file:/x&module-path=/y",
            "pkcs11:pin-value=1",
        ] {
            assert_eq!(error(pin), UriError::Pin);
            assert!(!error(pin).to_string().contains("123456"));
        }
        assert_eq!(error("pkcs11:token=a;token=b"), UriError::Twice("token"));
        assert_eq!(error("pkcs11:type=cert;type=cert"), UriError::Twice("type"));
        assert_eq!(error("pkcs11:token"), UriError::NoValue(1));
        for (text, name) in [
            ("pkcs11:id=%4", "id"),
            ("pkcs11:id=%+4", "id"),
            ("pkcs11:token=%ff", "token"),
            ("pkcs11:object=%0a", "object"),
            ("pkcs11:slot-id=-1", "slot-id"),
            ("pkcs11:type=public", "type"),
            ("pkcs11:?module-path=x.so", "module-path"),
        ] {
            assert!(matches!(error(text), UriError::Value { name: n, .. } if n == name), "{text}");
        }
        assert_eq!(error("pkcs11:colour=%0ared"), UriError::Unknown("colour".into()));
        assert_eq!(error("pkcs11:module-path=/x"), UriError::Unknown("module-path".into()));
        assert_eq!(error(&format!("pkcs11:token={}", "a".repeat(MAX_VALUE + 1))), UriError::TooLong);
        assert_eq!(error(&format!("pkcs11:{}", ";".repeat(MAX_TEXT))), UriError::TooLong);
    }

    proptest! {
        #[test]
        fn names_come_back_as_they_were(token in "[^\\p{Cc}]{0,40}", id in prop::collection::vec(any::<u8>(), 0..40)) {
            let escaped = |octets: &[u8]| octets.iter().map(|octet| format!("%{octet:02X}")).collect::<String>();
            let uri: Uri = format!("PKCS11:token={};id={}", escaped(token.as_bytes()), escaped(&id)).parse().unwrap();
            prop_assert_eq!((uri.token, uri.id), (Some(token), Some(id)));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,80}", more in "[a-z;=?&%0-9-]{0,60}") {
            let _ = text.parse::<Uri>();
            if let Ok(uri) = format!("pkcs11:{more}").parse::<Uri>() {
                prop_assert!(!more.contains("pin-value="));
                prop_assert!(uri.token.is_none_or(|token| token.len() <= MAX_VALUE));
            }
        }
    }
}
