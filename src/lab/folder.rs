//! The folder where a run of the lab leaves its files.

use crate::time::UnixTime;
use directories::ProjectDirs;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Runs whose files are kept; older ones are removed.
const KEPT: usize = 10;
const PREFIX: &str = "lab-";

/// A file or folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}; set XDG_STATE_HOME to a folder that you may write to")]
pub struct FolderError {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A folder of this user's alone (0700).
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder for a run that begins at `now`: below the user's state folder, or below the system's temporary one where
    /// that cannot be written to.
    pub fn create(now: UnixTime) -> Result<Self, FolderError> {
        let name = format!("{PREFIX}{}-{}", stamp(now), std::process::id());
        let state =
            ProjectDirs::from("", "", "ikeep").and_then(|dirs| dirs.state_dir().map(Path::to_path_buf));
        if let Some(state) = state {
            match make(&state).and_then(|()| make(&state.join(&name))) {
                Ok(()) => {
                    forget_old_runs(&state);
                    return Ok(Self(state.join(name)));
                }
                Err(error) => tracing::debug!(%error, "no state folder: the temporary one serves"),
            }
        }
        let path = std::env::temp_dir().join(format!("ikeep-{name}"));
        Self::at(path)
    }

    /// This folder; it is made where it does not exist.
    pub fn at(path: PathBuf) -> Result<Self, FolderError> {
        make(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A folder inside.
    pub fn inside(&self, name: &str) -> Result<Self, FolderError> {
        Self::at(self.0.join(name))
    }

    /// A new file inside, empty, of this user's alone (0600).
    pub fn file(&self, name: &str) -> Result<File, FolderError> {
        let path = self.0.join(name);
        let opened = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        opened.map_err(|source| FolderError { path, source })
    }

    /// Writes a file inside.
    pub fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let mut file = self.file(name)?;
        let written = file.write_all(text.as_bytes());
        written.map_err(|source| FolderError { path: self.0.join(name), source })
    }
}

/// `20250313-010844`, UTC.
fn stamp(now: UnixTime) -> String {
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default().strftime("%Y%m%d-%H%M%S").to_string()
}

fn make(path: &Path) -> Result<(), FolderError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FolderError { path: path.to_path_buf(), source })
}

/// The names sort by time. What cannot be removed stays.
fn forget_old_runs(state: &Path) {
    let Ok(entries) = fs::read_dir(state) else { return };
    let mut runs: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path())
        .collect();
    runs.sort();
    for run in runs.iter().rev().skip(KEPT) {
        if let Err(error) = fs::remove_dir_all(run) {
            tracing::debug!(%error, path = %run.display(), "an old run of the lab stays");
        }
    }
}
