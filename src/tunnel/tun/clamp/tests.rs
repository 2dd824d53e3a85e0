use super::super::testing::{Segment, sound};
use super::*;
use proptest::prelude::*;

fn syn(ipv6: bool, options: &[u8]) -> Vec<u8> {
    let options = options.to_vec();
    Segment { ipv6, flags: flag::SYN, options, ..Segment::data(4000, 1, &[]) }.octets()
}

#[test]
fn a_syn_says_what_fits() {
    for (ipv6, mtu, expected) in
        [(false, 1400, 1360_u16), (true, 1400, 1340), (false, 300, 536), (false, 1500, 1460)]
    {
        // At an even place, and at an odd one.
        for (options, at) in [([2, 4, 5, 180, 4, 2, 1, 1], 2), ([1, 2, 4, 5, 180, 1, 1, 0], 3)] {
            let mut packet = syn(ipv6, &options);
            let changed = clamp(&mut packet, mtu);
            let at = if ipv6 { 60 } else { 40 } + at;
            assert_eq!(u16::from_be_bytes([packet[at], packet[at + 1]]), expected.min(1460));
            assert_eq!(changed, expected != 1460);
            assert!(sound(&packet), "{ipv6} {mtu} {options:?}");
        }
    }
}

#[test]
fn what_is_no_syn_stays() {
    let mut data = Segment { options: vec![2, 4, 5, 180], ..Segment::data(4000, 1, &[1]) }.octets();
    assert!(!clamp(&mut data, 600));
    assert!(!clamp(&mut syn(false, &[3, 3, 7, 0]), 600), "no MSS option");
    assert!(!clamp(&mut syn(false, &[2, 9, 5, 180]), 600), "an option longer than the header");
}

proptest! {
    #[test]
    fn any_octets_pass(mut packet in proptest::collection::vec(any::<u8>(), 0..120), mtu in 0..2000_usize, real: bool) {
        if real && packet.len() > 40 {
            packet[0] = 0x45;
            packet[6] = 0;
            packet[7] = 0;
            packet[9] = 6;
            packet[2..4].copy_from_slice(&[0, 41]);
            packet[33] |= 2;
        }
        let length = packet.len();
        clamp(&mut packet, mtu);
        prop_assert_eq!(packet.len(), length);
    }
}
