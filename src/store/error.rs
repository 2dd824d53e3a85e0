//! What goes wrong with stored things, in words for people. No text holds anything of a session but its host.

use crate::session::SessionError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file system said no.
    #[error("{} cannot be {doing}: {error}{}", .file.display(), advice(.error))]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What was tried, as a participle: `read`, `written`, `removed`, `moved aside`.
        doing: &'static str,
        /// Why; told in the text, so not a source.
        error: io::Error,
    },
    /// It may have been read or written by somebody else, so it is neither believed nor touched.
    #[error("{} is not used: {why}", .file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// Why.
        why: Refused,
    },
    /// Its content is not what was written there.
    #[error("{} is damaged ({why}){}", .file.display(), Aside(.aside.as_deref()))]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with the content.
        why: Damage,
        /// Where it is now; `None` where it could not be moved.
        aside: Option<PathBuf>,
    },
    /// A newer program wrote it; it stays as it is.
    #[error(
        "{} has format {found}, which this program does not know: upgrade ikeep, or log in again",
        .file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A sealed session whose key is gone; it stays as it is.
    #[error("{} cannot be opened without its key {}, which is not there", .file.display(), .key.display())]
    NoKey {
        /// The sealed file.
        file: PathBuf,
        /// The key that is missing.
        key: PathBuf,
    },
}

/// Why a file is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A symbolic link.
    #[error("it is a symbolic link; remove it")]
    Link,
    /// A folder, a pipe, a device.
    #[error("it is no regular file; remove it")]
    NotAFile,
    /// Another user's.
    #[error("it belongs to uid {0}; remove it")]
    Owner(u32),
    /// Others may read or write it.
    #[error("its mode {0:04o} lets others in; what it holds may be known: remove it, or chmod 600 it")]
    Mode(u32),
    /// Longer than anything that was ever written there; octets.
    #[error("it is longer than {0} octets; remove it")]
    TooLong(usize),
}

/// What is wrong with a content.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The seal does not fit: torn, changed, of another host, or sealed with another key.
    #[error("its seal does not fit")]
    Seal,
    /// Not a session.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// A sound session of another gateway.
    #[error("it is a session with another gateway")]
    OtherHost,
    /// A key of the wrong length; octets.
    #[error("a key of {0} octets")]
    Key(usize),
    /// Not the JSON that was written there.
    #[error("not what is written there, at line {line}, column {column}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Not 16 octets in hex.
    #[error("not 32 hex digits")]
    Hex,
}

/// Why the secret service does not hold a session.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// No session bus, nobody on it who keeps secrets, or no default collection. The usual case without a desktop.
    #[error("there is no secret service")]
    NotThere,
    /// It is there, but its collection is locked. Nobody is asked to unlock it.
    #[error("the secret service is locked; unlock the keyring, and the session is kept there next time")]
    Locked,
    /// It did not answer in time; milliseconds.
    #[error("the secret service did not answer within {0} ms")]
    Slow(u64),
    /// What was read back is not what was written.
    #[error("the secret service gave back something else than it was given")]
    Lied,
    /// What it holds is not a session with this gateway.
    #[error("what the secret service holds is no session with this gateway ({0})")]
    Garbage(Damage),
    /// It refused, or the bus did.
    #[error("the secret service failed: {0}")]
    Failed(String),
}

/// Something to tell a person, or the log; the store goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// A file.
    #[error("{0}")]
    File(FileError),
    /// The secret service.
    #[error("{0}")]
    Service(ServiceError),
    /// The session is kept, readable by this user's programs and by whoever gets the disk.
    #[error("the session is kept unsealed in {}, because no key can be kept elsewhere: {why}", .file.display())]
    Unsealed {
        /// Where.
        file: PathBuf,
        /// What is wrong with the key.
        why: FileError,
    },
    /// What was erased may still be in the secret service; it is not used any more.
    #[error(
        "an erased session may still be in the secret service ({0}); it is not used, and erased when possible"
    )]
    NotErased(ServiceError),
}

/// A session was not kept, or not erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nowhere.
    #[error(
        "the session cannot be kept: {0}. The connection goes on, but a new login is needed once the agent has ended"
    )]
    NotKept(FileError),
    /// Copies are left.
    #[error("the session was not erased everywhere: {}", list(.0))]
    NotErased(Vec<Note>),
    /// A setting was not kept.
    #[error("{0}; what was asked for holds until the agent ends")]
    Setting(FileError),
    /// The task that writes ended early: the runtime shuts down, or there is a defect in this program.
    #[error("the session store stopped in the middle of its work: restart the agent")]
    Stopped,
}

impl FileError {
    pub(super) fn io(file: &Path, doing: &'static str, error: impl Into<io::Error>) -> Self {
        Self::Io { file: file.to_owned(), doing, error: error.into() }
    }
}

/// What to do about an error of the file system; empty where its own text is all there is to say.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; free some space there"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; make it writable for this user, or set XDG_STATE_HOME and XDG_DATA_HOME to folders that are"
        }
        _ => "",
    }
}

fn list(notes: &[Note]) -> String {
    notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Where a damaged file went.
struct Aside<'a>(Option<&'a Path>);

impl fmt::Display for Aside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "; it is now {}", path.display()),
            None => f.write_str("; it could not be moved aside"),
        }
    }
}
