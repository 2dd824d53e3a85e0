//! Files that only this user may read, written so that a reader sees the old content or the new one, never a part.

use super::error::{FileError, Refused};
use crate::config::Places;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Files that are being written begin and end with these, and have 16 hex digits between them.
const TEMPORARY: (&str, &str) = (".ikeep-", ".tmp");
/// Added to the name of a file whose content makes no sense.
const DAMAGED: &str = ".damaged";

/// An open folder: what is done in it stays in it, whatever happens to its path.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    open: OwnedFd,
}

impl Folder {
    /// The folder, made if need be, of this user's alone (0700).
    pub(super) fn make(path: &Path) -> Result<Self, FileError> {
        Places::make_private(path).map_err(|error| FileError::io(path, "made", error))?;
        let open = open_folder(path).map_err(|error| FileError::io(path, "opened", error))?;
        Ok(Self { path: path.to_owned(), open })
    }

    /// The folder, if it is there.
    pub(super) fn existing(path: &Path) -> Result<Option<Self>, FileError> {
        match open_folder(path) {
            Ok(open) => Ok(Some(Self { path: path.to_owned(), open })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(FileError::io(path, "opened", error)),
        }
    }

    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The content of a file of this user's alone, of at most `limit` octets; `None` where there is no such file.
    pub(super) fn read(&self, name: &str, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        let refused = |why| FileError::Refused { file: self.path(name), why };
        let failed = |error: io::Error| FileError::io(&self.path(name), "read", error);
        // Opening a pipe that nobody writes to would wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = match openat(&self.open, name, flags, Mode::empty()) {
            Ok(open) => open,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(refused(Refused::Link)),
            Err(error) => return Err(failed(error.into())),
        };
        let stat = fstat(&open).map_err(|error| failed(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused(Refused::NotAFile));
        }
        if stat.st_uid != geteuid().as_raw() {
            return Err(refused(Refused::Owner(stat.st_uid)));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(refused(Refused::Mode(stat.st_mode & 0o7777)));
        }
        // Room enough from the start: a vector that grows leaves copies of a secret behind.
        let mut content = Zeroizing::new(Vec::with_capacity(limit + 1));
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        File::from(open).take(most).read_to_end(&mut content).map_err(failed)?;
        if content.len() > limit {
            return Err(refused(Refused::TooLong(limit)));
        }
        Ok(Some(content))
    }

    /// Writes a file (0600) and replaces what had that name, be it a link or another user's file. When this returns, the
    /// content is on the disk; on an error, or after a crash at any point, the old content is still there.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        self.clean();
        let temporary =
            temporary_name().map_err(|error| FileError::io(&self.path(name), "written", error))?;
        let written = self.write_temporary(&temporary, content).and_then(|()| {
            renameat(&self.open, temporary.as_str(), &self.open, name)?;
            fsync(&self.open).map_err(io::Error::from)
        });
        written.map_err(|error| {
            let _ = unlinkat(&self.open, temporary.as_str(), AtFlags::empty());
            FileError::io(&self.path(name), "written", error)
        })
    }

    fn write_temporary(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.open, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(content)?;
        file.sync_all()
    }

    /// Removes a file for good; whether there was one.
    pub(super) fn remove(&self, name: &str) -> Result<bool, FileError> {
        let removed = match unlinkat(&self.open, name, AtFlags::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => Err(error),
            Ok(()) => fsync(&self.open),
        };
        removed.map_err(|error| FileError::io(&self.path(name), "removed", error))?;
        Ok(true)
    }

    /// Puts a file whose content makes no sense where it is in nobody's way, in the place of an earlier one; where it went.
    pub(super) fn move_aside(&self, name: &str) -> Option<PathBuf> {
        let aside = damaged_name(name);
        renameat(&self.open, name, &self.open, aside.as_str()).ok()?;
        let _ = fsync(&self.open);
        Some(self.path(&aside))
    }

    /// Removes what killed writers left. Nobody else writes here: there is one agent a user.
    pub(super) fn clean(&self) {
        let Ok(entries) = Dir::read_from(&self.open) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_str().is_ok_and(is_temporary) {
                let _ = unlinkat(&self.open, name, AtFlags::empty());
            }
        }
    }
}

/// The name a damaged file gets.
pub(super) fn damaged_name(name: &str) -> String {
    format!("{name}{DAMAGED}")
}

fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn temporary_name() -> io::Result<String> {
    let mut random = [0; 8];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| io::Error::other("no random octets from the system"))?;
    let (head, tail) = TEMPORARY;
    Ok(format!("{head}{:016x}{tail}", u64::from_ne_bytes(random)))
}

fn is_temporary(name: &str) -> bool {
    let (head, tail) = TEMPORARY;
    let middle = name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
    middle.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
