//! Addresses, routes and rules of a tunnel on real kernels, in network namespaces. `tests/run` runs these as root; a plain
//! `cargo test` leaves them out and says so.

mod changes;
#[path = "../interop/mod.rs"]
mod interop;
mod leaks;
mod link;
mod others;
#[path = "../person/mod.rs"]
mod person;
mod plans;
mod reverse_path;
mod wall;
mod world;
