//! Word of changes of files, from inotify.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::ffi::OsString;
use std::fs;
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use tokio::io::unix::AsyncFd;

/// Word of changes of files, however they are made: written in place, replaced, or behind a link.
#[derive(Debug)]
pub struct FileWatch {
    inotify: AsyncFd<OwnedFd>,
    /// What the files are called in their folders.
    names: Vec<OsString>,
}

impl FileWatch {
    /// Word of these files from now on: look at them after this, and nothing is missed. They need not be there, their folders
    /// must.
    ///
    /// # Errors
    /// No descriptor is left, or not one of the files has a folder.
    pub fn new(files: &[&Path]) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut names = Vec::new();
        let mut folders = 0;
        let written = WatchFlags::CLOSE_WRITE;
        let replaced =
            WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::CREATE | WatchFlags::DELETE;
        for file in files {
            // The place of the name, and the place that it leads to.
            for place in [Some(file.to_path_buf()), fs::canonicalize(file).ok()].into_iter().flatten() {
                let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else { continue };
                folders += u32::from(inotify::add_watch(&inotify, folder, written | replaced).is_ok());
                names.push(name.to_owned());
            }
            // A file that is mounted from elsewhere is written there: only the file itself hears of it.
            let _ = inotify::add_watch(&inotify, *file, written);
        }
        if folders == 0 {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(Self { inotify: super::watched(inotify)?, names })
    }

    /// Returns after one of them was written, replaced or removed. May be dropped and called again.
    pub async fn changed(&self) {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else { return pending().await };
            let mut ours = false;
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = Reader::new(self.inotify.get_ref(), &mut buffer);
            while let Ok(event) = events.next() {
                let named = event.file_name().map(|name| name.to_bytes());
                let known = |name: &[u8]| self.names.iter().any(|ours| ours.as_bytes() == name);
                let lost = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                ours |= lost || named.is_none_or(known);
            }
            ready.clear_ready();
            if ours {
                return;
            }
        }
    }
}
