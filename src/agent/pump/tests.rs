use super::*;
use crate::tunnel::tun::VNET_HEADER;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send as give, socketpair};
use std::os::fd::OwnedFd;

/// A pump whose device is one end of a pair of sockets; the other end.
fn pump() -> (Pump<u8>, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (device, machine) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let device = Device::new(device, "ikeep0".to_owned(), 1, true).unwrap();
    (Pump::new(Arc::new(device)), machine)
}

/// What the machine hands over: a UDP datagram with `payload` octets that all are `mark`.
fn packet(mark: u8, payload: usize) -> Vec<u8> {
    let l4 = [0, 80, 0, 90, 0, 0, 0, 0];
    let length = (20 + l4.len() + payload) as u16;
    let mut packet = vec![0; VNET_HEADER];
    packet.extend([0x45, 0, (length >> 8) as u8, length as u8, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend([192, 168, 20, 5, 192, 168, 10, 1]);
    packet.extend(l4);
    packet.extend(vec![mark; payload]);
    packet
}

/// The last octet of everything that was sent; a socket that has room for so many datagrams.
struct Line {
    sent: Vec<u8>,
    room: usize,
}

impl Road for Line {
    type Way = u8;

    fn room(&self, _: IpAddr, length: usize) -> Option<(usize, usize)> {
        Some((0, length))
    }

    fn seal(&mut self, _: IpAddr, _: &mut [u8], length: usize) -> Option<(u8, usize)> {
        Some((7, length))
    }

    fn batch(&self, _: u8) -> usize {
        8
    }

    fn send(&mut self, way: u8, octets: &[u8], segment: usize, _: Ecn) -> (usize, io::Result<()>) {
        assert_eq!(way, 7);
        let mut taken = 0;
        for datagram in octets.chunks(segment) {
            if self.room == 0 {
                return (taken, Err(io::ErrorKind::WouldBlock.into()));
            }
            self.room -= 1;
            self.sent.push(*datagram.last().unwrap());
            taken += datagram.len();
        }
        (taken, Ok(()))
    }
}

/// Waits until the runtime knows that the device has something.
async fn readable(pump: &Pump<u8>) {
    std::future::poll_fn(|context| pump.poll_readable(context)).await;
}

#[tokio::test]
async fn a_go_ends_in_time() {
    let (mut pump, machine) = pump();
    for mark in 0..4 {
        give(&machine, &packet(mark, 45_000), SendFlags::empty()).unwrap();
    }
    let mut line = Line { sent: Vec::new(), room: 1000 };
    for expected in [vec![0, 1, 2], vec![0, 1, 2, 3]] {
        readable(&pump).await;
        pump.run(&mut line, 1400).unwrap();
        assert_eq!(line.sent, expected);
    }
}

#[tokio::test]
async fn a_full_socket_stops_the_reading_and_nothing_is_lost() {
    let (mut pump, machine) = pump();
    for mark in 0..40 {
        give(&machine, &packet(mark, 100), SendFlags::empty()).unwrap();
    }
    let mut line = Line { sent: Vec::new(), room: 10 };
    readable(&pump).await;
    pump.run(&mut line, 1400).unwrap();
    assert_eq!(pump.blocked(), Some(7));
    assert_eq!(line.sent, (0..10).collect::<Vec<_>>());
    line.room = 1000;
    while line.sent.last() != Some(&39) {
        readable(&pump).await;
        pump.run(&mut line, 1400).unwrap();
    }
    assert_eq!(line.sent, (0..40).collect::<Vec<_>>());
    assert_eq!(pump.lost, Lost::default());
    assert_eq!(pump.blocked(), None);
}
