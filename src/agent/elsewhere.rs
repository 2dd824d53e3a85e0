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
    /// The machine's own resolver is asked at the same time, and whoever knows the name first is believed.
    resolver_too: bool,
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
        let outside = lookup::outside(&name, interface, &servers, open);
        if !self.resolver_too {
            return outside.await.map_err(|error| error.to_string());
        }
        tokio::select! {
            Ok(found) = outside => Ok(found),
            Ok(found) = target::look_up(name.clone()) => Ok(found),
            else => Err(format!("the address of {name} was not found, by the machine's resolver or past the kill switch")),
        }
    }
}

impl Connection {
    /// For a task that looks a name up.
    pub(super) fn names(&self) -> Names {
        // systemd-resolved's questions do not pass a kill switch that holds everything back; one that another connection has left
        // may be up before this one knows of it.
        let held = self.holds_everything();
        let interface = if held { 0 } else { self.whereabouts.interface() };
        let behind = self.laid.applied.as_ref().is_some_and(|applied| applied.resolver.is_some());
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
        // Of a tunnel whose names it knows it may ask the tunnel.
        Names { outside, resolver_too: held && !behind }
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
