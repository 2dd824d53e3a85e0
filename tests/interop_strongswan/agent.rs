//! The real program against strongSwan, with curl as the one who notices.

use crate::interop::agent::{Running, TOKEN, configure_for_strongswan, plant_session, until};
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, PATIENCE, Pair, Pki, Stopwatch,
    Suite,
};
use crate::person::{Person, said};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Large enough to be under way during everything that happens.
const OCTETS: usize = 24 << 20;

/// A web server that we did not write, behind the gateway, with one large file.
fn web_server(net: &Pair, folder: &Path) -> Result<Running> {
    let content: Vec<u8> = (0..OCTETS).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(folder.join("large"), content)?;
    let mut server = net
        .gateway
        .command("python3")
        .args(["-u", "-m", "http.server", "80", "--bind", BEHIND_GATEWAY, "--directory"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // It says on its first line that it serves.
    let mut line = String::new();
    let mut out = std::io::BufReader::new(server.stdout.take().context("its output")?);
    std::io::BufRead::read_line(&mut out, &mut line)?;
    ensure!(line.contains("Serving"), "the web server says {line:?}");
    Ok(Running(server))
}

/// One download with curl goes on while the client's address, its route to the gateway and every SA change.
#[test]
fn curl_through_the_proxy_while_everything_changes() -> Result<()> {
    if !interop::enabled("curl_through_the_proxy_while_everything_changes") {
        return Ok(());
    }
    for (suite, group) in [(Suite::SEED, 19), (Suite::GCM, 31)] {
        story(suite, group).with_context(|| format!("{suite:?}"))?;
    }
    Ok(())
}

fn story(suite: Suite, group: u16) -> Result<()> {
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    net.second_link()?;
    let config = GatewayConfig { mobike: false, ..GatewayConfig::new(suite, TOKEN) };
    let gateway = Charon::start(&net.gateway, CharonOptions::default(), &pki, true, &config.render())?;
    let _server = web_server(&net, folder.path())?;
    let at: SocketAddr = "10.9.0.1:4500".parse()?;
    let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
    let person = Person::within(prefix, (SocketAddr::new(at.ip(), 500), at))?;
    configure_for_strongswan(&person)?;
    plant_session(&person, at, group)?;
    changes(&net, &gateway, &person, &pki, folder.path())
        .with_context(|| format!("strongSwan's log:\n{}\nour events:\n{}", gateway.log(), person.events()))
}

fn changes(net: &Pair, gateway: &Charon, person: &Person, pki: &Pki, folder: &Path) -> Result<()> {
    let (profile, ca) = (Person::profile().display().to_string(), pki.ca.display().to_string());
    let connect = person.run(&["connect", "--profile", &profile, "--trust", &ca])?;
    ensure!(connect.status.success() && said(&connect).contains("by token"), "{}", said(&connect));
    let status = person.status()?;
    ensure!(status["auth"] == "psk" && status["address4"] == "192.168.20.5", "{status:#}");
    let proxy = status["proxy"].as_str().context("a proxy")?.to_owned();

    let (copy, url) = (folder.join("copy"), format!("http://{BEHIND_GATEWAY}/large"));
    let mut download = Running(
        net.client
            .command("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "120", "--limit-rate", "2M"])
            .args(["--socks5-hostname", &proxy, &url, "--output"])
            .arg(&copy)
            .stderr(Stdio::piped())
            .spawn()?,
    );
    let under_way = |download: &mut Running, after: &str| -> Result<()> {
        if let Some(ended) = download.0.try_wait()? {
            let mut errors = String::new();
            if let Some(mut stderr) = download.0.stderr.take() {
                std::io::Read::read_to_string(&mut stderr, &mut errors)?;
            }
            let octets = fs::metadata(&copy).map(|file| file.len()).unwrap_or_default();
            anyhow::bail!("after {after} the download is over with {ended} and {octets} octets: {errors}");
        }
        Ok(())
    };
    // Coming back by token at the start was the first.
    let back = |n: u64, cause: &'static str| {
        move |status: &Value| {
            status["reconnects"] == n
                && status["last_reconnect"]["cause"] == cause
                && status["state"] == "connected"
        }
    };
    // Nobody tells a watcher of traffic: ask.
    let waited = Stopwatch::start();
    while person.status()?["child"]["bytes_in"].as_u64() < Some(100_000) {
        ensure!(waited.elapsed() < PATIENCE, "nothing flows: {:#}", person.status()?);
    }

    // Another address: nobody tells the agent. For a moment there is none.
    net.client.ip(&["addr", "del", "10.9.0.2/24", "dev", "eth0"])?;
    net.client.add_address("eth0", "10.9.0.3/24")?;
    until(person, "the reconnect from the new address", back(2, "network-change"))?;
    under_way(&mut download, "the new address")?;
    // Another way: the same gateway through the second link.
    net.client.ip(&["route", "replace", "10.9.0.1/32", "via", "10.9.1.1", "dev", "eth1"])?;
    let status = until(person, "the reconnect over the other link", back(3, "network-change"))?;
    ensure!(status["ike"]["local"].as_str().is_some_and(|at| at.starts_with("10.9.1.2:")), "{status:#}");
    under_way(&mut download, "the other link")?;
    // Other SAs.
    gateway.rekey_child("net")?;
    gateway.rekey_ike("reconnect")?;
    under_way(&mut download, "the rekeys")?;
    gateway.terminate("reconnect")?;
    until(person, "the reconnect after the DELETE", back(4, "gateway-delete"))?;
    under_way(&mut download, "the DELETE")?;
    let again = person.run(&["reconnect"])?;
    ensure!(again.status.success(), "{}", said(&again));
    let status = person.status()?;
    ensure!(status["address4"] == "192.168.20.5", "the address stays: {status:#}");

    let mut errors = String::new();
    if let Some(mut stderr) = download.0.stderr.take() {
        std::io::Read::read_to_string(&mut stderr, &mut errors)?;
    }
    ensure!(download.0.wait()?.success(), "curl: {errors}\n{:#}", person.status()?);
    ensure!(fs::read(&copy)? == fs::read(folder.join("large"))?, "the copy differs");
    let events = person.events();
    for line in [
        "Low level reconnect reason code 100",
        "Low level reconnect reason code 101",
        "Connected to IKEv2_Gateway.",
    ] {
        ensure!(events.contains(line), "no {line:?} in the event log:\n{events}");
    }
    let bye = person.run(&["disconnect"])?;
    ensure!(bye.status.success(), "{}", said(&bye));
    let refused = Command::new("curl").args(["--silent", "--socks5-hostname", &proxy, &url]).output();
    ensure!(!refused?.status.success(), "the proxy is gone with the connection");
    ensure!(person.sessions().is_empty(), "the session is erased: {:?}", person.sessions());
    Ok(())
}
