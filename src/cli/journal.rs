//! The agent's log on standard error, as the journal reads it: each line with its priority.

use std::io::{self, Write};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Writes to standard error. Where that is the journal, each line begins with its priority (sd-daemon(3)).
#[derive(Clone, Copy, Debug)]
pub(super) struct Journal {
    priorities: bool,
}

impl Journal {
    /// As the environment has it.
    pub(super) fn of_process() -> Self {
        Self { priorities: std::env::var_os("JOURNAL_STREAM").is_some() }
    }
}

/// Writes one event.
#[derive(Debug)]
pub(super) struct Lines<W> {
    out: W,
    priority: Option<u8>,
}

impl<'w> MakeWriter<'w> for Journal {
    type Writer = Lines<io::Stderr>;

    fn make_writer(&'w self) -> Self::Writer {
        Lines { out: io::stderr(), priority: self.priorities.then_some(6) }
    }

    fn make_writer_for(&'w self, meta: &Metadata<'_>) -> Self::Writer {
        let priority = match *meta.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        Lines { out: io::stderr(), priority: self.priorities.then_some(priority) }
    }
}

impl<W: Write> Write for Lines<W> {
    /// Takes whole events: what is inside one cannot pretend to be a line of another priority.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let Some(priority) = self.priority else { return self.out.write(event) };
        let mut lines = Vec::with_capacity(event.len() + 8);
        for line in event.split_inclusive(|octet| *octet == b'\n') {
            write!(lines, "<{priority}>")?;
            lines.extend_from_slice(line);
        }
        self.out.write_all(&lines)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_priority_of_its_event() {
        let mut out = Vec::new();
        Lines { out: &mut out, priority: Some(4) }.write_all(b"a\n<0>b\n").unwrap();
        Lines { out: &mut out, priority: None }.write_all(b"c\n").unwrap();
        assert_eq!(out, b"<4>a\n<4><0>b\nc\n");
    }
}
