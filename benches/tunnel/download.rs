//! One download by curl, on a link as it is and on one that delays and loses: through the devices of strongSwan's user-space ESP,
//! and through our proxy, which needs no privilege.

use crate::bed::{Bed, Tunnel};
use crate::interop::{GATEWAY_NAME, Pki, WebServer};
use crate::measure::{Cost, Watched};
use crate::ours::{self, Gateway};
use crate::relay::Way;
use crate::suite::Cipher;
use crate::swan;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// More than anybody fetches before the time is over.
const ENDLESS: u64 = 1 << 50;
/// What curl says when its time is over.
const TIME_IS_OVER: i32 = 28;
const ROUGH: Way = Way { round_trip: Duration::from_millis(40), loss: 1 };

/// Through what.
#[derive(Clone, Copy, Debug)]
enum Route {
    Plain,
    StrongSwan(Cipher),
    Proxy(Gateway, Cipher),
}

impl Route {
    fn all() -> Vec<Self> {
        let mut all = vec![Self::Plain];
        for cipher in Cipher::ALL {
            all.extend([
                Self::Proxy(Gateway::Ours, cipher),
                Self::Proxy(Gateway::StrongSwan, cipher),
                Self::StrongSwan(cipher),
            ]);
        }
        all
    }

    fn name(self) -> String {
        match self {
            Self::Plain => "download, no tunnel".to_owned(),
            Self::StrongSwan(cipher) => format!("download, strongSwan to strongSwan, {}", cipher.name()),
            Self::Proxy(Gateway::Ours, cipher) => {
                format!("download, ikeep's proxy to ikeep, {}", cipher.name())
            }
            Self::Proxy(Gateway::StrongSwan, cipher) => {
                format!("download, ikeep's proxy to strongSwan, {}", cipher.name())
            }
        }
    }

    fn needs_strongswan(self) -> bool {
        !matches!(self, Self::Plain | Self::Proxy(Gateway::Ours, _))
    }
}

/// Mbit/s of each link, and what the client's process needed on the first of them.
struct Found {
    fast: f64,
    rough: Option<f64>,
    cost: Option<Cost>,
}

/// Prints a table of those that have one of the words in their name; how many could not be measured.
pub(crate) fn measure(words: &[&String], seconds: usize, strongswan: bool) -> usize {
    let mut failed = 0;
    let mut rows = Vec::new();
    for route in Route::all() {
        let name = route.name();
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        if route.needs_strongswan() && !strongswan {
            println!("left out: {name} (install strongSwan, as tests/run does)");
            continue;
        }
        eprintln!("measuring: {name}");
        match one(route, seconds) {
            Ok(found) => rows.push((name, found)),
            Err(error) => {
                failed += 1;
                println!("failed: {name}: {error:#}");
            }
        }
    }
    if rows.is_empty() {
        return failed;
    }
    println!(
        "\none download by curl; the rough link: a round trip of 40 ms, of 100 datagrams 1 is lost each way"
    );
    println!("{:58} {:>10} {:>10} | {:>9} {:>9}", "Mbit/s", "link", "rough", "CPU s/GB", "MiB");
    for (name, Found { fast, rough, cost }) in rows {
        let rough = rough.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
        print!("{name:58} {fast:>10.0} {rough:>10} |");
        match cost {
            Some(cost) => println!(" {:>9.2} {:>9.1}", cost.cpu, cost.peak),
            None => println!(" {:>9} {:>9}", "-", "-"),
        }
    }
    failed
}

fn one(route: Route, seconds: usize) -> Result<Found> {
    let (fast, cost) = on(&Bed::new()?, route, seconds)?;
    // What is without a tunnel does not pass the relay.
    let rough = match route {
        Route::Plain => None,
        _ => Some(on(&Bed::rough(ROUGH)?, route, seconds)?.0),
    };
    Ok(Found { fast, rough, cost })
}

/// Mbit/s, and what the client's process needed.
fn on(bed: &Bed, route: Route, seconds: usize) -> Result<(f64, Option<Cost>)> {
    let folder = TempDir::with_prefix("ikeep-tunnel-")?;
    let pki = || Pki::create(folder.path(), GATEWAY_NAME);
    let tunnel = match route {
        Route::Plain => Tunnel::none(),
        Route::StrongSwan(cipher) => swan::to_strongswan(bed, cipher, &pki()?)?,
        Route::Proxy(gateway, cipher) => ours::proxy(bed, gateway, cipher, pki)?,
    };
    if tunnel.proxy.is_none() {
        bed.wait_for(tunnel.target)?;
    }
    let _server = WebServer::start(&bed.gateway.netns, SocketAddr::from((tunnel.target, 80)))?;
    // What is measured is not the first.
    fetch(bed, &tunnel, seconds)?;
    let watched = tunnel.agent.map(Watched::begin).transpose()?;
    let (rate, octets) = fetch(bed, &tunnel, seconds)?;
    let cost = watched.map(|watched| watched.end(octets)).transpose()?;
    Ok((rate, cost))
}

/// Mbit/s, and octets.
fn fetch(bed: &Bed, tunnel: &Tunnel, seconds: usize) -> Result<(f64, f64)> {
    let mut command: Command = bed.laptop.netns.command("curl");
    command.args(["-sS", "-o", "/dev/null", "-w", "%{speed_download} %{size_download}"]);
    command.args(["--max-time", &seconds.to_string()]);
    match &tunnel.proxy {
        Some(proxy) => command.args(["--socks5-hostname", proxy]),
        None => command.args(["--noproxy", "*"]),
    };
    command.arg(format!("http://{}/bytes/{ENDLESS}", tunnel.target));
    let output = command.stderr(Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut numbers = said.split_whitespace().map(str::parse::<f64>);
    let (speed, octets) = (numbers.next().context("a speed")??, numbers.next().context("a size")??);
    let on_time = output.status.code() == Some(TIME_IS_OVER) && octets > 0.0;
    ensure!(on_time, "curl: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok((speed * 8.0 / 1e6, octets))
}
