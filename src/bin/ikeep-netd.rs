//! The small helper with the privilege to change the network: see `ikeep-netd --help`, and `src/netd`.

use clap::Parser as _;
use ikeep::agent::clock::Clock;
use ikeep::netd::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let clock = Clock::system();
    match run(&Options::parse(), move || clock.now().at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ikeep-netd: {error}");
            ExitCode::FAILURE
        }
    }
}
