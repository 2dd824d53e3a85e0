//! What a panic of the agent leaves behind, and that a bundle takes it.

use crate::bundle::{entries, make};
use crate::home::{Home, event};
use ikeep::agent::clock::Clock;
use ikeep::agent::crash;
use ikeep::journal::{Entry, Kind, Recorder, Source};
use ikeep::time::UnixTime;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Where its canaries are.
pub(crate) const PLACES: [&str; 3] = [
    "the message of a panic, put together at run time",
    "the event log's queue while its disk is stuck, at a panic",
    "the environment of an agent that panics",
];
const FOLDER: &str = "IKEEP_TEST_FOLDER";
const CANARY: &str = "IKEEP_TEST_CANARY";
const SENTENCE: &str = "this is a sentence of the program itself";

/// Panics twice in a process of its own.
#[test]
#[ignore = "a part of the test below"]
fn panics() {
    let (Some(folder), Ok(canary)) = (std::env::var_os(FOLDER), std::env::var(CANARY)) else { return };
    let folder = PathBuf::from(folder);
    crash::leave_reports(folder.join("log"), Clock::system());
    let stuck = Recorder::in_file(folder.join("events.log"));
    stuck.write(Entry::new(UnixTime::from_secs(1), Kind::Error, Source::Agent, &canary));
    let shown = format!("{stuck:?}");
    assert!(!shown.contains(&canary), "{shown}");
    let thread = std::thread::spawn(move || panic!("byte index 3 of {canary:?} with {shown}"));
    assert!(thread.join().is_err());
    std::panic::panic_any(SENTENCE);
}

#[test]
fn a_panic_leaves_a_report_without_secrets_that_a_bundle_takes() {
    let home = Home::new();
    let places = home.places();
    fs::create_dir_all(&places.state).unwrap();
    // A disk that hangs.
    mknodat(CWD, places.events(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let canary = "c4naryCrash";
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::panics", "--ignored", "--nocapture"])
        .env(FOLDER, &places.state)
        .env(CANARY, canary)
        .output()
        .unwrap();
    assert!(!ended.status.success());
    fs::remove_file(places.events()).unwrap();
    let entries = entries(&make(&home, &[]));
    let reports: Vec<&String> =
        entries.iter().filter(|(name, _)| name.starts_with("crash/crash.")).map(|(_, text)| text).collect();
    let all = entries.values().cloned().collect::<String>();
    assert!(!all.contains(canary), "planted in: {PLACES:?}");
    let told: String = reports.iter().map(|text| text.as_str()).collect();
    assert_eq!(told.matches("panicked.").count(), 2, "{told}");
    for part in [env!("CARGO_PKG_VERSION"), "at: tests/cli_logs/crash.rs:", SENTENCE, "(left out: ", "panics"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    // Nor did anything of it get to standard error, which may be the journal.
    assert!(!String::from_utf8_lossy(&ended.stderr).contains(canary), "{ended:?}");
}

/// A recorder's events are there for whoever reads right after its flush.
#[test]
fn what_was_flushed_is_in_the_command_lines_answer() {
    let home = Home::new();
    let recorder = Recorder::in_file(home.places().events());
    recorder.write(event(3));
    assert!(recorder.flush(Duration::from_secs(20)));
    let told = home.ikeep().arg("events").output().unwrap();
    assert!(String::from_utf8(told.stdout).unwrap().contains("Event 3."));
}
