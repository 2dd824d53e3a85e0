//! The ways to the gateway: which addresses it has, which of them this network reaches, and what the client is told.

use super::super::connection::Connection;
use super::super::driver::{Command, Local};
use super::super::target;
use super::{Service, tell};
use crate::ipc::{FailureKind, Reply};
use crate::sense::{Way, nat64};
use std::net::{IpAddr, SocketAddr};

/// What a look-up found.
#[derive(Debug)]
pub(super) enum Found {
    /// The gateway's addresses.
    Gateway(Vec<IpAddr>),
    /// How this network reaches IPv4 addresses over IPv6, if it does.
    Nat64(Option<nat64::Prefix>),
}

/// What is known of the gateway's whereabouts.
#[derive(Debug, Default)]
pub(in super::super) struct Whereabouts {
    /// Who answered last.
    last: Option<SocketAddr>,
    /// Its addresses: of the config file, of the profile or of DNS.
    known: Vec<IpAddr>,
    /// The way into IPv4 of a network that carries only IPv6.
    nat64: Option<nat64::Prefix>,
    /// The ways of now.
    ways: Vec<Way>,
    /// Addresses that the client was told.
    told: Vec<IpAddr>,
}

impl Whereabouts {
    /// What is known before anything is asked: who answered last, and the addresses of profile or config file.
    pub(in super::super) fn new(last: Option<SocketAddr>, known: Vec<IpAddr>) -> Self {
        Self { last, known, ..Self::default() }
    }

    /// The way that a question to this network takes.
    pub(super) fn way(&self) -> Option<Way> {
        self.ways.first().copied()
    }

    fn all(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.last.map(|last| last.ip()).into_iter().collect();
        all.extend(self.known.iter().filter(|ip| Some(**ip) != self.last.map(|last| last.ip())));
        all
    }

    /// IPv4 addresses as NAT64 has them, where the gateway has no IPv6 address of its own.
    fn mapped(&self) -> Vec<IpAddr> {
        let all = self.all();
        if all.iter().any(IpAddr::is_ipv6) {
            return Vec::new();
        }
        let prefix = self.nat64.unwrap_or(nat64::Prefix::WELL_KNOWN);
        let map = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => Some(prefix.map(ip).into()),
            IpAddr::V6(_) => None,
        };
        all.into_iter().filter_map(map).collect()
    }

    /// What is to be watched: every address, and where IPv6 alone would have to go.
    fn watched(&self, port: u16) -> Vec<SocketAddr> {
        let mut watched = self.all();
        if !watched.is_empty() {
            watched.extend(self.mapped());
        }
        watched.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
    }

    /// True in a network that carries only IPv6, where the gateway has only IPv4.
    fn needs_nat64(&self) -> bool {
        !self.mapped().is_empty() && !self.ways.is_empty() && self.ways.iter().all(|way| way.to.is_ipv6())
    }

    /// The addresses to try now.
    fn usable(&self) -> Vec<IpAddr> {
        let mut usable = self.known.clone();
        if self.needs_nat64() {
            usable.extend(self.mapped());
        }
        usable
    }

    /// Our ends, one for each family: of the way to the address that is tried first.
    fn locals(&self) -> Vec<Local> {
        let local = |way: &Way| Local { address: SocketAddr::new(way.from, 0), interface: way.interface };
        let first = |ipv4: bool| self.ways.iter().find(|way| way.to.is_ipv4() == ipv4).map(local);
        [first(true), first(false)].into_iter().flatten().collect()
    }
}

impl Connection {
    /// Tells the client what has changed: addresses before ways, so that a way has somewhere to lead.
    async fn tell_ways(&mut self) {
        let usable = self.whereabouts.usable();
        if usable != self.whereabouts.told {
            self.whereabouts.told.clone_from(&usable);
            self.command(Command::Addresses(usable)).await;
        }
        self.paths(self.whereabouts.locals()).await;
    }
}

impl Service {
    /// Begins to watch the ways; without an address a look-up comes first.
    pub(super) fn watch_ways(&mut self) {
        let Some(connection) = &self.connection else { return };
        let watched = connection.whereabouts.watched(connection.target.settings.port);
        if !watched.is_empty() {
            self.senses.gateway.send_replace(watched);
        } else if let Some(asker) = &self.asker {
            let (state, text) = ("connecting".to_owned(), "looking up the gateway's address".to_owned());
            tell(asker, Reply::State { state, text });
        }
    }

    pub(super) async fn ways(&mut self, ways: Vec<Way>) {
        let Some(connection) = self.connection.as_mut() else { return };
        let before = connection.whereabouts.locals();
        connection.whereabouts.ways = ways;
        let moved = connection.whereabouts.locals() != before;
        if moved {
            connection.whereabouts.nat64 = None; // it was another network's
        }
        connection.tell_ways().await;
        if moved {
            self.forget_portal();
        }
        // Only another network may answer otherwise.
        if moved {
            self.look_up_again();
        }
    }

    /// Asks DNS, beside everything else, for what another network may answer otherwise.
    pub(super) fn look_up_again(&mut self) {
        let Some(connection) = self.connection.as_ref().filter(|_| self.look_up.is_none()) else { return };
        let settings = &connection.target.settings;
        let fixed = settings.host_address.parse::<IpAddr>().is_ok() || connection.target.fixed_address;
        if connection.whereabouts.needs_nat64() {
            self.look_up = Some(tokio::spawn(async {
                // A network without DNS64 does not know the name: the well-known prefix is tried all the same.
                let answers = target::look_up(nat64::KNOWN_NAME.to_owned()).await.unwrap_or_default();
                let answers: Vec<_> = answers
                    .into_iter()
                    .filter_map(|ip| match ip {
                        IpAddr::V6(ip) => Some(ip),
                        IpAddr::V4(_) => None,
                    })
                    .collect();
                Ok(Found::Nat64(nat64::Prefix::shown_by(&answers)))
            }));
        } else if !fixed {
            let name = settings.host_address.clone();
            self.look_up = Some(tokio::spawn(async move { target::look_up(name).await.map(Found::Gateway) }));
        }
    }

    pub(super) async fn looked_up(&mut self, result: Result<Found, String>) {
        self.look_up = None;
        let Some(connection) = self.connection.as_mut() else { return };
        let port = connection.target.settings.port;
        let before = connection.whereabouts.watched(port);
        match result {
            Ok(Found::Gateway(addresses)) => {
                // The same ones in another order (round robin) are no news.
                let known = &mut connection.whereabouts.known;
                if addresses.len() != known.len() || addresses.iter().any(|ip| !known.contains(ip)) {
                    connection.target.settings.addresses.clone_from(&addresses);
                    *known = addresses;
                }
            }
            Ok(Found::Nat64(prefix)) => connection.whereabouts.nat64 = prefix,
            Err(problem) if before.is_empty() => {
                let text = format!(
                    "{problem}: is this machine online? Or put the gateway's address into the config file, under \
                     [gateway.\"{}\"]",
                    connection.target.settings.host_address
                );
                self.refuse(FailureKind::NoAnswer, text);
                self.want(false).await;
                return self.end(None).await;
            }
            Err(problem) => return tracing::info!("{problem}; the address that answered last is used"),
        }
        let watched = connection.whereabouts.watched(port);
        if before.is_empty() {
            self.senses.gateway.send_replace(watched);
            return;
        }
        // Addresses of the families that are there already can be tried at once; the ways to new ones follow.
        connection.tell_ways().await;
        if watched != before {
            self.senses.gateway.send_replace(watched);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whereabouts(known: &[&str], ways: &[&str]) -> Whereabouts {
        let ways = ways.iter().map(|to| {
            let to: IpAddr = to.parse().unwrap();
            Way { to: SocketAddr::new(to, 500), from: to, interface: 1 }
        });
        Whereabouts {
            known: known.iter().map(|ip| ip.parse().unwrap()).collect(),
            ways: ways.collect(),
            ..Whereabouts::default()
        }
    }

    fn shown(addresses: Vec<IpAddr>) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_network_with_ipv6_alone_reaches_an_ipv4_gateway_by_nat64() {
        let mut there = whereabouts(&["192.0.2.1"], &["64:ff9b::c000:201"]);
        assert_eq!(there.watched(500).len(), 2, "the way over IPv6 is watched before it is needed");
        assert_eq!(shown(there.usable()), ["192.0.2.1", "64:ff9b::c000:201"]);
        there.nat64 = nat64::Prefix::shown_by(&["2001:db8::192.0.0.170".parse().unwrap()]);
        assert_eq!(shown(there.usable()), ["192.0.2.1", "2001:db8::c000:201"]);
    }

    #[test]
    fn nat64_is_for_nobody_else() {
        for (known, ways) in [
            (&["192.0.2.1"][..], &["192.0.2.1", "64:ff9b::c000:201"][..]),
            (&["192.0.2.1"], &["192.0.2.1"]),
            (&["192.0.2.1"], &[]),
            (&["192.0.2.1", "2001:db8::1"], &["2001:db8::1"]),
        ] {
            assert_eq!(shown(whereabouts(known, ways).usable()), known, "{ways:?}");
        }
        assert_eq!(whereabouts(&[], &[]).watched(500), [] as [SocketAddr; 0]);
    }

    #[test]
    fn who_answered_last_is_watched_first_and_once() {
        let mut there = whereabouts(&["192.0.2.1", "192.0.2.2", "2001:db8::1"], &[]);
        there.last = Some("192.0.2.2:4500".parse().unwrap());
        let watched: Vec<String> = there.watched(500).iter().map(ToString::to_string).collect();
        assert_eq!(watched, ["192.0.2.2:500", "192.0.2.1:500", "[2001:db8::1]:500"]);
    }
}
