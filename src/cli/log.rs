//! Where the lines of the agent's log go: to files, and to standard error as the journal reads it. Each way has a thread of its
//! own, so that a stuck disk or journal holds up nobody's packets; what it is too slow for is counted, and the count is told.

use crate::config::Places;
use crate::journal::{Queue, Sink};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt::MakeWriter;

/// Log files that are kept, one a day.
const FILES: usize = 7;
/// Lines that may wait.
const ROOM: usize = 4096;
/// How long an agent that ends waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// One way for lines. Writing to it waits for nobody.
#[derive(Clone, Debug)]
pub(super) struct Log(Queue<Line>);

/// Waits for the last lines when it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct WrittenToTheEnd(pub(super) Vec<Log>);

/// An event of the log, which may have more than one line.
#[derive(Debug)]
struct Line {
    priority: u8,
    text: Vec<u8>,
}

/// Takes one event.
#[derive(Debug)]
pub(super) struct Event<'w> {
    log: &'w Log,
    priority: u8,
}

/// The end of a way, on its thread.
struct Lines<W> {
    open: Box<dyn FnMut() -> io::Result<W> + Send>,
    out: Option<W>,
    /// Each line begins with its priority (sd-daemon(3)).
    priorities: bool,
    lost: u64,
    failing: bool,
}

impl Log {
    /// Standard error; the journal, where it leads there.
    pub(super) fn to_stderr() -> Self {
        // A descriptor of its own: others write there too, and must not wait for a lock that a stuck thread holds.
        let open = || Ok(File::from(rustix::stdio::stderr().try_clone_to_owned()?));
        Self::to(open, std::env::var_os("JOURNAL_STREAM").is_some(), "ikeep-stderr")
    }

    /// Files in a folder of this user's, one a day.
    ///
    /// # Errors
    /// The folder is not there and cannot be made.
    pub(super) fn to_files(folder: PathBuf) -> io::Result<Self> {
        Places::make_private(&folder)?;
        let open = move || {
            let builder = RollingFileAppender::builder().rotation(Rotation::DAILY).max_log_files(FILES);
            let builder = builder.filename_prefix("agent").filename_suffix("log");
            builder.build(&folder).map_err(io::Error::other)
        };
        Ok(Self::to(open, false, "ikeep-log"))
    }

    fn to<W: Write + Send + 'static>(
        open: impl FnMut() -> io::Result<W> + Send + 'static,
        priorities: bool,
        thread: &'static str,
    ) -> Self {
        let lines = Lines { open: Box::new(open), out: None, priorities, lost: 0, failing: false };
        Self(Queue::new(thread, ROOM, lines))
    }
}

impl Drop for WrittenToTheEnd {
    fn drop(&mut self) {
        for Log(queue) in &self.0 {
            // There is nowhere to tell that they were not.
            queue.flush(LAST_LINES);
        }
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Event<'w>;

    fn make_writer(&'w self) -> Self::Writer {
        Event { log: self, priority: 6 }
    }

    fn make_writer_for(&'w self, meta: &Metadata<'_>) -> Self::Writer {
        let priority = match *meta.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        Event { log: self, priority }
    }
}

impl Write for Event<'_> {
    /// Takes whole events.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.log.0.push(Line { priority: self.priority, text: event.to_vec() });
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write + Send + 'static> Sink<Line> for Lines<W> {
    fn write(&mut self, line: Line) {
        self.tell(Some(&line));
    }

    fn missing(&mut self, _: Line, count: u64) {
        self.lost = self.lost.saturating_add(count);
        self.tell(None);
    }
}

impl<W: Write> Lines<W> {
    fn tell(&mut self, line: Option<&Line>) {
        let Err(error) = self.try_to_tell(line) else {
            self.failing = false;
            return;
        };
        // It is opened anew next time: its folder may be back by then, its disk no longer full.
        self.out = None;
        self.lost = self.lost.saturating_add(u64::from(line.is_some()));
        if !std::mem::replace(&mut self.failing, true) {
            let _ = writeln!(
                io::stderr(),
                "ikeep: warning: the agent's log cannot be written, its lines are counted: {error}"
            );
        }
    }

    fn try_to_tell(&mut self, line: Option<&Line>) -> io::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            none => none.insert((self.open)()?),
        };
        if self.lost > 0 {
            let lines = if self.lost == 1 { "line" } else { "lines" };
            let text = format!(" WARN ikeep: {} {lines} of this log could not be written\n", self.lost);
            put(out, &Line { priority: 4, text: text.into_bytes() }, self.priorities)?;
            self.lost = 0;
        }
        match line {
            Some(line) => put(out, line, self.priorities),
            None => Ok(()),
        }
    }
}

/// Each line with its priority: what is inside an event cannot pretend to be a line of another one.
fn put(out: &mut impl Write, Line { priority, text }: &Line, priorities: bool) -> io::Result<()> {
    if !priorities {
        return out.write_all(text);
    }
    let mut lines = Vec::with_capacity(text.len() + 8);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        write!(lines, "<{priority}>")?;
        lines.extend_from_slice(line);
    }
    out.write_all(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::writer::MakeWriterExt as _;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn each_line_has_the_priority_of_its_event() {
        let mut out = Vec::new();
        let event = |priority, text: &str| Line { priority, text: text.into() };
        put(&mut out, &event(4, "a\n<0>b\n"), true).unwrap();
        put(&mut out, &event(4, "c\n"), false).unwrap();
        assert_eq!(out, b"<4>a\n<4><0>b\nc\n");
    }

    /// As a journal that does not read: the socket's buffer fills up, and whoever writes more waits.
    #[test]
    fn a_stuck_journal_holds_up_nobody_and_is_told_later_what_it_missed() {
        let (journal, socket) = UnixStream::pair().unwrap();
        let log = Log::to(move || socket.try_clone(), true, "test");
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(log.clone());
        let total = 50 * ROOM;
        tracing::subscriber::with_default(subscriber.finish(), || {
            (0..total).for_each(|number| tracing::warn!("{number} of many lines that nobody reads"));
        });
        assert!(!log.0.flush(Duration::from_millis(10)), "it is stuck");
        let read = std::thread::spawn(move || {
            let (mut next, mut missing) = (0, 0);
            for line in BufReader::new(journal).lines() {
                let line = line.unwrap();
                if line.contains("of many lines") {
                    assert!(
                        line.starts_with("<4> WARN ") && line.contains(&format!(" {next} of many")),
                        "{next}: {line}"
                    );
                    next += 1;
                } else {
                    let count = line.strip_prefix("<4> WARN ikeep: ").unwrap().split(' ').next().unwrap();
                    let count: usize = count.parse().unwrap();
                    (next, missing) = (next + count, missing + count);
                }
            }
            (next, missing)
        });
        assert!(log.0.flush(PATIENCE));
        drop(log);
        let (next, missing) = read.join().unwrap();
        assert_eq!(next, total, "each line is there or counted, in its place");
        assert!(missing > total / 2, "{missing}");
    }

    struct Disk(Arc<AtomicBool>, Arc<Mutex<Vec<u8>>>);

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            if self.0.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_tried_again_and_one_way_does_not_hinder_the_other() {
        let (full, kept) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Vec::new())));
        let (disk, on_disk) = (Arc::clone(&full), Arc::clone(&kept));
        let file = Log::to(move || Ok(Disk(Arc::clone(&disk), Arc::clone(&on_disk))), false, "test-file");
        let (other, end) = UnixStream::pair().unwrap();
        let stuck = Log::to(move || end.try_clone(), false, "test-stuck");
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
        let subscriber = subscriber.with_writer(file.clone().and(stuck));
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::info!("one");
            tracing::info!("two");
            assert!(file.0.flush(PATIENCE));
            full.store(false, Ordering::SeqCst);
            tracing::info!("three");
        });
        assert!(file.0.flush(PATIENCE));
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        assert_eq!(text, " WARN ikeep: 2 lines of this log could not be written\n INFO three\n");
        drop(other);
    }

    #[test]
    fn an_end_writes_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::to_files(folder.path().join("log")).unwrap();
        let ending = WrittenToTheEnd(vec![log.clone()]);
        (0..100).for_each(|number| writeln!(log.make_writer(), "line {number}").unwrap());
        drop(ending);
        let file = std::fs::read_dir(folder.path().join("log")).unwrap().next().unwrap().unwrap().path();
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 100);
    }
}
