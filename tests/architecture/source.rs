//! A Rust source file as tokens: enough of the language to find paths, modules and test code, without a parser.

use std::ops::Range;

/// One identifier, number or punctuation mark and the line it stands on. `::` is one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

/// A path as written, its groups multiplied out: `std::{fs, net::UdpSocket}` is two of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourcePath {
    /// Where its last segment stands.
    pub(crate) line: usize,
    /// Where its first segment stands in the token list.
    pub(crate) at: usize,
    /// How it starts.
    pub(crate) root: Root,
    /// The segments after the root; `*` for a glob.
    pub(crate) segments: Vec<String>,
}

/// Where a path starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// `crate`, or as many `super` as lead there: the first segment is a room.
    Crate,
    /// A name in scope: a crate, an import, a type.
    Name,
    /// `self` or `super` inside the own room.
    Inside,
}

/// A file cut into tokens.
pub(crate) struct Source<'a> {
    pub(crate) tokens: Vec<Token<'a>>,
    /// How many modules below the crate root the file is: `src/ike/sa.rs` is 2.
    depth: usize,
}

impl<'a> Source<'a> {
    /// Cuts `text` up; comments and the insides of literals are left out.
    pub(crate) fn new(text: &'a str, depth: usize) -> Self {
        Self { tokens: tokens(text), depth }
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    /// Every path of at least one segment with its groups multiplied out. Paths that continue an expression
    /// (`value.field`, `<T>::NAME`) are not starts.
    pub(crate) fn paths(&self) -> Vec<SourcePath> {
        let mut found = Vec::new();
        let inline = self.inline_modules();
        for at in 0..self.tokens.len() {
            let before = at.checked_sub(1).map_or("", |before| self.text(before));
            let global = before == "::" && !at.checked_sub(2).is_some_and(|at| is_path_end(self.text(at)));
            if is_identifier(self.text(at)) && (global || !matches!(before, "::" | ".")) {
                let depth = self.depth + inline.iter().filter(|body| body.contains(&at)).count();
                self.follow(at, at, depth, Root::Inside, &mut Vec::new(), true, &mut found);
            }
        }
        // A group's own elements are also starts of the scan; they only count as part of their path.
        let groups = self.group_ranges();
        found.retain(|path| !groups.iter().any(|group| group.contains(&path.at)));
        found
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one recursive walk")]
    fn follow(
        &self,
        start: usize,
        at: usize,
        level: usize,
        root: Root,
        segments: &mut Vec<String>,
        first: bool,
        found: &mut Vec<SourcePath>,
    ) {
        let text = self.text(at);
        let (level, root, is_segment) = match text {
            "crate" if segments.is_empty() => (0, Root::Crate, false),
            "super" if segments.is_empty() => {
                let level = level.saturating_sub(1);
                (level, if level == 0 { Root::Crate } else { Root::Inside }, false)
            }
            "self" if first => (level, if level == 0 { Root::Crate } else { Root::Inside }, false),
            "{" => {
                for element in self.group_elements(at) {
                    self.follow(start, element, level, root, &mut segments.clone(), false, found);
                }
                return;
            }
            _ => (level, if first { Root::Name } else { root }, true),
        };
        if is_segment {
            segments.push(text.to_owned());
        }
        if self.text(at + 1) == "::"
            && (is_identifier(self.text(at + 2)) || matches!(self.text(at + 2), "{" | "*"))
        {
            self.follow(start, at + 2, level, root, segments, false, found);
        } else {
            let line = self.tokens.get(at).map_or(0, |token| token.line);
            found.push(SourcePath { line, at: start, root, segments: segments.clone() });
        }
    }

    /// The first token of each element of the group that opens at `open`.
    fn group_elements(&self, open: usize) -> Vec<usize> {
        let close = self.matching(open);
        let mut elements = Vec::new();
        let mut depth = 0_usize;
        let mut expected = true;
        for at in open + 1..close {
            match self.text(at) {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                "," if depth == 0 => {
                    expected = true;
                    continue;
                }
                _ => {}
            }
            if expected {
                elements.push(at);
                expected = false;
            }
        }
        elements
    }

    /// The insides of all `::{..}` groups and of the one of `use {..}`.
    fn group_ranges(&self) -> Vec<Range<usize>> {
        (1..self.tokens.len())
            .filter(|&at| self.text(at) == "{" && self.text(at - 1) == "::")
            .map(|at| at + 1..self.matching(at))
            .collect()
    }

    /// The token that closes the bracket at `open`, or the end of the file.
    fn matching(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    /// The bodies of `mod name { .. }`.
    fn inline_modules(&self) -> Vec<Range<usize>> {
        (0..self.tokens.len())
            .filter(|&at| {
                self.text(at) == "mod" && is_identifier(self.text(at + 1)) && self.text(at + 2) == "{"
            })
            .map(|at| at + 3..self.matching(at + 2))
            .collect()
    }

    /// The token ranges of items under `#[cfg(test)]`.
    pub(crate) fn test_code(&self) -> Vec<Range<usize>> {
        self.items_under_cfg_test().map(|(_, item)| item).collect()
    }

    /// Names of the modules that are declared under `#[cfg(test)]` and live in a file of their own.
    pub(crate) fn test_modules(&self) -> Vec<&str> {
        self.items_under_cfg_test()
            .filter_map(|(_, item)| {
                let keyword = item.clone().find(|&at| self.text(at) == "mod")?;
                (self.text(keyword + 2) == ";").then(|| self.text(keyword + 1))
            })
            .collect()
    }

    fn items_under_cfg_test(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
        (0..self.tokens.len())
            .filter(move |&at| {
                marker.iter().enumerate().all(|(offset, text)| self.text(at + offset) == *text)
            })
            .map(move |at| {
                let mut start = at + marker.len();
                while self.text(start) == "#" && self.text(start + 1) == "[" {
                    start = self.matching(start + 1) + 1;
                }
                let mut end = start;
                while end < self.tokens.len() && !matches!(self.text(end), ";" | "{") {
                    end = if matches!(self.text(end), "(" | "[") { self.matching(end) + 1 } else { end + 1 };
                }
                let end = if self.text(end) == "{" { self.matching(end) } else { end };
                (at, start..end + 1)
            })
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn is_path_end(text: &str) -> bool {
    is_identifier(text) && !matches!(text, "use" | "return" | "in" | "as" | "mut" | "dyn" | "impl" | "for")
        || text == ">"
}

/// Tokens of `text`. Literals are dropped, lifetimes too; raw identifiers lose their `r#`.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let skipped = skip_literal_or_comment(rest);
        if skipped > 0 {
            line += rest[..skipped].matches('\n').count();
            at += skipped;
            continue;
        }
        let first = rest.chars().next().unwrap_or(' ');
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if first == '\n' {
            line += 1;
        } else if !first.is_whitespace() {
            tokens.push(Token { text: &rest[..length], line });
        }
        at += length;
    }
    tokens
}

/// Length of the comment, string, character or lifetime that `rest` starts with; 0 for none.
fn skip_literal_or_comment(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    let prefix = rest.find(|next: char| !matches!(next, 'b' | 'c' | 'r')).unwrap_or(0).min(2);
    let body = &rest[prefix..];
    if rest[..prefix].ends_with('r') && body.starts_with(['#', '"']) {
        let hashes = body.bytes().take_while(|&byte| byte == b'#').count();
        if body[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = prefix + hashes + 1;
            return rest[inside..].find(&end).map_or(rest.len(), |found| inside + found + end.len());
        }
        return if &rest[..prefix] == "r" { prefix + hashes } else { 0 };
    }
    match body.chars().next() {
        Some('"') => prefix + quoted(body, '"'),
        Some('\'') if prefix == 0 || &rest[..prefix] == "b" => {
            let mut inside = body[1..].chars();
            let (first, second) = (inside.next(), inside.next());
            if first == Some('\\') || second == Some('\'') {
                prefix + quoted(body, '\'')
            } else {
                // A lifetime or a label.
                1 + body[1..]
                    .find(|next: char| !next.is_alphanumeric() && next != '_')
                    .unwrap_or(body.len() - 1)
            }
        }
        _ => 0,
    }
}

fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in body.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    body.len()
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}
