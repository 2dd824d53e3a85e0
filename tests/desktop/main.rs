//! What the agent shows on a desktop: a bus of the test's own, on which python-dbusmock shows notifications, or hangs, or goes.
//! `tests/run` runs these; a plain `cargo test` leaves them out and says so.

#[path = "../common/dbus.rs"]
mod dbus;
mod notifications;
#[path = "../person/mod.rs"]
mod person;
