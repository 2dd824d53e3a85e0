//! Packets of a device: joining loses no octet of payload and goes through cutting unharmed, whatever the packets are.

use ikeep::tunnel::tun::{Merge, Offload, Split, VNET_HEADER, clamp};

/// Cuts `read`, a header and a packet; the parts.
fn cut(read: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut split = Split::new(read).ok()?;
    let largest = split.largest();
    let mut room = vec![0; largest];
    let mut parts = Vec::new();
    while let Some(length) = split.next(&mut room) {
        assert!(0 < length && length <= largest && parts.len() < 70_000);
        parts.push(room[..length].to_vec());
    }
    Some(parts)
}

/// One input.
pub(crate) fn check(input: &[u8]) {
    // As the kernel might hand it over.
    let _ = cut(input);

    // As a gateway might send it: each piece begins with its length.
    let (mut buffer, mut places, mut rest) = (Vec::new(), Vec::new(), input);
    while let Some((length, behind)) = rest.split_first() {
        let (packet, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        places.push(buffer.len()..buffer.len() + packet.len());
        buffer.extend(packet);
        rest = behind;
    }
    let before = buffer.clone();
    for offload in [Offload::Nothing, Offload::Tcp, Offload::TcpAndUdp] {
        let mut buffer = before.clone();
        let mut merge = Merge::new(offload);
        for place in &places {
            merge.push(&buffer, place.clone());
        }
        let mut count = 0;
        merge.flush(&mut buffer, |buffer, joined| {
            let mut read = joined.header.to_vec();
            read.extend(&buffer[joined.first]);
            for more in joined.more {
                read.extend(&buffer[more.clone()]);
            }
            count += 1 + joined.more.len();
            let parts = cut(&read).expect("what was joined can be cut");
            assert_eq!(parts.len(), if read.len() == VNET_HEADER { 0 } else { 1 + joined.more.len() });
        });
        assert_eq!(count, places.len());
    }
    for place in places {
        clamp(&mut buffer[place], 576);
    }
}
