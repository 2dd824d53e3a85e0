//! `ikeep disconnect`.

use super::{Error, Exit, output, runtime};
use crate::config::Places;
use crate::ipc::{Client, ClientError, Reply, Request};
use crate::store::Intent;

/// What `ikeep disconnect` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Command {}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        runtime::block_on(async {
            let mut client = match Client::connect(&places).await {
                Ok(client) => client,
                Err(ClientError::NotRunning { .. } | ClientError::Gone) => {
                    return without_agent(&places).await;
                }
                Err(error) => return Err(error.into()),
            };
            client.send(&Request::Disconnect).await?;
            loop {
                match client.recv().await? {
                    Reply::Done => return output::print("Disconnected\n").map(|()| Exit::Done),
                    Reply::Failed(failure) => return Err(Error::Refused(failure)),
                    _ => {}
                }
            }
        })
    }
}

/// Nobody is connected, but the next agent would connect by itself if that was asked for last.
async fn without_agent(places: &Places) -> Result<Exit, Error> {
    let (intent, notes) = Intent::load(places);
    for note in notes {
        eprintln!("ikeep: warning: {}", output::lines(&note.to_string()));
    }
    if intent.wanted {
        Intent { wanted: false, ..intent }.save(places).await?;
    }
    output::print("No agent runs; nothing is connected\n")?;
    Ok(Exit::Done)
}
