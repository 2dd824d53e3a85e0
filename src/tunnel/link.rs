//! The end of the tunnel that a TCP/IP stack sees: one packet in, a short queue out.

use crate::esp::{HEADROOM, TAILROOM};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::collections::VecDeque;

/// The largest packet that we send or ask for, octets.
///
/// A datagram of 1,500 octets holds an ESP packet around it with every suite and over either family. The largest wrapping is
/// AES-CBC with HMAC-SHA2-512-256 over IPv6: 40 (IPv6) + 8 (UDP) + 8 (SPI, sequence number) + 16 (IV) + 32 (ICV) leave
/// 1,396, of which whole blocks are 1,392; pad length and next header take 2.
pub const MTU: usize = 1390;
/// Packets that sockets may send before the owner has taken them.
const SENT: usize = 64;
/// Packets that wait at most, answers to received ones included; more are lost, as on any link.
const WAITING: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Link {
    inward: Option<Vec<u8>>,
    outward: VecDeque<Vec<u8>>,
}

impl Link {
    /// The packet that the stack receives next.
    pub(super) fn put(&mut self, packet: Vec<u8>) {
        self.inward = Some(packet);
    }

    /// The next frame to be sealed.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.outward.pop_front()
    }

    /// The frame that was sent last, where more wait than `before`.
    pub(super) fn last_of(&mut self, before: usize) -> Option<&mut Vec<u8>> {
        if self.outward.len() > before { self.outward.back_mut() } else { None }
    }

    /// Frames that wait to be taken.
    pub(super) fn len(&self) -> usize {
        self.outward.len()
    }

    /// True where a socket may send.
    pub(super) fn has_room(&self) -> bool {
        self.outward.len() < SENT
    }

    /// True where nothing waits to be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.outward.is_empty()
    }
}

impl Device for Link {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sender<'_>)> {
        let packet = self.inward.take()?;
        Some((Received(packet), Sender(&mut self.outward)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        self.has_room().then_some(Sender(&mut self.outward))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

/// A packet on its way in.
pub(super) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Room for a packet on its way out.
pub(super) struct Sender<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        // Room for padding and ICV too, so that sealing does not move the frame.
        let mut frame = Vec::with_capacity(HEADROOM + length + TAILROOM);
        frame.resize(HEADROOM + length, 0);
        let written = write(&mut frame[HEADROOM..]);
        if self.0.len() < WAITING {
            self.0.push_back(frame);
        }
        written
    }
}
