//! What a person can do about a reason.

use crate::journal::Reason;

/// One or two sentences; empty where there is nothing to do.
pub(super) fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::CaptivePortal => {
            "Open a web page and log in to this network; `ikeep portal` lets you past the tunnel for it."
        }
        Reason::Disruption => {
            "The path was silent. Now and then that is the network's doing; often in the same place, try another network."
        }
        Reason::GatewayDeleted | Reason::ChildDeleted | Reason::GatewayRestarted => {
            "The gateway did this. If it is often, ask whoever runs it and name the times below."
        }
        Reason::WindowOver => "The gateway keeps a session only so long. Log in again: `ikeep connect`.",
        Reason::TokenRefused | Reason::NoToken => {
            "Log in again: `ikeep connect`. If it happens each time, the gateway may not keep sessions for reconnect."
        }
        Reason::LoginFailed => "Check name, password and group, then `ikeep connect`.",
        Reason::CertificateRefused => {
            "Do not log in until you know why: the gateway could be another one. `ikeep connect --trust CA.pem` names a CA that you trust."
        }
        Reason::NoAnswer => {
            "`ikeep doctor` says what is missing here. Some networks block UDP 500 and 4500: try another one."
        }
        Reason::NoAutoReconnect => "The profile has AutoReconnect off: `ikeep connect` brings it back.",
        Reason::Suspend => {
            "The profile ends the session with sleep (AutoReconnectBehavior): `ikeep connect` brings it back."
        }
        Reason::TrustedNetwork => "The profile wants no tunnel in this network; nothing to do.",
        _ => "",
    }
}
