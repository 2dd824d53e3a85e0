//! From nothing to traffic, and back to nothing.

use super::super::LabError;
use super::super::stage::{Expected, SECOND, Setup, Stage};
use crate::crypto::Secret;
use crate::gateway::User;
use crate::ipc::Request;
use crate::reconnect::State;
use std::time::Duration;

const FACTOR: &str = "246810";

pub(super) fn login_setup(setup: &mut Setup) {
    let mut user = User::with_password("cisco");
    user.second_factor = Some(Secret::from(FACTOR.as_bytes()));
    setup.gateway.users.insert("test".into(), user);
    setup.gateway.banner = Some("Authorised use only".into());
    setup.answers =
        vec![("username", "test"), ("password", "cosco"), ("password", "cisco"), ("answer", FACTOR)];
}

pub(super) async fn login(stage: &mut Stage) -> Result<Expected, LabError> {
    stage.log_in().await?;
    stage.pass(2 * SECOND).await?;

    let proved = !stage.seen.asked_unproved;
    stage.promise("the gateway proves itself before any form", proved, proved);
    let stored = !stage.seen.announced_unstored;
    stage.promise("the session is stored before \"Connected\" is told", stored, stored);
    let banner = stage.seen.notices.iter().any(|text| text.contains("Authorised use only"));
    stage.promise("the banner is shown", banner, format!("{:?}", stage.seen.notices));
    let name = stage.host_name.clone();
    stage.promise_logged("The IPsec connection to the secure gateway has been established.");
    stage.promise_logged(&format!("Connected to {name}."));
    stage.promise_logged("AutoReconnectBehavior: ReconnectAfterResume");

    // The end: DELETE both ways, and then silence.
    stage.hush();
    stage.download.stop();
    stage.pass(Duration::from_millis(100)).await?;
    stage.ask(Request::Disconnect).await?;
    stage.wait(SECOND, |stage| matches!(stage.seen.state, Some(State::Disconnected { .. }))).await?;
    let told = stage.seen.told();
    stage.promise(
        "a disconnect ends within a second, as soon as the gateway has answered",
        told == "disconnected",
        told,
    );
    let counters = stage.counters().await?;
    let left = counters.active + counters.inactive;
    stage.promise("the gateway keeps nothing of the session", left == 0, format!("{left} session(s)"));
    stage.promise("the stored session is erased", stage.seen.session.is_none(), stage.seen.session.is_some());
    let before = stage.gateway.ask(|site| site.arrived).await?;
    stage.pass(SECOND / 2).await?;
    let after = stage.gateway.ask(|site| site.arrived).await? - before;
    stage.promise("after a disconnect nothing is sent", after == 0, format!("{after} datagram(s)"));

    let noticed = "Two questions (password, second factor), one more for the mistyped password.".to_owned();
    Ok(Expected {
        aaa: 3,
        prompts: 3,
        login_prompts: 3,
        state: "disconnected",
        downloads: 1,
        noticed: Some(noticed),
    })
}
