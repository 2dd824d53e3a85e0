//! The known texts of the log (PROTOCOL section 7, seed), one constructor each.

use super::entry::{Entry, Kind, Place, Source, one_line};
use super::reason::{Class, Reason};
use crate::time::UnixTime;

impl Entry {
    /// The IPsec connection stands.
    pub fn established(wall: UnixTime) -> Self {
        let text = "The IPsec connection to the secure gateway has been established.";
        Self::new(wall, Kind::Information, Source::Agent, text)
    }

    /// What the user was told.
    pub fn message_to_user(wall: UnixTime, text: &str) -> Self {
        let text = format!("Message type information sent to the user:\n{text}");
        Self::new(wall, Kind::Information, Source::Ui, &text)
    }

    /// The user was told that the host of this HostName is connected.
    pub fn connected_to(wall: UnixTime, host: &str) -> Self {
        Self::message_to_user(wall, &format!("Connected to {}.", one_line(host)))
    }

    /// The user was told that the host of this HostName is being reconnected.
    pub fn reconnecting_to(wall: UnixTime, host: &str) -> Self {
        Self::message_to_user(wall, &format!("Reconnecting to {}...", one_line(host)))
    }

    /// The settings that count, as `Profile::preference_settings` lists them.
    pub fn preferences<N: AsRef<str>, V: AsRef<str>>(wall: UnixTime, settings: &[(N, V)]) -> Self {
        let line =
            |(name, value): &(N, V)| format!("\n{}: {}", one_line(name.as_ref()), one_line(value.as_ref()));
        let lines: String = settings.iter().map(line).collect();
        let text = format!("Current Preference Settings:{lines}");
        Self::new(wall, Kind::Information, Source::Agent, &text)
    }

    /// The machine woke up.
    pub fn resumed(wall: UnixTime) -> Self {
        let text = "..Client Agent continuing from system suspend.";
        Self::new(wall, Kind::Information, Source::Agent, text)
    }

    /// Why the connection comes back, changes or ends.
    pub fn reason(wall: UnixTime, reason: Reason) -> Self {
        let origin = match reason.class() {
            Class::SessionLevelReconnect => "\nOriginates from session level",
            _ => "",
        };
        let (class, code) = (reason.class().as_str(), reason.code());
        let text = format!("{class} reason code {code}:\n{}{origin}", reason.text());
        let kind = match reason {
            Reason::UserDisconnect | Reason::Rekeyed | Reason::NewMtu | Reason::NewPlan => Kind::Information,
            Reason::TokenRefused | Reason::LoginFailed | Reason::CertificateRefused | Reason::NoAnswer => {
                Kind::Error
            }
            _ => Kind::Warning,
        };
        Self::new(wall, kind, Source::Agent, &text)
    }

    /// A reconnect begins: the session ID (text or hex; it is no secret) is the IKE ID.
    pub fn using_ike_id(wall: UnixTime, place: Place, session_id: &str) -> Self {
        let text = format!("Using IKE ID '{}' for reconnect", one_line(session_id));
        Self::at(wall, Kind::Information, Source::Agent, place, &text)
    }

    /// A gateway's banner, shown to the user; its lines are kept.
    pub fn banner(wall: UnixTime, text: &str) -> Self {
        Self::message_to_user(wall, text)
    }

    /// Something repeated that a [`super::Limiter`] held back.
    pub fn repeated(wall: UnixTime, source: Source, what: &str, count: u64) -> Self {
        let text = format!("{} ({count} more times, not told one by one)", one_line(what));
        Self::new(wall, Kind::Warning, source, &text)
    }
}
