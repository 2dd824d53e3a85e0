//! The fixed places of IP and TCP headers, as far as cutting and joining segments needs them.

use super::checksum::{self, Sum};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const IPV4: usize = 20;
const IPV6: usize = 40;
/// Octets of the shortest TCP header, and of UDP's.
pub(super) const TCP_HEADER: usize = 20;
pub(super) const UDP_HEADER: usize = 8;

/// Flags of TCP.
pub(super) mod flag {
    pub(in super::super) const FIN: u8 = 0x01;
    pub(in super::super) const SYN: u8 = 0x02;
    pub(in super::super) const PSH: u8 = 0x08;
    pub(in super::super) const ACK: u8 = 0x10;
    pub(in super::super) const CWR: u8 = 0x80;
}

/// Where things are in a packet whose header of layer 4 can be seen at once: no IPv6 extension headers, no fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) ipv4: bool,
    pub(super) protocol: u8,
    /// Where the header of layer 4 begins.
    pub(super) l4: usize,
    /// Octets of the packet.
    pub(super) length: usize,
}

impl Layout {
    /// `None` where it is not IP, is cut off, is a fragment, or has extension headers.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let layout = match packet.first()? >> 4 {
            4 => {
                let header: &[u8; IPV4] = packet.first_chunk()?;
                let l4 = usize::from(header[0] & 0x0f) * 4;
                let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
                if l4 < IPV4 || is_fragment {
                    return None;
                }
                let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
                Self { ipv4: true, protocol: header[9], l4, length }
            }
            6 => {
                let header: &[u8; IPV6] = packet.first_chunk()?;
                let length = IPV6 + usize::from(u16::from_be_bytes([header[4], header[5]]));
                Self { ipv4: false, protocol: header[6], l4: IPV6, length }
            }
            _ => return None,
        };
        (layout.l4 <= layout.length && layout.length <= packet.len()).then_some(layout)
    }

    /// Both addresses.
    pub(super) fn addresses<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        if self.ipv4 { &packet[12..20] } else { &packet[8..40] }
    }

    /// The sum of the pseudo header for `length` octets of layer 4.
    pub(super) fn pseudo(&self, packet: &[u8], length: usize) -> Sum {
        checksum::pseudo(self.addresses(packet), self.protocol, length)
    }

    /// Octets of the TCP header at `l4`; `None` where it is not all there.
    pub(super) fn tcp_header(&self, packet: &[u8]) -> Option<usize> {
        let length = usize::from(packet.get(self.l4 + 12)? >> 4) * 4;
        (length >= TCP_HEADER && self.l4 + length <= self.length).then_some(length)
    }

    /// Writes another length into the IP header, and its checksum.
    pub(super) fn set_length(&self, packet: &mut [u8], length: usize) {
        // Callers keep packets below 64 KiB.
        if self.ipv4 {
            packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            self.sum_header(packet);
        } else {
            packet[4..6].copy_from_slice(&((length - IPV6) as u16).to_be_bytes());
        }
    }

    /// The checksum of an IPv4 header.
    pub(super) fn sum_header(&self, packet: &mut [u8]) {
        packet[10..12].fill(0);
        let sum = Sum::default().add(&packet[..self.l4]).finish();
        packet[10..12].copy_from_slice(&sum);
    }
}
