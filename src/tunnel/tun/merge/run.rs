//! What a super-packet has been joined of so far, and what may stand behind it.

use super::super::VNET_HEADER;
use super::super::header::Header;
use super::super::ip::{self, Layout, UDP_HEADER, flag};

/// Largest super-packet, octets.
const MAX: usize = 65_535;
/// Datagrams of one super-packet: `UDP_MAX_SEGMENTS` of the kernels that take the fewest.
const DATAGRAMS: usize = 64;

/// Segments of one flow that follow each other, or datagrams of one flow and one size; at first one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    layout: Layout,
    /// Octets before the payload.
    headers: usize,
    /// Octets of each one's payload; the last may be shorter.
    segment: usize,
    /// Octets of the whole.
    length: usize,
    /// The checksum of the first is known to be right.
    checked: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// `next`: the sequence number that follows. `push`: the last one ends what its sender had to say.
    Tcp {
        next: u32,
        push: bool,
    },
    Udp,
}

impl Run {
    /// Of a packet that can be joined with others: a TCP segment with data and an acknowledgement, perhaps pushed, and nothing
    /// else; a UDP datagram with data and a checksum.
    pub(super) fn of(octets: &[u8], layout: Layout) -> Option<Self> {
        // IPv4 options say something about each packet.
        let options = layout.ipv4 && layout.l4 != 20;
        if options || octets.len() != layout.length {
            return None;
        }
        let l4 = octets.get(layout.l4..)?;
        let (headers, kind) = if layout.protocol == ip::TCP {
            let headers = layout.l4 + layout.tcp_header(octets)?;
            let flags = *l4.get(13)?;
            if flags & !flag::PSH != flag::ACK {
                return None;
            }
            let sequence = u32::from_be_bytes(*l4.get(4..)?.first_chunk()?);
            let next = sequence.wrapping_add((layout.length.checked_sub(headers)?) as u32);
            (headers, Kind::Tcp { next, push: flags & flag::PSH != 0 })
        } else {
            let header: &[u8; UDP_HEADER] = l4.first_chunk()?;
            let is_whole = usize::from(u16::from_be_bytes([header[4], header[5]])) == l4.len();
            // Without a checksum (IPv4) it would get one.
            if !is_whole || header[6..] == [0, 0] {
                return None;
            }
            (layout.l4 + UDP_HEADER, Kind::Udp)
        };
        let segment = layout.length.checked_sub(headers).filter(|payload| *payload > 0)?;
        Some(Self { layout, headers, segment, length: layout.length, checked: false, kind })
    }

    /// Octets before the payload of each.
    pub(super) fn headers(&self) -> usize {
        self.headers
    }

    /// Octets of the whole.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// True where `octets` are of the same flow as this, whose first packet is `first`.
    pub(super) fn is_flow_of(&self, first: &[u8], octets: &[u8], layout: &Layout) -> bool {
        self.layout.ipv4 == layout.ipv4
            && self.layout.protocol == layout.protocol
            && self.layout.addresses(first) == layout.addresses(octets)
            && first.get(self.layout.l4..self.layout.l4 + 4) == octets.get(layout.l4..layout.l4 + 4)
    }

    /// True where the packet can stand behind this: the next octets, headers the same but for what differs by nature.
    pub(super) fn fits(&mut self, first: &[u8], octets: &[u8], new: &Self) -> bool {
        let l4 = self.layout.l4;
        let same_ip = if self.layout.ipv4 {
            // Version, length and TOS; DF; TTL.
            first[..2] == octets[..2] && first[6] == octets[6] && first[8] == octets[8]
        } else {
            first[..4] == octets[..4] && first[7] == octets[7]
        };
        let follows = match (self.kind, new.kind) {
            (Kind::Tcp { next, .. }, Kind::Tcp { .. }) => {
                octets[l4 + 4..l4 + 8] == next.to_be_bytes()
                    // Acknowledgement, header length, window, urgent pointer and options.
                    && first[l4 + 8..l4 + 13] == octets[l4 + 8..l4 + 13]
                    && first[l4 + 14..l4 + 16] == octets[l4 + 14..l4 + 16]
                    && first[l4 + 18..self.headers] == octets[l4 + 18..self.headers]
            }
            (Kind::Udp, Kind::Udp) => self.length - self.headers < DATAGRAMS * self.segment,
            _ => false,
        };
        // A wrong checksum would be made right.
        self.checked = self.checked || self.is_right(first);
        self.checked
            && new.headers == self.headers
            && new.segment <= self.segment
            && self.length + new.segment <= MAX
            && same_ip
            && follows
            && new.is_right(octets)
    }

    /// `new` stands behind it now. True where nothing more can.
    pub(super) fn grow(&mut self, new: &Self) -> bool {
        self.length += new.segment;
        if let (Kind::Tcp { next, push }, Kind::Tcp { push: pushed, .. }) = (&mut self.kind, new.kind) {
            *next = next.wrapping_add(new.segment as u32);
            *push |= pushed;
        }
        new.segment < self.segment || self.is_over()
    }

    /// True where nothing can stand behind it, whatever comes.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.kind, Kind::Tcp { push: true, .. })
    }

    /// True where the checksum of the first packet is right.
    fn is_right(&self, first: &[u8]) -> bool {
        let Layout { l4, .. } = self.layout;
        let end = first.len().min(self.headers + self.segment);
        self.layout.pseudo(first, end - l4).add(&first[l4..end]).is_right()
    }

    /// Makes the first packet's headers those of the whole: lengths, and the checksum of the pseudo header alone. What stands
    /// before it for the device.
    pub(super) fn finish(&self, packet: &mut [u8]) -> [u8; VNET_HEADER] {
        let Layout { l4, ipv4, .. } = self.layout;
        self.layout.set_length(packet, self.length);
        let partial = self.layout.pseudo(packet, self.length - l4).fold();
        match self.kind {
            Kind::Tcp { push, .. } => {
                if push {
                    packet[l4 + 13] |= flag::PSH;
                }
                packet[l4 + 16..l4 + 18].copy_from_slice(&partial);
                Header::tcp(ipv4, self.headers, self.segment, l4)
            }
            Kind::Udp => {
                let length = (self.length - l4) as u16;
                packet[l4 + 4..l4 + 6].copy_from_slice(&length.to_be_bytes());
                packet[l4 + 6..l4 + 8].copy_from_slice(&partial);
                Header::udp(self.headers, self.segment, l4)
            }
        }
    }
}
