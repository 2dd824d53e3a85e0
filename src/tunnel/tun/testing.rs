//! Packets for the tests of this room, built field by field.

use super::checksum::{Sum, pseudo};

/// A TCP segment as it would be on a wire.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) ipv6: bool,
    pub(super) port: u16,
    pub(super) sequence: u32,
    pub(super) flags: u8,
    pub(super) options: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Segment {
    pub(super) fn data(port: u16, sequence: u32, payload: &[u8]) -> Self {
        let options = vec![1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7];
        Self { ipv6: false, port, sequence, flags: 0x10, options, payload: payload.to_vec() }
    }

    pub(super) fn octets(&self) -> Vec<u8> {
        let header = 20 + self.options.len();
        let l4 = header + self.payload.len();
        let mut packet = ip(self.ipv6, 6, l4);
        let at = packet.len();
        let addresses = if self.ipv6 { packet[8..40].to_vec() } else { packet[12..20].to_vec() };
        packet.extend(self.port.to_be_bytes());
        packet.extend([0x1f, 0x90]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend([0, 0, 0, 1, ((header / 4) << 4) as u8, self.flags, 0x10, 0, 0, 0, 0, 0]);
        packet.extend(&self.options);
        packet.extend(&self.payload);
        let sum = pseudo(&addresses, 6, l4).add(&packet[at..]).finish();
        packet[at + 16..at + 18].copy_from_slice(&sum);
        packet
    }
}

/// A UDP datagram as it would be on a wire.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) ipv6: bool,
    pub(super) port: u16,
    pub(super) payload: Vec<u8>,
}

impl Datagram {
    pub(super) fn new(port: u16, payload: &[u8]) -> Self {
        Self { ipv6: false, port, payload: payload.to_vec() }
    }

    pub(super) fn octets(&self) -> Vec<u8> {
        let l4 = 8 + self.payload.len();
        let mut packet = ip(self.ipv6, 17, l4);
        let at = packet.len();
        let addresses = if self.ipv6 { packet[8..40].to_vec() } else { packet[12..20].to_vec() };
        packet.extend(self.port.to_be_bytes());
        packet.extend([0x1f, 0x90]);
        packet.extend((l4 as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(&self.payload);
        let sum = pseudo(&addresses, 17, l4).add(&packet[at..]).finish();
        let sum = if sum == [0, 0] { [0xff, 0xff] } else { sum };
        packet[at + 6..at + 8].copy_from_slice(&sum);
        packet
    }
}

/// An IP header for `l4` octets of `protocol`.
fn ip(ipv6: bool, protocol: u8, l4: usize) -> Vec<u8> {
    if ipv6 {
        let mut ip = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        ip[4..6].copy_from_slice(&(l4 as u16).to_be_bytes());
        ip.extend([0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        ip.extend([0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        return ip;
    }
    let mut ip =
        vec![0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0, 192, 168, 20, 5, 192, 168, 10, 1];
    ip[2..4].copy_from_slice(&((20 + l4) as u16).to_be_bytes());
    let sum = Sum::default().add(&ip).finish();
    ip[10..12].copy_from_slice(&sum);
    ip
}

/// True where the checksums of IP and layer 4 are right.
pub(super) fn sound(packet: &[u8]) -> bool {
    let (l4, protocol, addresses) = match packet[0] >> 4 {
        4 => (20, packet[9], &packet[12..20]),
        _ => (40, packet[6], &packet[8..40]),
    };
    let ip = packet[0] >> 4 == 6 || Sum::default().add(&packet[..l4]).is_right();
    ip && pseudo(addresses, protocol, packet.len() - l4).add(&packet[l4..]).is_right()
}
