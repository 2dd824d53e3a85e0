//! The agent's own service, in this process, with a machine whose signals the test gives: networks of one address family,
//! trusted networks, sleep that waits. The gateway is the embedded one, in a process of its own.

#[path = "../person/mod.rs"]
mod person;
mod stage;

mod backup;
mod families;
mod portal;
mod profile;
mod profile_file;
mod sleep;
mod survive;
