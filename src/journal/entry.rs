//! One event, clean by construction: no control characters, no line that could end a block.

use crate::time::UnixTime;
use std::fmt;

/// Longest description, in characters; more is cut and counted.
pub const MAX_DESCRIPTION: usize = 16 << 10;

/// How much an event matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// As it should be.
    Information,
    /// Out of the ordinary; the agent copes.
    Warning,
    /// Something failed.
    Error,
}

/// Who tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The background service.
    Agent,
    /// What the user sees.
    Ui,
}

/// Where in the program an event arose, told at the head of its description.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// `Machine::function`.
    pub function: &'static str,
    /// The source file, as `file!()` has it.
    pub file: &'static str,
    /// The line, as `line!()` has it.
    pub line: u32,
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    wall: UnixTime,
    kind: Kind,
    source: Source,
    description: String,
}

impl Entry {
    /// An event with a text of one or more lines; the text is masked, see [`Entry::description`].
    pub fn new(wall: UnixTime, kind: Kind, source: Source, description: &str) -> Self {
        Self::from_log(wall, kind, source, &cut(description))
    }

    /// As [`Entry::new`], without a limit on the length: the log's own text, which has been cut before.
    pub(super) fn from_log(wall: UnixTime, kind: Kind, source: Source, description: &str) -> Self {
        Self { wall, kind, source, description: clean(description) }
    }

    /// An event of one function: its place stands in the first three lines.
    pub fn at(wall: UnixTime, kind: Kind, source: Source, place: Place, text: &str) -> Self {
        let Place { function, file, line } = place;
        Self::new(wall, kind, source, &format!("Function: {function}\nFile: {file}\nLine: {line}\n{text}"))
    }

    /// When, in civil time.
    pub fn wall(&self) -> UnixTime {
        self.wall
    }

    /// How much it matters.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who tells.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The text: lines without control characters, no line of asterisks alone, nothing but the text at its ends.
    pub fn description(&self) -> &str {
        &self.description
    }
}

impl Kind {
    const ALL: [Self; 3] = [Self::Information, Self::Warning, Self::Error];

    /// As the log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Information => "Information",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Source {
    /// As the log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "ikeepagent",
            Self::Ui => "ikeepui",
        }
    }

    /// The vendor's names are read too, so that its logs can be looked at with the same tools.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "ikeepagent" | "acvpnagent" => Some(Self::Agent),
            "ikeepui" | "acvpnui" => Some(Self::Ui),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Characters that change how a terminal or an editor shows the text around them: controls, line and paragraph separators,
/// and the marks that turn the direction of writing.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn mask_into(clean: &mut String, c: char) {
    if is_harmful(c) {
        clean.extend(c.escape_unicode());
    } else {
        clean.push(c);
    }
}

/// Text from outside for the middle of a line: line ends are masked as well.
pub(super) fn one_line(text: &str) -> String {
    let mut clean = String::new();
    text.trim().chars().for_each(|c| mask_into(&mut clean, c));
    clean
}

/// Cut to the limit before it is cleaned, so that a cut cannot bare what a mask covered.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_DESCRIPTION) {
        None => text.to_owned(),
        Some((cut, _)) => {
            let (kept, rest) = text.split_at(cut);
            format!("{kept}\n({} more characters left out)", rest.chars().count())
        }
    }
}

fn clean(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.trim().split('\n') {
        let mut clean = String::new();
        line.trim_end().chars().for_each(|c| mask_into(&mut clean, c));
        if is_separator(&clean) {
            clean.insert(0, '\\');
        }
        lines.push(clean);
    }
    lines.join("\n")
}

/// Would this line be taken for the end of a block?
pub(super) fn is_separator(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.chars().all(|c| c == '*')
}
