//! The path changes, dies or goes away.

use super::super::LabError;
use super::super::stage::{ELSEWHERE, Expected, HOME, SECOND, Setup, Stage};
use crate::gateway::Dpd;
use std::time::Duration;

/// Back after a change of network, a resume or the path's return.
const AT_ONCE: Duration = SECOND;
/// One way through a slow line.
const SLOW: Duration = Duration::from_millis(100);

pub(super) fn outage_setup(setup: &mut Setup) {
    setup.gateway.lenient = false;
    setup.gateway.dpd = Dpd { interval: 2 * SECOND, retry: Duration::from_millis(400), tries: 3 };
    setup.shortened.push("the gateway's DPD 45 s -> 2 s".into());
}

/// Silence in both directions. The gateway's DPD finds the client dead and keeps the session as inactive, which is where a
/// strict gateway looks for it.
pub(super) async fn outage(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.line.down = true).await?;
    stage.wait(9 * SECOND, |stage| stage.seen.entered("reconnecting").is_some()).await?;
    let declared = stage.seen.entered("reconnecting").map(|at| at.since(lost)).unwrap_or_default();
    let in_time = (Duration::from_millis(6_500)..Duration::from_millis(7_600)).contains(&declared);
    let found = format!("{} ms", declared.as_millis());
    stage.promise("the outage is declared 7 s after the first unanswered packet", in_time, found);
    stage.pass(Duration::from_millis(300)).await?;
    let inactive = stage.counters().await?.inactive;
    stage.promise("the gateway has moved the session to the inactive ones", inactive == 1, inactive);

    let mended = stage.now();
    stage.gateway.ask(|site| site.line.down = false).await?;
    // The request under way is repeated; so early in the attempt the next repetition is less than a second away.
    stage.promise_back(lost, mended, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "outage", 2);
    stage.promise_shown_as_reconnect().await?;
    stage.promise_reconnect_logged("Low level reconnect reason code 6");
    Ok(Expected::default())
}

/// The laptop leaves one network and enters another. The gateway does not follow, so only a new SA brings traffic back.
pub(super) async fn roam(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.gateway.ask(|site| site.gateway.faults().pinned = true).await?;
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.line.left.insert(HOME)).await?;
    stage.go(Some(ELSEWHERE));
    stage.promise_back(lost, lost, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "network-change", 2);
    stage.promise_shown_as_reconnect().await?;
    stage.promise_reconnect_logged("Low level reconnect reason code 100");
    Ok(Expected::default())
}

pub(super) fn hop_setup(setup: &mut Setup) {
    setup.gateway.lenient = false;
}

/// The gateway follows authenticated packets, and as it thinks the session active it takes no token: the old SA must serve on.
pub(super) async fn hop(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.line.left.insert(HOME)).await?;
    stage.go(Some(ELSEWHERE));
    stage.promise_back(lost, lost, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "network-change", 0);
    let accepted = stage.counters().await?.reconnects_ok;
    stage.promise("the gateway makes no new SA", accepted == 0, accepted);
    Ok(Expected::default())
}

pub(super) fn late_setup(setup: &mut Setup) {
    setup.delay = SLOW;
}

/// The token is on its way when the old SA is proved: the gateway will replace the old SA, so the proof comes too late
/// (law 3). Round trips are long here, or chance would decide what comes first.
pub(super) async fn late(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;
    // The first packet on the new path, which will prove the old SA, leaves half a round trip after the IKE_SA_INIT.
    stage.hush();
    stage.pass(3 * SLOW).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.line.left.insert(HOME)).await?;
    stage.go(Some(ELSEWHERE));
    stage.pass(SLOW).await?;
    stage.ping_on();
    stage.promise_back(lost, lost, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "network-change", 2);
    stage.promise_shown_as_reconnect().await?;
    Ok(Expected::default())
}

/// No route to the gateway: nothing is sent. Then there is one.
pub(super) async fn offline(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.gateway.ask(|site| site.gateway.faults().pinned = true).await?;
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.gateway.ask(|site| site.line.left.insert(HOME)).await?;
    stage.go(None);
    let waiting = stage.wait(SECOND, |stage| stage.seen.entered("waiting-for-network").is_some()).await?;
    let told = stage.seen.told();
    stage.promise("without a network the state is waiting-for-network", waiting, told);
    stage.pass(Duration::from_millis(100)).await?;
    let before = stage.gateway.ask(|site| site.arrived).await?;
    stage.pass(2 * SECOND).await?;
    let sent = stage.gateway.ask(|site| site.arrived).await? - before;
    stage.promise("without a network nothing is sent", sent == 0, format!("{sent} datagram(s)"));

    let mended = stage.now();
    stage.go(Some(ELSEWHERE));
    stage.promise_back(lost, mended, AT_ONCE).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "network-change", 2);
    stage.promise_shown_as_reconnect().await?;
    Ok(Expected::default())
}
