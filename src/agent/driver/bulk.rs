//! Packets between the gateway and the tunnel, many at a time.

use super::{Driver, Losses, Output, Path};
use crate::agent::pump::{OCTETS, Pump, Road};
use crate::agent::socket::Inbox;
use crate::client::{Client, PathId};
use crate::esp::ecn::{self, Ecn};
use crate::time::{Instant, Now};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Receives of a socket in one go; [`OCTETS`] end it earlier.
const RECEIVES: usize = 8;
/// Of a link that says nothing else, octets.
const ETHERNET: u32 = 1500;
/// Every way of IPv4 carries this much (RFC 791 3.2).
const SMALLEST: u32 = 576;
/// A path MTU that was told is forgotten after ten minutes (RFC 1191 6.3): the path may be better now.
const TOLD: std::time::Duration = std::time::Duration::from_secs(600);

/// Where a batch goes.
type Way = (PathId, SocketAddr);

/// Packets that move, and what moves them.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) pump: Option<Pump<Way>>,
    inbox: Inbox,
    /// The largest inner packet that the present path carries in one piece.
    mtu: Option<u32>,
}

impl Bulk {
    /// The path whose socket has no room.
    pub(super) fn blocked(&self) -> Option<PathId> {
        self.pump.as_ref()?.blocked().map(|(path, _)| path)
    }

    fn mtu(&self) -> usize {
        self.mtu.and_then(|mtu| usize::try_from(mtu).ok()).unwrap_or(usize::MAX)
    }
}

/// The client's SA and sockets, as the device's packets use them.
struct Out<'a> {
    now: Now,
    client: &'a mut Client,
    paths: &'a [Path],
}

impl Road for Out<'_> {
    type Way = Way;

    fn room(&self, _: IpAddr, length: usize) -> Option<(usize, usize)> {
        self.client.room_for(length)
    }

    fn seal(&mut self, _: IpAddr, buffer: &mut [u8], length: usize) -> Option<(Way, usize)> {
        let sealed = self.client.send_slice(self.now, buffer, length).ok()??;
        Some(((sealed.path, sealed.to), sealed.range.len()))
    }

    fn batch(&self, (id, _): Way) -> usize {
        self.paths.iter().find(|path| path.id == id).map_or(1, |path| path.socket.batch())
    }

    fn send(&mut self, (id, to): Way, octets: &[u8], segment: usize, ecn: Ecn) -> (usize, io::Result<()>) {
        match self.paths.iter().find(|path| path.id == id) {
            Some(path) => path.socket.send_batch(octets, segment, to, ecn),
            None => (0, Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Driver {
    /// Takes what has arrived, a batch of each socket.
    pub(super) fn receive(&mut self, now: Now) {
        let Self { client, paths, inward, losses, bulk, .. } = self;
        let mtu = bulk.mtu();
        let Bulk { pump, inbox, .. } = bulk;
        for path in paths {
            let mut taken = 0;
            for _ in 0..RECEIVES {
                match path.socket.receive(inbox) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::debug!(%error, "socket error");
                        continue;
                    }
                }
                let Inbox { buffer, datagrams } = &mut *inbox;
                for (from, place, mark) in &*datagrams {
                    taken += place.len();
                    let datagram = &mut buffer[place.clone()];
                    let Some(inner) = client.handle_datagram(now, path.id, *from, datagram) else { continue };
                    let inner = place.start + inner.start..place.start + inner.end;
                    if !ecn::decapsulate(*mark, &mut buffer[inner.clone()]) {
                        losses.inward += 1;
                        continue;
                    }
                    match pump.as_mut() {
                        Some(pump) => pump.put(buffer, inner, mtu),
                        None if inward.try_send(buffer[inner].to_vec()).is_err() => losses.inward += 1,
                        None => {}
                    }
                }
                if let Some(pump) = pump.as_mut() {
                    pump.flush(buffer);
                }
                if taken >= OCTETS {
                    break;
                }
            }
        }
    }

    /// Sends what the machine gave the device, as long as the socket takes it.
    pub(super) fn read_device(&mut self, now: Now) {
        let Self { client, paths, bulk, .. } = self;
        let mtu = bulk.mtu();
        let Some(pump) = bulk.pump.as_mut() else { return };
        if let Err(error) = pump.run(&mut Out { now, client, paths }, mtu) {
            self.drop_device();
            self.backlog.push_back(Output::NoDevice(error));
        }
    }

    /// There is no device any more; what it lost is kept in mind.
    pub(super) fn drop_device(&mut self) {
        self.losses = self.losses();
        self.bulk.pump = None;
    }

    /// What did not find its way so far.
    pub(super) fn losses(&self) -> Losses {
        let lost = self.bulk.pump.as_ref().map(|pump| pump.lost).unwrap_or_default();
        Losses {
            unsent: self.losses.unsent + lost.unsent,
            inward: self.losses.inward + lost.inward,
            outward: self.losses.outward + lost.unsealed,
        }
    }

    /// What the present path carries, and word of it where that is news.
    pub(super) fn measure(&mut self, now: Instant) {
        let Some(path) = self.client.serving_path() else { return };
        let Some(path) = self.paths.iter_mut().find(|known| known.id == path) else { return };
        path.hear_of_mtu(now);
        let outer = usize::try_from(path.mtu(now).max(SMALLEST)).unwrap_or_default();
        let inner = self.client.largest_inner(outer).and_then(|inner| u32::try_from(inner).ok());
        if let Some(inner) = inner.filter(|inner| self.bulk.mtu != Some(*inner)) {
            self.bulk.mtu = Some(inner);
            self.backlog.push_back(Output::Mtu(inner));
        }
    }
}

impl Path {
    /// Of the way, octets.
    fn mtu(&self, now: Instant) -> u32 {
        let told = self.told_mtu.filter(|(_, at)| now.since(*at) < TOLD).map(|(mtu, _)| mtu);
        told.into_iter().chain([self.local.mtu.unwrap_or(ETHERNET)]).min().unwrap_or(ETHERNET)
    }

    /// An ICMP message may have told of a path that carries less.
    fn hear_of_mtu(&mut self, now: Instant) {
        if let Some(mtu) = self.socket.told_mtu() {
            self.told_mtu = Some((mtu, now));
            self.socket.try_batches_again();
        }
    }
}
