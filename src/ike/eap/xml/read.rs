//! Reading: a whole document into a tree, with limits. No DTD, no entities but the five of XML (and character references).

use super::super::EapError;
use super::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS};
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::ops::Range;
use zeroize::Zeroize;

/// An element. Its text may be a password: it is zeroized, and there is no `Debug`.
pub(in crate::ike::eap) struct Element {
    /// Name, prefix included.
    pub(in crate::ike::eap) name: String,
    attributes: Vec<(String, String)>,
    /// The text that is directly below it, all pieces joined.
    text: String,
    /// Child elements in order.
    pub(in crate::ike::eap) children: Vec<Element>,
    /// Where it stands in the document, tags included.
    pub(in crate::ike::eap) span: Range<usize>,
}

impl Element {
    /// The value of an attribute.
    pub(in crate::ike::eap) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
    /// The names of its attributes, in order.
    pub(in crate::ike::eap) fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_str())
    }
    /// The first child with this name.
    pub(in crate::ike::eap) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }
    /// Its text as it stands.
    pub(in crate::ike::eap) fn text(&self) -> &str {
        &self.text
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// Reads a document: the root element, after an XML declaration if there is one. What is wrong is in the error's text, nothing
/// of the document is.
pub(in crate::ike::eap) fn parse(document: &[u8]) -> Result<Element, EapError> {
    let text = std::str::from_utf8(document).map_err(|_| malformed("it is not UTF-8"))?;
    let mut builder = Builder { open: Vec::new(), root: None, elements: 0 };
    let mut reader = Reader::from_str(text);
    loop {
        let at = position(&reader);
        let event =
            reader.read_event().map_err(|_| malformed(&format!("not well-formed near octet {at}")))?;
        let span = at..position(&reader);
        match event {
            Event::Start(start) => builder.start(&start, span)?,
            Event::Empty(start) => {
                builder.start(&start, span.clone())?;
                builder.end(span.end)?;
            }
            Event::End(_) => builder.end(span.end)?,
            Event::Text(text) => builder.text(&text.xml10_content())?,
            Event::CData(text) => builder.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                if let Some(entity) = resolve_xml_entity(&reference) {
                    builder.text(entity)?;
                } else {
                    let character = reference.resolve_char_ref().ok().flatten().filter(|c| is_xml_char(*c));
                    let character = character.ok_or_else(|| malformed("an entity that XML does not have"))?;
                    builder.text(character.encode_utf8(&mut [0; 4]))?;
                }
            }
            Event::Decl(declaration) => {
                let encoding =
                    declaration.encoding().transpose().map_err(|_| malformed("a bad declaration"))?;
                if at != 0 || encoding.is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) {
                    return Err(malformed("a declaration that is misplaced or not of UTF-8"));
                }
            }
            Event::DocType(_) => return Err(malformed("a DTD")),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return builder.finish(),
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Builder {
    fn start(&mut self, start: &BytesStart<'_>, span: Range<usize>) -> Result<(), EapError> {
        self.elements += 1;
        if self.open.len() == MAX_DEPTH || self.elements > MAX_ELEMENTS {
            return Err(malformed("too many elements, or too deep"));
        }
        if self.root.is_some() {
            return Err(malformed("more than one root element"));
        }
        let mut attributes = Vec::new();
        for attribute in start.attributes().take(MAX_ATTRIBUTES + 1) {
            let attribute = attribute.map_err(|_| malformed("a bad attribute"))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| malformed("an attribute with an entity that XML does not have"))?;
            attributes.push((attribute.key.0.to_owned(), value.into_owned()));
        }
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(malformed("too many attributes"));
        }
        let name = start.name().0.to_owned();
        self.open.push(Element { name, attributes, text: String::new(), children: Vec::new(), span });
        Ok(())
    }

    fn end(&mut self, at: usize) -> Result<(), EapError> {
        let mut element = self.open.pop().ok_or_else(|| malformed("an end tag without its start"))?;
        element.span.end = at;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), EapError> {
        match self.open.last_mut() {
            Some(element) => {
                // Grown by hand: a reallocation would leave a piece of a password behind.
                if element.text.capacity() < element.text.len() + text.len() {
                    let mut grown = String::with_capacity(2 * (element.text.len() + text.len()));
                    grown.push_str(&element.text);
                    std::mem::replace(&mut element.text, grown).zeroize();
                }
                element.text.push_str(text);
                Ok(())
            }
            None if text.bytes().all(|c| c.is_ascii_whitespace()) => Ok(()),
            None => Err(malformed("text outside of the root element")),
        }
    }

    fn finish(mut self) -> Result<Element, EapError> {
        match (self.root.take(), self.open.is_empty()) {
            (Some(root), true) => Ok(root),
            _ => Err(malformed("it ends too early")),
        }
    }
}

/// What XML 1.0 lets stand in a document (2.2).
pub(super) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn malformed(what: &str) -> EapError {
    EapError::Malformed(format!("XML document: {what}"))
}
