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

/// Word of changes of files, however they are made: written in place, replaced, behind a link, or moved with a folder that they
/// are in.
#[derive(Debug)]
pub struct FileWatch {
    inotify: AsyncFd<OwnedFd>,
    /// What counts: a name within what this watch is on, or without a name the file itself.
    names: Vec<(i32, Option<OsString>)>,
}

impl FileWatch {
    /// Word of these files from now on: look at them after this, and nothing is missed. They need not be there, nor their
    /// folders.
    ///
    /// # Errors
    /// No descriptor or watch is left.
    pub fn new(files: &[&Path]) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut names = Vec::new();
        let mut failed = None;
        let written = WatchFlags::CLOSE_WRITE;
        let replaced =
            WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::CREATE | WatchFlags::DELETE;
        for file in files {
            // The place of the name, and the place that it leads to.
            for place in [Some(file.to_path_buf()), fs::canonicalize(file).ok()].into_iter().flatten() {
                // A folder above that is moved takes the file along: each is watched from the one above it.
                for (above, within) in place.ancestors().enumerate() {
                    let (Some(folder), Some(name)) = (within.parent(), within.file_name()) else { continue };
                    // Several names may be in one folder: what is wanted of it adds up.
                    let wanted = if above == 0 { written | replaced } else { replaced };
                    match inotify::add_watch(&inotify, folder, wanted | WatchFlags::MASK_ADD) {
                        Ok(watch) => names.push((watch, Some(name.to_owned()))),
                        Err(error) => failed = Some(error),
                    }
                }
            }
            // A file that is mounted from elsewhere is written there: only the file itself hears of it.
            if let Ok(watch) = inotify::add_watch(&inotify, *file, written | WatchFlags::MASK_ADD) {
                names.push((watch, None));
            }
        }
        if names.is_empty() {
            return Err(failed.map_or(io::Error::from(io::ErrorKind::NotFound), io::Error::from));
        }
        Ok(Self { inotify: super::watched(inotify)?, names })
    }

    /// Returns after one of them was written, replaced, moved or removed. May be dropped and called again.
    pub async fn changed(&self) {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else { return pending().await };
            let mut ours = false;
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = Reader::new(self.inotify.get_ref(), &mut buffer);
            while let Ok(event) = events.next() {
                let named = event.file_name().map(|name| name.to_bytes());
                let known = |(watch, name): &(i32, Option<OsString>)| {
                    *watch == event.wd() && name.as_ref().map(|name| name.as_bytes()) == named
                };
                ours |= event.events().contains(ReadFlags::QUEUE_OVERFLOW) || self.names.iter().any(known);
            }
            ready.clear_ready();
            if ours {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::Duration;

    /// `change` is noticed by a watch on `file`.
    async fn is_noticed(file: &Path, what: &str, change: impl FnOnce()) {
        let watch = FileWatch::new(&[file]).unwrap();
        change();
        let noticed = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await;
        assert!(noticed.is_ok(), "{what} is not noticed");
    }

    #[tokio::test]
    async fn a_folder_above_that_moves_goes_or_comes_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b/c")).unwrap();
        let file = at("a/b/c/profile.xml");
        fs::write(&file, "x").unwrap();
        let moves = |from: &str, to: &str| fs::rename(at(from), at(to)).unwrap();
        is_noticed(&file, "a folder above its own that moves", || moves("a", "z")).await;
        is_noticed(&file, "a folder that comes back", || moves("z", "a")).await;
        is_noticed(&file, "its own folder that moves", || moves("a/b/c", "a/b/d")).await;
        is_noticed(&file, "its own folder that is made", || fs::create_dir(at("a/b/c")).unwrap()).await;
        is_noticed(&file, "the file that is made", || fs::write(&file, "y").unwrap()).await;
        // A folder that is a link, which leads elsewhere by now.
        fs::create_dir_all(at("other/b/c")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        let linked: PathBuf = at("link/b/c/profile.xml");
        is_noticed(&linked, "a folder behind a link that moves", || moves("a/b", "a/e")).await;
        moves("a/e", "a/b");
        is_noticed(&linked, "a link that leads elsewhere", || {
            std::os::unix::fs::symlink(at("other"), at("new")).unwrap();
            moves("new", "link");
        })
        .await;
    }

    #[tokio::test]
    async fn what_others_do_beside_it_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        let file = at("a/b/profile.xml");
        fs::write(&file, "x").unwrap();
        let watch = FileWatch::new(&[&file]).unwrap();
        // The name of a folder above in another folder, that of the file too, and other files.
        for other in ["b", "profile.xml", "a/profile.xml", "a/b/a", "a/b/other.xml"] {
            fs::write(at(other), "x").unwrap();
        }
        let quiet = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
        assert!(quiet.is_err());
        fs::write(&file, "y").unwrap();
        watch.changed().await;
    }
}
