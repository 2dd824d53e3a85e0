//! The event log as the agent writes it: from a thread of its own, so that a disk that hangs holds up nobody's packets.

use super::block::Renderer;
use super::entry::Entry;
use super::queue::{Queue, Sink};
use super::writer::{Journal, Rotation, WriteError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Events that may wait for the disk. They come a few at a time, and flood limits are before this.
const ROOM: usize = 512;
/// After so long without an event the disk is told to keep what it has: at most these events are lost with the power.
const SETTLES: Duration = Duration::from_secs(1);

/// Writes events to a [`Journal`], in their order, without ever waiting for it. What the disk is too slow for is thrown away,
/// and its number is told in its place. Clones write to the same log.
#[derive(Clone, Debug)]
pub struct Recorder {
    file: Arc<Path>,
    queue: Queue<Entry>,
}

impl Recorder {
    /// Writes to this journal.
    pub fn new(journal: Journal) -> Self {
        let file = journal.file().into();
        Self { file, queue: Queue::new("ikeep-events", ROOM, journal) }
    }

    /// Writes to `file` as the agent does: of its usual size, in the machine's time zone.
    pub fn in_file(file: PathBuf) -> Self {
        Self::new(Journal::new(file, Rotation::default(), Renderer::local()))
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Takes one event.
    pub fn write(&self, entry: Entry) {
        self.queue.push(entry);
    }

    /// Waits until all that was taken is in the file, for at most `limit`; whether it is. Blocks: not for a thread that drives
    /// a runtime, unless the agent is about to end.
    pub fn flush(&self, limit: Duration) -> bool {
        self.queue.flush(limit)
    }
}

impl Sink<Entry> for Journal {
    fn write(&mut self, entry: Entry) {
        told(Self::write(self, &entry));
    }

    fn missing(&mut self, first: Entry, count: u64) {
        told(self.miss(first.wall(), count));
    }

    fn settles(&self) -> Option<Duration> {
        Some(SETTLES)
    }

    fn settle(&mut self) {
        if let Err(error) = self.sync() {
            tracing::warn!(%error, "the event log may not outlast a loss of power");
        }
    }
}

/// A full disk does not stop a connection; the journal counts what it could not write.
fn told(written: Result<(), WriteError>) {
    if let Err(error) = written {
        tracing::warn!(error = %error.source, "{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Kind, Source, parse};
    use crate::time::UnixTime;
    use jiff::tz::TimeZone;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::fs::File;
    use std::io::Read as _;

    fn event(number: usize) -> Entry {
        Entry::new(
            UnixTime::from_secs(1_741_835_324),
            Kind::Information,
            Source::Agent,
            &format!("Event {number}."),
        )
    }

    /// The log is a pipe that nobody reads: opening it hangs as a dead network drive does.
    #[test]
    fn a_disk_that_hangs_holds_up_nobody_and_tells_later_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.log");
        mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let rotation = Rotation { max_bytes: u64::MAX, keep: 1 };
        let journal = Journal::new(file.clone(), rotation, Renderer::with_zone(TimeZone::UTC));
        let recorder = Recorder::new(journal);
        (0..10 * ROOM).for_each(|number| recorder.write(event(number)));
        assert!(!recorder.flush(Duration::from_millis(10)), "there is nobody to read it");
        // The disk is back.
        let mut pipe = File::open(&file).unwrap();
        let text = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        });
        assert!(recorder.flush(Duration::from_secs(20)));
        recorder.write(event(10 * ROOM));
        drop(recorder);
        let text = text.join().unwrap().unwrap();
        // How many were on their way when the others came is the machine's business; where what is missing is not.
        let (mut next, mut kept) = (0, 0);
        for entry in parse(&text, &TimeZone::UTC) {
            let entry = entry.unwrap();
            let told = entry.description();
            match told.split_once(" events could not be written") {
                Some((count, _)) => next += count.parse::<usize>().unwrap(),
                None => {
                    assert_eq!(told, format!("Event {next}."));
                    (next, kept) = (next + 1, kept + 1);
                }
            }
        }
        assert_eq!(next, 10 * ROOM + 1, "all is told or counted");
        assert!((ROOM + 1..2 * ROOM).contains(&kept), "{kept}");
    }

    #[test]
    fn a_clean_end_has_written_everything() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::in_file(folder.path().join("state/events.log"));
        (0..100).for_each(|number| recorder.write(event(number)));
        assert!(recorder.flush(Duration::from_secs(20)));
        let text = std::fs::read_to_string(recorder.file()).unwrap();
        let read: Vec<Entry> = parse(&text, &TimeZone::UTC).into_iter().map(Result::unwrap).collect();
        assert_eq!(read.len(), 100);
        assert!(
            read.iter().enumerate().all(|(number, entry)| entry.description() == format!("Event {number}."))
        );
    }
}
