//! Standard output: tables for people, one JSON document for machines.

use super::Error;
use std::io::{self, Write as _};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Writes `text` to standard output. A reader that went away (`ikeep .. | head`) is not an error.
pub(super) fn print(text: &str) -> Result<(), Error> {
    write(text).map(drop)
}

/// The same for a command that goes on: false where nobody reads any more.
pub(super) fn write(text: &str) -> Result<bool, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(source) => Err(Error::Output { source }),
    }
}

/// Writes a line to standard error. A reader that went away is not an error: `eprintln!` would panic.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Returns when nobody reads standard output any more, which a command that waits would not notice: `ikeep .. | head -1`.
/// Never returns where that cannot be known (a file).
pub(super) async fn unread() {
    match watched(io::stdout()) {
        Ok(out) => {
            let _ = out.ready(Interest::ERROR).await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[expect(
    deprecated,
    reason = "standard output stays open as long as the program runs; the other way is unsafe code"
)]
fn watched(out: io::Stdout) -> io::Result<AsyncFd<io::Stdout>> {
    AsyncFd::with_interest(out, Interest::ERROR)
}

/// Writes one JSON document.
pub(super) fn json(document: &serde_json::Value) -> Result<(), Error> {
    print(&format!("{document:#}\n"))
}

/// A table with a head; columns are as wide as their widest cell, two spaces apart.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let widest = |column: usize, title: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(title.chars().count())
    };
    let widths: Vec<usize> = head.iter().enumerate().map(|(column, title)| widest(column, title)).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    text.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    text
}

/// Text from a file on one line of a terminal: control characters (also those that move the cursor) are replaced.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The same for text of several lines; white space at the end is left out.
pub(super) fn lines(text: &str) -> String {
    let line = |line: &str| printable(line.trim_end());
    text.trim_end().split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Text from a file as one word of a shell's command line, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,".contains(c);
    let text = printable(text);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The same as the last argument of a command, which no option is taken for.
pub(super) fn argument(text: &str) -> String {
    let end_of_options = if text.starts_with('-') { "-- " } else { "" };
    format!("{end_of_options}{}", quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_one_word_for_the_shell() {
        assert_eq!(quoted("IKEv2_Gateway"), "IKEv2_Gateway");
        assert_eq!(quoted("Head office"), "'Head office'");
        for text in ["it's; rm -rf $HOME `x` \"y\" \\", "", "-h", "~", "*", "ü"] {
            let said = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(text))])
                .output();
            assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), text);
        }
    }

    #[test]
    fn an_argument_is_no_option() {
        assert_eq!(argument("Head office"), "'Head office'");
        assert_eq!(argument("--trust=/tmp/ca.pem"), "-- '--trust=/tmp/ca.pem'");
    }

    #[test]
    fn tables_line_up_and_cannot_move_the_cursor() {
        let rows = [vec!["a".into(), "b\u{9b}31m".into()], vec!["long".into(), String::new()]];
        assert_eq!(table(&["Name", "V"], &rows), "Name  V\na     b\u{fffd}31m\nlong\n");
    }
}
