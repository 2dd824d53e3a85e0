//! Segments before they leave, changed where smoltcp writes something else than their peers need.

use super::flows::Flow;
use super::windows::narrow;
use crate::esp::HEADROOM;
use smoltcp::wire::{IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber};
use std::net::IpAddr;

/// A segment, to be read and changed where it stands.
pub(super) type Segment<'a> = TcpPacket<&'a mut [u8]>;

/// The end of what a connection has sent so far, lost or not.
///
/// After its timer has run out smoltcp starts again from the first octet that is not acknowledged, and what it acknowledges meanwhile has
/// that sequence number. A peer that has had those octets takes such a segment for an old one and does not read what it acknowledges (RFC
/// 9293 3.10.7.4): two ends that lost each other's acknowledgements would repeat themselves for ever. What has no octets says where
/// the end is.
#[derive(Debug, Default)]
pub(super) struct Newest(Option<TcpSeqNumber>);

impl Newest {
    /// Counts what leaves; true where its sequence number was changed.
    fn count(&mut self, segment: &mut Segment<'_>) -> bool {
        let (from, length) = (segment.seq_number(), segment.segment_len());
        let newest = *self.0.get_or_insert(from + length);
        if segment.syn() || from + length >= newest {
            self.0 = Some(from + length);
        } else if length == 0 {
            segment.set_seq_number(newest);
            return true;
        }
        false
    }
}

/// The last look at a frame that `flow` sends, which may have `part` octets under way.
pub(super) fn finish(frame: &mut [u8], flow: &mut Flow, part: usize) {
    change(frame, |segment| flow.finish(segment, part));
}

/// The same of what answers a segment at once. A reset that does has the number that its peer waits for (RFC 9293 3.10.7.3).
pub(super) fn finish_answer(frame: &mut [u8], flow: &mut Flow, part: usize) {
    change(frame, |segment| !segment.rst() && flow.finish(segment, part));
}

impl Flow {
    fn finish(&mut self, segment: &mut Segment<'_>, part: usize) -> bool {
        let renumbered = self.newest.count(segment);
        narrow(segment, self.free(), part) || renumbered
    }
}

/// Changes the segment of a frame where it has one, and its checksum where `change` says that something is another now.
pub(super) fn change(frame: &mut [u8], change: impl FnOnce(&mut Segment<'_>) -> bool) {
    let Some(packet) = frame.get_mut(HEADROOM..).filter(|packet| !packet.is_empty()) else { return };
    let change = |octets: &mut [u8], from: IpAddr, to: IpAddr| {
        let Ok(mut segment) = TcpPacket::new_checked(octets) else { return };
        if change(&mut segment) {
            segment.fill_checksum(&from.into(), &to.into());
        }
    };
    match IpVersion::of_packet(packet) {
        Ok(IpVersion::Ipv4) => {
            let Ok(mut packet) = Ipv4Packet::new_checked(packet) else { return };
            let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
            if packet.next_header() == IpProtocol::Tcp {
                change(packet.payload_mut(), from, to);
            }
        }
        Ok(IpVersion::Ipv6) => {
            let Ok(mut packet) = Ipv6Packet::new_checked(packet) else { return };
            let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
            if packet.next_header() == IpProtocol::Tcp {
                change(packet.payload_mut(), from, to);
            }
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a segment of so many octets from there leaves with.
    fn leaves(newest: &mut Newest, from: i32, length: usize, syn: bool) -> i32 {
        let mut octets = vec![0; 20 + length];
        let mut segment = TcpPacket::new_unchecked(&mut octets[..]);
        segment.set_header_len(20);
        segment.set_seq_number(TcpSeqNumber(from));
        segment.set_syn(syn);
        let changed = newest.count(&mut segment);
        let TcpSeqNumber(number) = segment.seq_number();
        assert_eq!(changed, number != from);
        number
    }

    #[test]
    fn what_has_no_octets_stands_at_the_end_of_what_was_sent() {
        // Across the end of all numbers, and of those that are positive.
        for first in [5, i32::MAX - 150, -150] {
            let mut newest = Newest::default();
            let at = |offset: i32| first.wrapping_add(offset);
            assert_eq!(leaves(&mut newest, at(0), 0, true), at(0));
            assert_eq!(leaves(&mut newest, at(1), 100, false), at(1));
            assert_eq!(leaves(&mut newest, at(101), 100, false), at(101));
            assert_eq!(leaves(&mut newest, at(201), 0, false), at(201));
            // Again from the beginning.
            assert_eq!(leaves(&mut newest, at(1), 100, false), at(1));
            assert_eq!(leaves(&mut newest, at(101), 0, false), at(201));
            assert_eq!(leaves(&mut newest, at(150), 100, false), at(150));
            assert_eq!(leaves(&mut newest, at(101), 0, false), at(250));
            // Another connection.
            assert_eq!(leaves(&mut newest, at(-7000), 0, true), at(-7000));
            assert_eq!(leaves(&mut newest, at(-6999), 0, false), at(-6999));
        }
    }
}
