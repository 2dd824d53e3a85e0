//! The wall time of a PSK set-up, ours beside strongSwan's, against the same strongSwan gateway; for the bench.

use crate::interop::agent::{self, configure_for_strongswan, plant_session};
use crate::interop::{
    Charon, CharonOptions, ClientConfig, GATEWAY_NAME, GatewayConfig, Pair, Pki, SESSION_ID, Stopwatch, Suite,
};
use crate::person::{Person, said};
use anyhow::{Result, ensure};
use tempfile::TempDir;

const TOKEN: &[u8] = agent::TOKEN;

/// Prints two rows: `swanctl --initiate` and `ikeep reconnect`, each a command that asks a running daemon for a new IKE SA.
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
        let mut theirs = Vec::new();
        {
            let config = ClientConfig { suite, session_id: SESSION_ID.into(), token: TOKEN.into() };
            let client = Charon::start(&net.client, CharonOptions::default(), &pki, false, &config.render())?;
            for _ in 0..times {
                let watch = Stopwatch::start();
                client.initiate("net")?;
                theirs.push(watch.elapsed().as_secs_f64() * 1e3);
                client.terminate("net")?;
            }
        }
        let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
        let at = ([10, 9, 0, 1], 4500).into();
        let person = Person::within(prefix, (([10, 9, 0, 1], 500).into(), at))?;
        configure_for_strongswan(&person)?;
        plant_session(&person, at, group)?;
        let (profile, ca) = (Person::profile().display().to_string(), pki.ca.display().to_string());
        let connect = person.run(&["connect", "--profile", &profile, "--trust", &ca])?;
        ensure!(connect.status.success(), "{}", said(&connect));
        let (mut ours, mut handshakes) = (Vec::new(), Vec::new());
        for _ in 0..times {
            let watch = Stopwatch::start();
            let done = person.run(&["reconnect"])?;
            ours.push(watch.elapsed().as_secs_f64() * 1e3);
            ensure!(done.status.success(), "{}", said(&done));
            handshakes.extend(person.status()?["last_reconnect"]["handshake_ms"].as_f64());
        }
        let name = suite.ike;
        crate::row(&format!("set-up, swanctl --initiate, {name}"), theirs, "ms", "");
        crate::row(&format!("set-up, ikeep reconnect, {name}"), ours, "ms", "");
        crate::row(&format!("  of that the handshake, {name}"), handshakes, "ms", "");
    }
    Ok(())
}
