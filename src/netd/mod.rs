//! `ikeep-netd`: applies and reverts a network plan as root, for an agent that has no privilege.
//!
//! Of two parts: what it is asked and by whom (the socket, the rules, the one tunnel), and what it does to the machine ([`net`],
//! [`dns`]). What it makes goes with the device where it can; the device goes with its last descriptor. A supervisor keeps one:
//! so while agent and helper are both dead, packets still go into the tunnel, and nowhere else.

mod access;
mod accounts;
mod check;
pub mod dns;
mod keeper;
mod limit;
mod log;
mod looks;
mod machine;
pub mod net;
mod notify;
mod options;
mod record;
mod sandbox;
mod server;
mod session;
pub mod wall;

pub use check::{MAX_ADDRESSES, MAX_DOMAINS, MAX_GATEWAYS, MAX_SERVERS, MTU, Wrong, check};
pub use options::Options;
pub use server::{RunError, run};
