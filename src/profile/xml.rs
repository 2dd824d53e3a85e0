//! From octets to a tree of known elements, checked against the schema in the order of the file, so that the first damage
//! is the one reported.

use super::error::{ErrorKind, ProfileError, Warning, WarningKind, quote};
use super::position::{Lines, Position};
use super::schema::{ROOT, Spec};
use super::value::Value;
use super::{MAX_DEPTH, MAX_SIZE, MAX_WARNINGS, NAMESPACE};
use quick_xml::XmlVersion;
use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

/// An element of the schema as the file has it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) spec: &'static Spec,
    /// Of the `<`.
    pub(super) at: Position,
    /// Trimmed; empty where there is none, or where it was outside its type and only a warning.
    pub(super) text: String,
    /// `UserControllable`, where the file has it.
    pub(super) user_controllable: Option<bool>,
    /// The schema's other attributes, in the order of the file.
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.spec.name == name)
    }
}

/// An element that is not closed yet.
struct Open<'t> {
    name: &'t str,
    at: Position,
    /// `None` inside unknown elements.
    node: Option<Node>,
    /// The current run of text; an element ends it.
    run: String,
    run_at: Position,
    /// Where the value stands, once a run that is not blank has ended.
    value_at: Option<Position>,
}

struct Builder<'t> {
    text: &'t str,
    lines: Lines<'t>,
    stack: Vec<Open<'t>>,
    root: Option<Node>,
    warnings: Vec<Warning>,
    unlisted: usize,
    /// The prefix of the root element: elements with another one are unknown.
    prefix: Option<&'t str>,
}

/// Reads a profile into its tree.
pub(super) fn read(octets: &[u8]) -> Result<(Node, Vec<Warning>), ProfileError> {
    if octets.len() > MAX_SIZE {
        return Err(ProfileError::too_large(octets.len()));
    }
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let text = decode(octets)?;
    let mut builder = Builder {
        text,
        lines: Lines::new(text),
        stack: Vec::new(),
        root: None,
        warnings: Vec::new(),
        unlisted: 0,
        prefix: None,
    };
    builder.run()?;
    let at = builder.lines.position(text.len());
    if builder.unlisted > 0 {
        let kind = WarningKind::More { count: builder.unlisted };
        builder.warnings.push(Warning { at, kind });
    }
    let expected = "an AnyConnect profile: the element <AnyConnectProfile>";
    let root = builder
        .root
        .ok_or_else(|| ProfileError::new(at, ErrorKind::Root, "the end of the file", expected))?;
    Ok((root, builder.warnings))
}

/// XML 1.0 characters in UTF-8.
fn decode(octets: &[u8]) -> Result<&str, ProfileError> {
    let expected = "text in UTF-8";
    let text = std::str::from_utf8(octets).map_err(|error| {
        let good = octets.get(..error.valid_up_to()).and_then(|head| std::str::from_utf8(head).ok());
        let at = Lines::new(good.unwrap_or("")).position(error.valid_up_to());
        let octet = octets.get(error.valid_up_to()).copied().unwrap_or(0);
        ProfileError::new(at, ErrorKind::Encoding, format!("the octet {octet:#04x}"), expected)
    })?;
    match text.char_indices().find(|(_, c)| !is_xml(*c)) {
        None => Ok(text),
        Some((offset, c)) => Err(ProfileError::new(
            Lines::new(text).position(offset),
            ErrorKind::Encoding,
            format!("the character U+{:04X}", u32::from(c)),
            "a character that XML allows",
        )),
    }
}

fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

impl<'t> Builder<'t> {
    fn run(&mut self) -> Result<(), ProfileError> {
        let mut reader = Reader::from_str(self.text);
        // The stack below checks the names, since it knows where each element began.
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        loop {
            let start = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                    return Err(self.markup(at.max(start), &error));
                }
            };
            match event {
                Event::Start(tag) => self.open(start, &tag)?,
                Event::Empty(tag) => {
                    self.open(start, &tag)?;
                    self.close()?;
                }
                Event::End(tag) => self.end(start, tag.name().0)?,
                Event::Text(text) => self.text(start, &text, &text.xml10_content())?,
                Event::CData(text) => {
                    let start = self.offset_of(&text, start);
                    self.text(start, &text, &text.xml10_content())?;
                }
                Event::GeneralRef(name) => {
                    let c = self.reference(start, &name)?;
                    self.text(start, &name, c.encode_utf8(&mut [0; 4]))?;
                }
                Event::DocType(_) => {
                    let expected = "a profile without a document type definition";
                    return Err(self.error(start, ErrorKind::Dtd, "<!DOCTYPE", expected));
                }
                Event::Decl(declaration) => self.declaration(start, declaration.encoding())?,
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        match self.stack.last() {
            None => Ok(()),
            Some(open) => {
                let expected = format!("</{0}>, which closes <{0}> opened at {1}", quote(open.name), open.at);
                Err(self.error(self.text.len(), ErrorKind::NeverClosed, "the end of the file", expected))
            }
        }
    }

    fn error(
        &self,
        offset: usize,
        kind: ErrorKind,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> ProfileError {
        ProfileError::new(self.lines.position(offset), kind, found, expected)
    }

    fn warn(&mut self, at: Position, kind: WarningKind) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(Warning { at, kind });
        } else {
            self.unlisted += 1;
        }
    }

    fn markup(&self, offset: usize, error: &XmlError) -> ProfileError {
        let found = format!("\"{}\"", quote(self.text.get(offset..).unwrap_or("")));
        let expected = match error {
            XmlError::IllFormed(IllFormedError::UnclosedReference) => {
                "a reference such as &amp; with its semicolon (a plain & is written &amp;)".to_owned()
            }
            XmlError::Syntax(error) => format!("well-formed XML ({error})"),
            other => format!("well-formed XML ({other})"),
        };
        self.error(offset, ErrorKind::Markup, found, expected)
    }

    fn declaration(
        &mut self,
        start: usize,
        encoding: Option<Result<std::borrow::Cow<'_, str>, quick_xml::events::attributes::AttrError>>,
    ) -> Result<(), ProfileError> {
        if start != 0 {
            let found = format!("\"{}\"", quote(self.text.get(start..).unwrap_or("")));
            let expected = "the XML declaration only as the very first characters of the file";
            return Err(self.error(start, ErrorKind::Markup, found, expected));
        }
        if let Some(Ok(name)) = encoding
            && !name.eq_ignore_ascii_case("utf-8")
        {
            let kind = WarningKind::Encoding { found: quote(&name) };
            self.warn(self.lines.position(start), kind);
        }
        Ok(())
    }

    fn reference(&self, start: usize, name: &BytesRef<'_>) -> Result<char, ProfileError> {
        let found = || format!("&{};", quote(name));
        let expected = "a character that XML allows";
        if name.is_char_ref() {
            let c = name.resolve_char_ref().ok().flatten().filter(|c| is_xml(*c));
            return c.ok_or_else(|| self.error(start, ErrorKind::Entity, found(), expected));
        }
        match &**name {
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "amp" => Ok('&'),
            "quot" => Ok('"'),
            "apos" => Ok('\''),
            _ => {
                let expected = "one of &lt; &gt; &amp; &quot; &apos;, or a character reference";
                Err(self.error(start, ErrorKind::Entity, found(), expected))
            }
        }
    }

    /// Where a piece of the source, borrowed by the XML reader, begins.
    fn offset_of(&self, piece: &str, fallback: usize) -> usize {
        let offset = (piece.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if self.text.get(offset..).is_some_and(|rest| rest.starts_with(piece)) { offset } else { fallback }
    }

    fn open(&mut self, start: usize, tag: &BytesStart<'_>) -> Result<(), ProfileError> {
        let at = self.lines.position(start);
        let offset = self.offset_of(tag.name().0, start.saturating_add(1));
        let name = self.text.get(offset..offset.saturating_add(tag.name().0.len())).unwrap_or("");
        if self.stack.len() >= MAX_DEPTH {
            return Err(ProfileError::too_deep(at, name));
        }
        let (prefix, local) = match name.split_once(':') {
            Some((prefix, local)) => (Some(prefix), local),
            None => (None, name),
        };
        let spec = match self.stack.last() {
            None => {
                if local != ROOT.name || self.root.is_some() {
                    let expected = if self.root.is_some() {
                        "the end of the file after </AnyConnectProfile>"
                    } else {
                        "an AnyConnect profile: the element <AnyConnectProfile>"
                    };
                    return Err(self.error(start, ErrorKind::Root, format!("<{}>", quote(name)), expected));
                }
                self.prefix = prefix;
                Some(&ROOT)
            }
            Some(Open { node: None, .. }) => None,
            Some(Open { node: Some(parent), .. }) => {
                let inside = parent.spec;
                let spec = inside.child(local).filter(|_| prefix == self.prefix);
                if spec.is_none() {
                    let near = inside.children.iter().find(|child| child.name.eq_ignore_ascii_case(local));
                    let kind = WarningKind::UnknownElement {
                        name: quote(name),
                        inside: inside.name,
                        nearest: near.map(|child| child.name),
                    };
                    self.warn(at, kind);
                }
                spec
            }
        };
        self.end_run()?;
        let node = match spec {
            None => {
                let broken = tag.attributes().find_map(Result::err);
                if let Some(error) = broken {
                    return Err(self.markup(start, &error.into()));
                }
                None
            }
            Some(spec) => {
                let (user_controllable, attributes) = self.attributes(start, spec, tag)?;
                Some(Node {
                    spec,
                    at,
                    text: String::new(),
                    user_controllable,
                    attributes,
                    children: Vec::new(),
                })
            }
        };
        self.stack.push(Open { name, at, node, run: String::new(), run_at: at, value_at: None });
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "the two kinds of attributes of one element")]
    fn attributes(
        &mut self,
        start: usize,
        spec: &'static Spec,
        tag: &BytesStart<'_>,
    ) -> Result<(Option<bool>, Vec<(&'static str, String)>), ProfileError> {
        let (mut user, mut kept, mut namespace) = (None, Vec::new(), None);
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| self.markup(start, &error.into()))?;
            let offset = self.offset_of(attribute.key.0, start);
            let at = self.lines.position(offset);
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| {
                let expected = "an attribute whose only references are XML's five entities and characters";
                let found = format!("{}=\"{}\"", quote(attribute.key.0), quote(&attribute.value));
                self.error(offset, ErrorKind::Entity, found, expected)
            })?;
            let name = attribute.key.0;
            let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
            if let Some(known) = spec.attributes.iter().find(|known| **known == local) {
                kept.push((*known, value.into_owned()));
            } else if local == "UserControllable" && spec.user_controllable.is_some() {
                user = bool::read(value.trim());
                if user.is_none() {
                    let found = format!("UserControllable=\"{}\"", quote(&value));
                    self.complain(spec, at, found, bool::allowed())?;
                }
            } else if name == "xmlns" || name.starts_with("xmlns:") {
                if name.strip_prefix("xmlns").map(|rest| rest.strip_prefix(':')) == Some(self.prefix) {
                    namespace = Some(value.into_owned());
                }
            } else if !name.starts_with("xsi:") && !name.starts_with("xml:") {
                self.warn(at, WarningKind::UnknownAttribute { name: quote(name), element: spec.name });
            }
        }
        if std::ptr::eq(spec, &ROOT) && namespace.as_deref() != Some(NAMESPACE) {
            let found = namespace.map_or("not there".into(), |name| format!("\"{}\"", quote(&name)));
            self.warn(self.lines.position(start), WarningKind::Namespace { found });
        }
        Ok((user, kept))
    }

    /// A value outside its type: an error where the setting is obeyed, else a warning.
    fn complain(
        &mut self,
        spec: &'static Spec,
        at: Position,
        found: String,
        expected: String,
    ) -> Result<(), ProfileError> {
        if spec.strict() {
            let expected = format!("{expected} in <{}>", spec.name);
            return Err(ProfileError::new(at, ErrorKind::Value, found, expected));
        }
        self.warn(at, WarningKind::Value { element: spec.name, found, expected });
        Ok(())
    }

    /// `raw` is the source at `start`, `text` is what it stands for.
    fn text(&mut self, start: usize, raw: &str, text: &str) -> Result<(), ProfileError> {
        let blank = text.trim().is_empty();
        let offset = start + (raw.len() - raw.trim_start().len());
        let Some(open) = self.stack.last_mut() else {
            if blank {
                return Ok(());
            }
            let expected = if self.root.is_some() { "the end of the file" } else { "<AnyConnectProfile>" };
            return Err(self.error(
                offset,
                ErrorKind::Root,
                format!("the text \"{}\"", quote(text)),
                expected,
            ));
        };
        let Some(node) = &open.node else { return Ok(()) };
        if node.spec.check.is_none() || (open.value_at.is_some() && !blank) {
            if blank {
                return Ok(());
            }
            let expected = expected_inside(node, open.value_at);
            let found = format!("the text \"{}\" directly inside <{}>", quote(text), node.spec.name);
            return Err(self.error(offset, ErrorKind::StrayText, found, expected));
        }
        if open.run.trim().is_empty() {
            open.run_at = self.lines.position(offset);
        }
        open.run.push_str(text);
        Ok(())
    }

    /// A run of text has ended: a tag follows.
    fn end_run(&mut self) -> Result<(), ProfileError> {
        let Some(open) = self.stack.last_mut() else { return Ok(()) };
        let run = std::mem::take(&mut open.run);
        let run = run.trim();
        let (Some(node), false) = (&mut open.node, run.is_empty()) else { return Ok(()) };
        open.value_at = Some(open.run_at);
        let (spec, at) = (node.spec, open.run_at);
        match spec.check {
            Some(check) if !(check.accepts)(run) => {
                self.complain(spec, at, format!("\"{}\"", quote(run)), (check.allowed)())
            }
            _ => {
                node.text = run.to_owned();
                Ok(())
            }
        }
    }

    fn end(&mut self, start: usize, name: &str) -> Result<(), ProfileError> {
        let found = format!("</{}>", quote(name));
        match self.stack.last() {
            Some(open) if open.name == name => self.close(),
            Some(open) => {
                let expected = format!("</{0}>, which closes <{0}> opened at {1}", quote(open.name), open.at);
                Err(self.error(start, ErrorKind::WrongClose, found, expected))
            }
            None => {
                let expected =
                    if self.root.is_some() { "the end of the file" } else { "<AnyConnectProfile>" };
                Err(self.error(start, ErrorKind::WrongClose, found, expected))
            }
        }
    }

    fn close(&mut self) -> Result<(), ProfileError> {
        self.end_run()?;
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let Some(node) = open.node else { return Ok(()) };
        if let Some(check) = node.spec.check
            && open.value_at.is_none()
            && !(check.accepts)("")
        {
            self.complain(
                node.spec,
                open.at,
                format!("no value in <{}>", node.spec.name),
                (check.allowed)(),
            )?;
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open { node: Some(parent), .. }) => {
                let first = parent.children.iter().find(|child| child.spec.name == node.spec.name);
                match first.filter(|_| !node.spec.many).map(|first| first.at) {
                    None => parent.children.push(node),
                    Some(first) => self.twice(&node, first)?,
                }
            }
            Some(Open { node: None, .. }) => {}
        }
        Ok(())
    }

    fn twice(&mut self, node: &Node, first: Position) -> Result<(), ProfileError> {
        let element = node.spec.name;
        if node.spec.strict() {
            let expected = format!("one <{element}>; the first is at {first}");
            let found = format!("a second <{element}>");
            return Err(ProfileError::new(node.at, ErrorKind::Twice, found, expected));
        }
        self.warn(node.at, WarningKind::Twice { element, first });
        Ok(())
    }
}

/// What may stand in an element that is open: the next elements of the schema, or its end.
fn expected_inside(node: &Node, value_at: Option<Position>) -> String {
    let name = node.spec.name;
    if let Some(at) = value_at
        && node.spec.check.is_some()
    {
        return format!("</{name}>, since <{name}> has its value at {at}");
    }
    let last = node.children.last().map(|child| child.spec.name);
    let after = node.spec.children.iter().position(|child| Some(child.name) == last).map_or(0, |at| at + 1);
    let next: Vec<String> =
        node.spec.children.iter().skip(after).take(2).map(|child| format!("<{}>", child.name)).collect();
    if next.is_empty() {
        format!("</{name}>")
    } else {
        format!("an element such as {}, or </{name}>", next.join(" or "))
    }
}
