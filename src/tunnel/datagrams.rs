//! UDP through the tunnel, for the proxy's clients: a port of ours for each, and packets in and out. No IO.
//!
//! Ports are drawn below those of the resolver, which takes 49152 and more. An answer is taken from hosts alone that were
//! written to.

use crate::crypto::Random;
use crate::esp::inner::{parse_udp, udp};
use crate::esp::{HEADROOM, TAILROOM};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::MTU;

const PORTS: Range<u16> = 32_768..49_152;
/// Draws of a free port before giving up.
const DRAWS: u32 = 64;
/// Hosts that one client has written to and may hear from; the oldest is forgotten.
const HOSTS: usize = 256;
/// Datagrams that wait for one client; more are lost, as on any link.
const WAITING: usize = 64;
/// Packets that wait to be sealed; more are lost.
const OUTWARD: usize = 256;

/// What one client has.
#[derive(Debug, Default)]
struct Flow {
    hosts: VecDeque<IpAddr>,
    inward: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    flows: BTreeMap<u16, Flow>,
    outward: VecDeque<Vec<u8>>,
}

/// Why a datagram does not go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unsent {
    #[error("no inner address of the family of {0}")]
    NoAddress(IpAddr),
    #[error("{0} octets are more than a packet holds")]
    TooLong(usize),
    #[error("too many wait")]
    Full,
    #[error("port {0} is closed")]
    Closed(u16),
}

impl Datagrams {
    /// A port; `None`: none was found free.
    pub(super) fn open(&mut self, random: &mut dyn Random) -> Option<u16> {
        let draws = (0..DRAWS)
            .map(|_| PORTS.start + u16::try_from(random.below(PORTS.len() as u64)).unwrap_or_default());
        let port = draws.into_iter().find(|port| !self.flows.contains_key(port))?;
        self.flows.insert(port, Flow::default());
        Some(port)
    }

    /// Lets go of a port.
    pub(super) fn close(&mut self, port: u16) {
        self.flows.remove(&port);
    }

    /// Sends from `port` of that of `own` addresses that is of the same family.
    ///
    /// # Errors
    /// It does not go; nothing is changed.
    pub(super) fn send(
        &mut self,
        port: u16,
        own: &[IpAddr],
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<(), Unsent> {
        let source =
            own.iter().find(|own| own.is_ipv4() == to.is_ipv4()).ok_or(Unsent::NoAddress(to.ip()))?;
        let headers = if to.is_ipv4() { 20 + 8 } else { 40 + 8 };
        if payload.len() + headers > MTU {
            return Err(Unsent::TooLong(payload.len()));
        }
        if self.outward.len() >= OUTWARD {
            return Err(Unsent::Full);
        }
        let Some(flow) = self.flows.get_mut(&port) else { return Err(Unsent::Closed(port)) };
        flow.hosts.retain(|host| *host != to.ip());
        if flow.hosts.len() >= HOSTS {
            flow.hosts.pop_front();
        }
        flow.hosts.push_back(to.ip());
        let packet = udp(*source, port, to.ip(), to.port(), payload);
        let mut frame = Vec::with_capacity(HEADROOM + packet.len() + TAILROOM);
        frame.resize(HEADROOM, 0);
        frame.extend_from_slice(&packet);
        self.outward.push_back(frame);
        Ok(())
    }

    /// Takes an inner packet; false where it is none of a client's.
    pub(super) fn receive(&mut self, own: &[IpAddr], packet: &[u8]) -> bool {
        if self.flows.is_empty() {
            return false;
        }
        let Some(datagram) = parse_udp(packet) else { return false };
        let Some(flow) = self.flows.get_mut(&datagram.destination_port) else { return false };
        let known = own.contains(&datagram.destination) && flow.hosts.contains(&datagram.source);
        if known && flow.inward.len() < WAITING {
            flow.inward
                .push_back(((datagram.source, datagram.source_port).into(), datagram.payload.to_vec()));
        }
        true
    }

    /// Ports that are open.
    #[cfg(test)]
    pub(super) fn open_ports(&self) -> usize {
        self.flows.len()
    }

    /// True where something waits for the client with this port.
    pub(super) fn has(&self, port: u16) -> bool {
        self.flows.get(&port).is_some_and(|flow| !flow.inward.is_empty())
    }

    /// The next datagram for the client with this port, and whom it is from.
    pub(super) fn take(&mut self, port: u16) -> Option<(SocketAddr, Vec<u8>)> {
        self.flows.get_mut(&port)?.inward.pop_front()
    }

    /// The next frame: [`HEADROOM`] free octets, then an IP packet.
    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outward.pop_front()
    }

    /// True where [`Datagrams::poll_transmit`] has a frame.
    pub(super) fn has_transmit(&self) -> bool {
        !self.outward.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::testing::{Seeded, ip};

    fn to(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn answer(datagrams: &mut Datagrams, from: &str, port: u16, payload: &[u8]) -> bool {
        let packet = udp(ip(from), 7, ip("10.0.0.5"), port, payload);
        datagrams.receive(&[ip("10.0.0.5")], &packet)
    }

    #[test]
    fn a_port_hears_hosts_that_it_wrote_to_until_it_is_closed() {
        let (mut datagrams, own) = (Datagrams::default(), [ip("10.0.0.5")]);
        let port = datagrams.open(&mut Seeded::new(1)).unwrap();
        assert!(PORTS.contains(&port));
        datagrams.send(port, &own, to("10.1.0.1:7"), b"ask").unwrap();
        let frame = datagrams.poll_transmit().unwrap();
        let sent = parse_udp(&frame[HEADROOM..]).unwrap();
        assert_eq!((sent.source_port, sent.destination_port, sent.payload), (port, 7, &b"ask"[..]));
        assert!(answer(&mut datagrams, "10.1.0.2", port, b"stranger"), "it is taken, and heard by nobody");
        assert!(answer(&mut datagrams, "10.1.0.1", port, b"friend"));
        assert!(!answer(&mut datagrams, "10.1.0.1", port ^ 1, b"of another port"));
        assert_eq!(datagrams.take(port), Some((to("10.1.0.1:7"), b"friend".to_vec())));
        assert_eq!(datagrams.take(port), None);
        datagrams.close(port);
        assert!(!answer(&mut datagrams, "10.1.0.1", port, b"late"));
        assert_eq!(datagrams.send(port, &own, to("10.1.0.1:7"), b""), Err(Unsent::Closed(port)));
    }

    #[test]
    fn what_does_not_fit_does_not_go_and_nothing_grows() {
        let (mut datagrams, own) = (Datagrams::default(), [ip("10.0.0.5")]);
        let port = datagrams.open(&mut Seeded::new(1)).unwrap();
        let most = MTU - 28;
        assert_eq!(datagrams.send(port, &own, to("10.1.0.1:7"), &vec![0; most]), Ok(()));
        let long = datagrams.send(port, &own, to("10.1.0.1:7"), &vec![0; most + 1]);
        assert_eq!(long, Err(Unsent::TooLong(most + 1)));
        let six = datagrams.send(port, &own, to("[2001:db8::1]:7"), b"");
        assert_eq!(six, Err(Unsent::NoAddress(ip("2001:db8::1"))));
        for _ in 1..OUTWARD {
            datagrams.send(port, &own, to("10.1.0.1:7"), b"").unwrap();
        }
        assert_eq!(datagrams.send(port, &own, to("10.1.0.1:7"), b""), Err(Unsent::Full));
        for _ in 0..2 * WAITING {
            assert!(answer(&mut datagrams, "10.1.0.1", port, b""));
        }
        assert_eq!(std::iter::from_fn(|| datagrams.take(port)).count(), WAITING);
        while datagrams.poll_transmit().is_some() {}
        for host in 0..=HOSTS {
            let host = SocketAddr::from(([10, 2, (host / 250) as u8, (host % 250) as u8], 7));
            datagrams.send(port, &own, host, b"").unwrap();
            datagrams.poll_transmit();
        }
        assert!(answer(&mut datagrams, "10.2.0.0", port, b"the oldest is forgotten") && !datagrams.has(port));
        assert!(answer(&mut datagrams, "10.2.0.1", port, b"") && datagrams.has(port));
    }
}
