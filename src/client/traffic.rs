//! Packets: inner ones into ESP and back, datagrams onto the path.

use super::{Client, PathId, Transmit};
use crate::esp::{OpenError, SealError};
use crate::reconnect::Proof;
use crate::time::{Instant, Now};
use std::net::SocketAddr;
use std::ops::Range;

/// A Child SA is rekeyed before this many packets went either way (issue: 2^31).
const REKEY_PACKETS: u64 = 1 << 31;
/// A rekey that is overdue by packets is asked for again after so many more (a refused one is put off).
const REKEY_AGAIN: u64 = 1 << 16;
/// Datagrams that may wait for the shell; it drains them after every call, so more means that it is stuck.
const TRANSMIT_LIMIT: usize = 256;

/// Octets of the outer headers.
const IPV4_UDP: usize = 20 + 8;
const IPV6_UDP: usize = 40 + 8;

/// Where a sealed packet goes; its octets are `frame[range]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// Through which socket.
    pub path: PathId,
    /// To whom.
    pub to: SocketAddr,
    /// The UDP payload in the frame.
    pub range: Range<usize>,
}

impl Client {
    /// Seals an inner packet: `frame[esp::HEADROOM..]` is the IP packet. Afterwards send `frame[range]`.
    /// `Ok(None)`: there is no path; the packet is lost as on any link that is down.
    pub fn send_packet(&mut self, now: Now, frame: &mut Vec<u8>) -> Result<Option<Sealed>, SealError> {
        let Some(remote) = self.serving.as_ref().map(|s| s.remote) else { return Err(SealError::NoSa) };
        let range = self.esp.seal(frame, &mut *self.random)?;
        Ok(self.sealed(now, remote, range))
    }

    /// Where an inner packet of `length` octets has to stand in a buffer for [`Client::send_slice`], and how long the buffer
    /// has to be; `None` where there is no SA.
    pub fn room_for(&self, length: usize) -> Option<(usize, usize)> {
        self.esp.room_for(length)
    }

    /// As [`Client::send_packet`], in a buffer of the caller's: see [`Client::room_for`].
    pub fn send_slice(
        &mut self,
        now: Now,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<Option<Sealed>, SealError> {
        let Some(remote) = self.serving.as_ref().map(|s| s.remote) else { return Err(SealError::NoSa) };
        let whole = self.esp.seal_slice(buffer, length, &mut *self.random)?;
        Ok(self.sealed(now, remote, 0..whole))
    }

    /// Octets of the largest inner packet whose ESP the way to the gateway carries in one piece; `outer`: the way's MTU, IP
    /// header included. `None` where there is no SA.
    pub fn largest_inner(&self, outer: usize) -> Option<usize> {
        let remote = self.serving.as_ref()?.remote;
        let headers = if remote.is_ipv4() { IPV4_UDP } else { IPV6_UDP };
        self.esp.current()?.largest_inner(outer.checked_sub(headers)?)
    }

    fn sealed(&mut self, now: Now, remote: SocketAddr, range: Range<usize>) -> Option<Sealed> {
        if let Some(liveness) = self.liveness.as_mut() {
            liveness.sent(now.at);
        }
        self.doubt.sent(now.at);
        let used_up = self
            .esp
            .current()
            .filter(|pair| {
                let packets = pair.packets();
                packets >= REKEY_PACKETS && packets.is_multiple_of(REKEY_AGAIN)
            })
            .map(|p| p.spi_in());
        if let (Some(spi_in), Some(serving)) = (used_up, self.serving.as_mut()) {
            serving.ike.rekey_child(now.at, spi_in, &mut *self.random);
            self.pump_serving(now);
        }
        let path = self.paths.to(remote.ip()).filter(|_| !self.asleep)?;
        self.last_out = now.at;
        Some(Sealed { path, to: remote, range })
    }

    pub(super) fn handle_esp(&mut self, now: Now, path: PathId, packet: &mut [u8]) -> Option<Range<usize>> {
        let named = packet.first_chunk().map_or(0, |spi| u32::from_be_bytes(*spi));
        match self.esp.open(packet) {
            Ok((spi, range)) => {
                self.esp_heard(now, path, spi);
                Some(range)
            }
            Err(error) => {
                // Authenticated, but nothing for us inside: a sign of life all the same.
                if error.is_authentic() {
                    self.esp_heard(now, path, named);
                }
                if error == OpenError::Dummy {
                    return None;
                }
                self.count_drop(now.at, &error.to_string());
                None
            }
        }
    }

    fn esp_heard(&mut self, now: Now, path: PathId, spi: u32) {
        if let Some(at) = self.unproved.iter().position(|s| *s == spi) {
            self.unproved.remove(at);
            self.esp.promote(spi);
        }
        let of_the_old = self.retiring.as_ref().is_some_and(|r| r.spis.contains(&spi));
        if of_the_old {
            return; // it says nothing about the SA that serves now
        }
        if self.retiring.is_some() {
            self.finish_retiring(now);
        }
        let Some(remote) = self.serving.as_ref().map(|serving| serving.remote.ip()) else { return };
        let moved = self.proved_path != Some(path);
        if Some(path) == self.serving_path() {
            self.proved_path = Some(path);
        }
        let proof = if self.distrust_esp && !moved { Proof::None } else { Proof::Strong };
        self.heard(now, path, proof);
        self.doubt.carried();
        if let Some(liveness) = self.liveness.as_mut().filter(|_| Some(path) == self.paths.to(remote)) {
            liveness.carried();
        }
    }

    /// Sends an IKE message: with the non-ESP marker to a NAT port, without to the port of first contact.
    pub(super) fn send_ike(&mut self, now: Instant, to: SocketAddr, marker: bool, message: &[u8]) {
        let payload = if marker { [&[0; 4], message].concat() } else { message.to_vec() };
        self.transmit(now, to, payload);
    }

    /// Nothing leaves without a path (law 2) or in sleep.
    pub(super) fn transmit(&mut self, now: Instant, to: SocketAddr, payload: Vec<u8>) {
        let Some(path) = self.paths.to(to.ip()).filter(|_| !self.asleep) else { return };
        if self.transmits.len() < TRANSMIT_LIMIT {
            self.last_out = now;
            self.transmits.push_back(Transmit { path, to, payload });
        }
    }
}
