//! The Internet checksum (RFC 1071), fast enough for every octet of a tunnel.

/// A running sum of 16-bit words, not folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds octets; all but the last piece have an even length.
    pub(super) fn add(mut self, octets: &[u8]) -> Self {
        // Words of 32 bits into 64-bit lanes: a packet is far too short to overflow them. Network order is restored at the end.
        let mut lanes = [0_u64; 4];
        let mut chunks = octets.chunks_exact(16);
        for chunk in &mut chunks {
            for (lane, word) in lanes.iter_mut().zip(chunk.chunks_exact(4)) {
                *lane += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
            }
        }
        let mut sum = lanes.iter().sum::<u64>();
        let mut words = chunks.remainder().chunks_exact(2);
        for word in &mut words {
            sum += u64::from(u16::from_ne_bytes([word[0], word[1]]));
        }
        if let [last] = words.remainder() {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        self.0 += sum;
        self
    }

    /// Adds a number as it would stand in a packet.
    pub(super) fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word.to_be()))
    }

    /// Folded, not complemented: what a partial checksum holds.
    pub(super) fn fold(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (sum as u16).to_ne_bytes()
    }

    /// The checksum.
    pub(super) fn finish(self) -> [u8; 2] {
        self.fold().map(|octet| !octet)
    }

    /// True where a checksum that was summed with the rest is right.
    pub(super) fn is_right(self) -> bool {
        self.fold() == [0xff, 0xff]
    }
}

/// The pseudo header (RFC 9293 3.1, RFC 8200 8.1): both addresses as octets, protocol, and length of what follows.
pub(super) fn pseudo(addresses: &[u8], protocol: u8, length: usize) -> Sum {
    // A length beyond 16 bits has no IPv4 packet, and its upper half counts as a word of its own in IPv6.
    let length = u32::try_from(length).unwrap_or_default();
    Sum::default().add(addresses).word(u16::from(protocol)).word((length >> 16) as u16).word(length as u16)
}

/// A checksum after one of the words that it covers has changed (RFC 1624).
pub(super) fn replace(checksum: [u8; 2], old: [u8; 2], new: [u8; 2]) -> [u8; 2] {
    let complement = |octets: [u8; 2]| !u16::from_be_bytes(octets);
    let sum =
        u32::from(complement(checksum)) + u32::from(complement(old)) + u32::from(u16::from_be_bytes(new));
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!(folded as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071, word by word.
    fn slow(octets: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for word in octets.chunks(2) {
            sum += u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 1071 3: the sum is ddf2.
        assert_eq!(Sum::default().add(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]).fold(), [0xdd, 0xf2]);
    }

    proptest! {
        #[test]
        fn the_same_as_word_by_word(octets in proptest::collection::vec(any::<u8>(), 0..3000), cut in 0..1500_usize) {
            let cut = (cut * 2).min(octets.len() & !1);
            let (a, b) = octets.split_at(cut);
            prop_assert_eq!(Sum::default().add(a).add(b).finish(), slow(&octets).to_be_bytes());
        }

        #[test]
        fn a_replaced_word(mut octets in proptest::collection::vec(any::<u8>(), 4..60), new: [u8; 2]) {
            octets[0] |= 1; // not all zero: there 0 and ffff are the same number
            let before = slow(&octets).to_be_bytes();
            let old = [octets[2], octets[3]];
            octets[2..4].copy_from_slice(&new);
            prop_assert_eq!(replace(before, old, new), slow(&octets).to_be_bytes());
        }
    }
}
