//! Names that are looked up for a connection: of its gateway, and of another one that a login was sent to (RFC 5685). While a
//! device of ours is there, its servers are not asked: they may lie behind the tunnel that is being brought back.

use super::connection::Connection;
use super::driver::Command;
use super::network::Bypass;
use super::{lookup, target};
use std::net::IpAddr;

/// Who is asked.
#[derive(Debug)]
pub(super) struct Names {
    /// Interface and servers of the networks outside, where the machine's own resolver may ask the tunnel's.
    outside: Option<(u32, Vec<IpAddr>, Bypass)>,
}

impl Names {
    /// The addresses of a name. It can take long: never wait for it in a reconnect (law 4).
    ///
    /// # Errors
    /// For people: the name is not known, or nobody answered.
    pub(super) async fn look_up(self, name: String) -> Result<Vec<IpAddr>, String> {
        let Some((interface, servers, bypass)) = self.outside else { return target::look_up(name).await };
        let open = |ipv6| {
            let bypass = bypass.clone();
            async move { bypass.open(ipv6).await }
        };
        lookup::outside(&name, interface, &servers, open).await.map_err(|error| error.to_string())
    }
}

impl Connection {
    /// For a task that looks a name up.
    pub(super) fn names(&self) -> Names {
        // systemd-resolved's questions do not pass a kill switch that holds everything back.
        let held = self.guarding.up && self.holds_everything();
        let interface = if held { 0 } else { self.whereabouts.interface() };
        let outside = match (&self.ground, &self.laid.applied) {
            (Some(ground), Some(applied)) if applied.resolver.is_some() => {
                Some((interface, applied.outside.clone(), ground.bypass()))
            }
            // Nobody else's question passes, of the machine's resolver neither.
            (Some(ground), _) if held => {
                let servers: Vec<IpAddr> =
                    self.servers.iter().copied().filter(|server| !server.is_loopback()).collect();
                (!servers.is_empty()).then(|| (0, servers, ground.bypass()))
            }
            _ => None,
        };
        Names { outside }
    }

    /// Asks beside everything else, and gives the client what was said. The client waits a few seconds at most, and asks a few
    /// times in one login at most.
    pub(super) fn look_up(&mut self, name: String) {
        let (commands, names) = (self.commands(), self.names());
        tokio::spawn(async move {
            let addresses = names.look_up(name.clone()).await.unwrap_or_else(|problem| {
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
