//! What is left of a panic of the agent: a small file beside its log, for whoever is asked for help.
//!
//! It says where the panic was and how the program came there. Its message is told only where it stands in the program as it
//! is: one that was put together may hold what was in memory (`byte index 3 of 'hunter2'`), and no secret gets into a file.

use super::clock::Clock;
use crate::bundle::is_crash_report;
use crate::time::UnixTime;
use jiff::Timestamp;
use std::backtrace::Backtrace;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{self, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Reports that are kept.
const KEPT: usize = 8;
/// Most of the way there, octets.
const LONGEST: usize = 64 << 10;
/// The end of the process does not wait longer for its report.
const LIMIT: Duration = Duration::from_secs(1);

/// From now on each panic of this process leaves a report in `folder` (0600, the newest 8 are kept) and an error in the log.
/// What the panic says itself is shown on a terminal only.
pub fn leave_reports(folder: PathBuf, clock: Clock) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let wall = clock.now().wall;
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        match write_in_time(folder.clone(), wall, report(wall, info)) {
            Ok(file) => {
                tracing::error!(at, report = %file.display(), "the agent panicked: this is a bug in ikeep")
            }
            Err(error) => {
                tracing::error!(at, %error, "the agent panicked: this is a bug in ikeep; no report of it can be written")
            }
        }
        if io::stderr().is_terminal() {
            before(info);
        }
    }));
}

fn report(wall: UnixTime, info: &PanicHookInfo<'_>) -> String {
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload().downcast_ref::<&'static str>().copied();
    let message = message.unwrap_or("(left out: it was put together at run time, and may hold anything)");
    let thread = thread::current();
    let mut way = Backtrace::force_capture().to_string();
    way.truncate(way.floor_char_boundary(LONGEST));
    format!(
        "ikeep {} panicked.\ntime: {}\nthread: {}\nat: {at}\nmessage: {message}\n{way}\n",
        env!("CARGO_PKG_VERSION"),
        timestamp(wall),
        thread.name().unwrap_or("without a name"),
    )
}

fn timestamp(wall: UnixTime) -> Timestamp {
    let millis = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// A disk that hangs does not keep alive what has to end.
fn write_in_time(folder: PathBuf, wall: UnixTime, text: String) -> io::Result<PathBuf> {
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("crash report".to_owned())
        .spawn(move || tell.send(write(&folder, wall, &text)))?;
    told.recv_timeout(LIMIT)
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the disk hangs")))
}

/// `crash.TIME.PID.txt`, so that names sort by time.
fn write(folder: &Path, wall: UnixTime, text: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let own = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(is_crash_report);
    let mut reports: Vec<PathBuf> =
        fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(own).collect();
    reports.sort();
    for old in reports.iter().rev().skip(KEPT - 1) {
        let _ = fs::remove_file(old); // another thread that panics may have taken it away
    }
    let time = timestamp(wall).strftime("%Y%m%dT%H%M%S%3fZ");
    let file = folder.join(format!("crash.{time}.{}.txt", std::process::id()));
    let mut out = OpenOptions::new().append(true).create(true).mode(0o600).open(&file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_newest_reports_are_kept_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("log");
        fs::create_dir(&logs).unwrap();
        fs::write(logs.join("agent.2026-01-01.log"), "a log").unwrap();
        let all: Vec<PathBuf> = (0..20)
            .map(|second| write(&logs, UnixTime::from_secs(1_741_835_324 + second), "x").unwrap())
            .collect();
        let mut left: Vec<PathBuf> =
            fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        assert_eq!(left[0], logs.join("agent.2026-01-01.log"));
        assert_eq!(left[1..], all[20 - KEPT..]);
        assert!(all[0].to_str().unwrap().contains("/crash.20250313T030844000Z."), "{}", all[0].display());
        assert_eq!(fs::metadata(&left[1]).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
