//! What the command line tells of the past: `ikeep events` and `ikeep bundle`, both without an agent.

mod bundle;
mod canaries;
mod crash;
mod events;
mod hang;
mod home;
mod live;
#[path = "../person/mod.rs"]
mod person;
mod summary;
