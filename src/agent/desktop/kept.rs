//! Which notification is on the screen, kept for the agent after one that was killed: a line in a file of this user's alone.

use std::fs::{OpenOptions, read_to_string, remove_file, rename};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;

/// Longest line that is believed, octets.
const LONGEST: usize = 512;

/// A notification and who shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct OnScreen {
    /// GUID of the bus, which no other has.
    pub(super) bus: String,
    /// Unique name on it, which nobody else ever gets.
    pub(super) owner: String,
    /// The owner's number for it.
    pub(super) id: u32,
}

impl OnScreen {
    fn line(&self) -> String {
        format!("{} {} {}\n", self.bus, self.owner, self.id)
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let (bus, owner, id) = (words.next()?, words.next()?, words.next()?);
        let id = id.parse().ok()?;
        (line.len() <= LONGEST && words.next().is_none()).then(|| Self {
            bus: bus.to_owned(),
            owner: owner.to_owned(),
            id,
        })
    }
}

/// The file; `None`: nothing is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept(pub(super) Option<PathBuf>);

impl Kept {
    /// What the agent before left, if it can be read.
    pub(super) async fn read(&self) -> Option<OnScreen> {
        self.with(|file| read_to_string(file)).await.and_then(|line| OnScreen::read(&line))
    }

    /// Keeps this, or that there is nothing. What the disk refuses is only missing after a crash.
    pub(super) async fn keep(&self, shown: Option<OnScreen>) {
        self.with(move |file| match shown {
            Some(shown) => write(file, &shown.line()),
            None => remove_file(file),
        })
        .await;
    }

    /// Where the disk hangs, only the desktop's task waits for it.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        let file = self.0.clone()?;
        match spawn_blocking(move || work(&file)).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "which notification is shown cannot be kept");
                None
            }
            Err(_) => None,
        }
    }
}

fn write(file: &Path, line: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    // One that a killed agent left, perhaps with other rights.
    let _ = remove_file(&new);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(&new)?.write_all(line.as_bytes())?;
    rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_is_read() {
        let shown = OnScreen { bus: "0123abcd".into(), owner: ":1.42".into(), id: 7 };
        assert_eq!(OnScreen::read(&shown.line()), Some(shown));
        let long = format!("{} :1.1 7\n", "a".repeat(LONGEST));
        for line in ["", "\n", "a :1.1 7", "a :1.1\n", "a :1.1 x\n", "a :1.1 7 8\n", "a :1.1 -1\n", &long] {
            assert_eq!(OnScreen::read(line), None, "{line:?}");
        }
    }
}
