//! AUTH_LIFETIME (RFC 4478): how long an authentication is good for.

use super::notify::{self, Notify, find_notify};
use super::payload::Payload;
use std::time::Duration;

/// The peer ends the IKE SA after this time, unless the one who began it authenticates anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuthLifetime(pub Duration);

impl AuthLifetime {
    /// Of an IKE_AUTH answer or an INFORMATIONAL request; `None` where it says nothing, or not in four octets.
    pub fn find(payloads: &[Payload]) -> Option<Self> {
        let data = find_notify(payloads, notify::AUTH_LIFETIME)?.data.as_slice();
        let seconds = u32::from_be_bytes(data.try_into().ok()?);
        Some(Self(Duration::from_secs(seconds.into())))
    }

    /// The notify; whole seconds, 2^32 - 1 at most.
    pub fn payload(self) -> Payload {
        let seconds = u32::try_from(self.0.as_secs()).unwrap_or(u32::MAX);
        Payload::Notify(Notify::status(notify::AUTH_LIFETIME, seconds.to_be_bytes()))
    }
}
