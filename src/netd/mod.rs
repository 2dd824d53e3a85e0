//! `ikeep-netd`: applies and reverts a network plan as root, for an agent that has no privilege.

pub mod dns;
pub mod net;
