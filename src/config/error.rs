//! What is wrong with the config file, and how to mend it.

use crate::profile::{Lines, Position};
use std::fmt;
use std::path::{Path, PathBuf};

/// A config file, or a file it names, that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Where in it; `None` where the whole file is meant.
    pub at: Option<Position>,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(at) = self.at {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        write!(f, ": {}; {}", self.what, self.mend)
    }
}

impl ConfigError {
    pub(super) fn whole(file: &Path, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let (what, mend) = (shown(what.into()), shown(mend.into()));
        Self { file: file.to_owned(), at: None, what, mend }
    }

    pub(super) fn at(
        file: &Path,
        text: &str,
        offset: usize,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { at: Some(Lines::new(text).position(offset)), ..Self::whole(file, what, mend) }
    }

    /// From the TOML reader: the place, the first line of what it says, and advice where the message allows one.
    pub(super) fn toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
        let (what, mend) = advise(&message);
        match error.span() {
            Some(span) => Self::at(file, text, span.start, what, mend),
            None => Self::whole(file, what, mend),
        }
    }
}

/// What a file holds is part of the message: it must not move a terminal's cursor.
fn shown(text: String) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Splits serde's messages into what and how to mend it. Its words between backticks are the one found, then the known ones.
fn advise(message: &str) -> (String, String) {
    let mut words = message.split('`').skip(1).step_by(2);
    let (kind, found) = match (message.starts_with("unknown field "), message.starts_with("unknown variant "))
    {
        (true, _) => ("key", words.next()),
        (_, true) => ("value", words.next()),
        _ => ("", None),
    };
    let Some(found) = found else {
        return match message.split_once(", expected ") {
            Some((what, expected)) => (what.into(), format!("write {expected}")),
            None => (message.into(), "see the config section of the README for the form".into()),
        };
    };
    let known: Vec<&str> = words.collect();
    let mend = match nearest(found, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "take it out".into(),
        None => format!("known here: {}", known.join(", ")),
    };
    (format!("unknown {kind} `{found}`"), mend)
}

/// The known word with the fewest edits to `found`, where that is at most a third of its letters.
fn nearest<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|word| (edits(found, word), *word)).min()?;
    (near.0 <= near.1.chars().count().div_ceil(3)).then_some(near.1)
}

/// Letters to insert, remove or replace to get from `a` to `b` (Levenshtein), hyphens counting as underscores.
fn edits(a: &str, b: &str) -> usize {
    let plain = |word: &str| word.to_lowercase().replace('-', "_").chars().take(64).collect::<Vec<char>>();
    let (a, b) = (plain(a), plain(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, (right, above)) in b.iter().zip(row.windows(2)).enumerate() {
            let replaced = above[0] + usize::from(left != right);
            next.push(replaced.min(above[1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(edits("tunel", "tunnel"), 1);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("dpd-interval", "dpd_interval"), 0);
        assert_eq!(nearest("colour", &["tunnel", "proxy"]), None);
    }
}
