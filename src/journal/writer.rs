//! The log file: appended to, rotated by size, readable by its owner alone.

use super::block::Renderer;
use super::entry::{Entry, Kind, Source};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How much log is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// A file that would grow past this is put aside first; bytes.
    pub max_bytes: u64,
    /// How many files are kept aside: FILE.1 is the newest, FILE.`keep` the oldest.
    pub keep: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { max_bytes: 4 << 20, keep: 4 }
    }
}

/// The log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the event log {} cannot be written, events are counted instead", .file.display())]
pub struct WriteError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Writes events to a file. A full disk or a lost folder does not stop the agent: the first failure is handed to the caller,
/// the next ones are counted, and the first event that can be written again is preceded by their number.
#[derive(Debug)]
pub struct Journal {
    file: PathBuf,
    rotation: Rotation,
    renderer: Renderer,
    open: Option<(File, u64)>,
    lost: u64,
}

impl Journal {
    /// A journal that appends to `file`, which is made with its folder when the first event is written.
    pub fn new(file: PathBuf, rotation: Rotation, renderer: Renderer) -> Self {
        Self { file, rotation, renderer, open: None, lost: 0 }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Events that could not be written since the last one that could.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Writes one event.
    ///
    /// # Errors
    /// Only the first failure of a row; the others are in [`Journal::lost`].
    pub fn write(&mut self, entry: &Entry) -> Result<(), WriteError> {
        let mut text = String::new();
        if self.lost > 0 {
            let told = format!("{} events could not be written to this log.", self.lost);
            let told = Entry::new(entry.wall(), Kind::Warning, Source::Agent, &told);
            text = self.renderer.render(&told);
        }
        text.push_str(&self.renderer.render(entry));
        match self.append(text.as_bytes()) {
            Ok(()) => {
                self.lost = 0;
                Ok(())
            }
            Err(source) => {
                // A file that failed is opened anew next time: its folder may be back by then.
                self.open = None;
                self.lost += 1;
                if self.lost > 1 { Ok(()) } else { Err(WriteError { file: self.file.clone(), source }) }
            }
        }
    }

    fn append(&mut self, block: &[u8]) -> io::Result<()> {
        let more = u64::try_from(block.len()).unwrap_or(u64::MAX);
        let (mut file, mut size) = match self.open.take() {
            Some(open) => open,
            None => self.open_file()?,
        };
        if size > 0 && size.saturating_add(more) > self.rotation.max_bytes {
            self.rotate()?;
            (file, size) = self.open_file()?;
        }
        file.write_all(block)?;
        self.open = Some((file, size.saturating_add(more)));
        Ok(())
    }

    fn open_file(&self) -> io::Result<(File, u64)> {
        if let Some(folder) = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file)?;
        let metadata = file.metadata()?;
        // A file of an earlier day may have been made with a wider mode.
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok((file, metadata.len()))
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&self) -> io::Result<()> {
        let missing_is_fine = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        if self.rotation.keep == 0 {
            return missing_is_fine(fs::remove_file(&self.file));
        }
        for number in (1..self.rotation.keep).rev() {
            missing_is_fine(fs::rename(self.aside(number), self.aside(number + 1)))?;
        }
        missing_is_fine(fs::rename(&self.file, self.aside(1)))
    }
}
