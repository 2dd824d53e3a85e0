use super::super::outgoing::change;
use super::*;
use crate::esp::HEADROOM;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};
use std::net::IpAddr;
use std::time::Duration;

const FREE: usize = 512 << 10;

fn at(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(seconds))
}

fn segment(window: u16, control: TcpControl) -> TcpRepr<'static> {
    TcpRepr {
        src_port: 40_000,
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(7),
        ack_number: Some(TcpSeqNumber(9)),
        window_len: window,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: b"octets",
    }
}

/// A frame as the stack sends it, and how to read its segment back: its checksum has to be right.
fn narrowed(ends: (&str, &str), sent: &TcpRepr<'_>, free: usize, part: usize) -> u16 {
    let (from, to): (IpAddr, IpAddr) = (ends.0.parse().unwrap(), ends.1.parse().unwrap());
    let ip = IpRepr::new(from.into(), to.into(), IpProtocol::Tcp, sent.buffer_len(), 64);
    let header = ip.header_len();
    let mut frame = vec![0; HEADROOM + header + sent.buffer_len()];
    let checksums = ChecksumCapabilities::default();
    ip.emit(&mut frame[HEADROOM..], &checksums);
    let segment = &mut TcpPacket::new_unchecked(&mut frame[HEADROOM + header..]);
    sent.emit(segment, &from.into(), &to.into(), &checksums);
    change(&mut frame, |segment| narrow(segment, free, part));
    let packet = TcpPacket::new_checked(&frame[HEADROOM + header..]).unwrap();
    let read =
        TcpRepr::parse(&packet, &from.into(), &to.into(), &checksums).expect("a segment with its checksum");
    assert_eq!(TcpRepr { window_len: sent.window_len, ..read }, *sent, "nothing else is changed");
    read.window_len
}

#[test]
fn a_window_is_narrowed_in_the_units_the_peer_agreed_to() {
    for ends in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
        let scaled = segment((FREE >> 4) as u16, TcpControl::Psh);
        assert_eq!(narrowed(ends, &scaled, FREE, 16 << 10), (16 << 10) >> 4);
        assert_eq!(narrowed(ends, &scaled, FREE, FREE), scaled.window_len);
        // Of a peer without scaling.
        let plain = segment(u16::MAX, TcpControl::None);
        assert_eq!(narrowed(ends, &plain, FREE, 16 << 10), 16 << 10);
        let small = segment(9000, TcpControl::None);
        assert_eq!(narrowed(ends, &small, 9000, 8 << 10), 8 << 10);
        // What says nothing about a window that is scaled, or nothing at all about what is free, stays.
        for control in [TcpControl::Syn, TcpControl::Rst] {
            let other = segment(u16::MAX, control);
            assert_eq!(narrowed(ends, &other, FREE, 8 << 10), u16::MAX);
        }
        let odd = segment(777, TcpControl::None);
        assert_eq!(narrowed(ends, &odd, FREE, 8 << 10), 777);
    }
}

#[test]
fn what_is_no_segment_stays() {
    for frame in [vec![], vec![0; HEADROOM], vec![0x45; HEADROOM + 30], vec![0x60; HEADROOM + 50]] {
        let mut same = frame.clone();
        change(&mut same, |segment| narrow(segment, FREE, 1));
        assert_eq!(same, frame);
    }
}

#[test]
fn the_part_is_that_of_those_who_move_at_the_same_time() {
    let full = Buffers { receive: FREE, send: FREE };
    let mut windows = Windows::default();
    windows.tick(at(100));
    assert_eq!(windows.part(full).receive, FREE);
    let mut heard = vec![0; 1000];
    for _ in 0..3 {
        heard.iter_mut().for_each(|heard| windows.heard(heard));
    }
    assert_eq!(windows.part(full).receive, SMALLEST.receive);
    // The second after counts what was before; the one after that does not.
    windows.tick(at(101));
    windows.heard(&mut heard[0]);
    assert_eq!(windows.part(full).receive, SMALLEST.receive);
    windows.tick(at(102));
    assert_eq!(windows.part(full).receive, FREE);
    heard[..10].iter_mut().for_each(|heard| windows.heard(heard));
    assert_eq!(windows.part(full).receive, FREE / 16);
    windows.tick(at(200));
    assert_eq!(windows.part(full).receive, FREE);
}
