//! `ikeep-netd` as a process of its own, in a network namespace: hostile clients, agents that die, a helper that dies under a
//! supervisor. `tests/run` runs these as root; a plain `cargo test` leaves them out and says so.

mod access;
#[expect(dead_code, reason = "a part of the bus of tests/sense")]
#[path = "../sense/bus.rs"]
mod bus;
#[path = "../common/dbus.rs"]
mod dbus;
mod guard;
mod hold;
mod hostile;
#[path = "../interop/mod.rs"]
mod interop;
#[path = "../person/mod.rs"]
mod person;
mod supervised;
mod world;
