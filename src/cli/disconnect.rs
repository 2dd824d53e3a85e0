//! `ikeep disconnect`.

use super::{Error, Exit, output, runtime};
use crate::agent::target::Target;
use crate::config::Places;
use crate::ipc::{Client, ClientError, Listener, Reply, Request};
use crate::store::{Intent, Store};
use std::time::Duration;

/// How long the end of an agent is waited for.
pub(super) const ENDING: Duration = Duration::from_secs(5);

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
                let reply = match client.recv().await {
                    // It was just ending, or was killed: what it has not done is done without it.
                    Err(ClientError::Gone) => {
                        let _ = tokio::time::timeout(ENDING, Listener::ended(&places)).await;
                        return without_agent(&places).await;
                    }
                    other => other?,
                };
                match reply {
                    Reply::Done => return output::print("Disconnected\n").map(|()| Exit::Done),
                    Reply::Failed(failure) => return Err(Error::Refused(failure)),
                    _ => {}
                }
            }
        })
    }
}

/// Nobody is connected, but the next agent would connect by itself if that was asked for last, and come back by token.
async fn without_agent(places: &Places) -> Result<Exit, Error> {
    let warn = |text: String| eprintln!("ikeep: warning: {}", output::lines(&text));
    let (intent, notes) = Intent::load(places);
    notes.iter().for_each(|note| warn(note.to_string()));
    if intent.wanted {
        Intent { wanted: false, ..intent.clone() }.save(places).await?;
    }
    // Where the profile has gone there is no telling whose session it is; it ends with its window.
    if let Some(last) = &intent.last
        && let Ok(target) = Target::find_last(last, "")
        && target.wishes.profile == last.profile
        && let Err(error) = Store::new(places).erase(&target.settings.host_address).await
    {
        warn(error.to_string());
    }
    output::print("No agent runs; nothing is connected\n")?;
    Ok(Exit::Done)
}
