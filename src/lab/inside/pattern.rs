//! A stream of octets whose every part says where it belongs: what arrives shifted, doubled or shortened is seen.

/// Octets that one number gives.
const WORD: u64 = 8;

/// The octet at `position`.
pub fn octet(position: u64) -> u8 {
    word(position / WORD)[(position % WORD) as usize]
}

/// The octets from `position` on.
pub fn fill(position: u64, out: &mut [u8]) {
    let skipped = (position % WORD) as usize;
    let first = out.len().min(WORD as usize - skipped);
    let (head, rest) = out.split_at_mut(first);
    head.copy_from_slice(&word(position / WORD)[skipped..skipped + first]);
    for (number, piece) in (position / WORD + 1..).zip(rest.chunks_mut(WORD as usize)) {
        piece.copy_from_slice(&word(number)[..piece.len()]);
    }
}

/// The first of `octets`, which begin at `position`, that is not what it should be.
pub fn first_wrong(position: u64, octets: &[u8]) -> Option<u64> {
    let mut expected = [0; 4096];
    for (start, piece) in (position..).step_by(expected.len()).zip(octets.chunks(expected.len())) {
        let expected = &mut expected[..piece.len()];
        fill(start, expected);
        if expected != piece {
            let same = expected.iter().zip(piece).take_while(|(a, b)| a == b).count();
            return Some(start + same as u64);
        }
    }
    None
}

/// Different for every number: it can be undone.
fn word(number: u64) -> [u8; WORD as usize] {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_piece_is_the_same_however_it_is_cut() {
        let whole: Vec<u8> = (0..300).map(octet).collect();
        for from in 0..20 {
            for length in [0, 1, 7, 8, 9, 16, 100, 280] {
                let mut piece = vec![0; length];
                fill(from as u64, &mut piece);
                assert_eq!(piece, whole[from..from + length], "{length} octets from {from}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_found_where_it_is() {
        let mut octets = vec![0; 10_000];
        fill(77, &mut octets);
        assert_eq!(first_wrong(77, &octets), None);
        assert_eq!(first_wrong(78, &octets), Some(78));
        octets[5000] ^= 1;
        assert_eq!(first_wrong(77, &octets), Some(5077));
    }

    #[test]
    fn no_place_looks_like_another() {
        let mut octets = vec![0; 1 << 20];
        fill(0, &mut octets);
        let places: BTreeSet<&[u8]> = octets.windows(8).step_by(3).collect();
        assert_eq!(places.len(), octets.windows(8).step_by(3).count());
    }
}
