//! The gateway restarts, deletes, forgets and refuses.

use super::super::LabError;
use super::super::stage::{Expected, SECOND, Setup, Stage};
use crate::gateway::TokenFault;
use crate::ike::initiator::Failure;
use crate::reconnect::Why;
use std::time::Duration;

const AT_ONCE: Duration = SECOND;
/// Gaps between refusals, instead of 1, 3, 8, 20, 40 and 60 s.
const GAPS: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];
const GAPS_CONFIG: &str = r#"refusal_retry = ["200ms", "400ms", "800ms"]"#;
const GAPS_SHORTENED: &str = "gaps after refusals 1, 3, 8, 20, 40, 60 s -> 0.2, 0.4, 0.8 s";
/// A refusal is taken up this much later than planned at most: a round trip, and a busy machine.
const LATE: Duration = Duration::from_millis(400);

/// Without a word: only silence under traffic tells.
pub(super) async fn restart(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.gateway.restart(site.now(), true)).await?;
    // 7 s of silence (law 8), and the handshake.
    stage.promise_back(lost, lost, 7 * SECOND + AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "outage", 2);
    let detect = stage.seen.reconnected.last().map(|r| r.detect).unwrap_or_default();
    let in_time = (Duration::from_millis(6_500)..Duration::from_millis(7_600)).contains(&detect);
    stage.promise("the silence counts as an outage after 7 s", in_time, format!("{} ms", detect.as_millis()));
    stage.promise_shown_as_reconnect().await?;
    stage.promise_reconnect_logged("Low level reconnect reason code 6");
    Ok(Expected::default())
}

pub(super) fn refused_setup(setup: &mut Setup) {
    setup.config.push(GAPS_CONFIG.into());
    setup.shortened.push(GAPS_SHORTENED.into());
}

/// The token is worth nothing any more, but one refusal is not believed.
pub(super) async fn refused(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.gateway.restart(site.now(), false)).await?;
    let given_up = stage.wait(12 * SECOND, |stage| stage.seen.entered("auth-required").is_some()).await?;
    let told = stage.seen.told();
    stage.promise("after the last refusal a login is wanted", given_up, told);
    promise_gaps(stage, GAPS.len() + 1);
    stage.pass(SECOND).await?;
    let why = stage.seen.ended;
    stage.promise("the reason is told", why == Some(Why::TokenRefused), format!("{why:?}"));
    let prompts = stage.seen.prompts;
    stage.promise("no question comes by itself", prompts == 1, prompts);
    let failed = stage.counters().await?.reconnects_failed;
    stage.promise("after that the token is left alone", failed == 4, format!("{failed} tries"));

    // The person logs in again.
    let asked = stage.now();
    stage.agent.connect().await?;
    stage.promise_back(lost, asked, 2 * SECOND).await?;
    stage.pass(SECOND).await?;
    stage.promise_logged("Low level reconnect reason code 6");
    let noticed = "Silence, then \"login required\"; after the login everything went on.".to_owned();
    Ok(Expected { aaa: 2, prompts: 2, login_prompts: 2, noticed: Some(noticed), ..Expected::default() })
}

pub(super) fn grudging_setup(setup: &mut Setup) {
    setup.config.push(GAPS_CONFIG.into());
    setup.shortened.push(GAPS_SHORTENED.into());
}

/// A gateway may refuse because it looks the session up among its inactive ones only: the same token is tried again.
pub(super) async fn grudging(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    let refuse_twice_after_delete = |site: &mut super::super::gateway::Site| {
        site.gateway.faults().tokens = TokenFault::Next(2);
        site.gateway.clear_sessions(site.now());
    };
    stage.gateway.ask(refuse_twice_after_delete).await?;
    stage.promise_back(lost, lost, GAPS[0] + GAPS[1] + AT_ONCE).await?;
    stage.pass(SECOND).await?;
    promise_gaps(stage, 2);
    stage.promise_reconnected(1, "gateway-delete", 2);
    stage.promise_shown_as_reconnect().await?;
    Ok(Expected::default())
}

/// An administrator clears the SA.
pub(super) async fn delete(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.gateway.clear_sessions(site.now())).await?;
    stage.promise_back(lost, lost, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "gateway-delete", 2);
    stage.promise_shown_as_reconnect().await?;
    stage.promise_reconnect_logged("Low level reconnect reason code 101");
    Ok(Expected::default())
}

/// An administrator clears the Child SA only: an IKE SA without one carries nothing.
pub(super) async fn child(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.gateway.clear_children(site.now())).await?;
    stage.promise_back(lost, lost, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "child-delete", 2);
    stage.promise_shown_as_reconnect().await?;
    stage.promise_reconnect_logged("Low level reconnect reason code 102");
    Ok(Expected::default())
}

/// So many refusals, each after its gap.
fn promise_gaps(stage: &mut Stage, count: usize) {
    let refusals: Vec<_> = stage
        .seen
        .failures
        .iter()
        .filter(|(_, failure)| matches!(failure, Failure::Refused { .. }))
        .map(|(at, _)| *at)
        .collect();
    let found = refusals.len();
    stage.promise(
        format!("the token is tried {count} times before it is believed to be dead"),
        found == count,
        found,
    );
    let gaps: Vec<Duration> = refusals.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    let kept = gaps.iter().zip(GAPS).all(|(found, wanted)| *found >= wanted && *found <= wanted + LATE);
    stage.promise("the gaps between refusals are kept", kept, format!("{gaps:.0?}"));
}
