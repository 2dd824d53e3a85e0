//! Changes of files, one step each: whatever is on the disk between two of them has to be enough to go back.

use super::DnsError;
use rustix::fs::OFlags;
use std::fmt::Debug;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What the name of a file of our own ends with until it is whole.
pub(super) const UNFINISHED: &str = "new";

/// What changes files.
pub(super) trait Disk: Debug + Send + Sync {
    /// Opens a file to be written; without a mode only one that is there. Nothing in it is changed yet.
    fn open(&self, path: &Path, create: Option<u32>) -> io::Result<File>;
    /// Writes some of the octets there, at least one.
    fn write(&self, file: &File, octets: &[u8], at: u64) -> io::Result<usize>;
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;
    fn sync(&self, file: &File) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The machine's.
#[derive(Debug)]
pub(super) struct Machine;

impl Disk for Machine {
    fn open(&self, path: &Path, create: Option<u32>) -> io::Result<File> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new()
            .write(true)
            .create(create.is_some())
            .truncate(false)
            .mode(create.unwrap_or_default())
            .custom_flags(flags)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if let Some(mode) = create {
            // The mask of the process may have taken bits away.
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(file)
    }

    fn write(&self, file: &File, octets: &[u8], at: u64) -> io::Result<usize> {
        match file.write_at(octets, at)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

impl dyn Disk + '_ {
    /// Writes over what is there, the same file; what is left of a longer one is cut off last. In between it holds the
    /// beginning of the one and the rest of the other.
    pub(super) fn overwrite(&self, file: &File, octets: &[u8]) -> io::Result<()> {
        let mut at = 0;
        while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.write(file, rest, at as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                written => written?,
            };
        }
        self.truncate(file, octets.len() as u64)?;
        self.sync(file)
    }

    /// A file of our own that is there whole or not at all, even after a power cut: written beside, then renamed.
    pub(super) fn replace(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        let beside = path.with_added_extension(UNFINISHED);
        self.overwrite(&self.open(&beside, Some(0o600))?, octets)?;
        self.rename(&beside, path)?;
        self.sync_folder(path)
    }

    /// Removes a file of our own for good. One that is not there is fine.
    pub(super) fn forget(&self, path: &Path) -> io::Result<()> {
        match self.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        self.sync_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.sync(&File::open(path.parent().unwrap_or(Path::new("/")))?)
    }
}

/// What of our own state could not be kept.
pub(super) fn state_error(path: &Path) -> impl FnOnce(io::Error) -> DnsError {
    let path: PathBuf = path.to_path_buf();
    move |source| DnsError::State { path, source }
}
