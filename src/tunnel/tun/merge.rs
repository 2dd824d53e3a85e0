//! Packets of the tunnel into super-packets for the device (what GRO does): segments of one TCP flow that follow each other go
//! to the kernel as one. Nothing is copied; the order within a flow stays.

use super::VNET_HEADER;
use super::header::Header;
use super::ip::{self, Layout, flag};
use std::ops::Range;

/// Largest super-packet, octets.
const MAX: usize = 65_535;
/// Flows that are joined at a time.
const OPEN: usize = 8;
/// Parts of a super-packet: `writev` takes 1,024, and the header is one of them.
const PARTS: usize = 512;

/// Packets that wait for the end of a batch. They lie in one buffer of the owner's, and are known by their place in it.
#[derive(Debug, Default)]
pub struct Merge {
    /// In the order in which they are written.
    items: Vec<Item>,
    /// Items that are done, with their allocations.
    spare: Vec<Item>,
    /// Indexes of the items that may grow.
    open: Vec<usize>,
}

/// One packet, or several that become one.
#[derive(Debug, Default)]
struct Item {
    first: Range<usize>,
    /// Payloads behind the first packet.
    more: Vec<Range<usize>>,
    tcp: Option<Tcp>,
}

#[derive(Clone, Copy, Debug)]
struct Tcp {
    layout: Layout,
    headers: usize,
    segment: usize,
    next: u32,
    length: usize,
    push: bool,
}

/// A packet for the device: `header`, then the parts in order.
#[derive(Debug)]
pub struct Joined<'a> {
    /// In front of the packet, where the device has offload.
    pub header: [u8; VNET_HEADER],
    /// Places in the owner's buffer.
    pub first: Range<usize>,
    /// The rest of it.
    pub more: &'a [Range<usize>],
}

impl Merge {
    /// Takes the IP packet `buffer[packet]`.
    pub fn push(&mut self, buffer: &[u8], packet: Range<usize>) {
        let octets = buffer.get(packet.clone()).unwrap_or_default();
        let Some(layout) = Layout::of(octets).filter(|layout| layout.protocol == ip::TCP) else {
            return self.add(packet, None);
        };
        let same_flow = |this: &Self, at: usize| {
            this.items[at].tcp.is_some_and(|tcp| {
                let first = &buffer[this.items[at].first.clone()];
                tcp.layout.ipv4 == layout.ipv4
                    && tcp.layout.addresses(first) == layout.addresses(octets)
                    && first.get(tcp.layout.l4..tcp.layout.l4 + 4) == octets.get(layout.l4..layout.l4 + 4)
            })
        };
        let known = (0..self.open.len()).find(|at| same_flow(self, self.open[*at]));
        let candidate = Tcp::of(octets, layout);
        match (known, candidate) {
            (Some(place), Some(new)) => {
                let at = self.open[place];
                if self.fits(buffer, at, octets, &new) {
                    let item = &mut self.items[at];
                    let tcp = item.tcp.as_mut().filter(|_| item.more.len() < PARTS);
                    if let Some(tcp) = tcp {
                        let payload = new.length - new.headers;
                        item.more.push(packet.start + new.headers..packet.start + new.length);
                        tcp.next = tcp.next.wrapping_add(payload as u32);
                        tcp.length += payload;
                        tcp.push |= new.push;
                        if payload < tcp.segment || new.push {
                            self.open.swap_remove(place);
                        }
                        return;
                    }
                }
                self.open.swap_remove(place);
                self.add(packet, Some(new));
            }
            (Some(place), None) => {
                // What follows it may not go before it.
                self.open.swap_remove(place);
                self.add(packet, None);
            }
            (None, candidate) => self.add(packet, candidate),
        }
    }

    /// True where the packet can stand behind the item: the next octets, headers the same but for what differs by nature.
    fn fits(&self, buffer: &[u8], at: usize, octets: &[u8], new: &Tcp) -> bool {
        let item = &self.items[at];
        let Some(tcp) = &item.tcp else { return false };
        let first = &buffer[item.first.clone()];
        let l4 = tcp.layout.l4;
        let payload = new.length - new.headers;
        let same_ip = if tcp.layout.ipv4 {
            // Version, length and TOS; DF; TTL.
            first[..2] == octets[..2] && first[6] == octets[6] && first[8] == octets[8]
        } else {
            first[..4] == octets[..4] && first[7] == octets[7]
        };
        new.headers == tcp.headers
            && payload <= tcp.segment
            && tcp.length + payload <= MAX
            && octets[l4 + 4..l4 + 8] == tcp.next.to_be_bytes()
            && same_ip
            // Acknowledgement, header length, window, urgent pointer and options.
            && first[l4 + 8..l4 + 13] == octets[l4 + 8..l4 + 13]
            && first[l4 + 14..l4 + 16] == octets[l4 + 14..l4 + 16]
            && first[l4 + 18..tcp.headers] == octets[l4 + 18..tcp.headers]
            // A wrong checksum would be made right.
            && is_right(first, &tcp.layout)
            && is_right(octets, &new.layout)
    }

    fn add(&mut self, first: Range<usize>, tcp: Option<Tcp>) {
        if let Some(tcp) = &tcp
            && !tcp.push
        {
            if self.open.len() == OPEN {
                self.open.remove(0);
            }
            self.open.push(self.items.len());
        }
        let mut item = self.spare.pop().unwrap_or_default();
        item.more.clear();
        self.items.push(Item { first, tcp, ..item });
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Gives each packet to `write`, in order; the headers of those that were joined are changed in `buffer` for that.
    pub fn flush(&mut self, buffer: &mut [u8], mut write: impl FnMut(&[u8], Joined<'_>)) {
        self.open.clear();
        for mut item in self.items.drain(..) {
            let header = match &item.tcp {
                Some(tcp) if !item.more.is_empty() => {
                    finish(&mut buffer[item.first.clone()], tcp);
                    Header::tcp(tcp.layout.ipv4, tcp.headers, tcp.segment, tcp.layout.l4)
                }
                _ => Header::PLAIN,
            };
            write(buffer, Joined { header, first: item.first.clone(), more: &item.more });
            item.more.clear();
            if self.spare.len() < 64 {
                self.spare.push(item);
            }
        }
    }
}

impl Tcp {
    /// A segment that can be joined with others: data, an acknowledgement, perhaps pushed, and nothing else.
    fn of(octets: &[u8], layout: Layout) -> Option<Self> {
        let headers = layout.l4 + layout.tcp_header(octets)?;
        let payload = layout.length - headers;
        let flags = octets[layout.l4 + 13];
        let plain = flags & !(flag::PSH) == flag::ACK;
        // IPv4 options say something about each packet.
        let options = layout.ipv4 && layout.l4 != 20;
        if payload == 0 || !plain || options || octets.len() != layout.length {
            return None;
        }
        let sequence = u32::from_be_bytes(*octets.get(layout.l4 + 4..)?.first_chunk()?);
        Some(Self {
            layout,
            headers,
            segment: payload,
            next: sequence.wrapping_add(payload as u32),
            length: layout.length,
            push: flags & flag::PSH != 0,
        })
    }
}

fn is_right(packet: &[u8], layout: &Layout) -> bool {
    layout.pseudo(packet, layout.length - layout.l4).add(&packet[layout.l4..layout.length]).is_right()
}

/// The headers of a super-packet: the whole length, and the checksum of the pseudo header alone.
fn finish(packet: &mut [u8], tcp: &Tcp) {
    let l4 = tcp.layout.l4;
    tcp.layout.set_length(packet, tcp.length);
    if tcp.push {
        packet[l4 + 13] |= flag::PSH;
    }
    let partial = tcp.layout.pseudo(packet, tcp.length - l4).fold();
    packet[l4 + 16..l4 + 18].copy_from_slice(&partial);
}

#[cfg(test)]
mod tests;
