//! `ikeep lab`: the whole job on this machine.

use super::{Error, Exit, output};
use crate::lab::{self, Scenario};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use std::io::{self, IsTerminal as _};

/// What `ikeep lab` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Play this scenario only; may be given several times
    #[arg(long = "scenario", value_name = "NAME", value_parser = scenarios())]
    scenarios: Vec<Scenario>,
    /// One JSON document on stdout, nothing else
    #[arg(long)]
    json: bool,
}

fn scenarios() -> impl clap::builder::TypedValueParser<Value = Scenario> {
    PossibleValuesParser::new(Scenario::ALL.map(Scenario::name))
        .try_map(|name| Scenario::from_name(&name).ok_or("no such scenario"))
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let mut scenarios = if self.scenarios.is_empty() { Scenario::ALL.to_vec() } else { self.scenarios };
        scenarios.sort();
        scenarios.dedup();
        let terminal = io::stderr().is_terminal();
        if terminal {
            eprintln!("{} scenarios, side by side:", scenarios.len());
        }
        let report = lab::run(&scenarios, None, |report| {
            if terminal {
                eprintln!("  {:9}  {}", report.scenario, if report.kept { "ok" } else { "BROKEN" });
            }
        })?;
        if self.json {
            output::json(&serde_json::to_value(&report).map_err(io::Error::from).map_err(output_error)?)?;
        } else {
            output::print(&format!("{report}\n"))?;
        }
        Ok(if report.kept { Exit::Done } else { Exit::Other })
    }
}

fn output_error(source: io::Error) -> Error {
    Error::Output { source }
}
