//! The command line: one file per subcommand. DESIGN section 5 is its contract.
//!
//! `--json` puts one JSON document on stdout and nothing else; people read tables on stdout and messages on stderr.

mod agent;
mod askpass;
mod bundle;
mod complete;
mod connect;
mod dialogue;
mod disconnect;
mod doctor;
mod error;
mod events;
mod forget;
mod gateway;
mod generate;
mod help;
mod lab;
mod log;
mod login;
mod output;
mod pinentry;
mod pkcs11;
mod portal;
mod profile;
mod prompt;
mod reconnect;
mod remember;
mod runtime;
mod spawn;
mod status;
mod tray;
mod watch;

pub use askpass::AskError;
pub use complete::complete;
pub use error::{Error, Exit};

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// Keeps an IKEv2 remote-access VPN alive: log in once, come back by token.
#[derive(Debug, Parser)]
#[command(name = "ikeep", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_long_help = help::IKEEP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The config file, instead of $XDG_CONFIG_HOME/ikeep/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Tell more on stderr; twice or three times for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect, and stay connected; starts the agent where none runs
    Connect(connect::Command),
    /// End the connection; it stays ended until `ikeep connect`
    Disconnect(disconnect::Command),
    /// Make a new connection by token now, beside the one that serves
    Reconnect(reconnect::Command),
    /// Forget the session with a gateway, its token and the remembered password
    Forget(forget::Command),
    /// Let a browser past the tunnel for a while, for the log-in at a captive portal
    Portal(portal::Command),
    /// Tell how the connection is
    Status(status::Command),
    /// Show the connection live; where there is no terminal, a line for each change
    Watch(watch::Command),
    /// Show the connection as an icon with a menu in the panel of the desktop
    Tray(tray::Command),
    /// Print the event log; works without an agent
    Events(events::Command),
    /// Make a zip of logs, status, profiles and versions, for whoever is asked for help; secrets are masked
    Bundle(bundle::Command),
    /// Tell what is missing on this machine, or where the way to a gateway stops, and what mends it
    Doctor(doctor::Command),
    /// The background service in the foreground
    Agent(agent::Command),
    /// The embedded gateway, and learning how another one speaks
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Show the whole job on this machine: our client against our gateway
    Lab(lab::Command),
    /// Read AnyConnect profiles
    #[command(subcommand)]
    Profile(profile::Command),
    /// For the agent: speak with a token
    #[command(hide = true)]
    Pkcs11Helper(pkcs11::Command),
    /// Write man pages and shell completions, for packages
    #[command(hide = true)]
    Generate(generate::Command),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// What went wrong, with the exit code in [`Error::exit`].
    pub fn run(self) -> Result<Exit, Error> {
        if !matches!(self.command, Command::Agent(_)) {
            self.global.log_more(0);
        }
        match self.command {
            Command::Agent(command) => command.run(&self.global),
            Command::Connect(command) => command.run(&self.global),
            Command::Disconnect(command) => command.run(),
            Command::Reconnect(command) => command.run(),
            Command::Forget(command) => command.run(),
            Command::Portal(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Watch(command) => command.run(),
            Command::Tray(command) => command.run(&self.global),
            Command::Events(command) => command.run(),
            Command::Bundle(command) => command.run(&self.global),
            Command::Doctor(command) => command.run(&self.global),
            Command::Gateway(command) => command.run(&self.global),
            Command::Lab(command) => command.run(),
            Command::Profile(command) => command.run(),
            Command::Pkcs11Helper(command) => command.run(),
            Command::Generate(command) => command.run(),
        }
    }
}

impl Global {
    /// Diagnostics go to stderr: warnings, and more with each `-v`; `more` counts as so many of them.
    fn log_more(&self, more: u8) {
        let subscriber = tracing_subscriber::fmt().with_max_level(self.level(more));
        // A second call in one process (tests) keeps the first subscriber.
        let _ = tracing::subscriber::set_global_default(subscriber.with_writer(std::io::stderr).finish());
    }

    /// They go where the agent's log goes, from what is worth knowing on.
    fn log_to(&self, log: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
        let subscriber = tracing_subscriber::fmt().with_max_level(self.level(1)).with_ansi(false);
        let _ = tracing::subscriber::set_global_default(subscriber.with_writer(log).finish());
    }

    fn level(&self, more: u8) -> Level {
        match self.verbose.saturating_add(more) {
            0 => Level::WARN,
            1 => Level::INFO,
            2 => Level::DEBUG,
            _ => Level::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
