//! Nothing breaks, but keys change.

use super::super::LabError;
use super::super::stage::{Expected, SECOND, Setup, Stage};

pub(super) fn traffic_setup(setup: &mut Setup) {
    setup.gateway.child_lifetime = 2 * SECOND;
    setup.adjust = |settings| settings.ike_lifetime = 3 * SECOND;
    setup.shortened.push("Child SA lifetime 3600 s -> 2 s".into());
    setup.shortened.push("IKE SA lifetime 86400 s -> 3 s".into());
}

pub(super) async fn traffic(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(5 * SECOND).await?;
    let children = stage.seen.child_rekeys;
    stage.promise("the gateway rekeys the Child SA twice at least", children >= 2, children);
    let ikes = stage.seen.ike_rekeys;
    stage.promise("the client rekeys the IKE SA", ikes >= 1, ikes);
    let reconnects = stage.seen.reconnected.len();
    stage.promise("no reconnect is needed", reconnects == 0, reconnects);
    Ok(Expected::default())
}
