//! Sleep, as logind announces it.

use crate::interop::{self, GATEWAY_NAME, Pki};
use crate::logind::Logind;
use crate::net::{AT_HOME, IN_OFFICE, Uplink};
use crate::world::{Kind, World, pause};
use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};
use std::time::Duration;
use tempfile::TempDir;

/// The laptop sleeps at home and wakes at home, then it wakes in the office; each time the gateway has lost the SA meanwhile. For
/// the agent it is as if no time had passed: its process stands still, as in any sleep.
#[test]
fn a_laptop_that_sleeps_is_back_when_it_wakes() -> Result<()> {
    if !interop::enabled("a_laptop_that_sleeps_is_back_when_it_wakes") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let logind = Logind::start()?;
    let mut world = World::with(Kind::Embedded, &pki, &[("DBUS_SYSTEM_BUS_ADDRESS", logind.address())])?;
    let told = sleeps(&logind, &mut world);
    told.with_context(|| world.told())
}

fn sleeps(logind: &Logind, world: &mut World) -> Result<()> {
    for (round, (uplink, address)) in
        [(Uplink::Home, AT_HOME), (Uplink::Office, IN_OFFICE)].into_iter().enumerate()
    {
        logind.until_locked(round + 1)?;
        logind.sleep_is_near()?;
        world.until("the state before sleep", |status| status["state"] == "suspended")?;
        let agent = world.person.agent().context("an agent")?;
        kill_process(agent, Signal::STOP)?;
        world.console("restart", "restarted")?;
        world.net.go(uplink)?;
        pause(Duration::from_millis(500));
        logind.sleep_is_over()?;
        kill_process(agent, Signal::CONT)?;
        let status = world.until_at(address)?;
        let last = &status["last_reconnect"];
        ensure!(last["cause"] == "resume" && last["round_trips"] == 2, "the last reconnect: {last:#}");
        world.lives()?;
    }
    let events = world.person.events();
    ensure!(events.contains("Session level reconnect reason code 9:"), "no reason for it:\n{events}");
    Ok(())
}
