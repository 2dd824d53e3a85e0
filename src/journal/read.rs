//! Reading the log back: its rotated parts in their order, and what is written to it meanwhile.

use super::entry::is_separator;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How much is read at once, octets.
const CHUNK: usize = 64 << 10;
/// A line or block longer than this is taken in pieces: the writer makes none, and memory is not for files of others.
const LONGEST: usize = 256 << 10;

/// Highest number of a part that is looked for.
const MOST_PARTS: u32 = 1000;

/// Reads FILE.n .. FILE.1 and FILE as one text. At its end it may be asked again: what was appended since, also across
/// rotations, comes next.
#[derive(Debug)]
pub struct Reader {
    file: PathBuf,
    open: Option<Part>,
    /// Found, but not begun.
    next: Option<Part>,
    partial: Vec<u8>,
}

/// The file that is being read.
#[derive(Debug)]
struct Part {
    file: File,
    /// Device and inode: what it is, whatever it is called by now.
    identity: (u64, u64),
    at: u64,
}

impl Part {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let metadata = file.metadata()?;
        Ok(Some(Self { file, identity: (metadata.dev(), metadata.ino()), at: 0 }))
    }
}

impl Reader {
    /// A reader of this log, which need not be there yet.
    pub fn new(file: PathBuf) -> Self {
        Self { file, open: None, next: None, partial: Vec::new() }
    }

    /// The next whole lines; `None` where there are no more for now. What is not UTF-8 is replaced.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(&mut self) -> io::Result<Option<String>> {
        let mut chunk = vec![0; CHUNK];
        loop {
            if let Some(part) = &mut self.open {
                let length = part.file.read(&mut chunk)?;
                part.at += u64::try_from(length).unwrap_or_default();
                self.partial.extend(chunk.iter().take(length));
                // Emptied under our hands: what comes now stands at its start.
                let emptied = length == 0 && part.file.metadata()?.len() < part.at;
                if emptied {
                    part.file.rewind()?;
                    part.at = 0;
                }
                if let Some(text) = self.whole_lines() {
                    return Ok(Some(text));
                }
                if length > 0 || emptied {
                    continue;
                }
            }
            if self.next.is_none() {
                let Some(next) = self.next_part()? else { return Ok(None) };
                self.next = Some(next);
                // Before it was put aside, the one that is open may have grown once more.
                if self.open.is_some() {
                    continue;
                }
            }
            self.open = self.next.take();
            // A part that ends within a line: its writer was killed.
            if let Some(rest) = self.finish() {
                return Ok(Some(rest));
            }
        }
    }

    /// What stands behind the last whole line, for a reader who does not wait for the rest of it.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned() + "\n")
    }

    /// Whether any part of the log is, or was, there.
    pub fn found(&self) -> bool {
        self.open.is_some()
    }

    fn whole_lines(&mut self) -> Option<String> {
        let end = match self.partial.iter().rposition(|octet| *octet == b'\n') {
            Some(at) => at + 1,
            None if self.partial.len() > LONGEST => self.partial.len(),
            None => return None,
        };
        let lines: Vec<u8> = self.partial.drain(..end).collect();
        Some(String::from_utf8_lossy(&lines).into_owned())
    }

    /// The part that was written after the one that is open. They are opened from the newest on, each number in its turn:
    /// parts move to higher numbers only, so a rotation meanwhile can show one twice, but never hide one.
    fn next_part(&self) -> io::Result<Option<Part>> {
        let own = self.open.as_ref().map(|part| part.identity);
        let highest = self.highest_number()?;
        let mut next = None;
        let mut missing = 0;
        for number in 0_u32.. {
            match Part::open(&self.aside(number))? {
                Some(part) if Some(part.identity) == own => return Ok(next),
                Some(part) => (next, missing) = (Some(part), 0),
                None => missing += 1,
            }
            // A rotation leaves a gap of one for a moment.
            if number >= highest && missing > 1 {
                break;
            }
        }
        // Ours is gone. What is left beside the newest may have been read.
        if own.is_some() { Part::open(&self.file) } else { Ok(next) }
    }

    /// Part 0 is the log itself.
    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.into()
    }

    fn highest_number(&self) -> io::Result<u32> {
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let entries = match fs::read_dir(folder.unwrap_or(Path::new("."))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other?,
        };
        let mut highest = 0;
        for entry in entries {
            let path = entry?.path();
            let number = path.extension().and_then(|number| number.to_str()?.parse::<u32>().ok());
            if path.with_extension("").file_name() == self.file.file_name() {
                highest = highest.max(number.unwrap_or_default());
            }
        }
        // Nobody keeps so many; a name like that is not to cost a day.
        Ok(highest.min(MOST_PARTS))
    }
}

/// Cuts a log into the texts of its blocks, each for [`super::parse`].
#[derive(Debug, Default)]
pub struct Blocks {
    pending: String,
}

impl Blocks {
    /// Takes whole lines; the blocks that end in them.
    pub fn push(&mut self, lines: &str) -> Vec<String> {
        let mut ended = Vec::new();
        for line in lines.split_inclusive('\n') {
            if is_separator(line) {
                ended.extend(self.finish());
                continue;
            }
            if self.pending.len() > LONGEST {
                ended.extend(self.finish());
            }
            self.pending += line;
        }
        ended
    }

    /// The last block, if it looks whole: the writer ends each with an empty line, but only the next one closes it.
    pub fn finish_whole(&mut self) -> Option<String> {
        if self.pending.ends_with("\n\n") { self.finish() } else { None }
    }

    /// The last block, whole or not.
    pub fn finish(&mut self) -> Option<String> {
        let block = std::mem::take(&mut self.pending);
        (!block.trim().is_empty()).then_some(block)
    }
}

#[cfg(test)]
mod tests;
