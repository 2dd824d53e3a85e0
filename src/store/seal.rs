//! The sealed form of a session: AES-256-GCM, bound to its format and its gateway.
//!
//! Octets: [`MAGIC`], a random nonce of 12 octets, the ciphertext, a tag of 16 octets. The additional data are the magic and
//! the host, so a sealed session under another host's name, or under another format's, does not open.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// What every sealed session begins with; the digits are the format.
pub(super) const MAGIC: [u8; 8] = *b"ikeep 01";
/// Length of the key, octets.
pub(super) const KEY_LENGTH: usize = 32;
/// How much longer than its content a sealed session is, octets.
pub(super) const OVERHEAD: usize = MAGIC.len() + NONCE_LEN + 16;

/// Why octets do not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotOpened {
    /// Torn, changed, of another host or key, or never sealed.
    Damaged,
    /// Of this newer format.
    Newer(u32),
}

/// Seals `content`. A nonce serves once: 96 random bits are enough for the 2^32 writes that a key is good for.
pub(super) fn seal(
    key: &[u8; KEY_LENGTH],
    host: &str,
    nonce: [u8; NONCE_LEN],
    content: &[u8],
) -> Zeroizing<Vec<u8>> {
    let mut sealed = Zeroizing::new(Vec::with_capacity(content.len() + OVERHEAD));
    sealed.extend_from_slice(&MAGIC);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(content);
    let start = MAGIC.len() + NONCE_LEN;
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = cipher(key)
        .seal_in_place_separate_tag(nonce, additional(host), &mut sealed[start..])
        .expect("a session is far below the length that AES-GCM allows");
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// Opens what [`seal`] made for the same host with the same key.
pub(super) fn open(
    key: &[u8; KEY_LENGTH],
    host: &str,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let (magic, rest) = sealed.split_first_chunk::<{ MAGIC.len() }>().ok_or(NotOpened::Damaged)?;
    if *magic != MAGIC {
        return Err(format_of(magic).map_or(NotOpened::Damaged, NotOpened::Newer));
    }
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(NotOpened::Damaged)?;
    let mut content = Zeroizing::new(rest.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = cipher(key).open_in_place(nonce, additional(host), &mut content);
    let length = opened.map_err(|_| NotOpened::Damaged)?.len();
    content.truncate(length);
    Ok(content)
}

/// The format of a magic that is not ours: `None` where it is none of ours at all, or older than the first one.
fn format_of(magic: &[u8; MAGIC.len()]) -> Option<u32> {
    let digits = magic.strip_prefix(b"ikeep ")?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number > 1).then_some(number)
}

fn cipher(key: &[u8; KEY_LENGTH]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 octets"))
}

fn additional(host: &str) -> Aad<Vec<u8>> {
    Aad::from([&MAGIC[..], host.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; KEY_LENGTH] = [7; KEY_LENGTH];

    #[test]
    fn another_key_host_or_format_does_not_open() {
        let sealed = seal(&KEY, "gw.example", [1; 12], b"content");
        assert_eq!(open(&KEY, "gw.example", &sealed).unwrap()[..], *b"content");
        assert_eq!(open(&[8; 32], "gw.example", &sealed), Err(NotOpened::Damaged));
        assert_eq!(open(&KEY, "other.example", &sealed), Err(NotOpened::Damaged));
        let mut newer = sealed.to_vec();
        newer[7] = b'2';
        assert_eq!(open(&KEY, "gw.example", &newer), Err(NotOpened::Newer(2)));
        newer[7] = b'0';
        assert_eq!(open(&KEY, "gw.example", &newer), Err(NotOpened::Damaged));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_hides_its_content(
            key: [u8; 32], host: String, nonce: [u8; 12], content in proptest::collection::vec(any::<u8>(), 16..300),
        ) {
            let sealed = seal(&key, &host, nonce, &content);
            prop_assert_eq!(sealed.len(), content.len() + OVERHEAD);
            prop_assert!(!sealed.windows(16).any(|window| window == &content[..16]));
            prop_assert_eq!(&*open(&key, &host, &sealed).unwrap(), &content);
        }

        #[test]
        fn every_flipped_bit_and_every_cut_is_refused(content in proptest::collection::vec(any::<u8>(), 0..40)) {
            let sealed = seal(&KEY, "gw.example", [1; 12], &content);
            for bit in 0..sealed.len() * 8 {
                let mut flipped = sealed.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(open(&KEY, "gw.example", &flipped).is_err(), "bit {}", bit);
            }
            for length in 0..sealed.len() {
                prop_assert_eq!(open(&KEY, "gw.example", &sealed[..length]), Err(NotOpened::Damaged));
            }
        }

        #[test]
        fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..200), ours: bool) {
            let octets = if ours { [&MAGIC[..], &octets].concat() } else { octets };
            prop_assert!(open(&KEY, "gw.example", &octets).is_err());
        }
    }
}
