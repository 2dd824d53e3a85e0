//! Sleep waits for what has to be done before it, and no longer.

use crate::person::PATIENCE;
use crate::stage::{Stage, with};
use anyhow::{Context, Result, ensure};
use ikeep::sense::{Hold, Signal};
use std::os::unix::net::UnixStream;
use tokio::io::AsyncReadExt as _;

/// A hold, and a future that ends when it is let go.
fn held() -> Result<(Hold, impl Future<Output = Result<()>>)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut ours = tokio::net::UnixStream::from_std(ours)?;
    let released = async move {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, ours.read_to_end(&mut rest)).await;
        read.context("the hold is let go")??;
        Ok(())
    };
    Ok((Hold::of(theirs.into()), released))
}

#[tokio::test]
async fn the_session_is_kept_before_sleep_and_comes_back_after_it() -> Result<()> {
    let mut stage = Stage::set(str::to_owned, "").await?;
    stage.log_in().await?;
    let (hold, released) = held()?;
    stage.say(Signal::Suspend(hold)).await?;
    released.await?;
    stage.until_state("suspended").await?;
    ensure!(stage.file("state/sessions").read_dir()?.count() > 0, "a session file");
    stage.say(Signal::Resume).await?;
    let back = stage.until_state("connected").await?;
    ensure!(back["reconnects"] == 1 && back["last_reconnect"]["cause"] == "resume", "{back}");
    // A machine that never woke up: the next agent goes on where this one stopped.
    let (hold, released) = held()?;
    stage.say(Signal::Suspend(hold)).await?;
    released.await?;
    stage.start().await;
    ensure!(stage.until_state("connected").await?["auth"] == "psk");
    Ok(())
}

#[tokio::test]
async fn whoever_asks_after_a_sleep_whose_end_was_missed_gets_the_connection() -> Result<()> {
    let stage = Stage::set(str::to_owned, "").await?;
    stage.log_in().await?;
    let asleep = async || -> Result<()> {
        let (hold, released) = held()?;
        stage.say(Signal::Suspend(hold)).await?;
        released.await?;
        stage.until_state("suspended").await?;
        Ok(())
    };
    asleep().await?;
    stage.log_in().await?;
    let back = stage.status().await?;
    ensure!(back["reconnects"] == 1 && back["last_reconnect"]["cause"] == "resume", "{back}");
    // The profile has gone meanwhile: the connection goes on all the same.
    asleep().await?;
    std::fs::remove_file(stage.file("profile.xml"))?;
    stage.log_in().await?;
    ensure!(stage.status().await?["reconnects"] == 2);
    Ok(())
}

#[tokio::test]
async fn a_session_that_ends_with_sleep_is_deleted_at_the_gateway_first() -> Result<()> {
    let change = with(">ReconnectAfterResume<", ">DisconnectOnSuspend<");
    let mut stage = Stage::set(change, "").await?;
    stage.log_in().await?;
    let (hold, released) = held()?;
    stage.say(Signal::Suspend(hold)).await?;
    released.await?;
    stage.until_state("disconnected").await?;
    let counters = stage.company.ask("show stats reconnect", "inactive session count")?;
    ensure!(counters.contains("Reconnect capable active session count: 0"), "{counters}");
    ensure!(counters.contains("Reconnect capable inactive session count: 0"), "{counters}");
    ensure!(stage.file("state/sessions").read_dir()?.count() == 0, "no session is left");
    Ok(())
}
