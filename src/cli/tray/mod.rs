//! `ikeep tray`: the connection as an icon with a menu in the panel of a desktop (StatusNotifierItem).
//!
//! It decides nothing: it follows the agent's stream (docs/stream.md), `view` says what of it is to be seen, and what a person
//! picks is done by the same commands that they could type, so that a login asks where those ask on a desktop. `item` and
//! `menu` are what the panel sees on the session bus, `panel` is our way to it, and `live` brings all that together.

mod agent;
mod icon;
mod item;
mod live;
mod menu;
mod panel;
mod view;
mod wishes;

use super::{Error, Exit, Global, help, runtime};
use crate::config::Places;

/// What `ikeep tray` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::TRAY)]
pub(super) struct Command {}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        runtime::block_on(live::live(&places, global.config.as_deref()))
    }
}
