//! The ways to the gateway: which addresses it has, which of them this network reaches, and what the client is told.

use super::super::connection::Connection;
use super::super::driver::{Command, Local};
use super::{Service, tell};
use crate::agent::desktop::News;
use crate::client::nat64;
use crate::ipc::{FailureKind, Reply};
use crate::reconnect::State;
use crate::sense::Way;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A first look-up may take as long as the machine's resolver likes, within reason: nothing can be done without it.
const FIRST_LOOK_UP: Duration = Duration::from_secs(30);
/// A later one is beside everything else, and what it finds late is of an old network.
const LATER_LOOK_UP: Duration = Duration::from_secs(5);
/// The longest wait before a failed look-up is repeated while there is no connection.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(30);

/// Questions to DNS, one at a time.
#[derive(Debug, Default)]
pub(super) struct LookUps {
    running: Option<JoinHandle<Result<Found, String>>>,
    /// The question has left; before that it waits for its time.
    asked: Arc<AtomicBool>,
    /// The network has changed since it was asked.
    stale: bool,
    failures: u32,
}

impl LookUps {
    /// The answer to the question under way; never, where none is.
    pub(super) async fn found(&mut self) -> Result<Found, String> {
        match self.running.as_mut() {
            Some(running) => running.await.unwrap_or_else(|error| Err(error.to_string())),
            None => std::future::pending().await,
        }
    }
}

impl Drop for LookUps {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

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
    /// Who has the session, wherever a redirect has led.
    serving: Option<IpAddr>,
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

    /// Some address of the gateway is known.
    pub(super) fn is_known(&self) -> bool {
        self.last.is_some() || !self.known.is_empty()
    }

    fn all(&self) -> Vec<IpAddr> {
        let last = self.last.map(|last| last.ip()).filter(|last| !self.is_mapped(*last));
        let mut all: Vec<IpAddr> = last.into_iter().collect();
        all.extend(self.known.iter().filter(|ip| Some(**ip) != last));
        all
    }

    /// An address that only some network's NAT64 knows.
    fn is_mapped(&self, ip: IpAddr) -> bool {
        self.known.iter().any(|known| match (ip, known) {
            (IpAddr::V6(ip), IpAddr::V4(known)) => nat64::is_mapped(ip, *known),
            _ => false,
        })
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

    /// The session is with this address.
    pub(in super::super) fn served_by(&mut self, gateway: IpAddr) {
        self.serving = Some(gateway);
    }

    /// Where the gateway may be: who has the session, who answered last, and every address to try.
    pub(super) fn gateways(&self) -> Vec<IpAddr> {
        let mut all = self.usable();
        all.extend(self.serving);
        all.extend(self.last.map(|last| last.ip()));
        all
    }

    /// The interface towards the gateway; 0 where it is not known.
    pub(in super::super) fn interface(&self) -> u32 {
        self.ways.first().map_or(0, |way| way.interface)
    }

    /// Our ends, one for each family: of the way to the address that is tried first.
    fn locals(&self) -> Vec<Local> {
        let local = |way: &Way| Local {
            address: SocketAddr::new(way.from, 0),
            interface: way.interface,
            mtu: way.mtu,
        };
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
        let place = |local: &Local| (local.address, local.interface);
        let places = |there: &Whereabouts| there.locals().iter().map(place).collect::<Vec<_>>();
        let before = places(&connection.whereabouts);
        connection.whereabouts.ways = ways;
        let moved = places(&connection.whereabouts) != before;
        if moved {
            connection.whereabouts.nat64 = None; // it was another network's
        }
        connection.tell_ways().await;
        if moved {
            self.tell_desktop(News::Moved);
            self.check_ground();
            self.forget_portal().await;
            // Only another network may answer otherwise.
            self.look_ups.failures = 0;
            self.look_up_again();
        }
    }

    /// Asks DNS, beside everything else, for what another network may answer otherwise.
    pub(super) fn look_up_again(&mut self) {
        match self.look_ups.running.take() {
            Some(running) if self.look_ups.asked.load(Ordering::Relaxed) => {
                self.look_ups.running = Some(running);
                self.look_ups.stale = true; // asked anew when it is answered
            }
            waiting => {
                waiting.inspect(JoinHandle::abort);
                self.look_up_after(Duration::ZERO);
            }
        }
    }

    fn look_up_after(&mut self, wait: Duration) {
        let Some(connection) = &self.connection else { return };
        let settings = &connection.target.settings;
        let fixed = settings.host_address.parse::<IpAddr>().is_ok() || connection.target.fixed_address;
        let first = connection.whereabouts.watched(settings.port).is_empty();
        let limit = if first { FIRST_LOOK_UP } else { LATER_LOOK_UP };
        let nat64 = connection.whereabouts.needs_nat64();
        if fixed && !nat64 {
            return;
        }
        let name = if nat64 { nat64::KNOWN_NAME.to_owned() } else { settings.host_address.clone() };
        let names = connection.names();
        let asked = Arc::new(AtomicBool::new(wait.is_zero()));
        self.look_ups.asked = Arc::clone(&asked);
        self.look_ups.running = Some(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            asked.store(true, Ordering::Relaxed);
            let answers = match timeout(limit, names.look_up(name.clone())).await {
                Ok(answers) => answers,
                Err(_) => Err(format!("{name} was looked up for {} s without an answer", limit.as_secs())),
            };
            if !nat64 {
                return answers.map(Found::Gateway);
            }
            // A network without DNS64 does not know the name: the well-known prefix is tried all the same.
            let ipv6 = |ip: IpAddr| match ip {
                IpAddr::V6(ip) => Some(ip),
                IpAddr::V4(_) => None,
            };
            let answers: Vec<_> = answers?.into_iter().filter_map(ipv6).collect();
            Ok(Found::Nat64(nat64::Prefix::shown_by(&answers)))
        }));
    }

    pub(super) async fn looked_up(&mut self, result: Result<Found, String>) {
        self.look_ups.running = None;
        let Some(connection) = self.connection.as_mut() else { return };
        let port = connection.target.settings.port;
        let before = connection.whereabouts.watched(port);
        if std::mem::take(&mut self.look_ups.stale) && !before.is_empty() {
            return self.look_up_after(Duration::ZERO); // the answer is another network's
        }
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
            Err(problem) => {
                tracing::info!("{problem}; the address that answered last is used");
                // Often the resolver is ready a little later than the route.
                if !matches!(connection.state, State::Connected) {
                    let wait = Duration::from_secs(1 << self.look_ups.failures.min(5)).min(LOOK_UP_AGAIN);
                    self.look_ups.failures += 1;
                    self.look_up_after(wait);
                }
                return;
            }
        }
        self.look_ups.failures = 0;
        let watched = connection.whereabouts.watched(port);
        if before.is_empty() {
            self.raise_guard();
            self.senses.gateway.send_replace(watched);
            return;
        }
        // Addresses of the families that are there already can be tried at once; the ways to new ones follow.
        connection.tell_ways().await;
        self.ground_changed();
        if watched != before {
            self.senses.gateway.send_replace(watched);
        }
    }

    /// What a look-up finds belongs to the connection that asked for it, and to no other (law 5).
    pub(super) fn stop_looking_up(&mut self) {
        self.look_ups = LookUps::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whereabouts(known: &[&str], ways: &[&str]) -> Whereabouts {
        let ways = ways.iter().map(|to| {
            let to: IpAddr = to.parse().unwrap();
            Way { to: SocketAddr::new(to, 500), from: to, interface: 1, mtu: None }
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
    fn an_address_of_another_networks_nat64_is_forgotten() {
        let mut there = whereabouts(&["192.0.2.1"], &["64:ff9b::c000:201"]);
        there.last = Some("[2001:db8:64::c000:201]:4500".parse().unwrap());
        assert_eq!(shown(there.usable()), ["192.0.2.1", "64:ff9b::c000:201"]);
        // Where an address is the gateway's own, it stays first.
        there.last = Some("[2001:db8::7]:4500".parse().unwrap());
        assert_eq!(there.watched(500)[0].ip().to_string(), "2001:db8::7");
    }

    #[test]
    fn nothing_to_or_from_a_gateway_enters_the_tunnel() {
        let mut there = whereabouts(&["192.0.2.1"], &["192.0.2.1"]);
        there.last = Some("192.0.2.2:4500".parse().unwrap());
        there.served_by("198.51.100.7".parse().unwrap());
        assert_eq!(shown(there.gateways()), ["192.0.2.1", "198.51.100.7", "192.0.2.2"]);
    }

    #[test]
    fn who_answered_last_is_watched_first_and_once() {
        let mut there = whereabouts(&["192.0.2.1", "192.0.2.2", "2001:db8::1"], &[]);
        there.last = Some("192.0.2.2:4500".parse().unwrap());
        let watched: Vec<String> = there.watched(500).iter().map(ToString::to_string).collect();
        assert_eq!(watched, ["192.0.2.2:500", "192.0.2.1:500", "[2001:db8::1]:500"]);
    }
}
