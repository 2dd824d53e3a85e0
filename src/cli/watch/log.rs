//! The event log, read as it grows, on a thread of its own: a disk that hangs holds up no key and no picture.

use crate::journal::{Blocks, Entry, Reader, Watch, parse};
use jiff::tz::TimeZone;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Of a long log only the last blocks are looked at.
const BLOCKS: usize = 500;
/// A log that cannot be watched is looked at so often.
const LOOK: Duration = Duration::from_secs(1);
/// A look that takes so many times [`LOOK`] does not come to its end any more, as far as a person can tell.
const SILENT: u32 = 3;

/// What comes of the log.
#[derive(Debug)]
pub(super) enum News {
    /// It was read: what is new in it, perhaps nothing.
    Events(Vec<Entry>),
    /// It does not let itself be read.
    Silent,
    /// Reading it panicked, which has been told.
    Crashed,
}

/// See the module. A log that cannot be read or watched is no reason to end the picture: it is tried again. One look at a time
/// is under way, so that what waits here has an end.
#[derive(Debug)]
pub(super) struct Log {
    work: Work,
    pace: Interval,
}

#[derive(Debug)]
enum Work {
    /// For something to read.
    Waits(Box<Source>),
    /// A look is under way, for so many times of the pace.
    Looks(JoinHandle<(Box<Source>, Vec<Entry>)>, u32),
    Over,
}

/// What has to do with files: only a thread that may hang touches it.
#[derive(Debug)]
struct Source {
    file: PathBuf,
    reader: Reader,
    blocks: Blocks,
    watch: Option<Watch>,
    zone: TimeZone,
}

impl Log {
    pub(super) fn new(file: PathBuf) -> Self {
        // As it was written (`journal::Renderer::local`).
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let reader = Reader::new(file.clone());
        let source = Source { reader, blocks: Blocks::default(), watch: None, zone, file };
        let mut pace = interval(LOOK);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { work: Work::Waits(Box::new(source)), pace }
    }

    /// Returns when the log was looked at, or hangs. May be dropped and called again.
    pub(super) async fn news(&mut self) -> News {
        loop {
            match &mut self.work {
                Work::Waits(source) => {
                    tokio::select! {
                        () = source.changed() => {}
                        _ = self.pace.tick() => {}
                    }
                    let Work::Waits(source) = std::mem::replace(&mut self.work, Work::Over) else { continue };
                    self.work = Work::Looks(tokio::task::spawn_blocking(|| source.look()), 0);
                }
                Work::Looks(look, times) => tokio::select! {
                    biased;
                    seen = look => return self.seen(seen),
                    _ = self.pace.tick() => {
                        *times = times.saturating_add(1);
                        if *times == SILENT {
                            return News::Silent;
                        }
                    }
                },
                Work::Over => std::future::pending().await,
            }
        }
    }

    fn seen(&mut self, seen: Result<(Box<Source>, Vec<Entry>), JoinError>) -> News {
        let Ok((source, events)) = seen else {
            self.work = Work::Over;
            return News::Crashed;
        };
        self.work = Work::Waits(source);
        News::Events(events)
    }
}

impl Source {
    /// What came since the last time.
    fn look(mut self: Box<Self>) -> (Box<Self>, Vec<Entry>) {
        if self.watch.is_none() {
            self.watch = Watch::new(&self.file).ok();
        }
        let mut new = VecDeque::new();
        while let Ok(Some(lines)) = self.reader.read() {
            new.extend(self.blocks.push(&lines));
            new.drain(..new.len().saturating_sub(BLOCKS));
        }
        new.extend(self.blocks.finish_whole());
        let events = new.iter().flat_map(|block| parse(block, &self.zone)).flatten().collect();
        (self, events)
    }

    /// Returns when there is something to read.
    async fn changed(&mut self) {
        if let Some(watch) = &mut self.watch {
            if watch.changed().await.is_ok() {
                return;
            }
            self.watch = None;
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, Kind, Renderer, Rotation, Source as From};
    use crate::time::UnixTime;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::fs::File;
    use std::io::Write as _;
    use std::path::Path;

    fn journal(file: PathBuf) -> Journal {
        Journal::new(file, Rotation { max_bytes: 1 << 20, keep: 2 }, Renderer::local())
    }

    fn event(number: u64) -> Entry {
        let at = UnixTime::from_secs(1_767_355_200 + number);
        Entry::new(at, Kind::Information, From::Agent, &format!("event {number}"))
    }

    /// The next look at which there is something new.
    async fn next(log: &mut Log) -> Vec<Entry> {
        loop {
            match log.news().await {
                News::Events(events) if events.is_empty() => {}
                News::Events(events) => return events,
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn events_come_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("logs/events.log");
        let mut log = Log::new(file.clone());
        // Neither log nor folder is there yet.
        assert!(matches!(log.news().await, News::Events(events) if events.is_empty()));
        let mut journal = journal(file);
        (0..1200).for_each(|number| journal.write(&event(number)).unwrap());
        let mut seen = next(&mut log).await;
        while seen.last().is_none_or(|last| last.description() != "event 1199") {
            seen.extend(next(&mut log).await);
        }
        // The last one ended with the look before it, or ends with one of its own.
        assert!((BLOCKS..=BLOCKS + 1).contains(&seen.len()), "{}", seen.len());
        journal.write(&event(1200)).unwrap();
        let last = next(&mut log).await;
        assert_eq!(last.last().map(Entry::description), Some("event 1200"));
    }

    /// Lets go at its end whoever waits for a pipe, also where the test has failed.
    struct Unstick<'f>(&'f Path);

    impl Drop for Unstick<'_> {
        fn drop(&mut self) {
            let _ = File::options().read(true).write(true).open(self.0);
        }
    }

    /// A pipe that nobody fills hangs as a dead network drive does.
    #[tokio::test]
    async fn a_log_that_hangs_is_told_once_and_read_when_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.log");
        mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _unstick = Unstick(&file);
        let mut log = Log::new(file.clone());
        assert!(matches!(log.news().await, News::Silent));
        let nothing = tokio::time::timeout(2 * LOOK, log.news()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        let text = folder.path().join("text.log");
        journal(text.clone()).write(&event(7)).unwrap();
        let mut pipe = File::options().write(true).open(&file).unwrap();
        pipe.write_all(&std::fs::read(text).unwrap()).unwrap();
        drop(pipe);
        assert_eq!(next(&mut log).await.last().map(Entry::description), Some("event 7"));
    }
}
