//! The command line: one file per subcommand. DESIGN section 5 is its contract.
//!
//! `--json` puts one JSON document on stdout and nothing else; people read tables on stdout and messages on stderr.

mod error;
mod lab;
mod output;
mod profile;

pub use error::{Error, Exit};

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;
use tracing::Level;

/// Keeps an IKEv2 remote-access VPN alive: log in once, come back by token.
#[derive(Debug, Parser)]
#[command(name = "ikeep", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
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
    /// Show the whole job on this machine: our client against our gateway
    Lab(lab::Command),
    /// Read AnyConnect profiles
    #[command(subcommand)]
    Profile(profile::Command),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// What went wrong, with the exit code in [`Error::exit`].
    pub fn run(self) -> Result<Exit, Error> {
        self.global.log();
        match self.command {
            Command::Lab(command) => command.run(),
            Command::Profile(command) => command.run(),
        }
    }
}

impl Global {
    /// Diagnostics go to stderr: warnings, and more with each `-v`.
    fn log(&self) {
        let level = match self.verbose {
            0 => Level::WARN,
            1 => Level::INFO,
            2 => Level::DEBUG,
            _ => Level::TRACE,
        };
        let subscriber =
            tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).finish();
        // A second call in one process (tests) keeps the first subscriber.
        let _ = tracing::subscriber::set_global_default(subscriber);
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
