//! The log file: appended to, rotated by size, readable by its owner alone.

use super::block::Renderer;
use super::entry::{Entry, Kind, Source};
use crate::time::UnixTime;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
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
/// the next ones are counted, and the first event that can be written again is preceded by their number. It waits for the disk:
/// see [`super::Recorder`] for who must not.
///
/// A loss of power leaves whole blocks up to the last [`Journal::sync`], and perhaps torn ones after them: the next event
/// begins on a line of its own.
#[derive(Debug)]
pub struct Journal {
    file: PathBuf,
    rotation: Rotation,
    renderer: Renderer,
    open: Option<(File, u64)>,
    /// The folder does not surely know the file's name yet.
    made: bool,
    lost: u64,
    /// The failure was told.
    failing: bool,
}

impl Journal {
    /// A journal that appends to `file`, which is made with its folder when the first event is written.
    pub fn new(file: PathBuf, rotation: Rotation, renderer: Renderer) -> Self {
        Self { file, rotation, renderer, open: None, made: false, lost: 0, failing: false }
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
        self.put(entry.wall(), Some(entry))
    }

    /// Tells that so many events are missing here; where it cannot be told now, they are counted.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn miss(&mut self, wall: UnixTime, count: u64) -> Result<(), WriteError> {
        self.lost = self.lost.saturating_add(count);
        self.put(wall, None)
    }

    /// Has the disk keep what was written, over a loss of power too. Where nothing was written there is nothing to do.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some((file, _)) = &self.open else { return Ok(()) };
        match file.sync_data() {
            // No disk: a pipe, a terminal.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(()),
            done => done?,
        }
        if self.made
            && let Some(folder) = self.folder()
        {
            File::open(folder)?.sync_all()?;
        }
        self.made = false;
        Ok(())
    }

    fn put(&mut self, wall: UnixTime, entry: Option<&Entry>) -> Result<(), WriteError> {
        let mut text = String::new();
        if self.lost > 0 {
            let events = if self.lost == 1 { "event" } else { "events" };
            let told = format!("{} {events} could not be written to this log.", self.lost);
            text = self.renderer.render(&Entry::new(wall, Kind::Warning, Source::Agent, &told));
        }
        text.extend(entry.map(|entry| self.renderer.render(entry)));
        match self.append(text.as_bytes()) {
            Ok(()) => {
                (self.lost, self.failing) = (0, false);
                Ok(())
            }
            Err(source) => {
                // A file that failed is opened anew next time: its folder may be back by then.
                self.open = None;
                self.lost = self.lost.saturating_add(u64::from(entry.is_some()));
                let told = std::mem::replace(&mut self.failing, true);
                if told { Ok(()) } else { Err(WriteError { file: self.file.clone(), source }) }
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
            // What is put aside is not opened again. A disk that will not say so is no reason to stop.
            let _ = file.sync_data();
            self.rotate()?;
            (file, size) = self.open_file()?;
        }
        file.write_all(block)?;
        self.open = Some((file, size.saturating_add(more)));
        Ok(())
    }

    fn folder(&self) -> Option<&Path> {
        self.file.parent().filter(|folder| !folder.as_os_str().is_empty())
    }

    fn open_file(&mut self) -> io::Result<(File, u64)> {
        if let Some(folder) = self.folder() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file)?;
        let metadata = file.metadata()?;
        // A file of an earlier day may have been made with a wider mode.
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        self.made |= metadata.len() == 0;
        let mut size = metadata.len();
        if metadata.is_file() && size > 0 {
            let mut last = [0];
            File::open(&self.file)?.read_exact_at(&mut last, size - 1)?;
            // A power cut or a full disk has torn the last block: what follows must not become a part of it.
            if last != *b"\n" {
                file.write_all(b"\n")?;
                size += 1;
            }
        }
        Ok((file, size))
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
