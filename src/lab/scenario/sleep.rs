//! The machine sleeps: the driver is frozen, the line is dead, and the clocks of both sides go on.

use super::super::LabError;
use super::super::stage::{Expected, SECOND, Setup, Stage};
use crate::client::AuthKind;
use crate::sense::{Hold, Signal};
use crate::time::Instant;
use std::time::Duration;

const NIGHT: Duration = Duration::from_secs(2 * 3600 + 10 * 60);
const NAP: Duration = Duration::from_secs(20);
/// A window that is longer than the night.
const WINDOW: Duration = Duration::from_secs(4 * 3600);
const AT_ONCE: Duration = SECOND;

pub(super) fn sleep_setup(setup: &mut Setup) {
    setup.gateway.lenient = false;
    setup.gateway.reconnect_timeout = Some(WINDOW);
    setup.config.push(format!("reconnect_window = \"{}s\"", WINDOW.as_secs()));
    setup.shortened.push("2 h 10 min of sleep: the clocks of both sides leap".into());
}

pub(super) async fn sleep(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let asleep = fall_asleep(stage, NIGHT).await?;
    let inactive = stage.counters().await?.inactive;
    stage.promise("the gateway's DPD has moved the session to the inactive ones", inactive == 1, inactive);
    let awake = wake_up(stage).await?;
    stage.ping_on();
    stage.promise_back(asleep, awake, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "resume", 2);
    stage.promise_shown_as_reconnect().await?;
    stage.promise_reconnect_logged("Session level reconnect reason code 9");
    stage.promise_logged("Client Agent continuing from system suspend.");
    let noticed = noticed(stage, awake);
    Ok(Expected { noticed, ..Expected::default() })
}

pub(super) fn nap_setup(setup: &mut Setup) {
    setup.shortened.push("20 s of sleep: the clocks of both sides leap".into());
}

/// The old SA answers before a new one could be made, so it serves on.
pub(super) async fn nap(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let asleep = fall_asleep(stage, NAP).await?;
    let awake = wake_up(stage).await?;
    // Nobody sends anything yet: the liveness request alone must prove the old SA.
    let proved = stage.wait(AT_ONCE, |stage| stage.seen.is_connected()).await?;
    let told = stage.seen.told();
    stage.promise("a liveness request alone proves the old SA within a second", proved, told);
    stage.ping_on();
    stage.promise_back(asleep, awake, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "resume", 0);
    let by_token = stage.seen.established.iter().filter(|(_, auth, _)| *auth == AuthKind::Token).count();
    stage.promise("no new SA is made", by_token == 0, by_token);
    let noticed = noticed(stage, awake);
    Ok(Expected { noticed, ..Expected::default() })
}

/// As logind does it: the signal, then nothing runs. Returns when it was.
async fn fall_asleep(stage: &mut Stage, time: Duration) -> Result<Instant, LabError> {
    stage.say(Signal::Suspend(Hold::none())).await;
    let suspended = stage.wait(SECOND, |stage| stage.seen.entered("suspended").is_some()).await?;
    let told = stage.seen.told();
    stage.promise("before sleep the state is suspended", suspended, told);
    stage.hush();
    let asleep = stage.now();
    stage.agent.freezer.freeze();
    let asleep_all_the_time = move |site: &mut super::super::gateway::Site| {
        site.line.down = true;
        site.pass(time);
        site.line.down = false;
    };
    stage.gateway.ask(asleep_all_the_time).await?;
    Ok(asleep)
}

async fn wake_up(stage: &mut Stage) -> Result<Instant, LabError> {
    stage.agent.freezer.thaw();
    let awake = stage.now();
    stage.say(Signal::Resume).await;
    Ok(awake)
}

/// The silence of the sleep itself is nothing that a user notices.
fn noticed(stage: &Stage, awake: Instant) -> Option<String> {
    let (_, answered) = stage.echoes.first_alive(awake)?;
    let took = answered.since(awake).as_millis();
    Some(format!("{took} ms after the lid was opened everything worked; no question was asked."))
}
