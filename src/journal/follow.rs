//! Waiting for a log to be written to, without asking again and again.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A watch on the folder of a log: it sees growth as well as rotation.
#[derive(Debug)]
pub struct Watch {
    inotify: AsyncFd<OwnedFd>,
    name: Vec<u8>,
}

impl Watch {
    /// Watches this log from now on: read it after this, and nothing is missed. Its folder must be there, the log need not.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub fn new(file: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let wanted = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, folder.unwrap_or(Path::new(".")), wanted)?;
        let name = file.file_name().unwrap_or(OsStr::new("")).as_bytes().to_vec();
        Ok(Self { inotify: registered(inotify)?, name })
    }

    /// Returns after the log was written to, made or rotated. May be dropped and called again.
    ///
    /// # Errors
    /// Its folder is gone ([`io::ErrorKind::NotFound`]), or the watch failed.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable_mut().await?;
            match drain(ready.get_inner(), &self.name)? {
                Seen::Change => return Ok(()),
                Seen::Nothing => ready.clear_ready(),
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe, for types that lie about their descriptor: an OwnedFd does not"
)]
fn registered(inotify: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(inotify, Interest::READABLE)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Change,
    Nothing,
}

/// Reads all events there are.
fn drain(inotify: &OwnedFd, name: &[u8]) -> io::Result<Seen> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    let mut seen = Seen::Nothing;
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::WOULDBLOCK) => return Ok(seen),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let flags = event.events();
        if flags.intersects(
            ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED | ReadFlags::UNMOUNT,
        ) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the folder of the log is gone"));
        }
        // Rotation moves the log away and makes it anew; the parts aside do not matter.
        let own = event.file_name().is_some_and(|of| of.to_bytes() == name);
        if own || flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            seen = Seen::Change;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn only_the_logs_own_changes_count() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::new(&folder.path().join("events.log")).unwrap();
        let seen = || drain(watch.inotify.get_ref(), &watch.name).unwrap();
        let write = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
        assert_eq!(seen(), Seen::Nothing);
        for other in ["intent.json", "events.log.1", "events", "lock"] {
            write(other);
        }
        assert_eq!(seen(), Seen::Nothing);
        write("events.log");
        assert_eq!(seen(), Seen::Change);
        fs::rename(folder.path().join("events.log"), folder.path().join("events.log.1")).unwrap();
        assert_eq!(seen(), Seen::Nothing, "there is nothing new to read");
        fs::rename(folder.path().join("events.log.1"), folder.path().join("events.log")).unwrap();
        assert_eq!(seen(), Seen::Change);
    }

    #[tokio::test]
    async fn a_folder_that_goes_away_ends_the_watch() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Watch::new(&folder.path().join("none/events.log")).is_err());
        let mut watch = Watch::new(&folder.path().join("events.log")).unwrap();
        folder.close().unwrap();
        let gone = watch.changed().await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
