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
}

/// What AAA grants with a login; kept with the session, so that a reconnect asks nobody.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grant {
    /// The inner IPv4 address (Framed-IP-Address), instead of one of the pool.
    pub address4: Option<Ipv4Addr>,
    /// The inner IPv6 address (Framed-IPv6-Address), instead of one of the pool.
    pub address6: Option<Ipv6Addr>,
    /// Opaque to the gateway (Class).
    pub class: Vec<Vec<u8>>,
}
