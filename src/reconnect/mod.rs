//! POLICY: what to do when the path, the laptop or the gateway changes (DESIGN section 4). Pure decisions: triggers in,
//! actions out, no packet is touched here.
//!
//! One file per state under `state/`. The caller executes the actions in order and tells what became of them.

mod backoff;
mod state;
#[cfg(test)]
mod tests;

use crate::crypto::Random;
use crate::time::Instant;
use serde::Deserialize;
use std::collections::VecDeque;
use std::time::Duration;

pub use state::{Cause, Pause, Reconnecting, State, Why};

/// At most one new attempt in this time (law 2).
pub const ATTEMPT_SPACING: Duration = Duration::from_millis(50);
/// A change of network resets the back-off at most once in this time (law 4).
pub const RESET_SPACING: Duration = Duration::from_secs(5);
/// A DELETE that nobody answers is not waited for longer.
pub const DELETE_PATIENCE: Duration = Duration::from_secs(2);

/// What the profile's AutoReconnectBehavior says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnSuspend {
    /// End the session before (or after) sleep.
    #[default]
    Disconnect,
    /// Come back after sleep.
    Reconnect,
}

/// What the profile's TrustedNetworkPolicy asks for in a trusted network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnTrusted {
    /// Nothing changes (also "Connect": what is connected stays so).
    #[default]
    Stay,
    /// The session ends. What a network says about itself can be forged by anybody in it: that costs a login, and the profile
    /// has chosen so.
    Disconnect,
    /// No tunnel while there; the session is kept.
    Pause,
}

/// Whether IKE SAs are resumed by ticket (RFC 5723): the config file's `resumption`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resumption {
    /// No ticket is asked for.
    #[default]
    Off,
    /// By ticket where there is no token, or the gateway refuses it.
    AfterToken,
    /// By ticket wherever there is one.
    First,
}

/// The rules that profile and config set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// AutoReconnect.
    pub auto_reconnect: bool,
    /// AutoReconnectBehavior.
    pub on_suspend: OnSuspend,
    /// TrustedNetworkPolicy.
    pub on_trusted: OnTrusted,
    /// Gaps after refusals of the token (law 5).
    pub refusal_retry: Vec<Duration>,
    /// First bound of the back-off.
    pub backoff_first: Duration,
    /// Last bound of the back-off.
    pub backoff_last: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            auto_reconnect: true,
            on_suspend: OnSuspend::Disconnect,
            on_trusted: OnTrusted::Stay,
            refusal_retry: [1, 3, 8, 20, 40, 60].map(Duration::from_secs).to_vec(),
            backoff_first: Duration::from_millis(500),
            backoff_last: Duration::from_secs(30),
        }
    }
}

/// How well the old SA is proved on the present path since the last trigger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Proof {
    /// Nothing was heard.
    #[default]
    None,
    /// An IKE answer arrived, but our address has changed: the gateway may not have moved the ESP.
    Weak,
    /// Authenticated ESP on the present path, or an IKE answer where address and port are unchanged (law 3).
    Strong,
}

/// What the policy must know about the rest at the moment of a trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Context {
    /// Until when a way back that needs no person is worth trying, token or ticket; `None` without one. ("Token" stands for both
    /// in this room.)
    pub token_until: Option<Instant>,
    /// An old SA exists.
    pub old_sa: bool,
    /// See [`Proof`].
    pub proof: Proof,
}

impl Context {
    fn has_token(&self, now: Instant) -> bool {
        self.token_until.is_some_and(|until| now < until)
    }
}

/// How an attempt ended badly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failed {
    /// No answer, or none that makes sense.
    NoAnswer,
    /// AUTHENTICATION_FAILED.
    Refused,
    /// Of token and ticket one was refused, and the other was not tried yet.
    OtherWay,
    /// Certificate or signature of the gateway.
    Untrusted,
    /// The IKE SA came up without a Child SA.
    NoChild,
    /// The login failed otherwise.
    Login,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// The user wants a connection, or the agent starts with that intent.
    Connect,
    /// The user wants none.
    Disconnect,
    /// The user wants a new SA now.
    Reconnect,
    /// Another way to the gateway, or none.
    Path {
        /// There is one.
        usable: bool,
    },
    /// The machine is about to sleep.
    Suspend,
    /// The machine woke up.
    Resume,
    /// The machine came into a network that the profile trusts, or left it.
    Trusted(bool),
    /// A captive portal was found on the way, or is gone.
    Portal {
        /// Found.
        captive: bool,
    },
    /// The gateway was silent for too long (law 8), or a request to it stayed unanswered to the end.
    Outage,
    /// The gateway deleted the IKE SA.
    GatewayDeleted,
    /// The gateway deleted the Child SA and put none in its place.
    ChildDeleted,
    /// The SA serves, and a new one is wanted beside it in time: the gateway asks for a new authentication, or rekeys no Child SA.
    Renew,
    /// The old SA is proved on the present path.
    OldProved,
    /// The attempt got a valid IKE_SA_INIT answer.
    InitAnswered,
    /// The attempt worked.
    Up,
    /// The attempt failed.
    Failed(Failed),
    /// Our DELETE is done.
    Deleted,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A liveness request on the old SA, or the repetition of what is outstanding there.
    CheckOld,
    /// A new attempt with a full login.
    StartLogin,
    /// A new attempt with session ID and token, or with a ticket.
    StartToken,
    /// The attempt under way sends its last octets again.
    RepeatAttempt,
    /// Forget the attempt under way.
    DropAttempt,
    /// DELETE the IKE SA.
    Delete,
    /// Forget every SA without a word.
    Close,
    /// The session is over: forget ID and token.
    EraseSession,
}

/// The state machine.
pub struct Policy {
    rules: Rules,
    state: State,
    path: bool,
    /// In a network that the profile trusts.
    trusted: bool,
    /// The session is over, and the old SA was the last hope.
    expired: bool,
    last_start: Option<Instant>,
    last_reset: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Policy {
    /// Disconnected; a path is presumed until told otherwise.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Disconnected { why: None },
            path: true,
            trusted: false,
            expired: false,
            last_start: None,
            last_reset: None,
            actions: VecDeque::new(),
        }
    }

    /// The present state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// True where there is a way to the gateway.
    pub fn has_path(&self) -> bool {
        self.path
    }

    /// Takes a trigger.
    pub fn handle(&mut self, now: Instant, trigger: Trigger, context: &Context, random: &mut dyn Random) {
        if let Trigger::Path { usable } = trigger {
            self.path = usable;
        }
        if trigger == Trigger::Disconnect {
            self.disconnect(now, context);
            return;
        }
        if let Trigger::Trusted(trusted) = trigger {
            self.trusted(now, trusted, context);
            return;
        }
        if trigger == Trigger::Up {
            self.expired = false;
        }
        match &self.state {
            State::Disconnected { .. } => self.in_disconnected(now, trigger, context),
            State::Connecting => self.in_connecting(now, trigger, context),
            State::Connected => self.in_connected(now, trigger, context),
            State::Reconnecting(_) => self.in_reconnecting(now, trigger, context, random),
            State::CaptivePortal(_) => self.in_captive_portal(now, trigger, context, random),
            State::WaitingForNetwork { .. } => self.in_waiting_for_network(now, trigger, context),
            State::Suspended { .. } => self.in_suspended(now, trigger, context),
            State::AuthRequired { .. } => self.in_auth_required(now, trigger, context),
            State::Disconnecting { .. } => self.in_disconnecting(now, trigger, context),
        }
    }

    /// What is due: the next attempt, the end of the window, the end of patience.
    pub fn handle_timeout(&mut self, now: Instant, context: &Context) {
        if self.poll_timeout(context).is_none_or(|(at, _)| at > now) {
            return;
        }
        match &mut self.state {
            State::CaptivePortal(_) => self.behind_portal(|policy| policy.handle_timeout(now, context)),
            State::Disconnecting { why, .. } => {
                let why = *why;
                self.disconnected(why);
            }
            State::Reconnecting(r) if r.next.is_some_and(|at| at <= now) && context.has_token(now) => {
                r.next = None;
                self.start_token(now);
            }
            State::Reconnecting(_)
            | State::WaitingForNetwork { .. }
            | State::Suspended { pause: Pause::TrustedNetwork, .. }
            | State::AuthRequired { .. }
                if context.token_until.is_some_and(|until| until <= now) =>
            {
                self.window_over(context);
            }
            _ => {}
        }
    }

    /// When and why.
    pub fn poll_timeout(&self, context: &Context) -> Option<(Instant, &'static str)> {
        let window = context.token_until.map(|until| (until, "end of the reconnect window"));
        match &self.state {
            State::Disconnecting { until, .. } => Some((*until, "end of the wait for DELETE")),
            State::Reconnecting(r) | State::CaptivePortal(r) => {
                let next = r.next.map(|at| (at, "next reconnect attempt"));
                [next, window].into_iter().flatten().min_by_key(|(at, _)| *at)
            }
            State::WaitingForNetwork { .. }
            | State::Suspended { pause: Pause::TrustedNetwork, .. }
            | State::AuthRequired { .. } => window,
            _ => None,
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Where ESP and IKE of the connection may be sent at all.
    fn lost(&mut self, now: Instant, cause: Cause, context: &Context) {
        if !self.path {
            self.state = State::WaitingForNetwork { cause, since: now };
            return;
        }
        self.state = State::Reconnecting(Reconnecting::new(cause, now));
        if context.has_token(now) {
            self.start_token(now);
        } else if !context.old_sa {
            self.give_up(Why::NoToken);
        }
    }

    /// Starts an attempt, or puts it off where the last one began less than 50 ms ago.
    fn start_token(&mut self, now: Instant) {
        let earliest = self.last_start.map(|at| at + ATTEMPT_SPACING);
        let State::Reconnecting(r) = &mut self.state else { return };
        if let Some(at) = earliest.filter(|at| *at > now) {
            r.next = Some(at);
            return;
        }
        r.next = None;
        r.in_flight = true;
        r.past_init = false;
        r.attempts += 1;
        self.last_start = Some(now);
        self.act(Action::StartToken);
    }

    fn give_up(&mut self, why: Why) {
        let why = if why == Why::NoToken && self.expired { Why::WindowOver } else { why };
        self.expired = false;
        self.act(Action::DropAttempt);
        self.act(Action::Close);
        self.state = State::AuthRequired { why };
    }

    fn window_over(&mut self, context: &Context) {
        self.act(Action::EraseSession);
        match (&self.state, context.old_sa, self.path) {
            // Nobody wants a tunnel here, so nobody has to log in.
            (State::Suspended { .. }, ..) => self.disconnected(Some(Why::TrustedNetwork)),
            // The old SA may still answer; without a path nothing can be told yet.
            (State::WaitingForNetwork { .. }, true, false) => self.expired = true,
            (State::Reconnecting(_), true, _) => {
                self.expired = true;
                if let State::Reconnecting(r) = &mut self.state {
                    r.next = None; // there is nothing left to try it with
                }
                if self.path {
                    self.act(Action::CheckOld);
                }
            }
            _ => self.give_up(Why::WindowOver),
        }
    }

    fn disconnect(&mut self, now: Instant, context: &Context) {
        self.act(Action::DropAttempt);
        self.act(Action::EraseSession);
        if context.old_sa && self.path {
            self.act(Action::Delete);
            self.state = State::Disconnecting { until: now + DELETE_PATIENCE, why: None };
        } else {
            self.disconnected(None);
        }
    }

    /// The session ends, and not because the user said so.
    fn end(&mut self, now: Instant, context: &Context, reason: Why) {
        self.disconnect(now, context);
        if let State::Disconnected { why } | State::Disconnecting { why, .. } = &mut self.state {
            *why = Some(reason);
        }
    }

    fn disconnected(&mut self, why: Option<Why>) {
        self.act(Action::DropAttempt);
        self.act(Action::Close);
        self.state = State::Disconnected { why };
    }
}
