//! Where the agent of this user keeps its things.

use super::paths;
use directories::ProjectDirs;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Folders of one user. Tests and the lab make their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// State and logs: `$XDG_STATE_HOME/ikeep`.
    pub state: PathBuf,
    /// What seals the state, kept elsewhere: `$XDG_DATA_HOME/ikeep`.
    pub keys: PathBuf,
    /// Socket and lock: `$XDG_RUNTIME_DIR/ikeep`, else a folder under `state` (ssh, cron, containers).
    pub runtime: PathBuf,
}

/// A user without a home.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "this user has no home folder: set HOME, or XDG_STATE_HOME and XDG_DATA_HOME, to folders that can be written"
)]
pub struct NoHome;

impl Places {
    /// Those of the user who runs this.
    ///
    /// # Errors
    /// There is no home folder.
    pub fn of_user() -> Result<Self, NoHome> {
        let state = paths::state_folder().ok_or(NoHome)?;
        let project = ProjectDirs::from("", "", "ikeep").ok_or(NoHome)?;
        let runtime = project.runtime_dir().map_or_else(|| state.join("run"), Path::to_owned);
        Ok(Self { state, keys: project.data_dir().to_owned(), runtime })
    }

    /// All of them in one folder.
    pub fn inside(folder: &Path) -> Self {
        Self { state: folder.join("state"), keys: folder.join("keys"), runtime: folder.join("run") }
    }

    /// Where the agent listens.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("agent.sock")
    }

    /// Held by the agent that runs.
    pub fn lock(&self) -> PathBuf {
        self.runtime.join("agent.lock")
    }

    /// Which notification is on the screen, for the agent after one that was killed.
    pub fn notification(&self) -> PathBuf {
        self.runtime.join("notification")
    }

    /// The event log.
    pub fn events(&self) -> PathBuf {
        self.state.join("events.log")
    }

    /// The folder of the sessions, which nothing but the session store opens.
    pub fn sessions(&self) -> PathBuf {
        self.state.join("sessions")
    }

    /// The folder of the agent's own log files, `agent.log` and older ones.
    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    /// Makes a folder of this user's alone, with its parents; one that is there is made so.
    ///
    /// # Errors
    /// The file system refuses, or something else stands in the way.
    pub fn make_private(folder: &Path) -> io::Result<()> {
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
        let mode = std::fs::metadata(folder)?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(folder, Permissions::from_mode(0o700))
        } else {
            Ok(())
        }
    }
}
