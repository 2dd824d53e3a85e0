//! The picture of a session: one page of HTML that needs nothing else, made from the other entries of the bundle. It is well
//! formed as XML too, has no script, and forbids itself to load anything.

mod advice;
mod chart;
mod history;
mod page;

use super::gather::Gathered;
use crate::journal::{Entry, parse};
use crate::time::UnixTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// What the page is made from.
struct Facts<'a> {
    now: UnixTime,
    zone: &'a TimeZone,
    status: Value,
    doctor: Value,
    /// The oldest first.
    events: Vec<Entry>,
}

/// The page, from what was gathered, masked as that is.
pub(super) fn html(gathered: &Gathered, now: UnixTime, zone: &TimeZone) -> String {
    let text = |name: &str| {
        let item = gathered.items.iter().find(|item| item.name == name);
        item.and_then(|item| serde_json::from_str(&item.text).ok()).unwrap_or_default()
    };
    // Parts of the log come newest first.
    let parts = gathered.items.iter().rev().filter(|item| item.name.starts_with("events/"));
    let events = parts.flat_map(|item| parse(&item.text, zone)).filter_map(Result::ok).collect();
    page::page(&Facts { now, zone, status: text("status.json"), doctor: text("doctor.json"), events })
}

/// Text for the content of an element or an attribute; what XML cannot hold is replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\t' | '\n' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A time of day and its date, in the zone of the log.
fn stamp(at: u64, zone: &TimeZone) -> String {
    let at = i64::try_from(at).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let at = at.unwrap_or(Timestamp::MAX).to_zoned(zone.clone());
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A length of time, for people.
fn length(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{} s", millis % 1000 / 100),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests;
