//! Text of a gateway, made fit for a terminal, a dialog and a log line.

/// Whether a character could move the cursor, hide text or turn its direction.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Trimmed, without unprintable characters (line ends stay, carriage returns and tabs become blanks), at most `limit`
/// characters and `..` where it was longer.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut kept = text
        .trim()
        .chars()
        .map(|c| if matches!(c, '\t' | '\r') { ' ' } else { c })
        .filter(|c| *c == '\n' || !is_unprintable(*c));
    let mut out: String = kept.by_ref().take(limit).collect();
    if kept.next().is_some() {
        out.push_str("..");
    }
    out
}

/// The same on one line: what is a name or a label cannot pretend to be a line of its own.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    printable(&text.replace('\n', " "), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_is_left() {
        assert_eq!(printable("  a\u{1b}[2Jb\r\nc\td\u{202e}e\0 ", 99), "a[2Jb \nc de");
        assert_eq!(printable("abcdef", 6), "abcdef");
        assert_eq!(printable("abcdefg", 6), "abcdef..");
        assert_eq!(printable("", 6), "");
        assert_eq!(one_line("\na\r\nb\n", 6), "a  b");
    }
}
