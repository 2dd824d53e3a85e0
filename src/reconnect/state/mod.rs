//! The states and their data; how each answers a trigger stands in its own file.

mod auth_required;
mod captive_portal;
mod connected;
mod connecting;
mod disconnected;
mod disconnecting;
mod reconnecting;
mod suspended;
mod waiting_for_network;

use crate::time::Instant;

/// Why a connection has to come back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Cause {
    /// Another way to the gateway.
    NetworkChange,
    /// The machine woke up.
    Resume,
    /// Silence (law 8).
    Outage,
    /// The gateway deleted the IKE SA.
    GatewayDelete,
    /// The gateway deleted the Child SA.
    ChildDelete,
    /// `ikeep reconnect`.
    User,
    /// The gateway wants a new authentication (RFC 4478), or a new IKE SA instead of a rekey of the Child SA.
    Renewal,
    /// An agent that starts with the intent "connected" and a live session.
    AgentStart,
}

/// Why there is no connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Why {
    /// The gateway gave no token, and the SA is gone.
    NoToken,
    /// The token was refused to the end (law 5).
    TokenRefused,
    /// The reconnect window is over.
    WindowOver,
    /// The login failed.
    LoginFailed,
    /// AutoReconnect is off, and the connection broke.
    NoAutoReconnect,
    /// The profile wants the session to end with sleep.
    Suspend,
    /// The profile wants no tunnel in a trusted network.
    TrustedNetwork,
}

/// Why a connection rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Pause {
    /// The machine sleeps.
    Sleep,
    /// The profile wants no tunnel in a trusted network.
    TrustedNetwork,
}

/// Where the policy stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing is wanted, or nothing can be done.
    Disconnected {
        /// Why, where the user did not ask for it.
        why: Option<Why>,
    },
    /// A login is under way.
    Connecting,
    /// The tunnel serves.
    Connected,
    /// The tunnel is being brought back.
    Reconnecting(Reconnecting),
    /// The same, and a captive portal was found on the way.
    CaptivePortal(Reconnecting),
    /// No way to the gateway; the window's clock runs.
    WaitingForNetwork {
        /// Why it has to come back.
        cause: Cause,
        /// Since when.
        since: Instant,
    },
    /// The connection rests; the session is kept.
    Suspended {
        /// Since when.
        since: Instant,
        /// Why.
        pause: Pause,
    },
    /// Only a person can go on.
    AuthRequired {
        /// Why.
        why: Why,
    },
    /// DELETE is on its way.
    Disconnecting {
        /// It is not waited for longer.
        until: Instant,
        /// Why, where the user did not ask for it.
        why: Option<Why>,
    },
}

/// The data of a reconnect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reconnecting {
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: Instant,
    /// Attempts begun.
    pub attempts: u32,
    /// Failures since the last reset: the exponent of the back-off.
    pub failures: u32,
    /// Refusals of the token.
    pub refusals: usize,
    /// The gateway gave no new SA: it refused the token or the Child SA.
    pub rejected: bool,
    /// End of the present gap between refusals.
    pub gap: Option<Instant>,
    /// When the next attempt begins.
    pub next: Option<Instant>,
    /// An attempt is under way.
    pub in_flight: bool,
    /// It has a valid IKE_SA_INIT answer: a proof of the old SA comes too late now (law 3).
    pub past_init: bool,
}

impl Reconnecting {
    pub(super) fn new(cause: Cause, since: Instant) -> Self {
        Self {
            cause,
            since,
            attempts: 0,
            failures: 0,
            refusals: 0,
            rejected: false,
            gap: None,
            next: None,
            in_flight: false,
            past_init: false,
        }
    }
}

impl State {
    /// One word for status and log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disconnected { .. } => "disconnected",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting(_) => "reconnecting",
            Self::CaptivePortal(_) => "captive-portal",
            Self::WaitingForNetwork { .. } => "waiting-for-network",
            Self::Suspended { .. } => "suspended",
            Self::AuthRequired { .. } => "auth-required",
            Self::Disconnecting { .. } => "disconnecting",
        }
    }
}
