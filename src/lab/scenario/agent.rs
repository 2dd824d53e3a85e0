//! The user and the agent themselves.

use super::super::LabError;
use super::super::stage::{Expected, SECOND, Stage};
use crate::ipc::Request;
use std::time::Duration;

/// Make before break: the old SA serves until the new one does, and nobody notices.
pub(super) async fn reconnect(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;
    stage.ask(Request::Reconnect).await?;
    // No echo may be lost at all: nothing was broken.
    stage.wait(SECOND, |stage| !stage.seen.reconnected.is_empty()).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "user", 2);
    stage.promise_shown_as_reconnect().await?;
    Ok(Expected::default())
}

/// All that is left is what was stored.
pub(super) async fn crash(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(SECOND).await?;

    let lost = stage.now();
    stage.kill();
    stage.wait(SECOND / 2, |_| false).await?;
    let mended = stage.now();
    stage.start_again().await?;
    stage.promise_back(lost, mended, Duration::from_secs(1)).await?;
    stage.pass(SECOND).await?;
    stage.promise_reconnected(1, "agent-start", 2);
    stage.promise_shown_as_reconnect().await?;
    // The proxy died with the agent, so the download had to be resumed.
    Ok(Expected { downloads: 2, ..Expected::default() })
}
