//! A gateway has sent a login to another one by its host name: the look-up (RFC 5685).

use super::connection::Connection;
use super::driver::Command;
use super::target;

impl Connection {
    /// Asks the machine's resolver beside everything else, and gives the client what it said. The client waits a few
    /// seconds at most, and asks a few times in one login at most.
    pub(super) fn look_up(&mut self, name: String) {
        let commands = self.commands();
        tokio::spawn(async move {
            let addresses = target::look_up(name.clone()).await.unwrap_or_else(|problem| {
                tracing::warn!("{problem}");
                Vec::new()
            });
            // A connection that has ended meanwhile wants it no more, and is not held up by this.
            if let Some(commands) = commands.upgrade() {
                drop(commands.send(Command::LookedUp { name, addresses }).await);
            }
        });
    }
}
