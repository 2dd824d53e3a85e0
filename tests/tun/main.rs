//! A tunnel on the machine: the real agent with a device, through the real `ikeep-netd`, on a laptop that is a network
//! namespace. `tests/run` runs these as root; a plain `cargo test` leaves them out and says so.

#[path = "../common/dbus.rs"]
mod dbus;
mod ecn;
mod framed;
#[path = "../radius/server.rs"]
#[allow(dead_code, reason = "shared with another test program")]
mod freeradius;
mod guard;
mod hostile;
#[path = "../interop/mod.rs"]
mod interop;
mod killed;
mod lan;
#[path = "../dns/name_server.rs"]
#[allow(dead_code, reason = "shared with another test program")]
mod name_server;
#[path = "../kernel/net.rs"]
#[allow(dead_code, reason = "shared with another test program")]
mod net;
mod network_manager;
mod paths;
#[path = "../person/mod.rs"]
mod person;
mod pictures;
mod portal;
mod rekeys;
mod supervised;
#[path = "../kernel/traffic.rs"]
#[allow(dead_code, reason = "shared with another test program")]
mod traffic;
mod watch;
mod world;
