//! Places where laptops are: their NAT, their portal.

use ikeep::time::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A mapping of address and port (RFC 4787): by destination, so that it filters too.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    port: u16,
    until: Instant,
}

/// A NAT of one public address. The client is never told what it does.
#[derive(Debug)]
pub(crate) struct Nat {
    /// A mapping that carried nothing outward for so long is forgotten.
    pub(crate) life: Duration,
    /// Mappings by inside and destination.
    mappings: BTreeMap<(SocketAddr, SocketAddr), Mapping>,
    by_port: BTreeMap<u16, (SocketAddr, SocketAddr)>,
    next: u16,
}

impl Nat {
    pub(crate) fn new(life: Duration) -> Self {
        Self { life, mappings: BTreeMap::new(), by_port: BTreeMap::new(), next: 1024 }
    }

    /// The port outside; traffic outward keeps the mapping.
    fn outward(&mut self, now: Instant, inside: SocketAddr, to: SocketAddr) -> u16 {
        let until = now + self.life;
        if let Some(mapping) = self.mappings.get_mut(&(inside, to)).filter(|m| m.until > now) {
            mapping.until = until;
            return mapping.port;
        }
        self.forget(&(inside, to));
        let mut port = self.next;
        while self.by_port.get(&port).and_then(|key| self.mappings.get(key)).is_some_and(|m| m.until > now) {
            port = port.checked_add(1).unwrap_or(1024);
        }
        if let Some(stale) = self.by_port.get(&port).copied() {
            self.forget(&stale);
        }
        self.next = port.checked_add(1).unwrap_or(1024);
        self.mappings.insert((inside, to), Mapping { port, until });
        self.by_port.insert(port, (inside, to));
        port
    }

    fn forget(&mut self, key: &(SocketAddr, SocketAddr)) {
        if let Some(old) = self.mappings.remove(key) {
            self.by_port.remove(&old.port);
        }
    }

    fn inward(&self, now: Instant, port: u16, from: SocketAddr) -> Option<SocketAddr> {
        let key = self.by_port.get(&port)?;
        let mapping = self.mappings.get(key)?;
        (mapping.until > now && key.1 == from).then_some(key.0)
    }

    /// Everything is forgotten, as when the box restarts: the next packet comes from another port.
    pub(crate) fn rebind(&mut self) {
        self.mappings.clear();
        self.by_port.clear();
    }
}

/// Where laptops are: a home, a hotel, a train.
#[derive(Debug)]
pub(crate) struct Place {
    public: IpAddr,
    /// Without one, addresses go through as they are.
    pub(crate) nat: Option<Nat>,
    /// Until then nothing but the portal answers.
    pub(crate) portal_until: Option<Instant>,
    /// This place has IPv4.
    pub(crate) ipv4: bool,
    /// This place has IPv6, which no NAT changes.
    pub(crate) ipv6: bool,
}

impl Place {
    /// An open place with IPv4.
    pub(crate) fn new(number: usize) -> Self {
        let [high, low] = (number as u16).to_be_bytes();
        let public = Ipv4Addr::new(198, 18 + (high & 1), low, 1 + (high >> 1)).into();
        Self { public, nat: None, portal_until: None, ipv4: true, ipv6: false }
    }

    pub(crate) fn behind(self, nat: Nat) -> Self {
        Self { nat: Some(nat), ..self }
    }

    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.portal_until.is_none_or(|until| until <= now)
    }

    /// The source of a datagram as the gateway sees it.
    pub(crate) fn outward(&mut self, now: Instant, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        match &mut self.nat {
            Some(nat) if inside.is_ipv4() => SocketAddr::new(self.public, nat.outward(now, inside, to)),
            _ => inside,
        }
    }

    /// Who behind this place a datagram is for; `None` where it is not for this place or nobody has a mapping.
    pub(crate) fn inward(&self, now: Instant, to: SocketAddr, from: SocketAddr) -> Option<SocketAddr> {
        (to.ip() == self.public).then_some(())?;
        self.nat.as_ref()?.inward(now, to.port(), from)
    }

    pub(crate) fn public(&self) -> IpAddr {
        self.public
    }
}
