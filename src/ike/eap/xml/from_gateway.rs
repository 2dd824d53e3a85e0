//! What the gateway's documents say: `hello`, `auth-request`, `complete`. Unknown elements are ignored.

use super::super::text::{one_line, printable};
use super::super::{EapError, HostScan, Input, InputKind};
use super::read::Element;

/// Inputs of one form.
pub const MAX_INPUTS: usize = 32;
/// Options of one select.
pub const MAX_OPTIONS: usize = 256;
/// Octets of a name or an option's value, which have to go back as they came.
pub const MAX_NAME: usize = 256;
/// Characters of a label that are shown.
pub const SHOWN_LABEL: usize = 256;
/// Characters of a title, message or error that are shown.
pub const SHOWN_MESSAGE: usize = 4096;
/// Characters of a banner that are shown.
pub const SHOWN_BANNER: usize = 16_384;

/// Types of the gateway's documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ike::eap) enum Kind {
    /// The first one.
    Hello,
    /// It asks for something.
    AuthRequest,
    /// The login is taken.
    Complete,
}

/// A document.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::ike::eap) struct Document {
    pub(in crate::ike::eap) kind: Kind,
    /// `<opaque is-for="sg">`, the octets as received, tags included.
    pub(in crate::ike::eap) opaque: Option<Vec<u8>>,
    /// `<error>` under the root: the end.
    pub(in crate::ike::eap) error: Option<String>,
    pub(in crate::ike::eap) auth: Option<Auth>,
    pub(in crate::ike::eap) client_cert_request: bool,
    pub(in crate::ike::eap) host_scan: Option<HostScan>,
}

/// `<auth>`. Texts are fit for a terminal; empty where absent.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::ike::eap) struct Auth {
    pub(in crate::ike::eap) id: String,
    pub(in crate::ike::eap) title: String,
    pub(in crate::ike::eap) message: String,
    pub(in crate::ike::eap) banner: String,
    pub(in crate::ike::eap) error: Option<String>,
    pub(in crate::ike::eap) form: Option<Vec<Input>>,
}

impl Document {
    /// Reads a document of the gateway.
    pub(in crate::ike::eap) fn parse(xml: &[u8]) -> Result<Self, EapError> {
        let root = super::parse(xml)?;
        if root.name != "config-auth" {
            return Err(malformed("the root element is not config-auth"));
        }
        let kind = match root.attribute("type") {
            Some("hello") => Kind::Hello,
            Some("auth-request") => Kind::AuthRequest,
            Some("complete") => Kind::Complete,
            other => {
                let kind = one_line(other.unwrap_or("none"), 40);
                return Err(EapError::Unsupported(format!("a document of type '{kind}'")));
            }
        };
        let opaque = root.children.iter().find(|e| e.name == "opaque" && e.attribute("is-for") == Some("sg"));
        Ok(Self {
            kind,
            opaque: opaque.and_then(|e| xml.get(e.span.clone())).map(<[u8]>::to_vec),
            error: root.child("error").map(error_text),
            auth: root.child("auth").map(Auth::read).transpose()?,
            client_cert_request: root.child("client-cert-request").is_some(),
            host_scan: root.child("host-scan").map(host_scan).transpose()?,
        })
    }
}

impl Auth {
    fn read(auth: &Element) -> Result<Self, EapError> {
        let shown =
            |name: &str, limit| auth.child(name).map_or_else(String::new, |e| printable(e.text(), limit));
        Ok(Self {
            id: bounded(auth.attribute("id").unwrap_or_default())?,
            title: shown("title", SHOWN_MESSAGE),
            message: shown("message", SHOWN_MESSAGE),
            banner: shown("banner", SHOWN_BANNER),
            error: auth.child("error").map(error_text),
            form: auth.child("form").map(inputs).transpose()?,
        })
    }
}

/// It goes to a program: octets of a control character are no part of it.
fn host_scan(scan: &Element) -> Result<HostScan, EapError> {
    let text = |name: &str| {
        let text = bounded(scan.child(name).map_or("", |element| element.text().trim()))?;
        if text.chars().any(char::is_control) {
            Err(malformed("a host scan with control characters"))
        } else {
            Ok(text)
        }
    };
    Ok(HostScan {
        ticket: text("host-scan-ticket")?,
        token: text("host-scan-token")?,
        base_uri: text("host-scan-base-uri")?,
        wait_uri: text("host-scan-wait-uri")?,
    })
}

fn inputs(form: &Element) -> Result<Vec<Input>, EapError> {
    let mut inputs: Vec<Input> = Vec::new();
    for element in &form.children {
        let kind = match (element.name.as_str(), element.attribute("type")) {
            ("input", Some("text")) => InputKind::Text,
            ("input", Some("password")) => InputKind::Password,
            ("select", _) => InputKind::Select(options(element)?),
            _ => continue,
        };
        let name = element.attribute("name").unwrap_or_default();
        if !is_name(name) || inputs.iter().any(|input| input.name == name) {
            return Err(malformed("an input without a name of its own"));
        }
        if inputs.len() == MAX_INPUTS {
            return Err(malformed("a form with too many inputs"));
        }
        let label = one_line(element.attribute("label").unwrap_or_default(), SHOWN_LABEL);
        let label = if label.is_empty() { name.to_owned() } else { label };
        inputs.push(Input { name: name.to_owned(), label, kind });
    }
    Ok(inputs)
}

/// Value (the text where there is no such attribute), label, selected.
fn options(select: &Element) -> Result<Vec<(String, String, bool)>, EapError> {
    let options = select.children.iter().filter(|e| e.name == "option");
    let options = options.map(|option| {
        let value = bounded(option.attribute("value").unwrap_or_else(|| option.text().trim()))?;
        let label = one_line(option.text(), SHOWN_LABEL);
        let label = if label.is_empty() { one_line(&value, SHOWN_LABEL) } else { label };
        Ok((value, label, option.attribute("selected") == Some("true")))
    });
    let options: Vec<_> = options.take(MAX_OPTIONS + 1).collect::<Result<_, EapError>>()?;
    match options.len() {
        0 => Err(malformed("a choice without options")),
        n if n > MAX_OPTIONS => Err(malformed("a choice with too many options")),
        _ => Ok(options),
    }
}

/// The text of an `<error>`, with each `%s` replaced by a parameter (`ssl`); its number where there is no text.
fn error_text(error: &Element) -> String {
    let mut text = String::new();
    let mut pieces = error.text().trim().split("%s");
    text.push_str(pieces.next().unwrap_or_default());
    let mut parameters = ["param1", "param2"].into_iter().filter_map(|name| error.attribute(name));
    for piece in pieces {
        text.push_str(parameters.next().unwrap_or_default());
        text.push_str(piece);
    }
    match (printable(&text, SHOWN_MESSAGE), error.attribute("id")) {
        (text, _) if !text.is_empty() => text,
        (_, Some(id)) => format!("error {}", one_line(id, 20)),
        _ => "an error without a text".into(),
    }
}

/// A name that goes back as an element's.
fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= MAX_NAME
        && chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn bounded(text: &str) -> Result<String, EapError> {
    if text.len() > MAX_NAME {
        Err(malformed("a name or value that is too long"))
    } else {
        Ok(text.to_owned())
    }
}

fn malformed(what: &str) -> EapError {
    EapError::Malformed(format!("XML document: {what}"))
}
