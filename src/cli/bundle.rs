//! `ikeep bundle`: everything that somebody who is asked for help wants to see, in one file.

use super::{Error, Exit, Global, help, output, runtime};
use crate::agent::clock::Clock;
use crate::bundle::{self, Contents, Preview};
use crate::config::{Config, Places, paths};
use crate::facts;
use crate::ipc::{Client, Reply, Request};
use crate::store::Intent;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the agent may take to say how it is.
const STATUS: Duration = Duration::from_secs(6);

/// What `ikeep bundle` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::BUNDLE)]
pub(super) struct Command {
    /// The folder for it, instead of the current one
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Show what would go in, with sizes and origins, and write nothing
    #[arg(long, conflicts_with = "output")]
    list: bool,
    /// Mask addresses, MACs, session IDs and names of people, hosts and domains, too
    #[arg(long)]
    anonymize: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        let named = global.config.as_deref();
        let config = Config::load(named);
        let now = Clock::system().now().wall;
        let (status, findings) = runtime::block_on(async {
            Ok(tokio::join!(status(&places), facts::machine(now, named, config.as_ref())))
        })?;
        let (intent, notes) = Intent::load(&places);
        for note in notes {
            eprintln!("ikeep: warning: {note}");
        }
        let last = intent.last.unwrap_or_default();
        let mut profiles = bundle::profiles_in(&paths::profile_folders());
        // The one that is in use comes first.
        profiles.splice(0..0, last.profile);
        let contents = Contents {
            now,
            places,
            status,
            config: global.config.clone().or(last.config).or_else(paths::config_file),
            profiles,
            findings,
            anonymize: self.anonymize,
        };
        if self.list {
            output::print(&table(&bundle::preview(&contents)))?;
            return Ok(Exit::Done);
        }
        let folder = self.output.as_deref().unwrap_or(Path::new("."));
        let path = bundle::write(folder, &contents)?;
        output::print(&format!("{}\n", path.display()))?;
        Ok(Exit::Done)
    }
}

/// Sizes, names and origins in columns.
fn table(entries: &[Preview]) -> String {
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Preview { name, octets, cut, origin } in entries {
        let cut = if *cut > 0 { format!(", without its first {cut} octets") } else { String::new() };
        text += &format!("{octets:>9}  {name:width$}  {}{cut}\n", output::printable(origin));
    }
    text + "with manifest.json, which lists them; nothing was written.\n"
}

/// The agent's picture, or why there is none.
async fn status(places: &Places) -> Result<Value, String> {
    let asked = async {
        let mut client = Client::connect(places).await?;
        client.send(&Request::Status).await?;
        loop {
            match client.recv().await? {
                Reply::Status { status } => return Ok(status),
                Reply::Failed(failure) => return Err(Error::Refused(failure)),
                _ => {}
            }
        }
    };
    let answer = tokio::time::timeout(STATUS, asked).await;
    let answer = answer.map_err(|_| format!("the agent did not answer within {} s", STATUS.as_secs()))?;
    answer.map_err(|error: Error| error.to_string())
}
