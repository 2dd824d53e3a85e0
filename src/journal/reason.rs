//! The one table of reason codes: why a connection came back, changed or ended.
//!
//! Four classes are the vendor's. Codes 6, 9, 16 and 9 are its own (PROTOCOL section 7); codes from 100 up are ours and
//! keep their meaning for ever.

use crate::reconnect::{Cause, Why};

/// What kind of step a reason explains.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// A new tunnel for the session, because the old path is disturbed.
    LowLevelReconnect,
    /// A new tunnel for the session, because of an event above the network.
    SessionLevelReconnect,
    /// The tunnel stays, its settings change.
    Reconfigure,
    /// The session is over, or waits for a person.
    Termination,
}

impl Class {
    /// As the log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LowLevelReconnect => "Low level reconnect",
            Self::SessionLevelReconnect => "Session level reconnect",
            Self::Reconfigure => "Reconfigure",
            Self::Termination => "Termination",
        }
    }
}

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $class:ident $code:literal $text:literal,)+) => {
        /// Why a connection came back, changed or ended.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$meta])* $name,)+ }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its class.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)+ }
            }

            /// Its code; unique within its class.
            pub fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// Its text in the log.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// Silence under traffic or in liveness (code and text: seed, PROTOCOL section 7).
    Disruption = LowLevelReconnect 6
        "Reconnecting due to the disruption of the VPN connection to the secure gateway.",
    /// Another way to the gateway.
    NetworkChanged = LowLevelReconnect 100 "The network path to the secure gateway changed.",
    /// The gateway deleted the IKE SA.
    GatewayDeleted = LowLevelReconnect 101 "The secure gateway deleted the IKE SA.",
    /// The gateway deleted the Child SA and put none in its place.
    ChildDeleted = LowLevelReconnect 102 "The secure gateway deleted the Child SA.",
    /// The gateway does not know our SA any more.
    GatewayRestarted = LowLevelReconnect 103 "The secure gateway lost the SA, as after a restart.",
    /// A page that a captive portal answers for; the reconnect goes on.
    CaptivePortal = LowLevelReconnect 104
        "The secure gateway cannot be reached: a captive portal wants a log-in first.",
    /// The machine woke up (code and text: seed).
    Resume = SessionLevelReconnect 9 "System resume from suspend mode (Sleep, Stand-by, Hibernate, etc).",
    /// `ikeep reconnect`.
    UserReconnect = SessionLevelReconnect 100 "Reconnect asked for by the user.",
    /// An agent that started with a live session.
    AgentStart = SessionLevelReconnect 101 "Session restored after the start of the agent.",
    /// AUTH_LIFETIME, or a Child SA that the gateway does not rekey.
    Renewal = SessionLevelReconnect 102 "The secure gateway wants a new authentication; the tunnel goes on meanwhile.",
    /// Another MTU (code and text: PROTOCOL section 7).
    NewMtu = Reconfigure 16 "New MTU configuration.",
    /// The gateway assigned another address, route or DNS server.
    NewPlan = Reconfigure 100 "The secure gateway assigned another network configuration.",
    /// The IKE SA or a Child SA has new keys.
    Rekeyed = Reconfigure 101 "The keys of the tunnel were renewed.",
    /// The SAs went on from another address (MOBIKE).
    Moved = Reconfigure 102 "The tunnel goes on from another address of this machine, with the same keys (MOBIKE).",
    /// `ikeep portal`.
    GapOpened = Reconfigure 103
        "A way past the tunnel is open for a limited time, for the log-in at the captive portal.",
    /// Its time is over, the portal is passed, or the user wants it.
    GapClosed = Reconfigure 104 "The way past the tunnel is closed.",
    /// The kill switch was put up, by config or profile.
    GuardUp = Reconfigure 105 "The kill switch is up: what it holds back leaves this machine by the tunnel only.",
    /// It was taken down.
    GuardDown = Reconfigure 106 "The kill switch is down.",
    /// The machine shuts down (code: PROTOCOL section 7; text: ours).
    Shutdown = Termination 9 "The machine is shutting down.",
    /// `ikeep disconnect`.
    UserDisconnect = Termination 100 "Disconnect asked for by the user.",
    /// The reconnect window ended before the gateway was reached.
    WindowOver = Termination 101 "The reconnect window of the secure gateway is over.",
    /// The token was refused to the end.
    TokenRefused = Termination 102 "The secure gateway refused the session token, or the ticket.",
    /// There is no token to come back with.
    NoToken = Termination 103 "The secure gateway gave no session token and no ticket, and the tunnel is lost.",
    /// The login failed.
    LoginFailed = Termination 104 "The login failed.",
    /// The gateway's certificate was refused.
    CertificateRefused = Termination 105 "The certificate of the secure gateway was refused.",
    /// The gateway never answered.
    NoAnswer = Termination 106 "The secure gateway did not answer.",
    /// AutoReconnect is off, and the connection broke.
    NoAutoReconnect = Termination 107 "The connection broke, and AutoReconnect is off.",
    /// AutoReconnectBehavior is DisconnectOnSuspend.
    Suspend = Termination 108 "The machine goes to sleep, and the profile wants the session to end with that.",
    /// TrustedNetworkPolicy is Disconnect (or Pause, and there is no token).
    TrustedNetwork = Termination 109 "The machine is in a trusted network, and the profile wants no tunnel there.",
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::NetworkChange => Self::NetworkChanged,
            Cause::Resume => Self::Resume,
            Cause::Outage => Self::Disruption,
            Cause::GatewayDelete => Self::GatewayDeleted,
            Cause::ChildDelete => Self::ChildDeleted,
            Cause::User => Self::UserReconnect,
            Cause::Renewal => Self::Renewal,
            Cause::AgentStart => Self::AgentStart,
        }
    }
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::NoToken => Self::NoToken,
            Why::TokenRefused => Self::TokenRefused,
            Why::WindowOver => Self::WindowOver,
            Why::LoginFailed => Self::LoginFailed,
            Why::NoAutoReconnect => Self::NoAutoReconnect,
            Why::Suspend => Self::Suspend,
            Why::TrustedNetwork => Self::TrustedNetwork,
        }
    }
}
