//! What stands in front of each packet of a TUN device with offload: `struct virtio_net_hdr` (linux/virtio_net.h, virtio 1.2
//! section 5.1.6), in the machine's byte order.

use super::VNET_HEADER;

/// VIRTIO_NET_HDR_F_NEEDS_CSUM
const NEEDS_CSUM: u8 = 1;
/// VIRTIO_NET_HDR_GSO_NONE, _TCPV4, _TCPV6, _UDP_L4
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// VIRTIO_NET_HDR_GSO_ECN
const GSO_ECN: u8 = 0x80;

/// What a super-packet is cut into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gso {
    /// It is one packet.
    None,
    /// TCP segments with so many octets of payload each.
    Tcp(u16),
    /// UDP datagrams with so many octets of payload each.
    Udp(u16),
}

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) gso: Gso,
    /// Where the checksum's cover begins, and where it stands; `None`: it is whole already.
    pub(super) checksum: Option<(usize, usize)>,
}

impl Header {
    /// `None` for what this version of us cannot cut.
    pub(super) fn read(octets: &[u8; VNET_HEADER]) -> Option<Self> {
        let half = |at: usize| u16::from_ne_bytes([octets[at], octets[at + 1]]);
        let size = half(4);
        let gso = match octets[1] & !GSO_ECN {
            GSO_NONE => Gso::None,
            GSO_TCPV4 | GSO_TCPV6 if size > 0 => Gso::Tcp(size),
            GSO_UDP_L4 if size > 0 => Gso::Udp(size),
            _ => return None,
        };
        let (start, offset) = (usize::from(half(6)), usize::from(half(8)));
        let checksum = (octets[0] & NEEDS_CSUM != 0).then_some((start, start + offset));
        Some(Self { gso, checksum })
    }

    /// Of a packet that is as it would be on a wire.
    pub(super) const PLAIN: [u8; VNET_HEADER] = [0; VNET_HEADER];

    /// Of TCP segments that were put together: the checksum is left to the kernel. `headers`: octets before the payload;
    /// `segment`: octets of each one's payload; `start`: where TCP's header is.
    pub(super) fn tcp(ipv4: bool, headers: usize, segment: usize, start: usize) -> [u8; VNET_HEADER] {
        Self::joined(if ipv4 { GSO_TCPV4 } else { GSO_TCPV6 }, [headers, segment, start, 16])
    }

    /// The same of UDP datagrams.
    pub(super) fn udp(headers: usize, segment: usize, start: usize) -> [u8; VNET_HEADER] {
        Self::joined(GSO_UDP_L4, [headers, segment, start, 6])
    }

    fn joined(gso: u8, numbers: [usize; 4]) -> [u8; VNET_HEADER] {
        let mut octets = [0; VNET_HEADER];
        octets[0] = NEEDS_CSUM;
        octets[1] = gso;
        for (place, number) in octets[2..].chunks_exact_mut(2).zip(numbers) {
            // All of them are offsets within a packet of less than 64 KiB.
            place.copy_from_slice(&(number as u16).to_ne_bytes());
        }
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Header::read(&Header::tcp(true, 52, 1340, 20)).unwrap();
        assert_eq!(header, Header { gso: Gso::Tcp(1340), checksum: Some((20, 36)) });
        let header = Header::read(&Header::udp(48, 1200, 40)).unwrap();
        assert_eq!(header, Header { gso: Gso::Udp(1200), checksum: Some((40, 46)) });
        assert_eq!(Header::read(&Header::PLAIN).unwrap(), Header { gso: Gso::None, checksum: None });
        assert_eq!(Header::read(&[0, 3, 0, 0, 1, 1, 0, 0, 0, 0]), None, "UFO");
        assert_eq!(Header::read(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None, "segments of nothing");
    }
}
