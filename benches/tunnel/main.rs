//! How fast a tunnel is, what it adds to a ping and what it costs: ours, strongSwan's and WireGuard's in user space, all between two
//! namespaces of this machine and in one run.
//!
//! `IKEEP_INTEROP=1 cargo bench --bench tunnel` as root prints tables; nothing fails by being slow. `IKEEP_TUNNEL_SECONDS=N`: how
//! long each flow lasts. `cargo bench --bench tunnel -- WORD ..` measures what has one of these words in its name.

mod bed;
mod boring;
mod download;
#[path = "../../tests/interop/mod.rs"]
mod interop;
mod measure;
mod ours;
mod parse;
#[path = "../../tests/person/mod.rs"]
mod person;
#[path = "../roam/relay.rs"]
#[allow(dead_code, reason = "shared with another benchmark")]
mod relay;
mod suite;
mod swan;
mod table;
#[path = "../roam/track.rs"]
#[allow(dead_code, reason = "shared with another benchmark")]
mod track;

use anyhow::{Context, Result};
use bed::{Bed, Tunnel};
use boring::Program;
use interop::{GATEWAY_NAME, Pki};
use measure::{Effort, Figures, measure};
use std::path::Path;
use std::process::ExitCode;
use suite::Cipher;
use table::Row;
use tempfile::TempDir;

/// Where Debian puts strongSwan's daemon.
const CHARON: &str = "/usr/lib/ipsec/charon";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(why) = obstacle() {
        eprintln!("left out: the bench `tunnel` ({why})");
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` asks for a quick look only.
    let quick = !arguments.iter().any(|argument| argument == "--bench");
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let asked = std::env::var("IKEEP_TUNNEL_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let seconds: usize = asked.unwrap_or(if quick { 1 } else { 10 }).max(1);
    let effort = Effort { seconds, pings: if quick { 100 } else { 400 } };
    if cfg!(debug_assertions) {
        println!("a debug build: of what is ours the figures mean nothing");
    }
    let (mut found, mut failed) = (Vec::new(), 0);
    for row in rows() {
        let name = row.name();
        let downloads_only = words.iter().all(|word| word.as_str() == "download");
        if !words.is_empty()
            && (row != Row::Plain || downloads_only)
            && !words.iter().any(|word| name.contains(word.as_str()))
        {
            continue;
        }
        if let Some(why) = missing(row) {
            println!("left out: {name} (install {why})");
            continue;
        }
        eprintln!("measuring: {name}");
        match one(row, effort) {
            Ok(figures) => found.push((row, figures)),
            Err(error) => {
                failed += 1;
                println!("failed: {name}: {error:#}");
            }
        }
    }
    if !found.is_empty() {
        table::print(&found);
    }
    if is_installed("curl") {
        failed += download::measure(&words, seconds, has_strongswan());
    } else {
        println!("left out: downloads (install curl)");
    }
    if failed > 0 {
        eprintln!("{failed} could not be measured");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn rows() -> Vec<Row> {
    let mut rows = vec![Row::Plain];
    for row in [Row::Ours, Row::OursToStrongSwan, Row::StrongSwan] {
        rows.extend(Cipher::ALL.map(row));
    }
    rows.extend([Program::Boringtun, Program::WireguardGo].map(Row::WireGuard));
    rows
}

/// Hosts and link are new for each.
fn one(row: Row, effort: Effort) -> Result<Figures> {
    let folder = TempDir::with_prefix("ikeep-tunnel-")?;
    let pki = || Pki::create(folder.path(), GATEWAY_NAME);
    let bed = Bed::new()?;
    let tunnel = match row {
        Row::Plain => Tunnel::none(),
        Row::Ours(cipher) => ours::to_ours(&bed, cipher)?,
        Row::OursToStrongSwan(cipher) => ours::to_strongswan(&bed, cipher, &pki()?)?,
        Row::StrongSwan(cipher) => swan::to_strongswan(&bed, cipher, &pki()?)?,
        Row::WireGuard(program) => boring::tunnel(&bed, program)?,
    };
    measure(&bed, &tunnel, effort).context("the tunnel is up")
}

/// Why nothing can be measured here.
fn obstacle() -> Option<String> {
    if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        return Some("needs root and namespaces; set IKEEP_INTEROP=1".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("needs root for network namespaces".to_owned());
    }
    let needed = [("ip", "iproute2"), ("iperf3", "iperf3"), ("ping", "iputils-ping")];
    let (_, package) = needed.into_iter().find(|(program, _)| !is_installed(program))?;
    Some(format!("install {package}"))
}

/// What a row needs beside that.
fn missing(row: Row) -> Option<&'static str> {
    match row {
        Row::Plain | Row::Ours(_) => None,
        Row::OursToStrongSwan(_) | Row::StrongSwan(_) => {
            (!has_strongswan()).then_some("strongSwan, as tests/run does")
        }
        Row::WireGuard(program) if !is_installed(program.file()) => Some(program.install()),
        Row::WireGuard(_) => (!is_installed("wg")).then_some("Debian's wireguard-tools"),
    }
}

fn has_strongswan() -> bool {
    Path::new(CHARON).exists() && is_installed("swanctl") && is_installed("pki")
}

fn is_installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}
