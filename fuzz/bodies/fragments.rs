//! Authentic fragments in any order, of several messages and sizes: the chain that comes out is one that was sent.
//! Each pair of octets picks a message, its fragment size, and one of its fragments.

use super::common::{GCM, HEAD, Zeroes, opener, sealer};
use ikeep::ike::message::{Header, Outgoing};
use ikeep::ike::sk::{Sealer, SkError};
use std::collections::BTreeMap;

/// The chain of this message: any octets that tell it from the others.
fn chain(message_id: u32) -> Vec<u8> {
    vec![message_id as u8; 300 + 40 * message_id as usize]
}

/// One input.
pub(crate) fn check(data: &[u8]) {
    let (mut sealer, mut opener): (Sealer, _) = (sealer(GCM), opener(GCM));
    let mut sizes = BTreeMap::new();
    for pair in data.chunks_exact(2) {
        let message_id = u32::from(pair[0] & 3);
        let head = Outgoing { message_id, response: pair[0] & 4 != 0, ..HEAD };
        let size = Some(90 + 20 * usize::from(pair[0] >> 4));
        let whole = pair[0] & 8 != 0;
        let sealed = sealer.seal_chain(&head, 43, &chain(message_id), size.filter(|_| !whole), &mut Zeroes);
        // Whoever cuts a message anew makes more fragments of it (RFC 7383 2.5.2): one total is one way of cutting.
        if *sizes.entry((message_id, head.response, sealed.len())).or_insert(size) != size {
            continue;
        }
        let datagram = &sealed[usize::from(pair[1]) % sealed.len()];
        match opener.open_chain(&Header::decode(datagram).expect("our own header"), datagram) {
            Ok(Some((first, opened))) => {
                assert_eq!((first, opened.as_slice()), (43, chain(message_id).as_slice()));
            }
            Ok(None) | Err(SkError::Fragment { .. }) => {
                assert!(sealed.len() > 1, "whole messages open at once")
            }
            Err(error) => panic!("{error} in an authentic fragment"),
        }
    }
}
