//! What a desktop shows of the connection: a bus of the test's own, on which python-dbusmock shows notifications and keeps a
//! panel's icons, or hangs, or goes.
//! `tests/run` runs these; a plain `cargo test` leaves them out and says so.

#[path = "../common/dbus.rs"]
mod dbus;
mod notifications;
#[path = "../person/mod.rs"]
mod person;
mod tray;

use anyhow::Result;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Debian's Python, for which Debian's modules are.
const PYTHON: &str = "/usr/bin/python3";

/// Tells it where there is what it needs.
fn story(test: &str, told: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let mock = || Command::new(PYTHON).args(["-c", "import dbusmock"]).stderr(Stdio::null()).status();
    let why = if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        "starts a session bus; `tests/run` runs it"
    } else if !Path::new("/usr/bin/dbus-daemon").exists() {
        "needs dbus-daemon, Debian: dbus"
    } else if !mock().is_ok_and(|status| status.success()) {
        "needs python-dbusmock, Debian: python3-dbusmock"
    } else {
        return tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(told());
    };
    let _ = writeln!(std::io::stderr(), "left out: {test} ({why})");
    Ok(())
}
