//! `ikeep reconnect`.

use super::dialogue::{self, Dialogue};
use super::prompt::{Answers, Sources};
use super::{Error, Exit, output, runtime};
use crate::config::Places;
use crate::ipc::{Client, Request};
use std::time::Duration;

/// What `ikeep reconnect` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// How long to wait for the new connection
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    wait: u32,
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        let wait = Duration::from_secs(self.wait.into());
        let mut dialogue = Dialogue::new(Answers::new(Sources::default())?, wait);
        let connected = runtime::block_on(async {
            let mut client = Client::connect(&places).await?;
            dialogue.hold(&mut client, &Request::Reconnect).await
        })?;
        output::print(&dialogue::told(&connected))?;
        Ok(Exit::Done)
    }
}
