//! Slices of before RFC 7383, some from the peer and some by a stranger: what comes out is put together of slices that came in,
//! in the order of their numbers, and once the stranger is silent, two repetitions are enough for the peer's message.
//! Each record: what to change of which slice of the peer's, and to what.

use super::common::HEAD;
use ikeep::ike::message::Header;
use ikeep::ike::sk::{Assembler, slice};

fn take(assembler: &mut Assembler, datagram: &[u8]) -> Option<Vec<u8>> {
    let header = Header::decode(datagram).ok()?;
    assembler.take(&header, datagram).ok().flatten()
}

/// One input.
pub(crate) fn check(data: &[u8]) {
    let message: Vec<u8> = (0..1_000_u32).map(|at| at as u8).collect();
    let slices = slice(&HEAD, 1, message.clone(), 236);
    let mut assembler = Assembler::default();
    for record in data.chunks_exact(4) {
        let mut datagram = slices[usize::from(record[0]) % slices.len()].clone();
        // Mostly the fields: they are where the rules are.
        let at = if record[1] & 0x80 == 0 { 28 + record[1] % 8 } else { record[1] };
        let length = datagram.len();
        datagram[usize::from(at) % length] = record[2];
        let length = length - usize::from(record[3] % 16);
        datagram.truncate(length);
        if let Some(whole) = take(&mut assembler, &datagram) {
            assert!(!whole.is_empty() && whole.len() <= 64 * 200);
        }
    }
    let wholes: Vec<_> =
        (0..2).flat_map(|_| &slices).filter_map(|datagram| take(&mut assembler, datagram)).collect();
    assert!(wholes.contains(&message));
}
