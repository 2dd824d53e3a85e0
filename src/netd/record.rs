//! What a helper has to know of the one before it: whose the device is, and what was applied. It lies in the runtime folder,
//! which does not outlive the machine, as the device does not.

use crate::ipc::helper::Guard;
use crate::plan::Network;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Longest file, octets: a plan is no longer than a message.
const MAX_FILE: u64 = 256 << 10;

/// Whose tunnel it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The user.
    pub(super) uid: u32,
    /// The device's name.
    pub(super) device: String,
    /// What was applied last.
    pub(super) network: Option<Network>,
}

/// Whose kill switch it is. It has a file of its own, since it begins before a tunnel and ends after it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GuardRecord {
    /// The user.
    pub(super) uid: u32,
    /// What was wanted.
    pub(super) guard: Guard,
    /// What the tunnel takes.
    pub(super) network: Option<Network>,
}

/// The folder, locked: one helper uses it at a time.
#[derive(Debug)]
pub(super) struct Folder {
    file: PathBuf,
    guard: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, and locks it.
    ///
    /// # Errors
    /// `WouldBlock`: another helper runs. Else the file system refuses.
    pub(super) fn lock(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.custom_flags(libc::O_NOFOLLOW).open(folder.join("netd.lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                file: folder.join("netd.json"),
                guard: folder.join("netd-guard.json"),
                _lock: lock,
            }),
            Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// What the helper before this one wrote; `None`: nothing, or nothing that can be read.
    pub(super) fn read(&self) -> Option<Record> {
        read(&self.file)
    }

    /// The kill switch that the helper before this one wrote down.
    pub(super) fn read_guard(&self) -> Option<GuardRecord> {
        read(&self.guard)
    }

    /// Writes it anew, whole or not at all.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        write(&self.file, record)
    }

    /// Writes down the kill switch, or (`None`) that there is none.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn write_guard(&self, record: Option<&GuardRecord>) -> io::Result<()> {
        match record {
            Some(record) => write(&self.guard, record),
            None => remove(&self.guard),
        }
    }

    /// Nothing is held any more.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn clear(&self) -> io::Result<()> {
        remove(&self.file)
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file).ok()?;
    let mut octets = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut octets).ok()?;
    serde_json::from_slice(&octets).ok()
}

fn write(file: &Path, record: &impl Serialize) -> io::Result<()> {
    let new = file.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut options = OpenOptions::new();
    let mut opened = options.create_new(true).write(true).mode(0o600).open(&new)?;
    opened.write_all(&serde_json::to_vec(record)?)?;
    std::fs::rename(&new, file)
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_is_read_and_one_helper_has_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::lock(&place.path().join("run")).unwrap();
        assert_eq!(folder.read(), None);
        let mut record = Record { uid: 7, device: "ikeep0".to_owned(), network: None };
        folder.write(&record).unwrap();
        assert_eq!(folder.read().as_ref(), Some(&record));
        record.network = Some(Network { mtu: 1400, ..Network::default() });
        folder.write(&record).unwrap();
        assert_eq!(folder.read().as_ref(), Some(&record));
        let mode = std::fs::metadata(&folder.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Folder::lock(&place.path().join("run")).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        std::fs::write(&folder.file, "{\"uid\":7").unwrap();
        assert_eq!(folder.read(), None, "a torn file counts as none");
        folder.clear().unwrap();
        folder.clear().unwrap();
        assert_eq!(folder.read(), None);
    }
}
