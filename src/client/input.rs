//! What comes to the machine from outside, beside datagrams and packets.

use super::Paths;
use crate::ike::eap::Answers;
use std::net::IpAddr;

/// What the user wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// A connection.
    Connect,
    /// None.
    Disconnect,
    /// A new SA now.
    Reconnect,
    /// The answers to the last form.
    Answer(Answers),
}

/// What the machine says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signal {
    /// The ways to the gateway now.
    Paths(Paths),
    /// Sleep is near.
    Suspend,
    /// Sleep is over.
    Resume,
    /// The gateway's name was looked up anew.
    Addresses(Vec<IpAddr>),
    /// The answer to [`super::Event::LookUp`]: the addresses of this name, none where it has none.
    LookedUp {
        /// As it was asked.
        name: String,
        /// In the order to prefer them.
        addresses: Vec<IpAddr>,
    },
    /// What came of [`super::Event::Scan`]: the token, or why there is none, for people.
    Scanned {
        /// Of the scan; another one's changes nothing.
        id: u64,
        /// What goes to the gateway.
        token: Result<String, String>,
    },
    /// What came of [`super::Event::Sign`]: the signature, or why there is none, for people.
    Signed {
        /// Of the question; another one's changes nothing.
        id: u64,
        /// The signature.
        made: Result<Vec<u8>, String>,
    },
    /// A captive portal was found on the way, or is gone.
    Portal {
        /// Found.
        captive: bool,
    },
    /// The machine came into a network that the profile trusts, or left it.
    Trusted(bool),
}
