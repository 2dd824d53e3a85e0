//! What the command line tells of the past: `ikeep events` and `ikeep bundle`, both without an agent.

mod bundle;
mod canaries;
mod events;
mod home;
mod summary;
