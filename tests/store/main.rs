//! The session store against what it meets on real machines: full and read-only disks, and secret services that are open,
//! locked, stopped or not there.

mod bus;
#[path = "../common/dbus.rs"]
mod dbus;
mod disk;
mod liar;
mod remember;
mod secret_service;
mod story;
