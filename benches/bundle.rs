//! `ikeep bundle` for 50 MiB of logs, measured from outside, beside `tar` and `gzip` for the same files: what the looking for
//! secrets costs.
//!
//! `cargo bench --bench bundle`. Nothing here can fail by being slow: it prints a table.

use anyhow::{Context, Result, ensure};
use ikeep::config::Places;
use ikeep::journal::{Entry, Journal, Kind, Reason, Renderer, Rotation, Source};
use ikeep::time::UnixTime;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const TIMES: usize = 15;
/// What the logs have together.
const LOGS: u64 = 50 << 20;
/// Days of the agent's log that are kept.
const DAYS: u64 = 7;
const START: u64 = 1_790_000_000;

fn main() -> Result<()> {
    // `cargo test --benches` asks for a quick look only.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let (times, logs) = if quick { (1, LOGS / 50) } else { (TIMES, LOGS) };
    let home = tempfile::TempDir::with_prefix("ikeep-bench-")?;
    let home = home.path();
    let written = write_logs(home, logs)?;
    println!("{:.1} MiB of logs, {times} times each", mib(written));
    println!("{:44} {:>10} {:>10} {:>10} {:>12}", "what", "median", "worst", "promised", "times gzip's");
    let state = home.join("state");
    let (state, packed) = (state.display().to_string(), home.join("logs.tar.gz").display().to_string());
    let gzip = measure(times, || {
        run(Command::new("tar").args([
            "--use-compress-program=gzip -3",
            "-cf",
            &packed,
            "-C",
            &state,
            "ikeep",
        ]))
    })?;
    row("tar and gzip -3, all of it", &gzip, None, "");
    for (what, arguments, promised) in [
        ("ikeep bundle", &["bundle", "--output", "out"][..], "2 s"),
        ("ikeep bundle --anonymize", &["bundle", "--anonymize", "--output", "out"], ""),
        ("ikeep bundle --list", &["bundle", "--list"], ""),
    ] {
        fs::create_dir(home.join("out"))?;
        let found = measure(times, || run(ikeep(home).args(arguments)))?;
        let made: Vec<_> = fs::read_dir(home.join("out"))?.collect::<std::io::Result<_>>()?;
        ensure!(made.len() == times || arguments.contains(&"--list"), "{} bundles", made.len());
        row(what, &found, Some(&gzip), promised);
        if let Some(one) = made.first() {
            println!("{:44} {:>6.1} MiB", "  the zip", mib(one.metadata()?.len()));
        }
        fs::remove_dir_all(home.join("out"))?;
    }
    Ok(())
}

/// Whole seconds of each run, the shortest first.
fn measure(times: usize, mut once: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut found = Vec::new();
    for _ in 0..times {
        let begun = now();
        once()?;
        found.push((now() - begun).as_secs_f64());
    }
    found.sort_by(f64::total_cmp);
    Ok(found)
}

fn row(what: &str, found: &[f64], beside: Option<&[f64]>, promised: &str) {
    let median = |found: &[f64]| found.get(found.len() / 2).copied().unwrap_or(f64::NAN);
    let worst = found.last().copied().unwrap_or(f64::NAN);
    let ratio = beside.map(|beside| format!("{:.1}", median(found) / median(beside))).unwrap_or_default();
    println!("{what:44} {:>8.2} s {worst:>8.2} s {promised:>10} {ratio:>12}", median(found));
}

fn mib(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 20)
}

/// Time since boot.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.stdout(Stdio::null()).output().context("starting it")?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// The command line of a user with these folders.
fn ikeep(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ikeep"));
    command.env_clear().env("TZ", "UTC").env("HOME", home).current_dir(home);
    for (name, folder) in [
        ("XDG_STATE_HOME", "state"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_RUNTIME_DIR", "run"),
    ] {
        command.env(name, home.join(folder));
    }
    command
}

/// The event log as large as it gets, the rest lines of the agent's own log; how many octets that is.
fn write_logs(home: &Path, octets: u64) -> Result<u64> {
    let places = Places {
        state: home.join("state/ikeep"),
        keys: home.join("data/ikeep"),
        runtime: home.join("run/ikeep"),
    };
    let usual = Rotation::default();
    let max_bytes = usual.max_bytes.min(octets / 10);
    let mut journal = Journal::new(places.events(), Rotation { max_bytes, ..usual }, Renderer::local());
    let size = |folder: &Path| -> Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(folder)? {
            sum += entry?.metadata()?.len();
        }
        Ok(sum)
    };
    let mut number = 0;
    loop {
        for entry in reconnect(number) {
            journal.write(&entry)?;
        }
        number += 1;
        // The size is asked for once in a while.
        if number % 100 == 0 && size(&places.state)? >= max_bytes * u64::from(usual.keep) {
            break;
        }
    }
    let events = size(&places.state)?;
    fs::create_dir_all(places.logs())?;
    let of_day = octets.saturating_sub(events) / DAYS;
    for day in 1..=DAYS {
        let mut text = String::new();
        let mut number = 0;
        while (text.len() as u64) < of_day {
            lines(&mut text, day, number)?;
            number += 1;
        }
        fs::write(places.logs().join(format!("agent.2026-11-{day:02}.log")), text)?;
    }
    Ok(events + size(&places.logs())?)
}

/// The events of one reconnect.
fn reconnect(number: u64) -> [Entry; 6] {
    let at = UnixTime::from_secs(START + number * 7);
    let say = |text: String| Entry::new(at, Kind::Information, Source::Agent, &text);
    [
        Entry::resumed(at),
        Entry::reason(at, Reason::Rekeyed),
        Entry::reconnecting_to(at, "IKEv2_Gateway"),
        say(format!(
            "The certificate of the secure gateway was verified: CN=gw{}.example.com, O=Example",
            number % 5
        )),
        say(format!(
            "The connection is back after 0.{:03} s (noticed after 0.012 s): a new SA in 2 round trips, 0.041 s.",
            number % 1000
        )),
        Entry::connected_to(at, "IKEv2_Gateway"),
    ]
}

/// Some lines of the agent's own log, one with something to mask.
fn lines(text: &mut String, day: u64, number: u64) -> Result<()> {
    let (minute, second) = (number / 60 % 60, number % 60);
    let time = format!("2026-11-{day:02}T12:{minute:02}:{second:02}.{:06}Z", number % 1_000_000);
    let (a, b) = (number % 250, number % 200);
    writeln!(
        text,
        "{time} DEBUG ikeep::agent::network: route 10.{a}.{b}.0/24 dev=wlp3s0 via=192.168.178.1 metric=600"
    )?;
    writeln!(
        text,
        "{time}  INFO ikeep::agent::driver: path local=192.168.178.{a}:4500 peer=[2001:db8:{a:x}::{b:x}]:4500 mtu=1400"
    )?;
    writeln!(
        text,
        "{time} DEBUG ikeep::client: state=Connected spi_i=0x{number:016x} host=gw{}.example.com attempt={b}",
        a % 5
    )?;
    writeln!(text, "{time} DEBUG ikeep::store: session_id=rIUHKccDRiUtFTATwq token={number:032x} kept")?;
    writeln!(
        text,
        "{time}  WARN ikeep::sense: link 3c:22:fb:01:{:02x}:{:02x} went down, {b} ms after it came",
        a % 256,
        b % 256
    )?;
    Ok(())
}
