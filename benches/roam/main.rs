//! How long a person is without their tunnel, ours beside strongSwan's initiator, both against a strongSwan gateway on this
//! machine's kernel, with a ping every 2 ms through the tunnel.
//!
//! `IKEEP_INTEROP=1 cargo bench --bench roam` as root prints a table; nothing fails by being slow. `IKEEP_ROAM_TIMES=N`: how often
//! each thing is measured (the slow ones less often).

mod bed;
mod client;
mod inside;
#[path = "../../tests/interop/mod.rs"]
mod interop;
#[path = "../../tests/person/mod.rs"]
mod person;
mod pings;
mod relay;
mod stories;
mod track;

use anyhow::{Context, Result};
use bed::{Bed, FRONT};
use client::{Client, Entry, Kind};
use interop::{GATEWAY_NAME, Pki};
use relay::Way;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const ALL: [Kind; 6] = [
    Kind::Token(Entry::Tun),
    Kind::Mobike(Entry::Tun),
    Kind::Token(Entry::Proxy),
    Kind::Mobike(Entry::Proxy),
    Kind::Default,
    Kind::Best,
];
/// RFC 7296 leaves it open; strongSwan's defaults: 4 s, 1.8 times longer each time, five times, then it gives up.
const THEIR_PATIENCE: &str = "165 s (computed: 4 s x (1 + 1.8 + .. + 1.8^5))";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, profile, ca, more @ ..] = arguments.as_slice()
        && flag == "--inside"
    {
        return inside::run(PathBuf::from(profile), PathBuf::from(ca), more == ["--tun"]);
    }
    if !interop::enabled("the bench `roam`") {
        return Ok(());
    }
    // `cargo test --benches` asks for a quick look only.
    let quick = !arguments.iter().any(|argument| argument == "--bench");
    let asked = std::env::var("IKEEP_ROAM_TIMES").ok().and_then(|times| times.parse().ok());
    let times: usize = asked.unwrap_or(if quick { 2 } else { 30 });
    let folder = TempDir::with_prefix("ikeep-roam-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    println!(
        "pings every 2 ms; they enter at the TUN device, but for \"ikeep\" alone: where the proxy hands its packets over"
    );
    println!(
        "{:50} {:22} {:>4} {:>10} {:>10} {:>10}  promised",
        "what", "client", "n", "p50", "p99", "worst"
    );
    near(&pki, &folder, times)?;
    resumes(&pki, times)?;
    outages(&pki, times.div_ceil(30))
}

fn row(what: &str, kind: Kind, mut found: Vec<Duration>, promised: &str) {
    found.sort_unstable();
    // The smallest that is not exceeded by more than so many of a hundred.
    let rank = |percent: usize| found.get((found.len() * percent).div_ceil(100).saturating_sub(1));
    let show = |time: Option<&Duration>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3))
    };
    let (p50, p99, worst) = (show(rank(50)), show(rank(99)), show(found.last()));
    let (name, n) = (kind.name(), found.len());
    println!("{what:50} {name:22} {n:>4} {p50:>10} {p99:>10} {worst:>10}  {promised}");
}

/// On a plain link.
fn near(pki: &Pki, folder: &TempDir, times: usize) -> Result<()> {
    for kind in ALL {
        let bed = Bed::make(kind, None, pki)?;
        let client = Client::start(kind, &bed.laptop, FRONT, pki)?;
        let ours = |promise| if kind.is_ours() { promise } else { "" };
        let changes = (0..times)
            .map(|round| stories::address_change(&bed, &client, round, folder))
            .collect::<Result<_>>();
        let changes =
            changes.with_context(|| format!("{kind:?}, the gateway's log:\n{}", bed.gateway.log()))?;
        row("address changed, RTT < 1 ms: longest gap", kind, changes, ours("30 ms"));
        let links = (0..times.div_ceil(4)).map(|_| stories::link(&bed, &client)).collect::<Result<_>>()?;
        row("link down for 1 s and up: gap beyond that", kind, links, ours("15 ms"));
    }
    Ok(())
}

fn resumes(pki: &Pki, times: usize) -> Result<()> {
    let ways = [
        ("resume -> answered ping, RTT 20 ms, no loss", 20, 0, "p99 100 ms"),
        ("resume -> answered ping, RTT 50 ms, 5 % lost", 50, 5, "p99 1000 ms"),
    ];
    for (what, round_trip, loss, promise) in ways {
        for kind in ALL {
            if kind == Kind::Default {
                println!(
                    "{what:50} {:22}    -  never by itself: DPD is off, and then {THEIR_PATIENCE}",
                    kind.name()
                );
                continue;
            }
            let way = Way { round_trip: Duration::from_millis(round_trip), loss };
            let bed = Bed::make(kind, Some(way), pki)?;
            let mut client = Client::start(kind, &bed.laptop, FRONT, pki)?;
            // Each of strongSwan's takes seconds.
            let times = if kind.is_ours() { times } else { times.div_ceil(5) };
            let found = (0..times).map(|_| stories::resume(&bed, &mut client)).collect::<Result<_>>();
            let found =
                found.with_context(|| format!("{kind:?}, the gateway's log:\n{}", bed.gateway.log()))?;
            row(what, kind, found, if kind.is_ours() { promise } else { "" });
        }
    }
    Ok(())
}

fn outages(pki: &Pki, times: usize) -> Result<()> {
    for kind in ALL {
        let (declared, back) =
            ("12 s of silence under traffic: declared after", "  and back after the path's return");
        if kind == Kind::Default {
            println!("{declared:50} {:22}    -  with DPD on: {THEIR_PATIENCE}", kind.name());
            continue;
        }
        let bed = Bed::make(kind, Some(Way { round_trip: Duration::from_millis(20), loss: 0 }), pki)?;
        let client = Client::start(kind, &bed.laptop, FRONT, pki)?;
        let found = (0..times).map(|_| stories::outage(&bed, &client)).collect::<Result<Vec<_>>>()?;
        let when: Vec<Duration> = found.iter().filter_map(|(declared, _)| *declared).collect();
        if kind.is_ours() {
            row(declared, kind, when, "7 s");
        }
        let promise = if kind.is_ours() { "10 s" } else { "" };
        row(back, kind, found.into_iter().map(|(_, back)| back).collect(), promise);
    }
    Ok(())
}
