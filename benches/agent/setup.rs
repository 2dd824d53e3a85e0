//! The wall time of a PSK set-up, ours beside strongSwan's, against the same strongSwan gateway; for the bench.

use crate::interop::agent::{self, configure_for_strongswan, plant_session};
use crate::interop::{
    Charon, CharonOptions, ClientConfig, GATEWAY_NAME, GatewayConfig, Pair, Pki, SESSION_ID, Stopwatch, Suite,
};
use crate::person::{Person, said};
use crate::wire::{Handshake, Sniffer};
use anyhow::{Result, ensure};
use std::time::Duration;
use tempfile::TempDir;

const TOKEN: &[u8] = agent::TOKEN;

/// New attempts are 50 ms apart by policy (law 2); that is not what is measured here. The same distance for both.
const DISTANCE: Duration = Duration::from_millis(100);

/// Reads one figure of each round.
type Figure = fn(&Measured) -> Vec<f64>;

/// What is measured, by name.
const PARTS: [(&str, Figure); 3] = [
    ("command", |measured| measured.commands.clone()),
    ("on the wire", |measured| measured.handshakes.iter().map(|handshake| handshake.whole).collect()),
    ("of that its own time", |measured| measured.handshakes.iter().map(|handshake| handshake.own).collect()),
];

/// Milliseconds of each command, and the handshakes that tshark saw.
struct Measured {
    commands: Vec<f64>,
    handshakes: Vec<Handshake>,
}

/// Prints, of `swanctl --initiate` and `ikeep reconnect`, each a command that asks a running daemon for a new IKE SA: the time
/// of the command, and of its handshake on the wire.
pub(crate) fn beside_strongswan(times: usize) -> Result<()> {
    if !crate::interop::enabled("PSK set-up beside strongSwan") {
        return Ok(());
    }
    for (suite, group) in [(Suite::SEED, 19), (Suite::GCM, 31)] {
        let folder = TempDir::with_prefix("ikeep-pki-")?;
        let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
        let net = Pair::new()?;
        let config = GatewayConfig { mobike: false, ..GatewayConfig::new(suite, TOKEN) };
        let _gateway = Charon::start(&net.gateway, CharonOptions::default(), &pki, true, &config.render())?;
        let theirs = {
            let config = ClientConfig::new(suite, SESSION_ID.as_bytes(), TOKEN);
            let client = Charon::start(&net.client, CharonOptions::default(), &pki, false, &config.render())?;
            measure(&net, times, || client.initiate("net"), || client.terminate("net"))?
        };
        let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
        let at = ([10, 9, 0, 1], 4500).into();
        let person = Person::within(prefix, (([10, 9, 0, 1], 500).into(), at))?;
        configure_for_strongswan(&person)?;
        plant_session(&person, at, group)?;
        let (profile, ca) = (Person::profile().display().to_string(), pki.ca.display().to_string());
        let connect = person.run(&["connect", "--profile", &profile, "--trust", &ca])?;
        ensure!(connect.status.success(), "{}", said(&connect));
        let reconnect = || {
            let done = person.run(&["reconnect"])?;
            ensure!(done.status.success(), "{}", said(&done));
            Ok(())
        };
        let ours = measure(&net, times, reconnect, || Ok(()))?;
        println!("set-up by PSK, {}", suite.ike);
        for (what, of) in PARTS {
            let (ours, theirs) = (of(&ours), of(&theirs));
            let share = median(&ours) / median(&theirs);
            let row = |who, found| crate::row(&format!("  {what}: {who}"), found, "ms", "");
            row("swanctl --initiate", theirs);
            row("ikeep reconnect", ours);
            println!("{:52} {share:>10.2} {:>10} {:>10}", "    ours, as a part of theirs", "", "0.50");
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench keeps its distance from the last attempt")]
fn measure(
    net: &Pair,
    times: usize,
    set_up: impl Fn() -> Result<()>,
    take_down: impl Fn() -> Result<()>,
) -> Result<Measured> {
    let sniffer = Sniffer::start(&net.client)?;
    let mut commands = Vec::new();
    for _ in 0..times {
        std::thread::sleep(DISTANCE);
        let watch = Stopwatch::start();
        set_up()?;
        commands.push(watch.elapsed().as_secs_f64() * 1e3);
        take_down()?;
    }
    let handshakes = sniffer.handshakes(&net.client)?;
    ensure!(handshakes.len() == times, "tshark saw {} handshakes of {times}", handshakes.len());
    Ok(Measured { commands, handshakes })
}

fn median(found: &[f64]) -> f64 {
    let mut found = found.to_vec();
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied().unwrap_or(f64::NAN)
}
