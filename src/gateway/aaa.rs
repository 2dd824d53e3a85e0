//! AAA that is outside of the gateway: what it is asked, and what its answers mean.

use crate::crypto::Secret;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Is this the user?
#[derive(Clone, Debug)]
pub struct Question {
    /// To be named in the answer.
    pub id: u64,
    /// The name that was typed.
    pub user: String,
    /// The password, or the answer to a challenge.
    pub password: Secret,
    /// RADIUS State of the challenge that is answered.
    pub state: Option<Vec<u8>>,
    /// Where the client is.
    pub peer: IpAddr,
}

/// What AAA says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is.
    Accept(Grant),
    /// It has another question (a second factor).
    Challenge {
        /// For the user, may be empty.
        message: String,
        /// Goes back with the answer.
        state: Vec<u8>,
    },
    /// It is not.
    Reject {
        /// For the user, may be empty.
        message: String,
    },
    /// Nobody answers.
    Silent,
    /// What came as an answer does not count, and nothing better followed.
    Unbelieved(Doubt),
}

/// Why an answer of AAA does not count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, thiserror::Error)]
pub enum Doubt {
    /// Made without the shared secret, or changed on its way.
    #[error("it is forged, or the shared secret differs")]
    Forged,
    /// Nobody can tell whether it was changed on its way (CVE-2024-3596).
    #[error("it has no Message-Authenticator, which the RADIUS server has to send")]
    Unsigned,
    /// Malformed, or of another question.
    #[error("it is malformed, or answers another question")]
    Unreadable,
}

/// What AAA grants with a login; kept with the session, so that a reconnect asks nobody.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grant {
    /// Who chooses the inner IPv4 address.
    pub address4: Address4,
    /// The inner IPv6 address (Framed-IPv6-Address), instead of one of the pool.
    pub address6: Option<Ipv6Addr>,
    /// Opaque to the gateway (Class).
    pub class: Vec<Vec<u8>>,
}

/// Framed-IP-Address (RFC 2865 5.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Address4 {
    /// 255.255.255.255, or nothing was said: the one that the client asks for, where it is of the pool and free.
    #[default]
    Client,
    /// 255.255.255.254: any of the pool, whatever the client asks for.
    Gateway,
    /// This one.
    Fixed(Ipv4Addr),
}
