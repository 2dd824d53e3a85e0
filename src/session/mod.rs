//! The record of a login: what a reconnect needs, and nothing else.

mod encoding;
mod ticket;

pub use encoding::{MAX_ENCODED, SessionError};
pub use ticket::Ticket;

use crate::crypto::Secret;
use crate::time::UnixTime;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A session the gateway remembers. The token leaves memory only through the session store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// HostName of the profile, for people.
    pub host_name: String,
    /// HostAddress that issued the token: it is offered to nobody else (law 5).
    pub host_address: String,
    /// Session ID: the IDi of a reconnect, as octets; empty where the gateway gave no token.
    pub id: Vec<u8>,
    /// Session token: the PSK of a reconnect; empty where the gateway gave none, and there is a ticket.
    pub token: Secret,
    /// A ticket to resume the IKE SA with (RFC 5723), the last one that the gateway gave: it serves once.
    pub ticket: Option<Ticket>,
    /// The user who logged in.
    pub user: String,
    /// The address and port that answered last.
    pub peer: SocketAddr,
    /// The inner addresses assigned.
    pub addresses: Vec<IpAddr>,
    /// The key exchange group that the gateway took last (offered first next time).
    pub group: u16,
    /// SHA-1 of the root's public key that verified last (named in CERTREQ).
    pub root_key: Option<[u8; 20]>,
    /// The gateway's reconnect window.
    pub window: Duration,
    /// When the session was issued.
    pub issued: UnixTime,
    /// The last authenticated sign of the gateway.
    pub last_contact: UnixTime,
}

impl Session {
    /// There is a token or a ticket: without both there is nothing to keep.
    pub fn has_way_back(&self) -> bool {
        self.has_token() || self.ticket.is_some()
    }

    /// There is a token to come back with.
    pub fn has_token(&self) -> bool {
        !self.id.is_empty() && !self.token.is_empty()
    }

    /// The token is worth trying until last contact + window + horizon (PROTOCOL section 5).
    pub fn expires(&self, horizon: Duration) -> UnixTime {
        self.last_contact + self.window + horizon
    }

    /// How long the session is still worth trying; zero once it is over. A wall clock that was set back to before the last
    /// contact counts as no time passed: a token tried too late costs a refusal, one not tried costs a login.
    pub fn remaining(&self, now: UnixTime, horizon: Duration) -> Duration {
        let ticket = self.ticket.as_ref().map_or(Duration::ZERO, |ticket| ticket.remaining(now));
        self.token_remaining(now, horizon).max(ticket)
    }

    /// How long the token is still worth trying; zero where there is none.
    pub fn token_remaining(&self, now: UnixTime, horizon: Duration) -> Duration {
        if !self.has_token() {
            return Duration::ZERO;
        }
        let whole = self.window.saturating_add(horizon);
        whole.saturating_sub(now.since(self.last_contact))
    }

    /// True while the session is worth trying, see [`remaining`](Self::remaining).
    pub fn usable_at(&self, now: UnixTime, horizon: Duration) -> bool {
        !self.remaining(now, horizon).is_zero()
    }

    /// The session ID as people see it in a log: text where it is printable ASCII, else hex.
    pub fn id_text(&self) -> String {
        if self.id.iter().all(|octet| (b' '..=b'~').contains(octet)) {
            self.id.iter().map(|&octet| char::from(octet)).collect()
        } else {
            self.id.iter().map(|octet| format!("{octet:02x}")).collect()
        }
    }
}

#[cfg(test)]
mod tests;
