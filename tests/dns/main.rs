//! The resolver's settings of a tunnel against the real thing: a systemd-resolved on a bus of its own, in network namespaces
//! with name servers; NetworkManager played by python-dbusmock; a resolv.conf that is a mount. `tests/run` runs these as
//! root; a plain `cargo test` leaves them out and says so.

#[path = "../common/dbus.rs"]
mod dbus;
#[path = "../interop/mod.rs"]
mod interop;
mod mount;
mod name_server;
mod network_manager;
#[path = "../person/mod.rs"]
mod person;
mod resolved;

use std::io::Write as _;

/// Whether a test runs: where `IKEEP_INTEROP=1`, and where this is not missing. One that is left out says so past the test
/// runner's capture.
fn enabled(test: &str, missing: Option<&str>) -> bool {
    let why = if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        Some("needs root and namespaces; `tests/run` runs it")
    } else {
        missing
    };
    if let Some(why) = why {
        let _ = writeln!(std::io::stderr(), "left out: {test} ({why})");
    }
    why.is_none()
}
