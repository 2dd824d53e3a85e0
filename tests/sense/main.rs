//! The room `sense` against the real thing: routes of real kernels in network namespaces, and logind on a real bus, where it is
//! played by python-dbusmock. `tests/run` runs these as root; a plain `cargo test` leaves them out and says so.

mod agent;
mod bus;
#[path = "../common/dbus.rs"]
mod dbus;
mod ear;
#[path = "../interop/mod.rs"]
mod interop;
mod logind;
#[path = "../person/mod.rs"]
mod person;
mod resolved;
mod routes;
