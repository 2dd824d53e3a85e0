//! strongSwan, a peer that we did not write, in network namespaces. `tests/run` runs these as root; a plain
//! `cargo test` leaves them out and says so.

mod agent;
#[path = "../certificate_login/card.rs"]
mod card;
mod certificate;
mod client;
mod eap;
mod eap_tls;
#[path = "../interop/mod.rs"]
mod interop;
mod learn;
mod libreswan;
mod mobike;
#[path = "../person/mod.rs"]
mod person;
mod ppk;
mod suites;
mod tshark;
mod tshark_suites;

use anyhow::{Context, Result, ensure};
use ikeep::client::{Event, Order};
use ikeep::reconnect::{Cause, State};
use interop::agent::TOKEN;
use interop::{
    BEHIND_GATEWAY, Charon, CharonOptions, ClientConfig, GATEWAY_NAME, GatewayConfig, Ours, PATIENCE, Pair,
    Pki, SESSION_ID, Stopwatch, Suite,
};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;

/// The harness proved on itself: strongSwan reconnects to strongSwan, echoes pass, both sides rekey, a DELETE arrives.
#[test]
fn strongswan_reference_pair() -> Result<()> {
    if !interop::enabled("strongswan_reference_pair") {
        return Ok(());
    }
    for suite in [Suite::SEED, Suite::GCM] {
        reference_pair(suite).with_context(|| format!("{suite:?}"))?;
    }
    Ok(())
}

fn reference_pair(suite: Suite) -> Result<()> {
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    let options = CharonOptions::default();
    let gateway =
        Charon::start(&net.gateway, options, &pki, true, &GatewayConfig::new(suite, TOKEN).render())?;
    let config = ClientConfig::new(suite, SESSION_ID.as_bytes(), TOKEN);
    let client = Charon::start(&net.client, options, &pki, false, &config.render())?;

    let set_up = Stopwatch::start();
    client.initiate("net")?;
    println!("{suite:?}: set up in {:.1} ms, swanctl included", set_up.elapsed().as_secs_f64() * 1e3);
    ensure!(gateway.list_sas()?.contains("192.168.20.5/32"), "the lease: {}", gateway.list_sas()?);

    let before = net.client.ip(&["-s", "link", "show", "dev", "ipsec0"])?;
    echo(&net, BEHIND_GATEWAY.parse()?)?;
    echo(&net, "fd10::1".parse()?)?;
    let after = net.client.ip(&["-s", "link", "show", "dev", "ipsec0"])?;
    ensure!(before != after, "the echoes did not pass through the tunnel: {after}");

    gateway.rekey_child("net")?;
    client.wait_for_log("CHILD_SA net{2} established", 1)?;
    gateway.rekey_ike("reconnect")?;
    client.wait_for_log("IKE_SA net[2] rekeyed", 1)?;
    echo(&net, BEHIND_GATEWAY.parse()?)?;

    gateway.terminate("reconnect")?;
    client.wait_for_log("received DELETE for IKE_SA", 1)?;
    ensure!(echo(&net, BEHIND_GATEWAY.parse()?).is_err(), "an echo passed without a tunnel");
    Ok(())
}

/// Our client reconnects to strongSwan: its session ID as key-id, its token as PSK, strongSwan's RSA signature verified.
/// Pings of both families, DPD from both sides, rekeys of both SAs from both sides, a roam, the gateway's DELETE, ours.
#[test]
fn our_reconnect_to_strongswan() -> Result<()> {
    if !interop::enabled("our_reconnect_to_strongswan") {
        return Ok(());
    }
    let suites = [(Suite::SEED, 19), (Suite::GCM, 31), (Suite::CHACHA, 15), (Suite::MODP4096, 16)];
    for (suite, group) in suites {
        our_reconnect(suite, group).with_context(|| format!("{suite:?}"))?;
    }
    Ok(())
}

fn our_reconnect(suite: Suite, group: u16) -> Result<()> {
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    net.client.add_address("eth0", "10.9.0.3/24")?;
    let config = GatewayConfig { dpd_delay: "2s", mobike: false, ..GatewayConfig::new(suite, TOKEN) };
    let gateway =
        Arc::new(Charon::start(&net.gateway, CharonOptions::default(), &pki, true, &config.render())?);
    net.client.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let story = our_story(&pki, &gateway, group).await;
            story.with_context(|| format!("strongSwan's log:\n{}", gateway.log()))
        })
    })?
}

async fn our_story(pki: &Pki, gateway: &Arc<Charon>, group: u16) -> Result<()> {
    let connected = |e: &Event| matches!(e, Event::State(State::Connected));
    let mut ours = Ours::start(pki, TOKEN, group, |settings| {
        // Short, so that both rekeys of ours are seen.
        settings.child_lifetime = Duration::from_secs(12);
        settings.ike_lifetime = Duration::from_secs(20);
        settings.dpd_interval = Duration::from_secs(3);
        // Here a DELETE of the old SA frees its lease and ends nothing else.
        settings.dialect.delete_ends_session = false;
    })?;
    ours.path("10.9.0.2").await?;
    ours.order(Order::Connect).await?;
    ours.wait("connection", connected).await?;
    let two = |e: &&Event| matches!(e, Event::Established { round_trips: 2, .. });
    ensure!(ours.events.iter().filter(two).count() == 1, "two round trips: {:#?}", ours.events);
    ours.ping(BEHIND_GATEWAY).await?;
    ours.ping("fd10::1").await?;

    // The gateway rekeys both SAs, and asks whether we live.
    let charon = Arc::clone(gateway);
    tokio::task::spawn_blocking(move || charon.rekey_child("net")).await??;
    ours.wait("rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
    ours.ping(BEHIND_GATEWAY).await?;
    let charon = Arc::clone(gateway);
    tokio::task::spawn_blocking(move || charon.rekey_ike("reconnect")).await??;
    ours.wait("rekey of the IKE SA", |e| matches!(e, Event::IkeRekeyed)).await?;
    ours.ping(BEHIND_GATEWAY).await?;
    let charon = Arc::clone(gateway);
    tokio::task::spawn_blocking(move || charon.wait_for_log("sending DPD request", 1)).await??;

    // We rekey both SAs, when their time has come.
    ours.wait("our rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
    ours.ping(BEHIND_GATEWAY).await?;
    ours.wait("our rekey of the IKE SA", |e| matches!(e, Event::IkeRekeyed)).await?;
    ours.ping(BEHIND_GATEWAY).await?;

    // Another address: the same session, a new SA.
    ours.path("10.9.0.3").await?;
    ours.wait(
        "reconnect after the roam",
        |e| matches!(e, Event::Reconnected(r) if r.cause == Cause::NetworkChange),
    )
    .await?;
    ours.ping(BEHIND_GATEWAY).await?;

    // The gateway deletes what it has: we come back.
    let charon = Arc::clone(gateway);
    tokio::task::spawn_blocking(move || charon.terminate("reconnect")).await??;
    ours.wait("DELETE", |e| matches!(e, Event::DeletedByGateway)).await?;
    ours.wait("reconnect after the DELETE", |e| matches!(e, Event::Reconnected(_))).await?;
    ours.ping(BEHIND_GATEWAY).await?;
    ours.ping("fd10::1").await?;

    let deletes = gateway.log().matches("received DELETE for IKE_SA").count();
    ours.order(Order::Disconnect).await?;
    ours.wait("end", |e| matches!(e, Event::State(State::Disconnected { .. }))).await?;
    let charon = Arc::clone(gateway);
    tokio::task::spawn_blocking(move || charon.wait_for_log("received DELETE for IKE_SA", deletes + 1))
        .await??;
    Ok(())
}

/// Ten datagrams from the client's host to `target` on the gateway's host and back, each compared.
fn echo(net: &Pair, target: IpAddr) -> Result<()> {
    let (tell_port, port) = mpsc::channel();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            net.gateway.run(move || -> Result<()> {
                let socket = UdpSocket::bind((target, 0))?;
                socket.set_read_timeout(Some(PATIENCE / 10))?;
                tell_port.send(socket.local_addr()?)?;
                let mut buffer = [0; 2048];
                // An empty datagram, or none for a while, ends the service.
                while let Ok((length @ 1.., from)) = socket.recv_from(&mut buffer) {
                    socket.send_to(&buffer[..length], from)?;
                }
                Ok(())
            })
        });
        let server_address: SocketAddr = port.recv()?;
        let asked = net.client.run(|| ask(server_address));
        server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))??;
        asked?
    })
}

fn ask(server: SocketAddr) -> Result<()> {
    let any: IpAddr = if server.is_ipv4() { "0.0.0.0".parse()? } else { "::".parse()? };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE / 10))?;
    socket.connect(server)?;
    let mut buffer = [0; 2048];
    for number in 1..=10_u8 {
        let sent = vec![number; usize::from(number) * 120];
        socket.send(&sent)?;
        let length = socket.recv(&mut buffer).context("no echo came back")?;
        ensure!(buffer[..length] == sent, "echo {number} came back changed");
    }
    socket.send(&[])?;
    Ok(())
}
