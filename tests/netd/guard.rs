//! The kill switch of a real helper: until when it stands, and who takes it down.

use super::interop::{Netns, PATIENCE};
use super::world::{STRANGER, World, as_user, enabled, plan};
use anyhow::{Context as _, Result, ensure};
use ikeep::ipc::helper::{Guard, GuardMode, Helper, RefusalKind};
use ikeep::plan::{Net, Network};
use rustix::process::Signal;
use std::time::Duration;

const EVERYTHING: Guard = Guard { mode: GuardMode::All, lan: false, always: false };
const ALWAYS: Guard = Guard { always: true, ..EVERYTHING };

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The table, as `nft` reads it; empty: there is none.
fn table(netns: &Netns) -> Result<String> {
    let output = netns.command("nft").args(["list", "table", "inet", "ikeep"]).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits until there is one, or none.
async fn until(netns: &Netns, there: bool) -> Result<()> {
    let changes = async {
        while table(netns)?.is_empty() == there {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, changes).await.context("it does not come")?
}

#[test]
fn a_kill_switch_falls_with_its_helper_and_in_time_without_its_agent() -> Result<()> {
    if !enabled("netd: a_kill_switch_falls_with_its_helper_and_in_time_without_its_agent") {
        return Ok(());
    }
    let mut world = World::new("guard", &["--hold=2"])?;
    let runtime = runtime()?;
    let helper: Helper = runtime.block_on(async {
        let netns = &world.place.netns;
        let mut helper = world.client().await?;
        let (tun, device) = helper.tun(None).await?;
        helper.guard(Guard { mode: GuardMode::TunnelPrefixes, ..EVERYTHING }).await?;
        ensure!(table(netns)?.contains("0.0.0.0-255.255.255.255") || table(netns)?.contains("0.0.0.0/0"));
        helper.apply(&plan()).await?;
        // What is left of everything: the link's own.
        let text = table(netns)?;
        ensure!(text.contains("oif \"ikeep0\"") && text.contains("224.0.0.0/24"), "{}: {text}", tun.name);
        ensure!(!text.contains("0.0.0.0-"), "{text}");
        helper.guard(EVERYTHING).await?;
        helper.revert().await?;
        drop(device);
        let text = table(netns)?;
        ensure!(text.contains("drop") && !text.contains("ikeep0\"") && !text.contains("@free4"), "{text}");
        // Other programs take everybody's tables away.
        netns.nft("flush ruleset")?;
        until(netns, true).await.context("it is not put up again")?;
        drop(helper);
        world.log.wait(&["the kill switch is kept"])?;
        ensure!(!table(netns)?.is_empty(), "it falls at once");
        until(netns, false).await?;
        // And once more, until a signal.
        let mut helper = world.client().await?;
        helper.guard(ALWAYS).await?;
        ensure!(!table(netns)?.is_empty());
        anyhow::Ok(helper)
    })?;
    drop(helper);
    world.log.wait(&["the kill switch is kept", "900"])?;
    world.signal(Signal::TERM)?;
    ensure!(world.process.0.wait()?.code() == Some(0));
    ensure!(table(&world.place.netns)?.is_empty(), "stopped: {}", table(&world.place.netns)?);
    Ok(())
}

#[test]
fn a_kill_switch_that_stays_locks_nobody_else_out() -> Result<()> {
    if !enabled("netd: a_kill_switch_that_stays_locks_nobody_else_out") {
        return Ok(());
    }
    // Two users who may: root, and a member of a group that every Debian has.
    let mut world = World::new("stays", &["--hold=0.2", "--group=daemon"])?;
    let socket = world.place.socket();
    let runtime = runtime()?;
    let helper = runtime.block_on(async {
        let mut helper = world.client().await?;
        helper.guard(ALWAYS).await?;
        anyhow::Ok(helper)
    })?;
    let taken =
        as_user(STRANGER, &[1], || async { Helper::connect(&socket).await?.guard(Guard::default()).await })?;
    let taken = taken.err().and_then(|error| error.refusal());
    ensure!(taken == Some(RefusalKind::Taken), "{taken:?}");
    ensure!(!table(&world.place.netns)?.is_empty());
    // A socket past it is nobody else's either.
    let socket_past =
        || as_user(STRANGER, &[1], || async { Helper::connect(&socket).await?.udp(false).await });
    let taken = socket_past()?.err().and_then(|error| error.refusal());
    ensure!(taken == Some(RefusalKind::Taken), "{taken:?}");
    let stands = as_user(STRANGER, &[1], || async { Helper::connect(&socket).await?.standing().await })??;
    ensure!(stands == (ALWAYS, false), "{stands:?}");
    drop(helper);
    world.log.wait(&["the kill switch is kept", "900"])?;
    as_user(STRANGER, &[1], || async { Helper::connect(&socket).await?.guard(Guard::default()).await })??;
    ensure!(table(&world.place.netns)?.is_empty(), "{}", table(&world.place.netns)?);
    socket_past()??;
    Ok(())
}

#[test]
fn whose_kill_switch_stands_may_end_it_though_they_would_not_be_let_in_now() -> Result<()> {
    if !enabled("netd: whose_kill_switch_stands_may_end_it_though_they_would_not_be_let_in_now") {
        return Ok(());
    }
    let mut world = World::new("holder", &["--hold=0.2", "--group=daemon"])?;
    let socket = world.place.socket();
    let refused = || {
        let ended = as_user(STRANGER, &[], || async { Helper::connect(&socket).await.map(drop) })?;
        anyhow::Ok(ended.err().and_then(|error| error.refusal()) == Some(RefusalKind::NotAllowed))
    };
    ensure!(refused()?, "a stranger is let in");
    as_user(STRANGER, &[1], || async { Helper::connect(&socket).await?.guard(ALWAYS).await })??;
    world.log.wait(&["the kill switch is kept", "900"])?;
    // Out of the group, as whose screen is locked: one's own can always be ended.
    let stands = as_user(STRANGER, &[], || async { Helper::connect(&socket).await?.standing().await })??;
    ensure!(stands == (ALWAYS, true), "{stands:?}");
    as_user(STRANGER, &[], || async { Helper::connect(&socket).await?.guard(Guard::default()).await })??;
    ensure!(table(&world.place.netns)?.is_empty(), "{}", table(&world.place.netns)?);
    ensure!(refused()?, "a stranger is let in, who has nothing any more");
    Ok(())
}

#[test]
fn a_kill_switch_of_an_always_on_profile_ends_in_time_without_its_agent() -> Result<()> {
    if !enabled("netd: a_kill_switch_of_an_always_on_profile_ends_in_time_without_its_agent") {
        return Ok(());
    }
    let mut world = World::new("bounded", &["--hold=0.1", "--hold-always=1.5"])?;
    runtime()?.block_on(async {
        let netns = &world.place.netns;
        let mut helper = world.client().await?;
        helper.guard(ALWAYS).await?;
        ensure!(helper.standing().await? == (ALWAYS, true));
        drop(helper);
        world.log.wait(&["the kill switch is kept"])?;
        // Longer than others; whoever comes back in that time has it.
        tokio::time::sleep(Duration::from_millis(500)).await;
        ensure!(!table(netns)?.is_empty(), "it falls as any other");
        let mut helper = world.client().await?;
        helper.guard(ALWAYS).await?;
        tokio::time::sleep(Duration::from_millis(2000)).await;
        ensure!(!table(netns)?.is_empty(), "although its agent is back");
        drop(helper);
        until(netns, false).await
    })
}

/// Whoever comes to another network has another local network, and the tunnel's networks are none.
#[test]
fn the_local_network_of_a_kill_switch_is_the_one_that_is_there() -> Result<()> {
    if !enabled("netd: the_local_network_of_a_kill_switch_is_the_one_that_is_there") {
        return Ok(());
    }
    let world = World::new("lans", &["--hold=2"])?;
    runtime()?.block_on(async {
        let netns = &world.place.netns;
        let lan = async |net: &str, there: bool| {
            let changes = async {
                while table(netns)?.contains(net) != there {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                anyhow::Ok(())
            };
            let changed = tokio::time::timeout(PATIENCE, changes).await;
            changed.with_context(|| format!("{net}, wanted {there}: {}", table(netns).unwrap_or_default()))?
        };
        let mut helper = world.client().await?;
        helper.guard(Guard { lan: true, ..EVERYTHING }).await?;
        ensure!(!table(netns)?.contains("lan4"), "a public network is no local one");
        netns.ip(&["addr", "add", "192.168.77.2/24", "dev", "uplink"])?;
        lan("192.168.77.0/24", true).await?;
        netns.ip(&["addr", "add", "10.20.30.2/24", "dev", "uplink"])?;
        lan("10.20.30.0/24", true).await?;
        netns.ip(&["addr", "del", "192.168.77.2/24", "dev", "uplink"])?;
        lan("192.168.77.0/24", false).await?;
        ensure!(table(netns)?.contains("10.20.30.0/24"));
        // What the tunnel takes is its own, also when it is down again.
        let (_, _device) = helper.tun(None).await?;
        let net = |text: &str| Net { address: text.parse().expect("an address"), prefix: 8 };
        helper.apply(&Network { include: vec![net("10.0.0.0")], ..plan() }).await?;
        lan("10.20.30.0/24", false).await?;
        helper.revert().await?;
        ensure!(!table(netns)?.contains("10.20.30"), "{}", table(netns)?);
        netns.ip(&["addr", "add", "192.168.78.2/24", "dev", "uplink"])?;
        lan("192.168.78.0/24", true).await?;
        ensure!(!table(netns)?.contains("10.20.30"), "{}", table(netns)?);
        helper.guard(Guard::default()).await?;
        anyhow::Ok(())
    })
}
