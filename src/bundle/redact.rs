//! Masks secrets in text of any kind: XML, TOML, INI, JSON, lines of a log. It goes by names: what stands after a name that
//! sounds like a secret is masked, be it an element's content, an attribute's value or the right side of `:` or `=`. Beside
//! that: private keys in PEM, and passwords in URLs. Where it is in doubt it masks.

mod name;

use name::is_secret;
use serde_json::Value;

/// What stands for a secret.
pub const MASK: &str = "[masked]";
/// Longest tag that is taken for one, octets.
const LONGEST_TAG: usize = 16 << 10;
/// Elements of different names that have no end, after which nothing more of a text is shown.
const TORN: usize = 64;
/// So many octets of one text are read in vain in search of the ends of lists; beyond that the rest of the text is masked. Else
/// a log full of open brackets would take hours.
const IN_VAIN: usize = 8 << 20;

/// The text without secrets.
pub fn text(text: &str) -> String {
    let out = String::with_capacity(text.len());
    let mut scan = Scan { text, at: 0, out, torn: Vec::new(), in_vain: IN_VAIN };
    while scan.at < text.len() {
        scan.step();
    }
    scan.out
}

/// The value without secrets.
pub fn json(value: &mut Value) {
    match value {
        Value::String(string) => *string = text(string),
        Value::Array(values) => values.iter_mut().for_each(json),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::Null | Value::Bool(_) => {}
                    member if is_secret(name) => *member = Value::from(MASK),
                    member => json(member),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A walk through a text: what is before `at` stands, masked, in `out`.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    out: String,
    /// Elements that do not end any more.
    torn: Vec<&'a str>,
    /// What is left of [`IN_VAIN`].
    in_vain: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Copies so many octets.
    fn copy(&mut self, length: usize) {
        self.out += &self.rest()[..length];
        self.at += length;
    }

    /// Masks so many octets, unless there is nothing in them to hide.
    fn mask(&mut self, length: usize) {
        let value = &self.rest()[..length];
        let told = value.trim().trim_end_matches([',', ';']);
        let empty =
            ["", "true", "false", "null", "none", MASK].iter().any(|word| told.eq_ignore_ascii_case(word));
        if empty {
            self.copy(length);
            return;
        }
        let head = value.len() - value.trim_start().len();
        let tail = value.trim_end().len();
        self.out += &value[..head];
        self.out += MASK;
        self.out += &value[tail..];
        self.at += length;
    }

    fn step(&mut self) {
        let rest = self.rest();
        let before = self.text[..self.at].chars().next_back();
        let Some(first) = rest.chars().next() else { return };
        if rest.starts_with("-----BEGIN ") && label(rest).contains("PRIVATE KEY") {
            self.private_key();
        } else if first == '<'
            && let Some(tag) = Tag::read(rest)
        {
            self.tag(&tag);
        } else if rest.starts_with("://") {
            self.url();
        } else if is_name(first) && !before.is_some_and(is_name) {
            self.named(before);
        } else {
            self.copy(first.len_utf8());
        }
    }

    /// All of a private key but its first and last line.
    fn private_key(&mut self) {
        let rest = self.rest();
        let head = line(rest).len();
        let body = rest[head..].find("-----END").unwrap_or(rest.len() - head);
        self.copy(head);
        self.mask(body);
    }

    /// A password in `://user:password@host`.
    fn url(&mut self) {
        self.copy(3);
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(rest.len());
        if let Some(at) = rest[..end].rfind('@')
            && let Some(colon) = rest[..at].find(':')
        {
            self.copy(colon + 1);
            self.mask(at - colon - 1);
        }
    }

    /// A name, and its value if it is one of a secret.
    fn named(&mut self, before: Option<char>) {
        let rest = self.rest();
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, mut after) = rest.split_at(length);
        let quote = before.filter(|before| matches!(before, '"' | '\'' | '`'));
        // `"name": value`, or a name somewhere within quotes.
        let closed = quote.and_then(|quote| after.strip_prefix(quote));
        after = closed.unwrap_or(after);
        let within = quote.filter(|_| closed.is_none());
        let Some(value) = blank(after).strip_prefix([':', '=']) else { return self.copy(length) };
        if !is_secret(name) {
            return self.copy(length);
        }
        let colon = blank(after).starts_with(':');
        let value = blank(value.strip_prefix(['=', '>']).unwrap_or(value));
        let mark =
            |c: char| c != '\n' && (c.is_whitespace() || matches!(c, '"' | '\'' | '-' | '#' | '{' | '('));
        let head = self.text[..self.at].trim_end_matches(mark);
        let first_of_line = head.is_empty() || head.ends_with('\n');
        self.copy(rest.len() - value.len());
        let (head, length, tail) = extent(value, within, colon || first_of_line, &mut self.in_vain);
        self.copy(head);
        self.mask(length);
        self.copy(tail);
    }

    /// A start tag, and the content of its element if that is a secret.
    fn tag(&mut self, tag: &Tag<'a>) {
        let says = |names: &[&str]| {
            let told = tag.attributes.iter().find(|attribute| names.contains(&attribute.name));
            told.is_some_and(|attribute| is_secret(&self.rest()[attribute.value.0..attribute.value.1]))
        };
        let secret = is_secret(tag.name) || says(&["name", "key", "id", "type"]);
        let start = self.at;
        for attribute in &tag.attributes {
            if is_secret(attribute.name) || secret && attribute.name == "value" {
                let (from, to) = attribute.value;
                self.copy(start + from - self.at);
                self.mask(to - from);
            }
        }
        self.copy(start + tag.length - self.at);
        if secret && !tag.empty {
            let rest = self.rest();
            if self.torn.len() == TORN {
                return self.mask(rest.len()); // whatever this is, looking for each end would take for ever
            }
            let looked_for = !self.torn.contains(&tag.name);
            let end = looked_for.then(|| rest.find(&format!("</{}", tag.name))).flatten();
            if looked_for && end.is_none() {
                self.torn.push(tag.name);
            }
            // Torn: its end is not in this text.
            let end = end.or_else(|| rest.find(['<', '\n'])).unwrap_or(rest.len());
            self.mask(end);
        }
    }
}

/// A start tag at the beginning of a text.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<Attribute<'a>>,
    /// `<name/>`.
    empty: bool,
    length: usize,
}

struct Attribute<'a> {
    name: &'a str,
    /// From and to, from the beginning of the tag.
    value: (usize, usize),
}

impl<'a> Tag<'a> {
    /// `None` where it is only a `<`.
    fn read(text: &'a str) -> Option<Self> {
        let end_of_name = |from: usize| {
            let rest = text.get(from..)?;
            let length = rest.find(|c| !is_name(c) && c != ':').unwrap_or(rest.len());
            (length > 0).then_some(from + length)
        };
        let mut at = end_of_name(1)?;
        let name = &text[1..at];
        let mut attributes = Vec::new();
        while at < LONGEST_TAG {
            at = text.len() - text.get(at..)?.trim_start().len();
            let rest = &text[at..];
            if rest.starts_with('>') || rest.starts_with("/>") {
                let empty = rest.starts_with('/');
                return Some(Self { name, attributes, empty, length: at + 1 + usize::from(empty) });
            }
            let end = end_of_name(at)?;
            let attribute = &text[at..end];
            let value = text[end..].trim_start().strip_prefix('=')?.trim_start();
            let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let from = text.len() - value.len() + 1;
            let to = from + text[from..].find(quote)?;
            attributes.push(Attribute { name: attribute, value: (from, to) });
            at = to + 1;
        }
        None
    }
}

/// The value at the beginning of a text: octets before it that stay (a quote), its length, octets after it that stay. `within`:
/// the quote that it stands in with its name. `to_end`: what has no quotes ends with its line, not with its word. `in_vain`: what
/// may be read without finding an end.
///
/// It reads no further than the value goes: a line of megabytes may hold thousands of them.
fn extent(text: &str, within: Option<char>, to_end: bool, in_vain: &mut usize) -> (usize, usize, usize) {
    for triple in ["\"\"\"", "'''"] {
        if let Some(rest) = text.strip_prefix(triple) {
            let length = rest.find(triple);
            return (3, length.unwrap_or(rest.len()), if length.is_some() { 3 } else { 0 });
        }
    }
    match text.chars().next() {
        Some(quote @ ('"' | '\'' | '`')) if within != Some(quote) => {
            let rest = &text[1..];
            match end_of_quoted(rest, quote) {
                Some(length) => (1, length, 1),
                None => (1, line(rest).len(), 0),
            }
        }
        Some('[' | '{') if *in_vain == 0 => (0, text.len(), 0),
        Some(open @ ('[' | '{')) => {
            let end = end_of_nested(text, open).unwrap_or_else(|read| {
                *in_vain = in_vain.saturating_sub(read);
                line(text).len()
            });
            (0, end, 0)
        }
        _ => {
            let ends =
                |c: char| matches!(c, '\n' | '\r') || Some(c) == within || !to_end && c.is_whitespace();
            (0, text.find(ends).unwrap_or(text.len()), 0)
        }
    }
}

/// Where the quote closes, on the same line; a backslash takes the meaning from the character after it.
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' | '\r' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// The length of a list or table with everything in it; where it has no end, how much was read to know that.
fn end_of_nested(text: &str, open: char) -> Result<usize, usize> {
    let close = if open == '[' { ']' } else { '}' };
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(c) = text[at..].chars().next() {
        at += c.len_utf8();
        match c {
            '"' | '\'' => at += end_of_quoted(&text[at..], c).ok_or(at)? + 1,
            c if c == open => depth += 1,
            c if c == close => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => {}
        }
    }
    Err(at)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// As much of a line as the label of a PEM block can have (`BEGIN ENCRYPTED PRIVATE KEY`).
fn label(text: &str) -> &str {
    line(&text[..text.floor_char_boundary(128)])
}

/// Without its end.
fn line(text: &str) -> &str {
    text.split(['\n', '\r']).next().unwrap_or(text)
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests;
