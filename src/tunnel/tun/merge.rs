//! Packets of the tunnel into super-packets for the device (what GRO does): TCP segments of one flow that follow each other,
//! and UDP datagrams of one flow and one size, go to the kernel as one. Nothing is copied; the order within a flow stays.

mod run;

use super::header::Header;
use super::ip::{self, Layout};
use super::{Offload, VNET_HEADER};
use run::Run;
use std::ops::Range;

/// Flows that are joined at a time.
const OPEN: usize = 8;
/// Parts of a super-packet: `writev` takes 1,024, and the header is one of them.
const PARTS: usize = 512;

/// Packets that wait for the end of a batch. They lie in one buffer of the owner's, and are known by their place in it.
#[derive(Debug)]
pub struct Merge {
    /// In the order in which they are written.
    items: Vec<Item>,
    /// Items that are done, with their allocations.
    spare: Vec<Item>,
    /// Indexes of the items that may grow.
    open: Vec<usize>,
    offload: Offload,
}

/// One packet, or several that become one.
#[derive(Debug, Default)]
struct Item {
    first: Range<usize>,
    /// Payloads behind the first packet.
    more: Vec<Range<usize>>,
    run: Option<Run>,
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
    /// `offload`: what the device takes joined.
    pub fn new(offload: Offload) -> Self {
        Self { items: Vec::new(), spare: Vec::new(), open: Vec::new(), offload }
    }

    /// Takes the IP packet `buffer[packet]`.
    pub fn push(&mut self, buffer: &[u8], packet: Range<usize>) {
        let octets = buffer.get(packet.clone()).unwrap_or_default();
        let joins = |layout: &Layout| match layout.protocol {
            ip::TCP => self.offload != Offload::Nothing,
            ip::UDP => self.offload == Offload::TcpAndUdp,
            _ => false,
        };
        let Some(layout) = Layout::of(octets) else {
            // A fragment perhaps: whose flow it belongs to is not known, and nothing may go before it.
            self.open.clear();
            return self.add(packet, None);
        };
        if !joins(&layout) {
            return self.add(packet, None);
        }
        let same_flow = |at: usize| {
            let item = &self.items[at];
            item.run.is_some_and(|run| run.is_flow_of(&buffer[item.first.clone()], octets, &layout))
        };
        let known = (0..self.open.len()).find(|at| same_flow(self.open[*at]));
        let candidate = Run::of(octets, layout);
        let Some(place) = known else { return self.add(packet, candidate) };
        let item = &mut self.items[self.open[place]];
        if let (Some(run), Some(new)) = (&mut item.run, &candidate)
            && item.more.len() < PARTS
            && run.fits(&buffer[item.first.clone()], octets, new)
        {
            item.more.push(packet.start + new.headers()..packet.start + new.length());
            if run.grow(new) {
                self.open.swap_remove(place);
            }
            return;
        }
        // What follows it may not go before it.
        self.open.swap_remove(place);
        self.add(packet, candidate);
    }

    fn add(&mut self, first: Range<usize>, run: Option<Run>) {
        if run.is_some_and(|run| !run.is_over()) {
            if self.open.len() == OPEN {
                self.open.remove(0);
            }
            self.open.push(self.items.len());
        }
        let mut item = self.spare.pop().unwrap_or_default();
        item.more.clear();
        self.items.push(Item { first, run, ..item });
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Gives each packet to `write`, in order; the headers of those that were joined are changed in `buffer` for that.
    pub fn flush(&mut self, buffer: &mut [u8], mut write: impl FnMut(&[u8], Joined<'_>)) {
        self.open.clear();
        for mut item in self.items.drain(..) {
            let header = match &item.run {
                Some(run) if !item.more.is_empty() => run.finish(&mut buffer[item.first.clone()]),
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

#[cfg(test)]
mod tests;
