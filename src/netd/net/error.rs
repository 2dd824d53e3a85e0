//! Why the machine could not be made as it has to be.

use crate::plan::{Net, TABLE};
use std::io;

/// A failure of [`super::Net::apply`]. What keeps packets in the tunnel is left in place; the caller reverts.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel says no to one change.
    #[error("the kernel refuses to {doing}: {why}")]
    Refused {
        /// What was asked: `add the route 10.0.0.0/8`.
        doing: String,
        /// Its answer.
        why: io::Error,
    },
    /// The kernel does not answer.
    #[error("the kernel does not answer when asked to {doing}; the helper has to be started again")]
    Silent {
        /// What was asked.
        doing: String,
    },
    /// A list of the kernel's is longer than anything a laptop has.
    #[error("the machine has more than {limit} {what}: too many to look through")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The most that is looked at.
        limit: usize,
    },
    /// Another program's route stands where one of the tunnel's has to be.
    #[error(
        "the route {to} in table {TABLE} belongs to another program (protocol {protocol}) and would lead packets past the \
         tunnel: remove it with `ip route del {to} table {TABLE}`"
    )]
    Foreign {
        /// Its destination.
        to: Net,
        /// Its `rtm_protocol`.
        protocol: u8,
    },
    /// The device is gone, or its index belongs to another one.
    #[error("the tunnel's device {name} is gone")]
    NoDevice {
        /// Its name.
        name: String,
    },
    /// Another program undoes what is done.
    #[error(
        "something else on this machine keeps changing the tunnel's routes; another VPN client may be running"
    )]
    Unsettled,
}
