//! Packets of a device into sealed datagrams and back, many at a time: the same for an agent and for the embedded gateway.

use super::outbox::Outbox;
use crate::esp::ecn::{self, Ecn};
use crate::tunnel::tun::{Device, LARGEST, Merge, Split, VNET_HEADER, clamp};
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Reads of the device in one go, and octets after which it ends: what comes the other way waits for no more than a millisecond,
/// also where sealing is slow.
const READS: usize = 64;
pub(crate) const OCTETS: usize = 128 << 10;

/// Where packets of the machine go: SAs and sockets.
pub(crate) trait Road {
    /// Where datagrams go.
    type Way: Copy + PartialEq;

    /// Where an inner packet of `length` octets for `destination` has to stand in a buffer, and how long that has to be; `None`
    /// where there is no SA.
    fn room(&self, destination: IpAddr, length: usize) -> Option<(usize, usize)>;

    /// Seals it: the datagram stands at the front of `buffer` then. Its way and length; `None` where it is lost.
    fn seal(&mut self, destination: IpAddr, buffer: &mut [u8], length: usize) -> Option<(Self::Way, usize)>;

    /// Datagrams that may leave with one call.
    fn batch(&self, way: Self::Way) -> usize;

    /// Sends datagrams of `segment` octets in a row, with this mark; the last may be shorter. How many octets were taken, and why
    /// no more.
    fn send(&mut self, way: Self::Way, octets: &[u8], segment: usize, ecn: Ecn) -> (usize, io::Result<()>);
}

/// Packets lost on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Lost {
    /// Without an SA or a path, outside the selectors, or senseless.
    pub(crate) unsealed: u64,
    /// Sealed, and not taken by the socket.
    pub(crate) unsent: u64,
    /// Opened, and not taken by the device.
    pub(crate) inward: u64,
}

/// A device and what belongs to it.
#[derive(Debug)]
pub(crate) struct Pump<W> {
    device: Arc<Device>,
    read: Vec<u8>,
    /// Of a read that was stopped by a full socket: its octets, and how far it got.
    rest: Option<(usize, usize)>,
    merge: Merge,
    /// What leaves with one call has one mark.
    outbox: Outbox<(W, Ecn)>,
    /// The socket has no room: what waits is sent when it has, and nothing is read from the device meanwhile.
    blocked: Option<W>,
    pub(crate) lost: Lost,
}

impl<W: Copy + PartialEq> Pump<W> {
    pub(crate) fn new(device: Arc<Device>) -> Self {
        Self {
            merge: Merge::new(device.offload()),
            device,
            read: vec![0; LARGEST],
            rest: None,
            outbox: Outbox::default(),
            blocked: None,
            lost: Lost::default(),
        }
    }

    /// Whose socket has no room.
    pub(crate) fn blocked(&self) -> Option<W> {
        self.blocked
    }

    /// Ready when there is something to read.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.device.poll_readable(context)
    }

    /// The opened packet `buffer[inner]` goes to the machine with the next [`Pump::flush`].
    pub(crate) fn put(&mut self, buffer: &mut [u8], inner: Range<usize>, mtu: usize) {
        clamp(&mut buffer[inner.clone()], mtu);
        self.merge.push(buffer, inner);
    }

    /// Gives the machine what was [`Pump::put`] of this buffer.
    pub(crate) fn flush(&mut self, buffer: &mut [u8]) {
        let Self { device, merge, lost, .. } = self;
        merge.flush(buffer, |buffer, packet| {
            if let Err(error) = device.write(buffer, packet) {
                tracing::debug!(%error, "the device does not take a packet");
                lost.inward += 1;
            }
        });
    }

    /// Sends what the machine gave the device, as long as the socket takes it. `mtu`: of TCP's segments, an inner packet's.
    ///
    /// # Errors
    /// The device is gone, or down.
    pub(crate) fn run(&mut self, road: &mut impl Road<Way = W>, mtu: usize) -> io::Result<()> {
        self.send(road);
        let mut taken = 0;
        for _ in 0..READS {
            if taken >= OCTETS {
                break;
            }
            if self.blocked.is_some() {
                return Ok(());
            }
            let (octets, done) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.device.try_read(&mut self.read)? {
                    Some(octets) => (octets, 0),
                    None => break,
                },
            };
            self.cut(road, mtu, octets, done);
            taken += octets;
        }
        self.send(road);
        Ok(())
    }

    /// One read of the device, from `done` on.
    fn cut(&mut self, road: &mut impl Road<Way = W>, mtu: usize, octets: usize, done: usize) {
        let Self { read, outbox, lost, .. } = self;
        let split = Split::new(&read[..octets]).map(|split| split.go_on(done));
        let Some((mut split, destination)) =
            split.ok().and_then(|split| Some((split, split_destination(&read[..octets])?)))
        else {
            lost.unsealed += 1;
            return;
        };
        let largest = split.largest();
        let ecn = read.get(VNET_HEADER..octets).map_or(Ecn::NotEct, ecn::encapsulate);
        loop {
            let Some((lead, whole)) = road.room(destination, largest).filter(|(_, whole)| *whole < LARGEST)
            else {
                lost.unsealed += 1;
                return;
            };
            let Some(place) = outbox.place().get_mut(..whole) else { return };
            let before = split.done();
            let Some(packet) = split.next(&mut place[lead..lead + largest]) else { return };
            clamp(&mut place[lead..lead + packet], mtu);
            let Some((way, length)) = road.seal(destination, place, packet) else {
                lost.unsealed += 1;
                continue;
            };
            if outbox.is_full_for((way, ecn), length, road.batch(way)) {
                self.blocked = send(road, outbox, lost);
                if self.blocked.is_some() {
                    // This one is cut and sealed anew with the rest, when there is room.
                    self.rest = Some((octets, before));
                    return;
                }
                outbox.clear_before(length);
            }
            outbox.take((way, ecn), length);
        }
    }

    fn send(&mut self, road: &mut impl Road<Way = W>) {
        self.blocked = send(road, &mut self.outbox, &mut self.lost);
    }
}

/// Sends what waits. The way whose socket has no room, where that is why something still waits.
fn send<R: Road>(road: &mut R, outbox: &mut Outbox<(R::Way, Ecn)>, lost: &mut Lost) -> Option<R::Way> {
    while let Some(((way, ecn), octets, segment)) = outbox.waiting() {
        let (sent, result) = road.send(way, octets, segment, ecn);
        outbox.sent(sent);
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(way),
            Err(error) => {
                tracing::debug!(%error, "a datagram is not sent");
                lost.unsent += 1;
                outbox.sent(segment);
            }
        }
    }
    None
}

/// Where a packet as it was read from the device goes.
fn split_destination(read: &[u8]) -> Option<IpAddr> {
    let packet = read.get(VNET_HEADER..)?;
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(*packet.get(16..)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*packet.get(24..)?.first_chunk::<16>()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
