//! Texts for a screen: made harmless, cut into lines, and times and amounts as people read them.

use crate::time::UnixTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::time::Duration;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Marks without a width of their own (accents) that are kept behind one character.
const MARKS: usize = 2;

/// Text from outside as one line that fills exactly the columns that it is thought to fill: what moves the cursor, turns the
/// direction of writing or cannot be seen is replaced, a heap of accents is cut. Without `unicode` only ASCII is left.
pub(super) fn clean(text: &str, unicode: bool) -> String {
    let mut clean = String::with_capacity(text.len());
    // Behind nothing there is nothing to stand on.
    let mut marks = MARKS;
    for c in text.chars() {
        let c = match c {
            '\n' | '\t' => ' ',
            c if is_harmful(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        if c.width() == Some(0) {
            if unicode && marks < MARKS {
                marks += 1;
                clean.push(c);
            }
            continue;
        }
        marks = 0;
        clean.push(if unicode || c.is_ascii() { c } else { '?' });
    }
    clean
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The beginning of a clean text, at most so many columns wide; where something is left out its last column says so.
pub(super) fn cut(text: &str, columns: usize, unicode: bool) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        kept.push(c);
    }
    if columns > 0 {
        kept.push(if unicode { '…' } else { '>' });
    }
    kept
}

/// A clean text in lines of at most so many columns (a character that is wider stands alone), broken at spaces where that is
/// possible.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split_whitespace() {
        if used > 0 && used + 1 + word.width() <= columns {
            line.push(' ');
            used += 1;
        } else if used > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used > 0 && used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += wide;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A length of time, in its two largest units.
pub(super) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A number of octets, to three digits or so.
pub(super) fn octets(count: u64) -> String {
    let (unit, name) = match count {
        0..1_000 => return format!("{count} B"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let whole = count / unit;
    if whole < 100 {
        format!("{whole}.{} {name}", count % unit / (unit / 10))
    } else {
        format!("{whole} {name}")
    }
}

/// A time of day in the machine's zone; of another day than `now`, that day too.
pub(super) fn moment(at: UnixTime, now: UnixTime, zone: &TimeZone) -> String {
    let (at, now) = (zoned(at, zone), zoned(now, zone));
    let form = if at.date() == now.date() { "%H:%M:%S" } else { "%m-%d %H:%M" };
    at.strftime(form).to_string()
}

fn zoned(at: UnixTime, zone: &TimeZone) -> Zoned {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_zoned(zone.clone())
}

/// A time as the status has it (RFC 3339).
pub(super) fn read_time(text: &str) -> Option<UnixTime> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(UnixTime::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_move_or_hide_something_is_replaced() {
        for (text, expected) in [
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
            ("a\u{9b}31mb\r\u{7}", "a\u{fffd}31mb\u{fffd}\u{fffd}"),
            ("evil\u{202e}gpj", "evil\u{fffd}gpj"),
            ("two\nlines\tand", "two lines and"),
            ("e\u{301}\u{301}\u{301}\u{301}x", "e\u{301}\u{301}x"),
            ("\u{301}x", "x"),
            ("日本", "日本"),
        ] {
            assert_eq!(clean(text, true), expected);
        }
        assert_eq!(clean("Zürich 日\u{301} \u{1b}", false), "Z?rich ? ?");
    }

    #[test]
    fn texts_are_cut_and_wrapped_by_columns() {
        assert_eq!(cut("gateway", 7, true), "gateway");
        assert_eq!(cut("gateway", 6, true), "gatew…");
        assert_eq!(cut("gateway", 6, false), "gatew>");
        assert_eq!(cut("日本語", 4, true), "日…");
        assert_eq!(cut("gateway", 0, true), "");
        assert_eq!(wrap("no answer from the gateway", 10), ["no answer", "from the", "gateway"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("  ", 3), [""; 0]);
    }

    #[test]
    fn times_and_amounts_are_short() {
        let lasting = |seconds| lasting(Duration::from_secs(seconds));
        assert_eq!(
            [lasting(0), lasting(59), lasting(125), lasting(9_780), lasting(273_600)],
            ["0 s", "59 s", "2 min 5 s", "2 h 43 min", "3 d 4 h"]
        );
        assert_eq!(
            [octets(999), octets(1_250), octets(99_990), octets(123_456_789), octets(u64::MAX)],
            ["999 B", "1.2 kB", "99.9 kB", "123 MB", "18446744073 GB"]
        );
        let noon = UnixTime::from_secs(1_767_355_200);
        assert_eq!(read_time("2026-01-02T12:00:00Z"), Some(noon));
        assert_eq!(read_time("yesterday"), None);
        assert_eq!(moment(noon, noon, &TimeZone::UTC), "12:00:00");
        assert_eq!(moment(noon, noon + Duration::from_secs(86_400), &TimeZone::UTC), "01-02 12:00");
        assert_eq!(moment(UnixTime::from_millis(u64::MAX), noon, &TimeZone::UTC).len(), 11);
    }

    /// Wider than the screen is a line of one character only, whatever stands on, below or before it without a width of its own.
    fn is_one_character(line: &str) -> bool {
        line.chars().filter(|c| unicode_width::UnicodeWidthChar::width(*c) > Some(0)).count() == 1
    }

    #[test]
    fn a_mark_that_begins_a_line_counts_for_nothing() {
        let lines = wrap(" \u{11438}ሀ", 0);
        assert!(lines.iter().all(|line| is_one_character(line)), "{lines:?}");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in ".*", columns in 0..40_usize, unicode: bool) {
            let clean = clean(&text, unicode);
            prop_assert!(!clean.chars().any(is_harmful));
            prop_assert!(unicode || clean.is_ascii());
            prop_assert!(cut(&clean, columns, unicode).width() <= columns);
            for line in wrap(&clean, columns) {
                prop_assert!(line.width() <= columns || is_one_character(&line), "{line:?}");
            }
        }
    }
}
