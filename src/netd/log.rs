//! The log: lines on stderr, with the priorities that the journal reads where it is the journal that reads them.

use std::fmt::{self, Write as _};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Longest line, characters: clients can make lines.
const MAX_LINE: usize = 2000;

/// Lets events be written from here on. Once a process.
pub(super) fn start(verbose: bool) {
    let level = if verbose { Level::DEBUG } else { Level::INFO };
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(Lines { journal })
        .finish();
    // In a process that has a log already (a test) that one is used.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Lines {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            // sd-daemon(3)
            let priority = match level {
                Level::ERROR => 3,
                Level::WARN => 4,
                Level::INFO => 6,
                _ => 7,
            };
            write!(writer, "<{priority}>")?;
        } else {
            write!(writer, "ikeep-netd: {} ", level.as_str().to_ascii_lowercase())?;
        }
        let mut line = String::new();
        context.field_format().format_fields(Writer::new(&mut line), event)?;
        writeln!(writer, "{}", tame(&line))
    }
}

/// One line without control characters, whoever had a word in it.
fn tame(line: &str) -> String {
    let mut tame = String::with_capacity(line.len().min(MAX_LINE));
    for c in line.chars().take(MAX_LINE) {
        if c.is_control() {
            let _ = write!(tame, "{}", c.escape_default());
        } else {
            tame.push(c);
        }
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_begins_a_line_of_their_own() {
        assert_eq!(tame("a\n<0>b\u{1b}[2J\r\u{85}"), "a\\n<0>b\\u{1b}[2J\\r\\u{85}");
        assert_eq!(tame(&"x".repeat(10_000)).len(), MAX_LINE);
    }
}
