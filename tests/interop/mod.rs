//! Real peers in network namespaces: what an interop test needs to start one, look into it and leave nothing behind.
//!
//! Everything here is RAII: a dropped [`Charon`] is stopped, a dropped [`Netns`] is deleted, also when the test fails.
//! `tests/run` removes by its own prefix what a killed test left.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

pub(crate) mod agent;
mod charon;
mod netns;
mod ours;
mod pki;
mod pluto;
mod swanctl;
mod web;

pub(crate) use charon::{Charon, CharonOptions};
pub(crate) use netns::{Netns, Pair, inside};
pub(crate) use ours::Ours;
pub(crate) use pki::Pki;
pub(crate) use pluto::{Clients, Pluto};
pub(crate) use swanctl::{ClientConfig, GatewayConfig, Suite};
pub(crate) use web::WebServer;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The name in the gateway's certificate: the HostAddress of the seed's profile.
pub(crate) const GATEWAY_NAME: &str = "flexvpn-c8kv.example.com";
/// The session ID of the seed's logs, sent as a key-id.
pub(crate) const SESSION_ID: &str = "rIUHKccDRiUtFTATwq";
/// An address on the gateway's loopback, to be reached through the tunnel.
pub(crate) const BEHIND_GATEWAY: &str = "192.168.10.1";

/// Longest wait for anything a peer does on this machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whether the tests with real peers run: only where `tests/run` asks for them with `IKEEP_INTEROP=1`, because they need
/// root, namespaces and strongSwan. A test that is left out says so on the real stderr, past the test runner's capture.
///
/// # Panics
/// Where `IKEEP_INTEROP=1` is set and something they need is missing: then a silent skip would be a lie.
pub(crate) fn enabled(test: &str) -> bool {
    if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        // `eprintln!` would be swallowed for a passing test.
        let _ = writeln!(
            std::io::stderr(),
            "left out: {test} (needs root and strongSwan in namespaces; `tests/run` runs it)"
        );
        return false;
    }
    assert!(rustix::process::geteuid().is_root(), "IKEEP_INTEROP=1 needs root for network namespaces");
    assert!(
        Path::new(charon::DAEMON).exists(),
        "IKEEP_INTEROP=1 needs strongSwan ({} is not there): `tests/run` installs it",
        charon::DAEMON
    );
    true
}

/// Time since the stopwatch was made, for figures that a test prints.
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "a figure of a real peer on the real clock")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "a figure of a real peer on the real clock")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
