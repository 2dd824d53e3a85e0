//! The network behind the embedded gateway: what answers a client's probes there.

use crate::esp::inner::{echo_reply, parse_echo_request, parse_udp, udp};
use crate::plan::Net;
use std::net::{IpAddr, Ipv4Addr};

/// The echo service (RFC 862).
const ECHO_PORT: u16 = 7;

/// Hosts that answer ping and UDP echo, and nothing else.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Behind {
    networks: Vec<Net>,
}

impl Behind {
    /// `networks`: every address in them answers. One host is [`Net::host`]; the network of a host, as `192.168.10.1/24`, is
    /// `Net::new(address, 24)`.
    pub fn new(networks: impl IntoIterator<Item = Net>) -> Self {
        Self { networks: networks.into_iter().collect() }
    }

    /// True where the address lies behind the gateway.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(address))
    }

    /// Takes an inner IP packet from a client and gives the answer, no longer than the packet: the reply to an ICMP echo request,
    /// or a UDP datagram to port 7 sent back. `None` for everything else: malformed packets and wrong checksums,
    /// fragments, addresses that are not behind us, sources that nobody can answer, and datagrams from port 7, which
    /// would go back and forth for ever.
    pub fn handle(&self, packet: &[u8]) -> Option<Vec<u8>> {
        if let Some(echo) = parse_echo_request(packet) {
            return self
                .answers(echo.source, echo.destination)
                .then(|| echo_reply(echo.destination, echo.source, echo.id, echo.sequence, echo.payload));
        }
        let datagram = parse_udp(packet)?;
        (datagram.destination_port == ECHO_PORT
            && datagram.source_port != ECHO_PORT
            && datagram.source_port != 0
            && self.answers(datagram.source, datagram.destination))
        .then(|| {
            udp(datagram.destination, ECHO_PORT, datagram.source, datagram.source_port, datagram.payload)
        })
    }

    fn answers(&self, source: IpAddr, destination: IpAddr) -> bool {
        let nobody =
            source.is_unspecified() || source.is_multicast() || source == IpAddr::V4(Ipv4Addr::BROADCAST);
        !nobody && self.contains(destination)
    }
}

#[cfg(test)]
mod tests;
