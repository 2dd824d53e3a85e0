//! The kill switch, as far as the service has a say: it is wanted as long as a connection is, so from `ikeep connect` until
//! `ikeep disconnect`, a failed login, or a network that the profile trusts. Reconnects, and a session that has ended and wants
//! its person, leave it up. One of an always-on profile stays up after a login that failed, too.

use super::super::helpers::Helpers;
use super::Service;
use crate::agent::target::Target;
use crate::ipc::Connect;
use crate::ipc::helper::{Guard, GuardMode, HelperError, RefusalKind};
use crate::journal::{Kind, Reason};
use crate::reconnect::{Pause, State};
use serde_json::{Value, json};

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

impl Left {}

/// The kill switch of a connection.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Guarding {
    /// It was asked for.
    wanted: bool,
    /// The helper says that it is up.
    pub(in super::super) up: bool,
    /// Why it is not.
    failed: Option<String>,
    /// It stays for the connection after this one.
    keep: bool,
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

    /// What a connection before this one has left goes on with this one, or ends.
    pub(super) fn take_guard_over(&mut self) {
        let left = std::mem::replace(&mut self.guard_left, Left::No) != Left::No;
        let Some(connection) = &self.connection else { return };
        if let Some(ground) = connection.ground.as_ref().filter(|_| left && connection.target.guard.is_none())
        {
            ground.forget_guard();
        }
    }

    /// As the state wants it.
    pub(super) async fn guard_in(&mut self, state: &State) {
        match state {
            State::Suspended { pause: Pause::TrustedNetwork, .. } => {
                self.lower_guard("the network is trusted").await;
            }
            State::Disconnected { .. } | State::Disconnecting { .. } => {}
            _ => self.raise_guard(),
        }
    }

    /// The connection is over: it comes down, unless the profile wants it up without a connection.
    pub(super) async fn guard_over(&mut self) {
        let Some(connection) = &self.connection else { return };
        let always = connection.target.guard.is_some_and(|guard| guard.always);
        let by_user = connection.ending && connection.target.may_disconnect;
        let trusted = connection.trusted == Some(true);
        if connection.guarding.keep {
            // The helper keeps it for whoever asks next, and not for ever.
            self.guard_left = Left::Maybe;
            return;
        }
        if !always || by_user || trusted {
            return self.lower_guard("the connection is over").await;
        }
        if connection.guarding.wanted {
            self.guard_left = Left::Yes;
            self.say(
                Kind::Warning,
                "The kill switch stays up, as the profile wants it (AlwaysOn, ConnectFailurePolicy): nothing leaves this \
                 machine without a tunnel. `ikeep connect` makes one.",
            );
        }
    }

    async fn lower_guard(&mut self, why: &str) {
        let Some(connection) = self.connection.as_mut() else { return };
        if !std::mem::take(&mut connection.guarding).wanted {
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
        let helpers = Helpers::new(target.and_then(|target| target.helper), &self.places.state);
        let dropped = async { helpers.reach_running().await?.guard(Guard::default()).await };
        match dropped.await {
            Ok(()) => self.guard_is_down("`ikeep disconnect`"),
            // Who may not ask for one has none.
            Err(HelperError::Absent { .. }) => self.guard_left = Left::No,
            Err(error) if matches!(error.refusal(), Some(RefusalKind::NotAllowed | RefusalKind::Taken)) => {
                self.guard_left = Left::No;
            }
            Err(error) => return Err(format!("a kill switch may be up still: {error}")),
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
        let text = format!("There is no kill switch, which was asked for: {error}");
        connection.guarding.up = false;
        if connection.guarding.failed.replace(text.clone()) != Some(text.clone()) {
            self.warn(&text);
            self.tell_watchers().await;
        }
    }

    /// For `status --json`; `null`: none is wanted.
    pub(super) fn guard_status(&self) -> Value {
        let Some(connection) = &self.connection else {
            let left = json!({ "mode": "all", "lan": null, "always": true, "up": true, "error": null,
                "message": "all, left up by an always-on profile" });
            return if self.guard_left == Left::Yes { left } else { Value::Null };
        };
        let (Some(guard), Some(_)) = (connection.target.guard, &connection.ground) else {
            return Value::Null;
        };
        let Guarding { up, failed, .. } = &connection.guarding;
        let mode = match guard.mode {
            GuardMode::All => "all",
            _ => "tunnel-prefixes",
        };
        let says = match (up, failed) {
            (true, _) => "up",
            (false, Some(_)) => "NOT UP",
            (false, None) => "not up",
        };
        json!({ "mode": mode, "lan": guard.lan, "always": guard.always, "up": up, "error": failed,
            "message": format!("{mode}, {says}") })
    }
}

#[cfg(test)]
mod tests;
