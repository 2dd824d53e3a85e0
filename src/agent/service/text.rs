//! What people are told.

use super::super::connection::Connection;
use crate::client::Way;
use crate::ike::eap::EapError;
use crate::ike::initiator::Failure as Cause;
use crate::ipc::{Failure, FailureKind};
use crate::reconnect::{Pause, State, Why};

/// A state in words.
pub(super) fn state(state: &State) -> String {
    match state {
        State::Disconnected { .. } => "disconnected".to_owned(),
        State::Connecting => "logging in".to_owned(),
        State::Connected => "connected".to_owned(),
        State::Reconnecting(reconnecting) => match reconnecting.attempts {
            0 | 1 => "reconnecting".to_owned(),
            n => format!("reconnecting, attempt {n}"),
        },
        State::WaitingForNetwork { .. } => "waiting for a network that reaches the gateway".to_owned(),
        State::CaptivePortal(_) => {
            "this network wants a log-in in a web browser first (captive portal)".to_owned()
        }
        State::Suspended { pause: Pause::Sleep, .. } => "the machine sleeps".to_owned(),
        State::Suspended { pause: Pause::TrustedNetwork, .. } => {
            "resting: this network is trusted, and the profile wants no tunnel here".to_owned()
        }
        State::AuthRequired { .. } => "a login is needed".to_owned(),
        State::Disconnecting { .. } => "disconnecting".to_owned(),
    }
}

/// Why there is no connection: what happened, why, and what to do.
pub(super) fn failure(why: Why, connection: &Connection) -> Failure {
    let host = &connection.target.settings.host_name;
    let settings = &connection.target.settings;
    let of = Failure::new;
    match (why, &connection.failure) {
        (Why::LoginFailed, Some(Cause::NoAnswer { .. })) if connection.target.wishes.backup.is_some() => of(
            FailureKind::NoAnswer,
            format!(
                "no answer from {}, nor from its backup servers ({}): is this machine online, and does its network let UDP \
                 ports {} and {} through?",
                connection.target.primary.0,
                connection.target.backups.join(", "),
                settings.port,
                settings.nat_port
            ),
        ),
        (Why::LoginFailed, Some(cause @ Cause::NoAnswer { .. })) => of(
            FailureKind::NoAnswer,
            format!(
                "{host}: {cause}; tried {} with UDP ports {} and {}: is this machine online, and does its network let these \
                 ports through?",
                addresses(connection),
                settings.port,
                settings.nat_port
            ),
        ),
        (Why::LoginFailed, Some(cause @ (Cause::Certificate(_) | Cause::GatewayAuth))) => of(
            FailureKind::Certificate,
            format!(
                "{host}: {cause}; nothing was sent to it. If the gateway is yours, trust its CA with --trust CA.pem or in the \
                 config file's [trust]; else do not log in from this network"
            ),
        ),
        (Why::LoginFailed, Some(Cause::Eap(cause @ EapError::Server(_)))) => {
            of(FailureKind::Certificate, format!("{host}: {cause}; your certificate was not shown to it"))
        }
        (Why::LoginFailed, Some(Cause::Eap(cause @ EapError::ClientCertificate)))
            if connection.target.no_certificate.is_some() =>
        {
            let problem = connection.target.no_certificate.as_deref().unwrap_or_default();
            of(FailureKind::Other, format!("{host}: {cause}: {problem}"))
        }
        // They say themselves whom to ask; none is mended by typing anything again.
        (
            Why::LoginFailed,
            Some(Cause::Eap(
                cause @ (EapError::NotMutual | EapError::NotOffered { .. } | EapError::NoIndication),
            )),
        ) => Failure { password_stands: true, ..of(FailureKind::Authentication, format!("{host}: {cause}")) },
        // It says itself what to do; whatever was asked for is not tried again.
        (Why::LoginFailed, Some(cause @ Cause::OwnKey(_))) => {
            of(FailureKind::Authentication, format!("{host}: {cause}"))
        }
        (
            Why::LoginFailed,
            Some(cause @ (Cause::OwnCertificate(_) | Cause::Refused { .. } | Cause::Eap(_))),
        ) if matches!(settings.way, Way::Certificate(_) | Way::EapTls(_)) => {
            let mend = "ask the gateway's administrator whether it trusts your certificate's issuer and takes its subject, or the \
                        identity of the config file; openssl x509 -dates shows whether it has expired";
            of(FailureKind::Authentication, format!("{host}: {cause}; {mend}"))
        }
        (Why::LoginFailed, Some(Cause::Eap(cause @ (EapError::Account(_) | EapError::Expired(_))))) => {
            let stands = matches!(cause, EapError::Account(_));
            let mend = if stands { "; ask the gateway's administrator about the account" } else { "" };
            Failure {
                password_stands: stands,
                ..of(FailureKind::Authentication, format!("{host}: {cause}{mend}"))
            }
        }
        (
            Why::LoginFailed,
            Some(cause @ (Cause::Eap(_) | Cause::OwnCertificate(_) | Cause::Refused { .. })),
        ) => of(
            FailureKind::Authentication,
            format!("{host}: {cause}; check name, password and group, then `ikeep connect`"),
        ),
        (Why::LoginFailed, Some(cause)) => of(
            FailureKind::Other,
            format!("{host}: {cause}; ask whoever runs the gateway, with `ikeep bundle`"),
        ),
        (Why::LoginFailed, None) => of(
            FailureKind::Other,
            format!(
                "{host}: the login failed; `ikeep events` tells how far it came, then `ikeep connect` again"
            ),
        ),
        (Why::TokenRefused, _) => of(
            FailureKind::Authentication,
            format!("{host} does not know the session any more: log in again with `ikeep connect`"),
        ),
        (Why::NoToken, _) => of(
            FailureKind::Authentication,
            format!(
                "the connection to {host} is lost, and the gateway gave nothing to restore it with: `ikeep connect`"
            ),
        ),
        (Why::WindowOver, _) => of(
            FailureKind::Authentication,
            format!(
                "{host} was out of reach for longer than it keeps a session: log in again with `ikeep connect`"
            ),
        ),
        (Why::NoAutoReconnect, _) => of(
            FailureKind::Authentication,
            format!(
                "the connection to {host} broke, and the profile forbids reconnecting (AutoReconnect): `ikeep connect`"
            ),
        ),
        (Why::TrustedNetwork, _) => of(
            FailureKind::Other,
            format!(
                "this network is trusted, and the profile wants no tunnel to {host} here: `ikeep connect` after leaving it, or \
                 now if you need it all the same"
            ),
        ),
        (Why::Suspend, _) => of(
            FailureKind::Authentication,
            format!(
                "the profile ends the session with {host} when the machine sleeps: log in again with `ikeep connect`"
            ),
        ),
    }
}

fn addresses(connection: &Connection) -> String {
    let known: Vec<String> = connection.target.settings.addresses.iter().map(ToString::to_string).collect();
    if known.is_empty() { "no address".to_owned() } else { known.join(", ") }
}
