//! One Child SA: an inbound and an outbound ESP SA.

use super::replay::ReplayWindow;
use super::{InnerPacket, TrafficSelector};
use crate::crypto::{Encr, Integ, PacketProtection, Random, Secret};
use std::fmt;
use std::ops::Range;

/// What a Child SA negotiation leaves behind.
#[derive(Clone, Debug)]
pub struct SaParams {
    /// The SPI we chose: inbound packets carry it.
    pub spi_in: u32,
    /// The SPI the peer chose: outbound packets carry it.
    pub spi_out: u32,
    /// Encryption.
    pub encr: Encr,
    /// Integrity, `None` with AEAD.
    pub integ: Option<Integ>,
    /// 64-bit sequence numbers.
    pub esn: bool,
    /// Inbound encryption key (with salt).
    pub encr_in: Secret,
    /// Inbound integrity key, empty with AEAD.
    pub integ_in: Secret,
    /// Outbound encryption key (with salt).
    pub encr_out: Secret,
    /// Outbound integrity key, empty with AEAD.
    pub integ_out: Secret,
    /// What lies on our side: sources of outbound, destinations of inbound packets.
    pub local: Vec<TrafficSelector>,
    /// What lies on the peer's side.
    pub remote: Vec<TrafficSelector>,
}

/// Counters of one pair. Octets are those of inner packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SaStats {
    /// Inner octets received.
    pub bytes_in: u64,
    /// Inner octets sent.
    pub bytes_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Received and thrown away: forged, replayed, outside the selectors. Dummies are not among them.
    pub drops: u64,
}

impl SaStats {
    /// Adds the counters of another pair.
    pub(super) fn add(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.packets_in += other.packets_in;
        self.packets_out += other.packets_out;
        self.drops += other.drops;
    }
}

/// Why an inner packet is not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// Not an IP packet, or its length is a lie.
    #[error("not a whole IP packet")]
    NotIp,
    /// The SA's selectors do not cover it.
    #[error("outside the traffic selectors of the SA")]
    Selector,
    /// The sequence numbers are used up: a rekey is overdue.
    #[error("the sequence numbers are used up")]
    Exhausted,
    /// There is no outbound SA.
    #[error("there is no Child SA")]
    NoSa,
}

/// Why a received packet is thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// No SA has this SPI.
    #[error("unknown SPI {0:08x}")]
    UnknownSpi(u32),
    /// Too short or of a wrong block length.
    #[error("malformed ESP packet")]
    Malformed,
    /// Seen before, or older than the window.
    #[error("replayed")]
    Replayed,
    /// Integrity check failed.
    #[error("integrity check failed")]
    Forged,
    /// Authentic, but not a whole IP packet inside.
    #[error("no IP packet inside")]
    NotIp,
    /// Authentic, but the SA's selectors do not cover it.
    #[error("outside the traffic selectors of the SA")]
    Selector,
    /// Authentic and meant to be thrown away (RFC 4303 2.6): a sign of life.
    #[error("dummy packet")]
    Dummy,
}

impl OpenError {
    /// True where the packet passed the integrity check: the peer is alive, whatever was inside.
    pub fn is_authentic(self) -> bool {
        matches!(self, Self::NotIp | Self::Selector | Self::Dummy)
    }
}

/// Octets that `seal` needs free in front of the inner packet: 24 for SPI, sequence number and IV of AES-CBC, and so many more that the
/// text stands where a cipher likes it, at a multiple of 16 where the frame does.
pub const HEADROOM: usize = 32;
/// Octets that `seal` adds behind the inner packet, at most: padding, trailer, ICV.
pub const TAILROOM: usize = 15 + TRAILER + 32;

/// SPI and sequence number.
const HEADER: usize = 8;
/// Pad length and next header.
const TRAILER: usize = 2;
const NEXT_HEADER_IPV4: u8 = 4;
const NEXT_HEADER_IPV6: u8 = 41;
const NEXT_HEADER_NONE: u8 = 59;

/// The SPI of an ESP packet; `None` where it is too short to have one.
pub fn spi_of(packet: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*packet.first_chunk()?))
}

/// Unpredictable IVs, fetched many at a time: the operating system is asked once for 32 packets.
struct Ivs {
    octets: [u8; 512],
    used: usize,
}

impl Default for Ivs {
    fn default() -> Self {
        Self { octets: [0; 512], used: 512 }
    }
}

impl Ivs {
    fn next(&mut self, random: &mut dyn Random) -> [u8; 16] {
        if self.used == self.octets.len() {
            random.fill(&mut self.octets);
            self.used = 0;
        }
        let mut iv = [0; 16];
        iv.copy_from_slice(&self.octets[self.used..self.used + 16]);
        self.used += 16;
        iv
    }
}

/// A Child SA in use. `Debug` prints SPIs and algorithms.
pub struct SaPair {
    params: SaParams,
    inbound: PacketProtection,
    outbound: PacketProtection,
    window: ReplayWindow,
    /// The sequence number sent last; 0 before the first packet.
    sent: u64,
    ivs: Ivs,
    stats: SaStats,
}

impl SaPair {
    /// Expands the keys. Panics where their lengths do not fit the algorithms: they are derived, not read.
    pub fn new(mut params: SaParams) -> Self {
        let protection = |encr_key: &mut Secret, integ_key: &mut Secret| {
            let (encr_key, integ_key) = (take(encr_key), take(integ_key));
            PacketProtection::new(params.encr, params.integ, encr_key.expose(), integ_key.expose())
        };
        let inbound = protection(&mut params.encr_in, &mut params.integ_in);
        let outbound = protection(&mut params.encr_out, &mut params.integ_out);
        Self {
            params,
            inbound,
            outbound,
            window: ReplayWindow::new(),
            sent: 0,
            ivs: Ivs::default(),
            stats: SaStats::default(),
        }
    }

    /// The SPI of inbound packets.
    pub fn spi_in(&self) -> u32 {
        self.params.spi_in
    }

    /// The SPI of outbound packets.
    pub fn spi_out(&self) -> u32 {
        self.params.spi_out
    }

    /// The parameters without key material (keys are zeroized after expansion): selectors, algorithms.
    pub fn params(&self) -> &SaParams {
        &self.params
    }

    /// The counters.
    pub fn stats(&self) -> SaStats {
        self.stats
    }

    /// Outbound packets sent plus inbound highest sequence, whichever is larger: for the rekey before 2^31 packets.
    pub fn packets(&self) -> u64 {
        self.sent.max(self.window.highest())
    }

    /// Octets in front of the inner packet in what [`SaPair::seal_slice`] makes.
    pub fn lead(&self) -> usize {
        HEADER + self.outbound.iv_len()
    }

    /// Octets of the ESP packet around an inner packet of `length`.
    pub fn sealed_len(&self, length: usize) -> usize {
        self.lead() + length + self.padding(length) + TRAILER + self.outbound.icv_len()
    }

    /// Octets of the largest inner packet whose ESP packet is not longer than `room`; `None` where there is no room for any.
    pub fn largest_inner(&self, room: usize) -> Option<usize> {
        let blocks = room.checked_sub(self.lead() + self.outbound.icv_len())?;
        let multiple = self.outbound.block_len().max(4);
        (blocks / multiple * multiple).checked_sub(TRAILER)
    }

    /// RFC 4303 2.4: pad to the cipher's block and to 4 octets.
    fn padding(&self, length: usize) -> usize {
        let multiple = self.outbound.block_len().max(4);
        (length + TRAILER).next_multiple_of(multiple) - (length + TRAILER)
    }

    /// `frame[HEADROOM..]` is an inner IP packet; afterwards `frame[range]` is the ESP packet (no UDP header).
    /// The vector grows by padding and ICV, [`TAILROOM`] at most; nothing is allocated where its capacity suffices.
    /// After an error the frame is as it was, and no sequence number is spent.
    pub fn seal(&mut self, frame: &mut Vec<u8>, random: &mut dyn Random) -> Result<Range<usize>, SealError> {
        let length = frame.len().checked_sub(HEADROOM).ok_or(SealError::NotIp)?;
        let start = HEADROOM - self.lead();
        frame.resize(start + self.sealed_len(length), 0);
        let sealed = self.seal_slice(&mut frame[start..], length, random);
        if sealed.is_err() {
            frame.truncate(HEADROOM + length);
        }
        Ok(start..start + sealed?)
    }

    /// The inner IP packet stands in `buffer` behind [`SaPair::lead`] octets and is `length` long; afterwards the ESP packet
    /// stands at the front of it, its length is returned. Nothing is allocated.
    ///
    /// # Errors
    /// The buffer is as it was, and no sequence number is spent. [`SealError::NotIp`] also where the buffer is shorter than
    /// [`SaPair::sealed_len`].
    pub fn seal_slice(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        random: &mut dyn Random,
    ) -> Result<usize, SealError> {
        let (lead, whole) = (self.lead(), self.sealed_len(length));
        let buffer = buffer.get_mut(..whole).ok_or(SealError::NotIp)?;
        let inner = InnerPacket::parse(&buffer[lead..lead + length]).ok_or(SealError::NotIp)?;
        if inner.length != length {
            return Err(SealError::NotIp);
        }
        if !TrafficSelector::cover(&self.params.local, &self.params.remote, &inner, true) {
            return Err(SealError::Selector);
        }
        let sequence = self.next_sequence().ok_or(SealError::Exhausted)?;

        // Padding is 1, 2, 3.. (RFC 4303 2.4).
        let padding = self.padding(length);
        let trailer = &mut buffer[lead + length..];
        for (place, number) in trailer[..padding].iter_mut().zip(1..) {
            *place = number;
        }
        // At most 15 octets.
        trailer[padding] = padding as u8;
        trailer[padding + 1] = if inner.version() == 4 { NEXT_HEADER_IPV4 } else { NEXT_HEADER_IPV6 };

        buffer[..4].copy_from_slice(&self.params.spi_out.to_be_bytes());
        buffer[4..HEADER].copy_from_slice(&(sequence as u32).to_be_bytes());
        let esn_high = self.params.esn.then_some((sequence >> 32) as u32);
        let mut iv = [0; 16];
        if self.params.encr.is_aead() {
            // The sequence number never repeats under one key (RFC 4106 3.1).
            iv[..8].copy_from_slice(&sequence.to_be_bytes());
        } else {
            iv = self.ivs.next(random);
        }
        self.outbound.seal(buffer, HEADER, &iv[..lead - HEADER], esn_high);

        self.sent = sequence;
        self.stats.packets_out += 1;
        self.stats.bytes_out += length as u64;
        Ok(whole)
    }

    /// Opens an ESP packet in place; the range of the inner IP packet. Octets behind it (padding for traffic flow
    /// confidentiality, RFC 4303 2.7) are cut off. After an error `packet` may hold anything; of the pair only the drops
    /// have changed, and, where the packet was authentic, the replay window.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<Range<usize>, OpenError> {
        let opened = self.authenticate(packet).and_then(|plain| self.inspect(packet, plain));
        match &opened {
            Ok(range) => {
                self.stats.packets_in += 1;
                self.stats.bytes_in += range.len() as u64;
            }
            Err(OpenError::Dummy) => {}
            Err(_) => self.stats.drops += 1,
        }
        opened
    }

    /// Replay check, integrity check, decryption; only then the window moves (RFC 4303 3.4.3).
    fn authenticate(&mut self, packet: &mut [u8]) -> Result<Range<usize>, OpenError> {
        let spi = spi_of(packet).ok_or(OpenError::Malformed)?;
        if spi != self.params.spi_in {
            return Err(OpenError::UnknownSpi(spi));
        }
        let overhead = HEADER + self.inbound.iv_len() + self.inbound.icv_len();
        let ciphertext = packet.len().checked_sub(overhead).ok_or(OpenError::Malformed)?;
        if ciphertext < TRAILER || !ciphertext.is_multiple_of(self.inbound.block_len()) {
            return Err(OpenError::Malformed);
        }
        let low = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let sequence = if self.params.esn { self.window.extend(low) } else { Some(low.into()) };
        let sequence = sequence.filter(|&s| self.window.check(s)).ok_or(OpenError::Replayed)?;
        let esn_high = self.params.esn.then_some((sequence >> 32) as u32);
        let plain = self.inbound.open(packet, HEADER, esn_high).map_err(|_| OpenError::Forged)?;
        self.window.mark(sequence);
        Ok(plain)
    }

    /// What an authenticated packet holds. The padding's content is not looked at: it is authenticated, and not every
    /// sender counts 1, 2, 3.
    fn inspect(&self, packet: &[u8], plain: Range<usize>) -> Result<Range<usize>, OpenError> {
        let (content, &[pad_len, next_header]) =
            packet[plain.clone()].split_last_chunk().ok_or(OpenError::NotIp)?;
        if next_header == NEXT_HEADER_NONE {
            return Err(OpenError::Dummy);
        }
        let content_len = content.len().checked_sub(pad_len.into()).ok_or(OpenError::NotIp)?;
        let inner = InnerPacket::parse(&content[..content_len]).ok_or(OpenError::NotIp)?;
        match (next_header, inner.version()) {
            (NEXT_HEADER_IPV4, 4) | (NEXT_HEADER_IPV6, 6) => {}
            _ => return Err(OpenError::NotIp),
        }
        if !TrafficSelector::cover(&self.params.local, &self.params.remote, &inner, false) {
            return Err(OpenError::Selector);
        }
        Ok(plain.start..plain.start + inner.length)
    }

    /// The number of the next outbound packet; a counter that wrapped would repeat (RFC 4303 3.3.3).
    fn next_sequence(&self) -> Option<u64> {
        let last = if self.params.esn { u64::MAX } else { u32::MAX.into() };
        (self.sent < last).then(|| self.sent + 1)
    }
}

impl fmt::Debug for SaPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaPair")
            .field("spi_in", &format_args!("{:08x}", self.params.spi_in))
            .field("spi_out", &format_args!("{:08x}", self.params.spi_out))
            .field("encr", &self.params.encr)
            .field("integ", &self.params.integ)
            .field("esn", &self.params.esn)
            .finish()
    }
}

/// The key, and nothing left where it was.
fn take(key: &mut Secret) -> Secret {
    std::mem::replace(key, Secret::new(Vec::new()))
}

#[cfg(test)]
mod tests;
