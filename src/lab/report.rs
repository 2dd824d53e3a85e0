//! What a scenario showed: for people a table, for machines one JSON document.

use super::echo::Tally;
use crate::client::Reconnected;
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

/// What everybody who reads a result must know.
pub const NOTE: &str =
    "our client against our gateway on this machine; not verified against the vendor's hardware";

/// One promise and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Promise {
    /// What was promised.
    pub promise: String,
    /// Kept or broken.
    pub kept: bool,
    /// What was found.
    pub found: String,
}

/// The times of the last reconnect, milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Times {
    /// From the first sign of trouble to the new SA (or the old one's proof).
    pub outage_ms: f64,
    /// From the first sign of trouble to the decision.
    pub detect_ms: f64,
    /// From the first octet of the attempt to the new SA; 0 where the old one went on.
    pub handshake_ms: f64,
}

impl From<Reconnected> for Times {
    fn from(r: Reconnected) -> Self {
        Self { outage_ms: millis(r.outage), detect_ms: millis(r.detect), handshake_ms: millis(r.handshake) }
    }
}

/// The pings.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct EchoReport {
    /// Sent, a hundred a second.
    pub sent: u32,
    /// Lost.
    pub lost: u32,
    /// So many were sent while there was no way: that many may be lost.
    pub lost_allowed: u32,
    /// The longest time between two answers.
    pub longest_silence_ms: f64,
}

/// A download through the proxy, from the first address to the end of the scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DownloadReport {
    /// Octets that arrived, each in its place.
    pub octets: u64,
    /// How often it was begun or resumed: only the death of the proxy breaks it.
    pub begun: u32,
}

impl EchoReport {
    pub(super) fn new(tally: Tally, lost_allowed: u32) -> Self {
        Self { sent: tally.sent, lost: tally.lost, lost_allowed, longest_silence_ms: millis(tally.silence) }
    }
}

/// One scenario.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub scenario: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// Every promise was kept.
    pub kept: bool,
    /// What the user noticed, one sentence.
    pub noticed: String,
    /// Of the last reconnect, where there was one.
    pub times: Option<Times>,
    /// Round trips of the last reconnect; 0 where the old SA went on.
    pub round_trips: Option<u32>,
    /// How often AAA was asked.
    pub aaa_requests: u64,
    /// How often the user was asked.
    pub prompts: u32,
    /// The inner address stayed the same.
    pub address_kept: bool,
    /// The pings.
    pub echoes: EchoReport,
    /// The download under way.
    pub download: DownloadReport,
    /// Times that were shortened (or waits that were simulated), so that the lab ends soon.
    pub shortened: Vec<String>,
    /// Promises.
    pub promises: Vec<Promise>,
    /// Where its files lie.
    pub files: PathBuf,
}

impl Report {
    /// The promises that were broken.
    pub fn broken(&self) -> impl Iterator<Item = &Promise> {
        self.promises.iter().filter(|promise| !promise.kept)
    }
}

/// The whole lab.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LabReport {
    /// Every promise of every scenario was kept.
    pub kept: bool,
    /// Wall time.
    pub seconds: f64,
    /// See [`NOTE`].
    pub note: &'static str,
    /// Where log, journals and `show` output lie.
    pub folder: PathBuf,
    /// The scenarios, in the order asked for.
    pub scenarios: Vec<Report>,
}

impl fmt::Display for LabReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Report) -> &str| {
            self.scenarios.iter().map(|r| text(r).chars().count()).max().unwrap_or_default()
        };
        let name = width(|r| r.scenario).max("scenario".len());
        writeln!(
            f,
            "{:name$}  result   outage     detect  handshake  trips  AAA  asked  address  echoes lost",
            "scenario"
        )?;
        for r in &self.scenarios {
            let time =
                |pick: fn(&Times) -> f64| r.times.as_ref().map_or_else(|| "-".to_owned(), |t| span(pick(t)));
            writeln!(
                f,
                "{:name$}  {:6}  {:>7}  {:>9}  {:>9}  {:>5}  {:>3}  {:>5}  {:7}  {:>4} of {}",
                r.scenario,
                if r.kept { "ok" } else { "BROKEN" },
                time(|t| t.outage_ms),
                time(|t| t.detect_ms),
                time(|t| t.handshake_ms),
                r.round_trips.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                r.aaa_requests,
                r.prompts,
                if r.address_kept { "stayed" } else { "changed" },
                r.echoes.lost,
                r.echoes.sent,
            )?;
        }
        writeln!(f, "\nWhat the user noticed")?;
        for r in &self.scenarios {
            writeln!(f, "  {:name$}  {}", r.scenario, r.title)?;
            writeln!(f, "  {:name$}  {}", "", r.noticed)?;
        }
        let shortened: Vec<_> = self.scenarios.iter().filter(|r| !r.shortened.is_empty()).collect();
        if !shortened.is_empty() {
            writeln!(f, "\nShortened, so that the lab ends soon")?;
        }
        for r in shortened {
            writeln!(f, "  {:name$}  {}", r.scenario, r.shortened.join("; "))?;
        }
        for r in self.scenarios.iter().filter(|r| !r.kept) {
            writeln!(f, "\n{}: promises broken", r.scenario)?;
            for promise in r.broken() {
                writeln!(f, "  {}: found {}", promise.promise, promise.found)?;
            }
        }
        let promises = self.scenarios.iter().map(|r| r.promises.len()).sum::<usize>();
        let broken = self.scenarios.iter().map(|r| r.broken().count()).sum::<usize>();
        writeln!(
            f,
            "\n{} of {promises} promises of {} scenarios kept, in {:.1} s. {}.",
            promises - broken,
            self.scenarios.len(),
            self.seconds,
            capital(self.note),
        )?;
        write!(f, "Event logs, gateway output, status and debug log: {}", self.folder.display())
    }
}

/// The user's view in one sentence: the longest silence, and whether a question came by itself.
pub(super) fn noticed(silence: Duration, asked: bool) -> String {
    let pause = match silence.as_millis() {
        0..150 => "Nothing".to_owned(),
        150..1000 => format!("A hitch of {} ms", silence.as_millis()),
        _ => format!("{:.1} s of silence, then everything went on by itself", silence.as_secs_f64()),
    };
    format!("{pause}; {}.", if asked { "the user was asked again" } else { "no question was asked" })
}

pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Milliseconds for people.
fn span(ms: f64) -> String {
    if ms >= 1000.0 { format!("{:.2} s", ms / 1000.0) } else { format!("{ms:.1} ms") }
}

fn capital(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    if let Some(first) = letters.next() {
        let _ = write!(out, "{}", first.to_uppercase());
    }
    out.push_str(letters.as_str());
    out
}
