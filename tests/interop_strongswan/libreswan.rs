//! libreswan, a second gateway that we did not write: the control plane alone. Its ESP is the kernel's, and not every kernel has
//! it: what it wants to install is taken from it (`interop::pluto`), and no packet goes through the tunnel.

use crate::certificate::{RSA, issue};
use crate::interop::agent::{TOKEN, until};
use crate::interop::{self, Clients, GATEWAY_NAME, Ours, Pair, Pki, Pluto, Stopwatch};
use crate::person::{Person, said};
use anyhow::{Context, Result, ensure};
use ikeep::client::{Event, Order};
use ikeep::reconnect::{Cause, State};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn enabled(test: &str) -> bool {
    interop::enabled(test) && !Pluto::left_out(test)
}

/// The real program logs in with a certificate; libreswan rekeys both SAs and asks whether it lives; it says goodbye.
#[test]
fn libreswan_takes_a_certificate_and_rekeys_both_sas() -> Result<()> {
    if !enabled("libreswan_takes_a_certificate_and_rekeys_both_sas") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    let gateway = Pluto::start(&net.gateway, &pki, Clients::Certificate)?;
    let at: SocketAddr = "10.9.0.1:4500".parse()?;
    let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
    let person = Person::within(prefix, (SocketAddr::new(at.ip(), 500), at))?;
    let story = || -> Result<()> {
        let (certificate, key) = issue(folder.path(), "rsa", RSA)?;
        let profile = fs::read_to_string(Person::profile())?.replace("EAP-AnyConnect", "IKE-RSA");
        let file = folder.path().join("profile.xml");
        fs::write(&file, profile)?;
        let words = [&file, &pki.ca, &certificate, &key].map(|path| path.display().to_string());
        let [file, ca, certificate, key] = words.each_ref().map(String::as_str);
        let args = ["connect", "--profile", file, "--trust", ca, "--certificate", certificate, "--key", key];
        let connected = person.run(&args)?;
        ensure!(connected.status.success(), "{}", said(&connected));
        let status = until(&person, "a tunnel", |status| status["address4"] == "192.168.20.5")?;
        ensure!(status["auth"] == "certificate", "{status:#}");
        gateway
            .wait_for_log("authenticated peer '2048-bit RSASSA-PSS with SHA2_256' digital signature", 1)?;

        gateway.whack(&["--rekey-ipsec", "--name", "net"])?;
        gateway.wait_for_log("initiator rekeyed Child SA #2", 1)?;
        gateway.whack(&["--rekey-ike", "--name", "net"])?;
        gateway.wait_for_log("initiator rekeyed IKE SA #1", 1)?;
        let status = until(&person, "a tunnel", |status| status["state"] == "connected")?;
        ensure!(status["reconnects"].as_u64().unwrap_or_default() == 0, "nothing was lost: {status:#}");

        let gone = gateway.log().matches("deleting state (STATE_V2_ESTABLISHED_IKE_SA)").count();
        let bye = person.run(&["disconnect"])?;
        ensure!(bye.status.success(), "{}", said(&bye));
        gateway.wait_for_log("deleting state (STATE_V2_ESTABLISHED_IKE_SA)", gone + 1)
    };
    story().with_context(|| format!("libreswan's log:\n{}\nour events:\n{}", gateway.log(), person.events()))
}

/// A reconnect: the session ID as key-id, the token as PSK, libreswan's RSA signature verified; rekeys of both SAs from both
/// sides, a roam, DELETE.
#[test]
fn our_reconnect_to_libreswan() -> Result<()> {
    if !enabled("our_reconnect_to_libreswan") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    net.client.add_address("eth0", "10.9.0.3/24")?;
    let token = std::str::from_utf8(TOKEN)?;
    let gateway = Arc::new(Pluto::start(&net.gateway, &pki, Clients::Token(token))?);
    net.client.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let story = our_story(&pki, &gateway).await;
            story.with_context(|| format!("libreswan's log:\n{}", gateway.log()))
        })
    })?
}

async fn our_story(pki: &Pki, gateway: &Arc<Pluto>) -> Result<()> {
    let watch = Stopwatch::start();
    let mut ours = Ours::start(pki, TOKEN, 19, |settings| {
        settings.child_lifetime = Duration::from_secs(8);
        settings.ike_lifetime = Duration::from_secs(12);
        settings.dpd_interval = Duration::from_secs(2);
        settings.dialect.delete_ends_session = false;
    })?;
    ours.path("10.9.0.2").await?;
    ours.order(Order::Connect).await?;
    ours.wait("connection", |e| matches!(e, Event::State(State::Connected))).await?;
    let two = |e: &&Event| matches!(e, Event::Established { round_trips: 2, .. });
    ensure!(ours.events.iter().filter(two).count() == 1, "two round trips: {:#?}", ours.events);

    let order = |args: &'static [&'static str]| {
        let gateway = Arc::clone(gateway);
        tokio::task::spawn_blocking(move || gateway.whack(args))
    };
    order(&["--rekey-ipsec", "--name", "net"]).await??;
    ours.wait("rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
    order(&["--rekey-ike", "--name", "net"]).await??;
    ours.wait("rekey of the IKE SA", |e| matches!(e, Event::IkeRekeyed)).await?;
    ours.wait("our rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
    ours.wait("our rekey of the IKE SA", |e| matches!(e, Event::IkeRekeyed)).await?;

    // Another address: the same session, a new SA.
    ours.path("10.9.0.3").await?;
    let roamed = |e: &Event| matches!(e, Event::Reconnected(r) if r.cause == Cause::NetworkChange);
    ours.wait("reconnect after the roam", roamed).await?;
    ours.order(Order::Disconnect).await?;
    ours.wait("end", |e| matches!(e, Event::State(State::Disconnected { .. }))).await?;
    println!("libreswan: reconnect, four rekeys, roam and goodbye in {:?}", watch.elapsed());
    Ok(())
}
