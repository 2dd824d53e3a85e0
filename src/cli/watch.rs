//! `ikeep watch`.

use super::status::Picture;
use super::{Error, Exit, output, runtime};
use crate::agent::clock::Clock;
use crate::config::Places;
use crate::ipc::{Client, Reply, Request};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What `ikeep watch` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Command {}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        runtime::block_on(async {
            let clock = Clock::system();
            let mut client = Client::connect(&places).await?;
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
                let now =
                    Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned(TimeZone::system());
                if !output::write(&format!("{}  {line}\n", now.strftime("%H:%M:%S")))? {
                    return Ok(Exit::Done);
                }
                last = line;
            }
        })
    }
}
