//! The kill switch, as far as the service has a say: it is wanted as long as a connection is, so from `ikeep connect` until
//! `ikeep disconnect`, or a network that the profile trusts. Reconnects, and a session that has ended and wants its person, leave
//! it up, and so does a login that fails: but for the first one since `ikeep connect`, where the profile is not always on.

use super::super::helpers::Helpers;
use super::Service;
use crate::agent::network::{Ground, Report};
use crate::agent::target::Target;
use crate::ipc::Connect;
use crate::ipc::helper::{Guard, GuardMode, HelperError, RefusalKind};
use crate::journal::{Kind, Reason};
use crate::reconnect::{Pause, State};
use serde_json::{Value, json};
use std::pin::Pin;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep, timeout};

/// So long after a sleep nothing leaves, where the network was a trusted one before: by then it has said what it is now.
const AWAKE: Duration = Duration::from_secs(8);
/// A helper says within this time what stands.
const ANSWER: Duration = Duration::from_secs(1);

/// Whether a kill switch is up without a connection of this agent's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// It is not.
    No,
    /// An agent before this one may have had one.
    Maybe,
    /// It was left up.
    Yes,
}

/// A conversation with the helper that outlives its connection: while it lasts, the kill switch stays.
#[derive(Debug)]
pub(super) struct Kept(JoinHandle<()>);

impl Kept {
    fn new(mut ground: Ground) -> Self {
        Self(tokio::spawn(async move {
            while let Some(report) = ground.next().await {
                match report {
                    Report::Unguarded(error) => tracing::warn!(%error, "the kill switch is not up"),
                    report => tracing::debug!(?report, "of the kill switch that stays"),
                }
            }
        }))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The kill switch of a connection.
#[derive(Debug, Default)]
pub(in super::super) struct Guarding {
    /// There was a session: what fails after it leaves nothing open.
    had_session: bool,
    /// Runs while it is up in a network that was trusted before the machine slept.
    awake: Option<Pin<Box<Sleep>>>,
    /// It was asked for.
    wanted: bool,
    /// The helper says that it is up.
    pub(in super::super) up: bool,
    /// Why it is not.
    failed: Option<String>,
    /// It stays for the connection after this one.
    keep: bool,
    /// The end is that of a login whose person has gone, not their word.
    given_up: bool,
}

impl Guarding {
    /// Waits until the network has had the time to say what it is. May be cancelled.
    pub(super) async fn look_again(&mut self) {
        match &mut self.awake {
            Some(time) => time.as_mut().await,
            None => std::future::pending().await,
        }
    }
}

impl Service {
    /// Puts it up, where one is wanted and the gateway's address is known: whoever asks for that may need the machine's resolver.
    pub(super) fn raise_guard(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let (Some(guard), Some(ground)) = (connection.target.guard, &connection.ground) else { return };
        let rests = matches!(connection.state, State::Suspended { pause: Pause::TrustedNetwork, .. });
        let known = connection.whereabouts.is_known() || guard.always;
        if known && !rests && !connection.ending {
            connection.guarding.wanted = true;
            ground.raise(guard);
        }
    }

    /// Another connection follows at once: nothing leaves in between.
    pub(super) fn keep_guard(&mut self) {
        if let Some(connection) = self.connection.as_mut() {
            connection.guarding.keep = true;
        }
    }

    /// A login whose person has gone ends, or (false) the person says that all does.
    pub(super) fn guard_given_up(&mut self, given_up: bool) {
        if let Some(connection) = self.connection.as_mut() {
            connection.guarding.given_up = given_up;
        }
    }

    /// The machine wakes up, perhaps elsewhere: until that is known, no network is trusted.
    pub(super) fn raise_guard_awake(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let (Some(guard), Some(ground)) = (connection.target.guard, &connection.ground) else { return };
        if matches!(connection.state, State::Suspended { pause: Pause::TrustedNetwork, .. }) {
            connection.guarding.wanted = true;
            connection.guarding.awake = Some(Box::pin(sleep(AWAKE)));
            ground.raise(guard);
        }
    }

    /// It is known now: one that was put up for that goes down again where the network is trusted.
    pub(super) async fn guard_awake(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let rests = matches!(connection.state, State::Suspended { pause: Pause::TrustedNetwork, .. });
        if connection.guarding.awake.take().is_some() && rests && connection.trusted == Some(true) {
            self.lower_guard("the network is trusted").await;
        }
    }

    /// What a connection before this one has left goes on with this one at once, or ends.
    pub(super) fn take_guard_over(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        // Without a helper it stays what it is, for whoever disconnects.
        let Some(ground) = &connection.ground else { return };
        let left = std::mem::replace(&mut self.guard_left, Left::No);
        match connection.target.guard {
            None if left != Left::No => ground.forget_guard(),
            Some(guard) if left == Left::Yes => {
                connection.guarding.wanted = true;
                connection.guarding.had_session = true;
                ground.raise(guard);
            }
            _ => {}
        }
    }

    /// As the state wants it.
    pub(super) async fn guard_in(&mut self, state: &State) {
        if let Some(connection) = self.connection.as_mut().filter(|_| matches!(state, State::Connected)) {
            connection.guarding.had_session = true;
        }
        match state {
            // After a sleep it waits for the network's word.
            State::Suspended { pause: Pause::TrustedNetwork, .. } if self.is_just_awake() => {}
            State::Suspended { pause: Pause::TrustedNetwork, .. } => {
                self.lower_guard("the network is trusted").await;
            }
            State::Disconnected { .. } | State::Disconnecting { .. } => {}
            _ => self.raise_guard(),
        }
    }

    fn is_just_awake(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.guarding.awake.is_some())
    }

    /// The connection is over: it comes down where the person or the network says so, or where there never was a session and the
    /// profile does not want it up all the same.
    pub(super) async fn guard_over(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let always = connection.target.guard.is_some_and(|guard| guard.always);
        let ending = connection.ending && !connection.guarding.given_up;
        let by_user = ending && connection.target.may_disconnect;
        let trusted = connection.trusted == Some(true);
        if connection.guarding.keep {
            self.guard_left = if connection.guarding.had_session { Left::Yes } else { Left::Maybe };
            if connection.guarding.wanted && (always || connection.guarding.had_session) {
                // Also where nothing comes of the next.
                self.guard_kept = connection.ground.take().map(Kept::new);
            }
            return;
        }
        let after_session = connection.guarding.had_session && !ending;
        if by_user && connection.ground.is_none() && self.guard_left != Left::No {
            // One that an agent before this one has left, and that this connection could not take over.
            if let Err(problem) = self.drop_left_guard().await {
                self.say(Kind::Warning, &problem);
            }
            return;
        }
        if by_user || trusted || !(always || after_session) {
            return self.lower_guard("the connection is over").await;
        }
        if connection.guarding.wanted {
            let why = if always {
                "as the profile wants it (AlwaysOn, ConnectFailurePolicy): nothing leaves this machine without a tunnel. \
                 `ikeep connect` makes one."
            } else {
                "since there was a session and you have not ended it. `ikeep connect` makes another one, `ikeep disconnect` takes \
                 the kill switch down."
            };
            self.guard_left = Left::Yes;
            self.guard_kept = connection.ground.take().map(Kept::new);
            self.say(Kind::Warning, &format!("The kill switch stays up, {why}"));
        }
    }

    /// No connection came of it: what was left up is held again.
    pub(super) async fn hold_left_guard(&mut self) {
        if self.guard_left == Left::No || self.guard_kept.is_some() {
            return;
        }
        let (helpers, found) = self.ask_standing().await;
        if let Some(Ok((guard, true))) = found
            && guard.mode != GuardMode::Off
        {
            self.guard_left = Left::Yes;
            self.guard_kept = hold(helpers, guard).await;
        }
    }

    /// An agent starts and has no connection: one that was killed may have left its kill switch.
    pub(super) async fn find_left_guard(&mut self) {
        if self.connection.is_some() {
            return;
        }
        let (helpers, found) = self.ask_standing().await;
        match found {
            Some(Ok((guard, true))) if guard.mode != GuardMode::Off => {
                let until = if guard.always { "" } else { " It falls by itself within about a minute." };
                self.say(
                    Kind::Warning,
                    &format!(
                        "The kill switch of an agent before this one is up: `ikeep connect` makes a connection for it, `ikeep \
                         disconnect` takes it down.{until}"
                    ),
                );
                if guard.always {
                    self.guard_left = Left::Yes;
                    self.guard_kept = hold(helpers, guard).await;
                }
            }
            Some(Ok((_, true)) | Err(HelperError::Absent { .. })) => self.guard_left = Left::No,
            Some(Ok((guard, false))) if guard.mode == GuardMode::Off => self.guard_left = Left::No,
            // Who may not ask for one has none: a helper lets in whose kill switch stands.
            Some(Err(error)) if error.refusal() == Some(RefusalKind::NotAllowed) => {
                self.guard_left = Left::No
            }
            _ => {}
        }
    }

    /// What stands, where there is a helper that can tell.
    async fn ask_standing(&self) -> (Helpers, Option<Result<(Guard, bool), HelperError>>) {
        let target = self.find(&Connect::default(), self.intent.last.as_ref()).await.ok();
        let helpers = Helpers::new(target.and_then(|target| target.helper), &self.places.state);
        let asked = async { helpers.reach_running().await?.standing().await };
        let found = timeout(ANSWER, asked).await.ok();
        (helpers, found)
    }

    /// The helper is gone, and with it whoever knows.
    pub(super) fn guard_unknown(&mut self, error: &HelperError) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.guarding.up) else {
            return;
        };
        connection.guarding.up = false;
        connection.guarding.failed = Some(format!("Whether the kill switch stands is not known: {error}"));
    }

    async fn lower_guard(&mut self, why: &str) {
        let Some(connection) = self.connection.as_mut() else { return };
        let Guarding { wanted, had_session, .. } = std::mem::take(&mut connection.guarding);
        connection.guarding.had_session = had_session;
        if !wanted {
            return;
        }
        let Some(ground) = connection.ground.as_mut() else { return };
        match ground.lower().await {
            None => self.guard_is_down(why),
            Some(problem) => {
                self.guard_left = Left::Maybe;
                self.say(Kind::Warning, &format!("The kill switch could not be taken down: {problem}"));
            }
        }
    }

    fn guard_is_down(&mut self, why: &str) {
        self.guard_left = Left::No;
        self.explain(Reason::GuardDown);
        self.say(Kind::Information, &format!("The kill switch is down: {why}."));
    }

    /// `ikeep disconnect` without a connection: what an agent before this one, or an always-on profile, has left.
    pub(super) async fn drop_left_guard(&mut self) -> Result<(), String> {
        if self.guard_left == Left::No {
            return Ok(());
        }
        let target = self.find(&Connect::default(), self.intent.last.as_ref()).await.ok();
        let bound =
            |target: &Target| target.guard.is_some_and(|guard| guard.always) && !target.may_disconnect;
        if target.as_ref().is_some_and(bound) {
            return Err("the profile keeps the kill switch up (AlwaysOn, AllowVPNDisconnect): ask whoever runs the gateway".to_owned());
        }
        // A helper has few places for a user.
        self.guard_kept = None;
        let helpers = Helpers::new(target.and_then(|target| target.helper), &self.places.state);
        let dropped = async { helpers.reach_running().await?.guard(Guard::default()).await };
        match dropped.await {
            Ok(()) => self.guard_is_down("`ikeep disconnect`"),
            // Who may not ask for one has none: a helper lets in whose kill switch stands.
            Err(HelperError::Absent { .. }) => self.guard_left = Left::No,
            Err(error) if matches!(error.refusal(), Some(RefusalKind::NotAllowed | RefusalKind::Taken)) => {
                self.guard_left = Left::No;
            }
            Err(error) => {
                self.hold_left_guard().await;
                return Err(format!("a kill switch may be up still: {error}"));
            }
        }
        Ok(())
    }

    /// The helper's word: it is up, or (`None`) down.
    pub(super) async fn guarded(&mut self, guard: Option<Guard>) {
        let Some(connection) = self.connection.as_mut() else { return };
        connection.guarding.failed = None;
        let was = std::mem::replace(&mut connection.guarding.up, guard.is_some());
        if let Some(guard) = guard.filter(|_| !was) {
            let what = match guard.mode {
                GuardMode::All => "nothing leaves this machine but by the tunnel",
                _ => "what the tunnel takes leaves this machine by nothing else",
            };
            let lan =
                if guard.lan && guard.mode == GuardMode::All { ", the local network excepted" } else { "" };
            self.explain(Reason::GuardUp);
            self.say(
                Kind::Information,
                &format!("The kill switch is up: {what}{lan}. `ikeep disconnect` takes it down."),
            );
        }
        self.tell_watchers().await;
    }

    /// It is not up.
    pub(super) async fn unguarded(&mut self, error: &HelperError) {
        let Some(connection) = self.connection.as_mut() else { return };
        // Of one that somebody else holds, and that this connection has only asked to be rid of, nobody wants to hear.
        if connection.target.guard.is_none() {
            return;
        }
        let text = format!("There is no kill switch, which was asked for: {error}");
        connection.guarding.up = false;
        if connection.guarding.failed.replace(text.clone()) != Some(text.clone()) {
            self.warn(&text);
            self.tell_watchers().await;
        }
    }

    /// For `status --json`; `null`: none is wanted.
    pub(super) async fn guard_status(&self) -> Value {
        let Some(connection) = &self.connection else { return self.left_guard_status().await };
        let (Some(guard), Some(_)) = (connection.target.guard, &connection.ground) else {
            return Value::Null;
        };
        let Guarding { up, failed, .. } = &connection.guarding;
        let mode = mode(guard);
        let says = match (up, failed) {
            (true, _) => "up",
            (false, Some(_)) => "NOT UP",
            (false, None) => "not up",
        };
        json!({ "mode": mode, "lan": guard.lan, "always": guard.always, "up": up, "error": failed,
            "message": format!("{mode}, {says}") })
    }
    /// Without a connection: nobody but the helper knows.
    async fn left_guard_status(&self) -> Value {
        if self.guard_left == Left::No {
            return Value::Null;
        }
        let (guard, yours) = match self.ask_standing().await.1 {
            Some(Ok((guard, _))) if guard.mode == GuardMode::Off && self.guard_left != Left::Yes => {
                return Value::Null;
            }
            Some(Ok(stands)) => stands,
            // Nothing is known, and nothing was expected.
            _ if self.guard_left == Left::Maybe => return Value::Null,
            other => {
                let why = match other {
                    Some(Err(error)) => error.to_string(),
                    _ => HelperError::Late.to_string(),
                };
                return json!({ "mode": "all", "lan": null, "always": null, "up": false, "error": why,
                    "message": format!("left up, but whether it still stands is not known: {why}") });
            }
        };
        let up = guard.mode != GuardMode::Off;
        let says = match (up, yours) {
            (true, true) => "up without a connection: `ikeep connect` or `ikeep disconnect`",
            (true, false) => "up: another user's",
            (false, _) => "NOT UP",
        };
        json!({ "mode": mode(guard), "lan": guard.lan, "always": guard.always, "up": up, "error": null,
            "message": format!("{}, {says}", mode(guard)) })
    }
}

fn mode(guard: Guard) -> &'static str {
    match guard.mode {
        GuardMode::Off => "off",
        GuardMode::All => "all",
        _ => "tunnel-prefixes",
    }
}

/// Holds one that stands for this agent.
async fn hold(helpers: Helpers, guard: Guard) -> Option<Kept> {
    let reached = async { Ground::new(helpers.reach_running().await?, helpers.clone()).await };
    match reached.await {
        Ok((ground, _)) => {
            ground.raise(guard);
            Some(Kept::new(ground))
        }
        Err(error) => {
            tracing::warn!(%error, "the kill switch that stands is not held, and falls in time");
            None
        }
    }
}

#[cfg(test)]
mod tests;
