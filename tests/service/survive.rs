//! The session survives the agent: stopped, upgraded, the machine rebooted, within the window.

use crate::stage::{HERE4, Stage};
use anyhow::{Result, ensure};
use ikeep::ipc::{Reply, Request};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_agent_that_was_stopped_or_crashed_comes_back_by_token() -> Result<()> {
    let mut stage = Stage::set(str::to_owned, "").await?;
    stage.log_in().await?;
    // Log-off, shutdown, an upgrade: the agent is asked to stop.
    ensure!(stage.last(Request::Stop).await? == Reply::Done);
    stage.start().await;
    let back = stage.until_state("connected").await?;
    ensure!(back["auth"] == "psk" && back["last_reconnect"]["cause"] == "agent-start", "{back}");
    // A crash, and a reboot of ten minutes.
    stage.crash();
    stage.clock.leap(Duration::from_secs(600));
    stage.start().await;
    ensure!(stage.until_state("connected").await?["auth"] == "psk");
    ensure!(!stage.events().contains("auth-required"), "{}", stage.events());
    Ok(())
}

#[tokio::test]
async fn after_the_window_a_person_is_asked_in_one_clear_sentence_and_nothing_is_sent() -> Result<()> {
    let mut stage = Stage::set(str::to_owned, "").await?;
    stage.log_in().await?;
    stage.crash();
    stage.clock.leap(HOUR);
    stage.start().await;
    let status = stage.status().await?;
    ensure!(status["state"] == "auth-required", "{status}");
    let message = status["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.ends_with("Log in again: `ikeep connect`"), "{status}");
    ensure!(stage.file("state/sessions").read_dir()?.count() == 0, "a token whose time is over is erased");
    let counters = stage.company.ask("show stats reconnect", "inactive session count")?;
    ensure!(counters.contains("Total incoming reconnect connection: 0"), "{counters}");
    // The person logs in, and all is as it was.
    stage.log_in().await?;
    Ok(())
}

#[tokio::test]
async fn a_window_that_ends_without_a_network_ends_the_session() -> Result<()> {
    let mut stage = Stage::set(str::to_owned, "").await?;
    stage.log_in().await?;
    stage.networks_carry(&[]);
    stage.until_state("waiting-for-network").await?;
    stage.company.ask("restart forget", "lost")?;
    stage.clock.leap(HOUR);
    stage.say(ikeep::sense::Signal::Resume).await?;
    stage.networks_carry(&[HERE4]);
    // The old SA is asked first: the gateway may have been more patient than it promised.
    let ended = |status: &serde_json::Value| {
        !["waiting-for-network", "reconnecting"].iter().any(|state| status["state"] == *state)
    };
    let status = stage.until("an end", ended).await?;
    ensure!(status["state"] == "auth-required", "{status}");
    ensure!(stage.events().contains("Termination reason code 101"), "{}", stage.events());
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_more_patient_than_it_promised_is_still_connected() -> Result<()> {
    let stage = Stage::set(str::to_owned, "").await?;
    stage.log_in().await?;
    stage.networks_carry(&[]);
    stage.until_state("waiting-for-network").await?;
    stage.clock.leap(HOUR);
    stage.say(ikeep::sense::Signal::Resume).await?;
    stage.networks_carry(&[HERE4]);
    let back = stage.until_state("connected").await?;
    // Its ESP may still go to the old place: nothing was sent yet that would show it.
    ensure!(back["auth"] == "anyconnect-eap" && back["confirmed"] == false, "{back}");
    ensure!(back["next"]["what"] == "traffic on the new path", "{back}");
    Ok(())
}
