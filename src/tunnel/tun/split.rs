//! One super-packet of the device into packets that fit the tunnel (what TSO and USO hardware does).

use super::VNET_HEADER;
use super::header::{Gso, Header};
use super::ip::{self, Layout, UDP_HEADER, flag};
use std::ops::Range;

/// What was read from the device and cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a packet of the device that makes no sense")]
pub struct Senseless;

/// The packets of one read from the device.
#[derive(Debug)]
pub struct Split<'a> {
    packet: &'a [u8],
    kind: Kind,
    /// Octets of payload already given out.
    done: usize,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Whole { checksum: Option<(usize, usize)> },
    Parts { layout: Layout, headers: usize, size: usize },
}

impl<'a> Split<'a> {
    /// `read`: header and packet.
    ///
    /// # Errors
    /// Where the header does not fit the packet: a kernel of another kind.
    pub fn new(read: &'a [u8]) -> Result<Self, Senseless> {
        let (header, packet) = read.split_first_chunk::<VNET_HEADER>().ok_or(Senseless)?;
        let header = Header::read(header).ok_or(Senseless)?;
        let kind = match header.gso {
            Gso::None => {
                if let Some((start, at)) = header.checksum
                    && (start > packet.len() || at + 2 > packet.len() || at < start)
                {
                    return Err(Senseless);
                }
                Kind::Whole { checksum: header.checksum }
            }
            Gso::Tcp(size) | Gso::Udp(size) => {
                let layout = Layout::of(packet).ok_or(Senseless)?;
                let l4 = match (header.gso, layout.protocol) {
                    (Gso::Tcp(_), ip::TCP) => layout.tcp_header(packet).ok_or(Senseless)?,
                    (Gso::Udp(_), ip::UDP) if layout.l4 + UDP_HEADER <= layout.length => UDP_HEADER,
                    _ => return Err(Senseless),
                };
                Kind::Parts { layout, headers: layout.l4 + l4, size: size.into() }
            }
        };
        Ok(Self { packet, kind, done: 0, ended: packet.is_empty() })
    }

    /// How far this is, for [`Split::go_on`].
    pub fn done(&self) -> usize {
        self.done
    }

    /// Goes on where another one with the same read stopped; `done` is its [`Split::done`].
    pub fn go_on(mut self, done: usize) -> Self {
        self.done = done;
        if let Kind::Parts { layout, headers, .. } = self.kind {
            self.ended |= done > 0 && headers + done >= layout.length;
        }
        self
    }

    /// Octets of the largest packet that [`Split::next`] will write.
    pub fn largest(&self) -> usize {
        match self.kind {
            Kind::Whole { .. } => self.packet.len(),
            Kind::Parts { layout, headers, size } => layout.length.min(headers + size),
        }
    }

    /// Writes the next packet to the front of `out`, which has room for [`Split::largest`]; its length. `None` at the end.
    pub fn next(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.ended {
            return None;
        }
        match self.kind {
            Kind::Whole { checksum } => {
                self.ended = true;
                let out = out.get_mut(..self.packet.len())?;
                out.copy_from_slice(self.packet);
                if let Some((start, at)) = checksum {
                    // The sum of the pseudo header stands there; zero means none in UDP.
                    let sum = super::checksum::Sum::default().add(&out[start..]).finish();
                    let udp = at - start == 6;
                    out[at..at + 2].copy_from_slice(&if udp && sum == [0, 0] { [0xff, 0xff] } else { sum });
                }
                Some(out.len())
            }
            Kind::Parts { layout, headers, size } => {
                let left = headers + self.done..layout.length;
                let part = left.start..left.end.min(left.start + size);
                let last = part.end == layout.length;
                let out = out.get_mut(..headers + part.len())?;
                self.write(out, layout, headers, part.clone(), last);
                self.done += part.len();
                self.ended = last;
                Some(out.len())
            }
        }
    }

    fn write(&self, out: &mut [u8], layout: Layout, headers: usize, part: Range<usize>, last: bool) {
        out[..headers].copy_from_slice(&self.packet[..headers]);
        out[headers..].copy_from_slice(&self.packet[part]);
        let l4 = layout.l4;
        if layout.ipv4 {
            let id = u16::from_be_bytes([out[4], out[5]]);
            out[4..6].copy_from_slice(&id.wrapping_add(self.parts_before()).to_be_bytes());
        }
        layout.set_length(out, out.len());
        let at = if layout.protocol == ip::TCP {
            let sequence = u32::from_be_bytes([out[l4 + 4], out[l4 + 5], out[l4 + 6], out[l4 + 7]]);
            let sequence = sequence.wrapping_add(self.done as u32);
            out[l4 + 4..l4 + 8].copy_from_slice(&sequence.to_be_bytes());
            if !last {
                out[l4 + 13] &= !(flag::FIN | flag::PSH);
            }
            if self.done > 0 {
                out[l4 + 13] &= !flag::CWR;
            }
            l4 + 16
        } else {
            let length = (out.len() - l4) as u16;
            out[l4 + 4..l4 + 6].copy_from_slice(&length.to_be_bytes());
            l4 + 6
        };
        out[at..at + 2].fill(0);
        let sum = layout.pseudo(out, out.len() - l4).add(&out[l4..]).finish();
        let sum = if layout.protocol == ip::UDP && sum == [0, 0] { [0xff, 0xff] } else { sum };
        out[at..at + 2].copy_from_slice(&sum);
    }

    /// How many parts were given out.
    fn parts_before(&self) -> u16 {
        match self.kind {
            Kind::Parts { size, .. } => (self.done / size.max(1)) as u16,
            Kind::Whole { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests;
