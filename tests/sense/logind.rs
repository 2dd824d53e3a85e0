//! Sleep, as logind announces it: held back, never for long, and over once.

use crate::bus::{self, Bus, Skill};
use crate::ear::Ear;
use anyhow::{Result, ensure};
use ikeep::sense::{Missing, Signal};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn story(test: &str, told: impl AsyncFnOnce(Bus) -> Result<()>) -> Result<()> {
    if !bus::enabled(test) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { told(Bus::new()?).await })
}

fn says(missing: &[Missing], why: &str) -> bool {
    missing.iter().any(|missing| missing.source == "sleep before it begins" && missing.why.contains(why))
}

#[test]
fn sleep_waits_for_the_hold_and_a_new_lock_is_taken_afterwards() -> Result<()> {
    story("sleep_waits_for_the_hold_and_a_new_lock_is_taken_afterwards", async |mut bus| {
        let logind = bus.start_logind(Skill::Everything).await?;
        let mut ear = Ear::new(Some(bus.address()))?;
        logind.until_locks(1).await?;
        let locks = logind.locks().await?;
        ensure!(locks == [("sleep".into(), "ikeep".into(), "delay".into())], "{locks:?}");
        ear.missing(<[Missing]>::is_empty).await?;
        for _ in 0..2 {
            logind.say(true).await?;
            let Signal::Suspend(hold) = ear.expect("Suspend(Hold(held))").await? else { unreachable!() };
            ensure!(logind.locks().await?.len() == 1, "sleep waits");
            drop(hold);
            logind.until_locks(0).await?;
            ear.has_slept(HOUR);
            logind.say(false).await?;
            ear.expect("Resume").await?;
            logind.until_locks(1).await?;
        }
        // It says so twice: there was one sleep.
        logind.say(false).await?;
        logind.forge().await?;
        logind.say(true).await?;
        ear.expect("Suspend").await?;
        // It was called off: the clocks say nothing.
        logind.say(false).await?;
        ear.expect("Resume").await?;
        // The lock goes with whoever holds it.
        logind.until_locks(1).await?;
        drop(ear);
        logind.until_locks(0).await
    })
}

#[test]
fn sleep_is_never_held_back_for_long() -> Result<()> {
    story("sleep_is_never_held_back_for_long", async |mut bus| {
        let logind = bus.start_logind(Skill::Everything).await?;
        logind.set_delay_limit(Duration::from_millis(250)).await?;
        let mut ear = Ear::new(Some(bus.address()))?;
        logind.until_locks(1).await?;
        ear.missing(<[Missing]>::is_empty).await?;
        logind.say(true).await?;
        let hold = ear.expect("Suspend(Hold(held))").await?;
        logind.until_locks(0).await?;
        ensure!(format!("{hold:?}") == "Suspend(Hold(nothing))", "{hold:?}");
        Ok(())
    })
}

#[test]
fn a_logind_that_goes_and_comes_back_is_heard_again() -> Result<()> {
    story("a_logind_that_goes_and_comes_back_is_heard_again", async |mut bus| {
        let mut ear = Ear::new(Some(bus.address()))?;
        ear.missing(|missing| says(missing, "there is no logind")).await?;
        let logind = bus.start_logind(Skill::Everything).await?;
        logind.until_locks(1).await?;
        ear.missing(<[Missing]>::is_empty).await?;
        logind.say(true).await?;
        let hold = ear.expect("Suspend(Hold(held))").await?;
        // Nobody is left who would say that the sleep is over.
        bus.end_logind();
        ear.expect("Resume").await?;
        ensure!(format!("{hold:?}") == "Suspend(Hold(nothing))", "{hold:?}");
        ear.missing(|missing| says(missing, "has gone")).await?;
        let logind = bus.start_logind(Skill::Everything).await?;
        logind.until_locks(1).await?;
        ear.missing(<[Missing]>::is_empty).await?;
        logind.say(true).await?;
        ear.expect("Suspend(Hold(held))").await?;
        Ok(())
    })
}

#[test]
fn a_bus_that_dies_and_comes_back_is_found_again() -> Result<()> {
    story("a_bus_that_dies_and_comes_back_is_found_again", async |mut bus| {
        let logind = bus.start_logind(Skill::Everything).await?;
        let mut ear = Ear::new(Some(bus.address()))?;
        logind.until_locks(1).await?;
        ear.missing(<[Missing]>::is_empty).await?;
        bus.end();
        ear.missing(|missing| says(missing, "the system bus")).await?;
        bus.start()?;
        let logind = bus.start_logind(Skill::Everything).await?;
        logind.until_locks(1).await?;
        ear.missing(<[Missing]>::is_empty).await?;
        logind.say(true).await?;
        ear.expect("Suspend(Hold(held))").await?;
        Ok(())
    })
}

#[test]
fn a_logind_that_gives_no_time_is_heard_all_the_same() -> Result<()> {
    story("a_logind_that_gives_no_time_is_heard_all_the_same", async |mut bus| {
        let logind = bus.start_logind(Skill::Signals).await?;
        let mut ear = Ear::new(Some(bus.address()))?;
        ear.missing(|missing| says(missing, "logind gives no time for it")).await?;
        logind.say(true).await?;
        ear.expect("Suspend(Hold(nothing))").await?;
        logind.say(false).await?;
        ear.expect("Resume").await?;
        Ok(())
    })
}
