//! Packets between the gateway and the tunnel, many at a time: super-packets of the device become batches of ESP, and back.

use super::{Driver, Output, Path};
use crate::agent::outbox::Outbox;
use crate::agent::socket::Inbox;
use crate::client::PathId;
use crate::time::{Instant, Now};
use crate::tunnel::tun::{Device, LARGEST, Merge, Split, clamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Reads of the device in one go.
const READS: usize = 32;
/// Receives of a socket in one go.
const RECEIVES: usize = 8;
/// Of a link that says nothing else, octets.
const ETHERNET: u32 = 1500;
/// IPv6 needs this much (RFC 8200 5), and so a device does that carries it; IPv4 is content with 576.
const SMALLEST: u32 = 576;
/// A path MTU that was told is forgotten after this time (RFC 1191 6.3): the path may be better now.
const TOLD: Duration = Duration::from_secs(600);

/// Where a batch goes.
pub(super) type Way = (PathId, SocketAddr);

/// The device and what belongs to it.
pub(super) struct Inside {
    device: Arc<Device>,
    read: Vec<u8>,
    /// Of a read that was stopped by a full socket: its octets, and how far it got.
    rest: Option<(usize, usize)>,
    merge: Merge,
}

impl Inside {
    pub(super) fn new(device: Arc<Device>) -> Self {
        Self { device, read: vec![0; LARGEST], rest: None, merge: Merge::default() }
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.device.poll_readable(context)
    }
}

/// Packets that move, and what moves them.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) inside: Option<Inside>,
    pub(super) outbox: Outbox<Way>,
    pub(super) inbox: Inbox,
    /// The socket has no room: what waits is sent when it has, and nothing is read from the device meanwhile.
    pub(super) blocked: Option<PathId>,
    /// The largest inner packet that the present path carries in one piece.
    pub(super) mtu: Option<u32>,
}

impl Driver {
    /// Takes what has arrived, a batch of each socket.
    pub(super) fn receive(&mut self, now: Now) {
        let Self { client, paths, inward, losses, bulk, .. } = self;
        let Bulk { inside, inbox, mtu, .. } = bulk;
        let mtu = mtu.map_or(usize::MAX, |mtu| mtu as usize);
        for path in paths {
            for _ in 0..RECEIVES {
                match path.socket.receive(inbox) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::debug!(%error, "socket error");
                        path.hear_of_mtu(now.at);
                        continue;
                    }
                }
                let Inbox { buffer, datagrams } = &mut *inbox;
                for (from, place) in &*datagrams {
                    let datagram = &mut buffer[place.clone()];
                    let Some(inner) = client.handle_datagram(now, path.id, *from, datagram) else { continue };
                    let inner = place.start + inner.start..place.start + inner.end;
                    match inside.as_mut() {
                        Some(inside) => {
                            clamp(&mut buffer[inner.clone()], mtu);
                            inside.merge.push(buffer, inner);
                        }
                        None => {
                            if inward.try_send(buffer[inner].to_vec()).is_err() {
                                losses.inward += 1;
                            }
                        }
                    }
                }
                let Some(Inside { device, merge, .. }) = inside.as_mut() else { continue };
                merge.flush(buffer, |buffer, packet| {
                    if let Err(error) = device.write(buffer, packet) {
                        tracing::debug!(%error, "the device does not take a packet");
                        losses.inward += 1;
                    }
                });
            }
        }
    }

    /// Sends what the machine gave the device, as long as the socket takes it.
    pub(super) fn read_device(&mut self, now: Now) {
        self.send_batch();
        let Self { client, paths, losses, bulk, backlog, .. } = self;
        let Bulk { inside, outbox, blocked, mtu, .. } = bulk;
        let Some(Inside { device, read, rest, .. }) = inside.as_mut() else { return };
        let mtu = mtu.map_or(usize::MAX, |mtu| mtu as usize);
        let mut gone = None;
        for _ in 0..READS {
            if blocked.is_some() {
                break;
            }
            let (octets, done) = match rest.take() {
                Some(rest) => rest,
                None => match device.try_read(read) {
                    Ok(Some(octets)) => (octets, 0),
                    Ok(None) => break,
                    Err(error) => {
                        gone = Some(error);
                        break;
                    }
                },
            };
            let Ok(split) = Split::new(&read[..octets]) else {
                losses.outward += 1;
                continue;
            };
            let mut split = split.go_on(done);
            let largest = split.largest();
            loop {
                let Some((lead, whole)) = client.room_for(largest).filter(|(_, whole)| *whole < LARGEST)
                else {
                    losses.outward += 1;
                    break;
                };
                let Some(place) = outbox.place().get_mut(..whole) else { break };
                let Some(packet) = split.next(&mut place[lead..lead + largest]) else { break };
                clamp(&mut place[lead..lead + packet], mtu);
                let sealed = match client.send_slice(now, place, packet) {
                    Ok(Some(sealed)) => sealed,
                    Ok(None) | Err(_) => {
                        losses.outward += 1;
                        continue;
                    }
                };
                let (to, length) = ((sealed.path, sealed.to), sealed.range.len());
                let most = paths.iter().find(|path| path.id == to.0).map_or(1, |path| path.socket.batch());
                if outbox.is_full_for(to, length, most) {
                    *blocked = send(paths, outbox, &mut losses.unsent);
                    if blocked.is_some() {
                        // This one packet is lost, the rest waits.
                        losses.unsent += 1;
                        *rest = Some((octets, split.done()));
                        break;
                    }
                    outbox.clear_before(length);
                }
                outbox.take(to, length);
            }
        }
        *blocked = blocked.or_else(|| send(paths, outbox, &mut losses.unsent));
        if let Some(error) = gone {
            *inside = None;
            backlog.push_back(Output::NoDevice(error));
        }
    }

    /// Sends what waits, if the socket takes it now.
    fn send_batch(&mut self) {
        let Bulk { outbox, blocked, .. } = &mut self.bulk;
        *blocked = send(&mut self.paths, outbox, &mut self.losses.unsent);
    }

    /// What the present path carries, and word of it where that is news.
    pub(super) fn measure(&mut self, now: Instant) {
        let Some(path) = self.client.serving_path() else { return };
        let Some(path) = self.paths.iter().find(|known| known.id == path) else { return };
        let outer = path.mtu(now).max(SMALLEST);
        let inner = self.client.largest_inner(outer as usize).and_then(|inner| u32::try_from(inner).ok());
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
        }
    }
}

/// Sends what waits. The path whose socket has no room, where that is why something still waits.
fn send(paths: &mut [Path], outbox: &mut Outbox<Way>, unsent: &mut u64) -> Option<PathId> {
    while let Some(((id, to), octets, segment)) = outbox.waiting() {
        let Some(path) = paths.iter().find(|known| known.id == id) else {
            *unsent += octets.len().div_ceil(segment) as u64;
            outbox.clear();
            return None;
        };
        let (sent, result) = path.socket.send_batch(octets, segment, to);
        outbox.sent(sent);
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Some(id),
            Err(error) => {
                tracing::debug!(%error, %to, "datagrams not sent");
                *unsent += 1;
                outbox.sent(segment);
            }
        }
    }
    None
}
