//! What a person picks in the menu. It is done by the commands that they could type, each a process of its own: a login that
//! needs a password asks for it there, on the desktop.

use crate::cli::output::printable;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// To this host; `None`: as at the last time.
    Connect(Option<String>),
    Reconnect,
    Disconnect,
    /// No tray any more; the connection goes on.
    Quit,
}

impl Wish {
    /// For people, while it is done.
    pub(super) fn doing(&self) -> &'static str {
        match self {
            Self::Connect(_) => "Connecting ..",
            Self::Reconnect => "Reconnecting ..",
            Self::Disconnect => "Disconnecting ..",
            Self::Quit => "Ending ..",
        }
    }

    /// The arguments of `ikeep`.
    fn arguments(&self) -> Vec<&str> {
        match self {
            Self::Connect(Some(host)) => vec!["connect", "--desktop", "--", host],
            Self::Connect(None) => vec!["connect", "--desktop"],
            Self::Reconnect => vec!["reconnect"],
            Self::Disconnect => vec!["disconnect"],
            Self::Quit => Vec::new(),
        }
    }
}

/// The command line.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) file: PathBuf,
    /// The config file, instead of the user's.
    pub(super) config: Option<PathBuf>,
}

impl Program {
    /// Does it; blocks until it is done.
    ///
    /// # Errors
    /// For people: what the command said last.
    pub(super) fn grant(&self, wish: &Wish) -> Result<(), String> {
        let mut command = Command::new(&self.file);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.args(wish.arguments()).stdin(Stdio::null()).stdout(Stdio::null());
        let output = command.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
        let cannot = |error: io::Error| format!("{} cannot be started: {error}", self.file.display());
        let output = output.map_err(cannot)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| line.starts_with("ikeep: ")).or_else(|| said.lines().last());
        Err(match last {
            Some(line) => printable(line.trim_start_matches("ikeep: ")),
            None => format!("`ikeep {}` ended with {}", wish.arguments().join(" "), output.status),
        })
    }
}
