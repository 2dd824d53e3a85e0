//! The real agent on real kernels: a laptop with two uplinks, a NAT, a gateway, and everything that happens to paths. A download
//! and an idle connection through the proxy live through all of it. `tests/run` runs these as root; a plain `cargo test` leaves
//! them out and says so.

#[path = "../common/dbus.rs"]
mod dbus;
mod faults;
#[path = "../interop/mod.rs"]
mod interop;
mod logind;
mod net;
mod path;
#[path = "../person/mod.rs"]
mod person;
mod sleep;
mod traffic;
mod uplinks;
mod usage;
mod world;
