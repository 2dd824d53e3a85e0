//! `ikeep watch`: a live picture on a terminal, a line for each change anywhere else.
//!
//! `model` knows what is known and `draw` makes a picture of it; neither has a terminal or a clock. `live` brings them
//! together with the agent (`feed`), the event log (`log`), the keys and the `screen`.

mod draw;
mod facts;
mod feed;
mod keys;
mod live;
mod log;
mod look;
mod model;
mod screen;
mod stop;
mod text;
mod traffic;
mod vt;

#[cfg(test)]
mod svg;
#[cfg(test)]
mod tests;

use super::status::Picture;
use super::{Error, Exit, help, output, runtime};
use crate::agent::clock::Clock;
use crate::config::Places;
use crate::ipc::{Client, Reply, Request};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use look::Look;
use std::io::{self, IsTerminal as _};

/// What `ikeep watch` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::WATCH)]
pub(super) struct Command {}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        let look = Look::of(|name| std::env::var(name).ok()).filter(|_| terminal);
        runtime::block_on(async {
            let client = Client::connect(&places).await?;
            match look {
                Some(look) => live::live(&places, client, look).await,
                None => lines(client).await,
            }
        })
    }
}

/// A line for each change.
async fn lines(mut client: Client) -> Result<Exit, Error> {
    let clock = Clock::system();
    client.send(&Request::Watch).await?;
    let mut last = String::new();
    loop {
        let status = match client.recv().await? {
            Reply::Status { status } => status,
            Reply::Failed(failure) => return Err(Error::Refused(failure)),
            _ => continue,
        };
        let line = Picture(&status).line();
        if line == last {
            continue;
        }
        let millis = i64::try_from(clock.now().wall.as_millis()).unwrap_or(i64::MAX);
        let now = Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned(TimeZone::system());
        if !output::write(&format!("{}  {line}\n", now.strftime("%H:%M:%S")))? {
            return Ok(Exit::Done);
        }
        last = line;
    }
}
