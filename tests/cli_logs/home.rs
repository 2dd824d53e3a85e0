//! A user's folders.

use ikeep::config::Places;
use ikeep::journal::{Entry, Journal, Kind, Renderer, Rotation, Source};
use ikeep::time::UnixTime;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix("ikeep-home-").unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// As [`Places::of_user`] finds them.
    pub(crate) fn places(&self) -> Places {
        let [state, keys, runtime] =
            ["state/ikeep", "data/ikeep", "run/ikeep"].map(|folder| self.path().join(folder));
        Places { state, keys, runtime }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("config/ikeep")
    }

    /// The command line of this user, in UTC.
    pub(crate) fn ikeep(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ikeep"));
        command.env_clear().env("TZ", "UTC").env("HOME", self.path()).current_dir(self.path());
        for (name, folder) in [
            ("XDG_STATE_HOME", "state"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            command.env(name, self.path().join(folder));
        }
        command
    }

    /// The event log, two events a part.
    pub(crate) fn journal(&self) -> Journal {
        let rotation = Rotation { max_bytes: 400, keep: 4 };
        Journal::new(self.places().events(), rotation, Renderer::local())
    }
}

/// An event that is told apart by its number.
pub(crate) fn event(number: u64) -> Entry {
    let at = UnixTime::from_secs(1_741_835_324 + number);
    Entry::new(at, Kind::Warning, Source::Agent, &format!("Event {number}.\nSecond line."))
}
