//! The `ikeep` command: see `ikeep --help`, and `src/cli` for what each subcommand does.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    ikeep::cli::complete();
    match ikeep::cli::Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = error.exit();
            // The chain of causes on one line, each with what it knows.
            eprintln!("ikeep: {:#}", anyhow::Error::from(error));
            exit.into()
        }
    }
}
