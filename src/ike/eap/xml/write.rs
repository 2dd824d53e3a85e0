//! Writing: the shape of the recorded messages, octet for octet.

use super::super::EapError;
use super::read::is_xml_char;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::io::{ErrorKind, Result as IoResult, Write};
use zeroize::Zeroizing;

/// The largest document that fits an EAP packet with one TLV.
const MAX_DOCUMENT: usize = super::super::dbrp::MAX_EAP - 16;

/// A document in the making: declaration, `<config-auth ..>`, what the caller adds, the end tag. The first thing that cannot
/// stand in XML, or is too much, is the result of [`Writer::finish`].
pub(in crate::ike::eap) struct Writer {
    out: quick_xml::Writer<Buffer>,
    error: Option<EapError>,
}

/// A buffer of fixed capacity: it may hold a password, so it must not move.
struct Buffer(Zeroizing<Vec<u8>>);

impl Write for Buffer {
    fn write(&mut self, octets: &[u8]) -> IoResult<usize> {
        if self.0.len() + octets.len() > self.0.capacity() {
            return Err(ErrorKind::WriteZero.into());
        }
        self.0.extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

impl Writer {
    /// Begins a document of this type (`init`, `auth-reply`, `hello`, ..).
    pub(in crate::ike::eap) fn new(kind: &str) -> Self {
        let mut writer = Self::fragment();
        writer.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        writer.raw(b"\n");
        writer.open("config-auth", &[("client", "vpn"), ("type", kind), ("aggregate-auth-version", "2")]);
        writer
    }

    /// Begins a piece of a document.
    pub(in crate::ike::eap) fn fragment() -> Self {
        let buffer = Buffer(Zeroizing::new(Vec::with_capacity(MAX_DOCUMENT)));
        Self { out: quick_xml::Writer::new(buffer), error: None }
    }

    /// `<name a="..">`
    pub(in crate::ike::eap) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let start = self.tag(name, attributes);
        self.event(Event::Start(start));
    }

    /// `</name>`
    pub(in crate::ike::eap) fn close(&mut self, name: &str) {
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// `<name a=".."/>`
    pub(in crate::ike::eap) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let start = self.tag(name, attributes);
        self.event(Event::Empty(start));
    }

    /// `<name a="..">text</name>`
    pub(in crate::ike::eap) fn element(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.open(name, attributes);
        let escaped = self.escape(text, false);
        self.event(Event::Text(BytesText::from_escaped(escaped.as_str())));
        self.close(name);
    }

    /// Octets as they are: a piece of a document that was well-formed.
    pub(in crate::ike::eap) fn raw(&mut self, octets: &[u8]) {
        if self.out.get_mut().write_all(octets).is_err() {
            self.error.get_or_insert(EapError::TooLong);
        }
    }

    /// Ends the document, with `end` after the root's end tag.
    pub(in crate::ike::eap) fn finish(mut self, end: &str) -> Result<Zeroizing<Vec<u8>>, EapError> {
        self.close("config-auth");
        self.raw(end.as_bytes());
        self.finish_fragment()
    }

    /// Ends what [`Writer::fragment`] began.
    pub(in crate::ike::eap) fn finish_fragment(self) -> Result<Zeroizing<Vec<u8>>, EapError> {
        match self.error {
            None => Ok(self.out.into_inner().0),
            Some(error) => Err(error),
        }
    }

    fn event(&mut self, event: Event<'_>) {
        if self.out.write_event(event).is_err() {
            self.error.get_or_insert(EapError::TooLong);
        }
    }

    fn tag<'n>(&mut self, name: &'n str, attributes: &[(&str, &str)]) -> BytesStart<'n> {
        let mut start = BytesStart::new(name);
        for (name, value) in attributes {
            let escaped = self.escape(value, true);
            start.push_attribute(quick_xml::events::attributes::Attribute {
                key: quick_xml::name::QName(name),
                value: escaped.as_str().into(),
            });
        }
        start
    }

    /// Escapes what has to be, and no more: `&`, `<`, `>` and carriage return, in attributes also quotes, tabs and line ends.
    fn escape(&mut self, text: &str, attribute: bool) -> Zeroizing<String> {
        // The longest reference is six octets long.
        let mut out = Zeroizing::new(String::with_capacity(6 * text.len()));
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '\r' => out.push_str("&#13;"),
                '"' if attribute => out.push_str("&quot;"),
                '\t' if attribute => out.push_str("&#9;"),
                '\n' if attribute => out.push_str("&#10;"),
                c if is_xml_char(c) => out.push(c),
                _ => {
                    self.error.get_or_insert(EapError::NotXml);
                }
            }
        }
        out
    }
}
