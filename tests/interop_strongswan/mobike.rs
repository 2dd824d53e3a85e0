//! The client's address changes under a live tunnel to strongSwan: with MOBIKE (RFC 4555) the same IKE SA goes on, without
//! it the token way takes over.

use crate::interop::agent::TOKEN;
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Ours, Pair, Pki, Suite,
};
use anyhow::{Context, Result, ensure};
use ikeep::client::{Event, Order};
use ikeep::reconnect::State;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Between pings.
const EVERY: Duration = Duration::from_millis(2);

#[test]
fn an_address_change_with_and_without_mobike() -> Result<()> {
    if !interop::enabled("an_address_change_with_and_without_mobike") {
        return Ok(());
    }
    use Race::*;
    for (mobike, race, suite, group) in [
        (true, UpdateFirst, Suite::SEED, 19),
        (true, UpdateFirst, Suite::GCM, 31),
        (true, Open, Suite::SEED, 19),
        (false, Open, Suite::SEED, 19),
    ] {
        let story = address_change(mobike, race, suite, group);
        story.with_context(|| format!("mobike {mobike}, {race:?}, {suite:?}"))?;
    }
    Ok(())
}

/// Law 3: the update and the IKE_SA_INIT of a new SA leave together, and the first answer decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Race {
    /// As strongSwan's threads will have it.
    Open,
    /// The IKE_SA_INIT is lost.
    UpdateFirst,
}

/// Drops IKE_SA_INIT (exchange 34, behind the UDP header, the marker and 18 octets) on its way to the NAT port.
const NO_INIT: &str = "add table inet race
add chain inet race out { type filter hook output priority 0; }
add rule inet race out udp dport 4500 @th,240,8 34 drop";

fn address_change(mobike: bool, race: Race, suite: Suite, group: u16) -> Result<()> {
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    // Another prefix: it stays when the first address goes.
    net.client.add_address("eth0", "10.9.0.3/25")?;
    let config = GatewayConfig { mobike, ..GatewayConfig::new(suite, TOKEN) };
    let gateway = Charon::start(&net.gateway, CharonOptions::default(), &pki, true, &config.render())?;
    let gateway = Arc::new(gateway);
    net.client.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let story = story(&net, &pki, &gateway, (mobike, race), group).await;
            story.with_context(|| format!("strongSwan's log:\n{}", gateway.log()))
        })
    })?
}

async fn story(
    net: &Pair,
    pki: &Pki,
    gateway: &Arc<Charon>,
    (mobike, race): (bool, Race),
    group: u16,
) -> Result<()> {
    let mut ours = Ours::start(pki, TOKEN, group, |settings| {
        settings.dialect.delete_ends_session = false;
    })?;
    ours.path("10.9.0.2").await?;
    ours.order(Order::Connect).await?;
    ours.wait("connection", |e| matches!(e, Event::State(State::Connected))).await?;
    ours.ping(BEHIND_GATEWAY).await?;
    let before = established(gateway).await?;
    ensure!(before.len() == 1 && before[0].remote == "10.9.0.2", "{before:?}");

    if race == Race::UpdateFirst {
        net.client.nft(NO_INIT)?;
    }
    let host = net.client.name().to_owned();
    let roam = async {
        let leave = move || {
            std::process::Command::new("ip")
                .args(["-n", &host, "addr", "del", "10.9.0.2/24", "dev", "eth0"])
                .status()
        };
        ensure!(tokio::task::spawn_blocking(leave).await??.success(), "the address is gone");
        anyhow::Ok("10.9.0.3")
    };
    let gap = ours.longest_gap(BEHIND_GATEWAY, EVERY, roam).await?;
    ours.wait("reconnect", |e| matches!(e, Event::Reconnected(_))).await?;
    let kept = ours.events.iter().any(|e| matches!(e, Event::Reconnected(r) if r.old_sa));
    let gap_ms = gap.as_secs_f64() * 1e3;
    println!(
        "strongSwan, mobike = {mobike}, {race:?}: longest gap {gap_ms:.1} ms, the old SA went on: {kept}"
    );
    match race {
        Race::UpdateFirst => ensure!(kept, "{:#?}", ours.events),
        Race::Open => {}
    }
    ours.ping(BEHIND_GATEWAY).await?;
    ours.ping("fd10::1").await?;

    let moved = ours.events.iter().filter(|e| matches!(e, Event::Moved)).count();
    ensure!(
        moved >= usize::from(kept && mobike) && moved <= usize::from(mobike),
        "{moved}: {:#?}",
        ours.events
    );
    let after = established(gateway).await?;
    if kept {
        ensure!(after.len() == 1 && after[0].spis == before[0].spis, "{before:?} {after:?}");
        ensure!(after[0].remote == "10.9.0.3", "{after:?}");
        // No other one was begun and given up: the token was not shown.
        ensure!(!gateway.log().contains("IKE_SA reconnect[2] established"), "a second SA");
    } else {
        let new = after.iter().find(|sa| sa.spis != before[0].spis).context("a new SA")?;
        ensure!(new.remote == "10.9.0.3", "{after:?}");
    }
    ensure!(gap < Duration::from_millis(if mobike { 100 } else { 150 }), "longest gap {gap:?}");
    if race == Race::UpdateFirst {
        // An IPv6-only network. The gateway told its IPv6 address in IKE_AUTH, nobody else knows it.
        let gap = ours.longest_gap(BEHIND_GATEWAY, EVERY, async { Ok("fd09::2") }).await?;
        println!("strongSwan, from IPv4 to IPv6: longest gap {:.1} ms", gap.as_secs_f64() * 1e3);
        ours.wait("move to IPv6", |e| matches!(e, Event::Moved)).await?;
        let there = established(gateway).await?;
        ensure!(there.len() == 1 && there[0].spis == before[0].spis, "{before:?} {there:?}");
        ensure!(there[0].remote == "fd09::2", "{there:?}");
        // And back.
        ours.longest_gap(BEHIND_GATEWAY, EVERY, async { Ok("10.9.0.3") }).await?;
        ours.wait("move to IPv4", |e| matches!(e, Event::Moved)).await?;
        ours.ping("fd10::1").await?;
    }
    ours.order(Order::Disconnect).await?;
    ours.wait("end", |e| matches!(e, Event::State(State::Disconnected { .. }))).await
}

/// An IKE SA in strongSwan's own words.
#[derive(Debug)]
struct Sa {
    spis: String,
    remote: String,
}

async fn established(gateway: &Arc<Charon>) -> Result<Vec<Sa>> {
    let gateway = Arc::clone(gateway);
    let listed = tokio::task::spawn_blocking(move || gateway.list_sas()).await??;
    let mut sas: Vec<Sa> = Vec::new();
    for line in listed.lines() {
        // `reconnect: #1, ESTABLISHED, IKEv2, 0123456789abcdef_i 0123456789abcdef_r*`
        if let Some((_, spis)) = line.split_once("ESTABLISHED, IKEv2, ") {
            sas.push(Sa { spis: spis.to_owned(), remote: String::new() });
        } else if let Some(sa) = sas.last_mut()
            && line.trim_start().starts_with("remote ")
            && let Some((_, at)) = line.split_once("' @ ")
        {
            sa.remote = at.split('[').next().unwrap_or_default().to_owned();
        }
    }
    Ok(sas)
}
