//! The real agent, measured from outside: how soon the first packet of a reconnect leaves, what it costs at rest, how long
//! `ikeep status` takes; and, as root with `IKEEP_INTEROP=1`, the wall time of a PSK set-up beside strongSwan's initiator
//! against the same strongSwan gateway.
//!
//! `cargo bench --bench agent`. Nothing here can fail by being slow: it prints a table.

#[path = "../../tests/interop/mod.rs"]
mod interop;
#[path = "../../tests/person/mod.rs"]
mod person;
mod setup;
mod wire;

use anyhow::{Context, Result, ensure};
use interop::Stopwatch;
use person::relay::Relay;
use person::{Company, Person, said};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TIMES: usize = 30;
/// Long enough to see a keepalive (20 s) and a liveness check (30 s).
const REST: Duration = Duration::from_secs(62);

fn main() -> Result<()> {
    // `cargo test --benches` asks for a quick look only.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let times = if quick { 3 } else { TIMES };
    let company = Company::open(&[])?;
    let relay = Relay::to(company.ports)?;
    let person = Person::new(relay.ports)?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    println!("{:52} {:>10} {:>10} {:>10}", "what", "median", "worst", "promised");
    first_packet(&person, &relay, times)?;
    status(&person, times)?;
    if !quick {
        rest(&person)?;
        setup::beside_strongswan(times)?;
    }
    Ok(())
}

fn row(what: &str, mut found: Vec<f64>, unit: &str, promised: &str) {
    found.sort_by(f64::total_cmp);
    let (median, worst) = (found.get(found.len() / 2), found.last());
    let show =
        |value: Option<&f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2} {unit}"));
    println!("{what:52} {:>10} {:>10} {promised:>10}", show(median), show(worst));
}

/// From the order at the agent's socket to the first datagram on the wire.
#[expect(clippy::disallowed_methods, reason = "a bench keeps its distance from the last attempt")]
fn first_packet(person: &Person, relay: &Relay, times: usize) -> Result<()> {
    let mut found = Vec::new();
    for _ in 0..times {
        // New attempts are 50 ms apart by policy (law 2); that is not what is measured here.
        std::thread::sleep(Duration::from_millis(100));
        let seen = Arc::new(Mutex::new(None));
        let watch = Arc::new(Stopwatch::start());
        let (slot, clock) = (Arc::clone(&seen), Arc::clone(&watch));
        relay.watch(move |number| {
            if number == 1
                && let Ok(mut slot) = slot.lock()
            {
                *slot = Some(clock.elapsed());
            }
        });
        let asked = watch.elapsed();
        let done = person.run(&["reconnect"])?;
        ensure!(done.status.success(), "{}", said(&done));
        let first = seen.lock().ok().and_then(|slot| *slot).context("a first packet")?;
        found.push((first - asked).as_secs_f64() * 1e3);
    }
    row("`ikeep reconnect` typed -> first packet (process included)", found, "ms", "10 ms");
    Ok(())
}

fn status(person: &Person, times: usize) -> Result<()> {
    let mut found = Vec::new();
    for _ in 0..times {
        let watch = Stopwatch::start();
        person.status()?;
        found.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    row("`ikeep status --json` (process included)", found, "ms", "10 ms");
    Ok(())
}

/// Resident memory, and how often it was woken.
#[expect(clippy::disallowed_methods, reason = "a bench looks at an agent that rests")]
fn rest(person: &Person) -> Result<()> {
    let pid = person.agent().context("an agent")?.as_raw_nonzero();
    let wakes = || -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            sum += number(&fs::read_to_string(task?.path().join("status"))?, "voluntary_ctxt_switches:");
        }
        Ok(sum)
    };
    // What the last command left to do is over soon.
    std::thread::sleep(Duration::from_secs(12));
    let before = wakes()?;
    std::thread::sleep(REST);
    let woken = wakes()? - before;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mib = |key| vec![number(&status, key) as f64 / 1024.0];
    row("resident at rest, connected", mib("VmRSS:"), "MiB", "12 MiB");
    row("  of that its own (the rest is program text, shared)", mib("RssAnon:"), "MiB", "");
    println!("{:52} {woken:>10}", format!("wake-ups of all threads in {} s at rest", REST.as_secs()));
    Ok(())
}

fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}
