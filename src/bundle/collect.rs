//! What goes into a bundle, and reading it: the end of each file, masked.

use super::redact;
use crate::config::files::in_folder;
use rustix::fs::OFlags;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Read before what is kept of a file, so that what begins before the cut is known for what it is; octets.
const BEFORE: u64 = 64 << 10;
/// Most profiles.
const MAX_PROFILES: usize = 64;
/// Most log files of a kind.
const MAX_LOGS: usize = 32;

/// Where an entry comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A file.
    File(PathBuf),
    /// Made here.
    Json(Value),
}

/// What an entry holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Text {
    /// Without secrets.
    pub(super) text: String,
    /// Octets at its beginning that are left out.
    pub(super) cut: u64,
}

/// Why a file has no text here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is no regular file")]
    NotAFile,
    #[error("it leads to where sessions and keys are kept, which no bundle opens")]
    Forbidden,
}

/// The event log and its rotated parts, the newest first.
pub(super) fn events(log: &Path) -> Vec<(String, Source)> {
    let number =
        |name: &str| name.strip_prefix(log.file_name()?.to_str()?)?.strip_prefix('.')?.parse::<u32>().ok();
    let mut parts: Vec<(u32, PathBuf)> = files_of(log.parent())
        .into_iter()
        .filter_map(|path| Some((number(file_name(&path)?)?, path)))
        .collect();
    parts.sort();
    let all = std::iter::once(log.to_owned()).chain(parts.into_iter().map(|(_, path)| path));
    named("events", all.filter(|path| path.symlink_metadata().is_ok()).take(MAX_LOGS))
}

/// The agent's log files, the newest first: their names hold their day.
pub(super) fn logs(folder: &Path) -> Vec<(String, Source)> {
    let own = |path: &PathBuf| {
        file_name(path).is_some_and(|name| name.starts_with("agent.") && name.ends_with(".log"))
    };
    let mut logs: Vec<PathBuf> = files_of(Some(folder)).into_iter().filter(own).collect();
    logs.sort();
    named("log", logs.into_iter().rev().take(MAX_LOGS))
}

/// What the agent left behind where it panicked, the newest first: their names hold their time.
pub(super) fn crashes(folder: &Path) -> Vec<(String, Source)> {
    let own = |path: &PathBuf| file_name(path).is_some_and(is_crash_report);
    let mut reports: Vec<PathBuf> = files_of(Some(folder)).into_iter().filter(own).collect();
    reports.sort();
    named("crash", reports.into_iter().rev().take(MAX_LOGS))
}

/// Whether a file of this name in the folder of the agent's logs is a report of a panic.
pub fn is_crash_report(name: &str) -> bool {
    name.starts_with("crash.") && name.ends_with(".txt")
}

/// Profiles, each once.
pub(super) fn profiles(paths: &[PathBuf]) -> Vec<(String, Source)> {
    let mut seen = Vec::new();
    let first = paths.iter().filter(|path| {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let new = !seen.contains(&real);
        seen.push(real);
        new
    });
    named("profiles", first.take(MAX_PROFILES).cloned())
}

/// How this machine looks names up.
pub(super) fn dns(paths: Vec<PathBuf>) -> Vec<(String, Source)> {
    named("dns", paths.into_iter())
}

/// The profiles in these folders.
pub fn profiles_in(folders: &[PathBuf]) -> Vec<PathBuf> {
    folders.iter().flat_map(|folder| in_folder(folder, "xml").unwrap_or_default()).collect()
}

/// Files in a folder of the bundle, under names of their own.
fn named(folder: &str, paths: impl Iterator<Item = PathBuf>) -> Vec<(String, Source)> {
    let mut named: Vec<(String, Source)> = Vec::new();
    for path in paths {
        let name: String = file_name(&path).unwrap_or("unnamed").chars().map(plain).collect();
        let mut entry = format!("{folder}/{name}");
        let mut number = 2;
        while named.iter().any(|(taken, _)| *taken == entry) {
            entry = format!("{folder}/{number}_{name}");
            number += 1;
        }
        named.push((entry, Source::File(path)));
    }
    named
}

/// A character of a file's name that every system takes.
fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' }
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn files_of(folder: Option<&Path>) -> Vec<PathBuf> {
    let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

impl Source {
    /// For the manifest.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Json(_) => "made for this bundle".to_owned(),
        }
    }

    /// The text without secrets, at most `limit` octets of its end.
    pub(super) fn read(&self, limit: usize, forbidden: &[PathBuf]) -> Result<Text, Unreadable> {
        match self {
            Self::File(path) => read_end(path, limit, forbidden),
            Self::Json(value) => {
                let mut value = value.clone();
                redact::json(&mut value);
                Ok(end_of(format!("{value:#}\n"), limit, 0))
            }
        }
    }
}

fn read_end(path: &Path, limit: usize, forbidden: &[PathBuf]) -> Result<Text, Unreadable> {
    let real = path.canonicalize()?;
    if forbidden.iter().any(|folder| real.starts_with(folder)) {
        return Err(Unreadable::Forbidden);
    }
    // Opening a pipe that nobody writes to would wait for ever.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file: File = OpenOptions::new().read(true).custom_flags(flags).open(&real)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Unreadable::NotAFile);
    }
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(BEFORE);
    let skipped = metadata.len().saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut octets = Vec::new();
    file.take(most).read_to_end(&mut octets)?;
    let text = redact::text(&String::from_utf8_lossy(&octets));
    Ok(end_of(text, limit, skipped))
}

/// The last whole lines within the limit.
fn end_of(text: String, limit: usize, skipped: u64) -> Text {
    let Some(mut from) = text.len().checked_sub(limit).filter(|from| *from > 0) else {
        return Text { text, cut: skipped };
    };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let from = text[from..].find('\n').map_or(from, |end| from + end + 1);
    let cut = skipped.saturating_add(u64::try_from(from).unwrap_or_default());
    Text { text: text[from..].to_owned(), cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_file_is_kept_in_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        let lines: String = (0..40_000).map(|number| format!("line {number}\n")).collect();
        fs::write(&file, &lines).unwrap();
        let source = Source::File(file.clone());
        assert_eq!(source.read(lines.len(), &[]).unwrap(), Text { text: lines.clone(), cut: 0 });
        let end = source.read(1000, &[]).unwrap();
        assert!(end.text.len() <= 1000 && end.text.len() > 980);
        assert!(end.text.starts_with("line ") && lines.ends_with(&end.text));
        assert_eq!(end.cut, u64::try_from(lines.len() - end.text.len()).unwrap());
        // A secret whose name is before the cut.
        fs::write(&file, format!("{lines}psk = \"\"\"\n{}\"\"\"\n", "c4nary\n".repeat(500))).unwrap();
        assert!(!source.read(1000, &[]).unwrap().text.contains("c4nary"));
    }

    #[test]
    fn what_is_no_text_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let why = |path: &Path, forbidden: &[PathBuf]| {
            Source::File(path.to_owned()).read(10, forbidden).unwrap_err().to_string()
        };
        assert!(why(&folder.path().join("none"), &[]).contains("No such file"));
        assert_eq!(why(folder.path(), &[]), "it is no regular file");
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).unwrap();
        fs::write(keys.join("session.key"), "x").unwrap();
        std::os::unix::fs::symlink("keys/session.key", folder.path().join("agent.1.log")).unwrap();
        let forbidden = [keys.canonicalize().unwrap()];
        assert!(why(&folder.path().join("agent.1.log"), &forbidden).contains("which no bundle opens"));
    }

    #[test]
    fn names_are_plain_and_each_its_own() {
        let paths = ["/a/x.xml", "/b/x.xml", "/c/x.xml", "/a/x.xml", "/d/\u{1b}ä.xml"].map(PathBuf::from);
        let names: Vec<String> = profiles(&paths).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["profiles/x.xml", "profiles/2_x.xml", "profiles/3_x.xml", "profiles/__.xml"]);
    }

    #[test]
    fn logs_come_newest_first_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "events.log",
            "events.log.2",
            "events.log.10",
            "events.log.x",
            "agent.2.log",
            "agent.1.log",
            "crash.20250313T030844000Z.7.txt",
            "crash.20250313T030845000Z.7.txt",
            "crash.dmp",
            "esp_sa",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let names =
            |found: Vec<(String, Source)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let events = names(events(&folder.path().join("events.log")));
        assert_eq!(events, ["events/events.log", "events/events.log.2", "events/events.log.10"]);
        assert_eq!(names(logs(folder.path())), ["log/agent.2.log", "log/agent.1.log"]);
        let crashes = names(crashes(folder.path()));
        assert_eq!(
            crashes,
            ["crash/crash.20250313T030845000Z.7.txt", "crash/crash.20250313T030844000Z.7.txt"]
        );
        assert_eq!(names(logs(&folder.path().join("none"))), [] as [String; 0]);
    }
}
