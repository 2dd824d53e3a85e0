//! Words for the supervisor (systemd, or one that speaks as it does): ready, alive, ending. Without one nothing is said.

use sd_notify::NotifyState;
use std::io;
use std::time::Duration;

/// Whoever started this process and wants to be told how it is.
#[derive(Clone, Copy, Debug)]
pub struct Supervisor {
    present: bool,
}

/// What a child must not inherit: it would speak in its parent's name.
pub const ENVIRONMENT: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

impl Supervisor {
    /// That of this process.
    pub fn of_process() -> Self {
        Self { present: std::env::var_os("NOTIFY_SOCKET").is_some() }
    }

    /// None, whatever the environment says.
    pub fn none() -> Self {
        Self { present: false }
    }

    /// Whether there is one.
    pub fn is_there(self) -> bool {
        self.present
    }

    /// How often it wants to hear that this process is alive, at least; `None`: it does not ask.
    pub fn watchdog(self) -> Option<Duration> {
        if self.present { sd_notify::watchdog_enabled() } else { None }
    }

    /// Clients are served; `status` is shown to people.
    pub fn ready(self, status: &str) {
        self.say(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// This process is alive.
    pub fn alive(self) {
        self.say(&[NotifyState::Watchdog]);
    }

    /// This process ends.
    pub fn stopping(self) {
        self.say(&[NotifyState::Stopping]);
    }

    /// Anything else.
    pub fn say(self, words: &[NotifyState<'_>]) {
        if self.present {
            self.told(sd_notify::notify(words));
        }
    }

    /// Logs that something could not be said.
    pub fn told(self, result: io::Result<()>) {
        if let Err(error) = result
            && self.present
        {
            tracing::warn!(%error, "the supervisor does not listen");
        }
    }
}
