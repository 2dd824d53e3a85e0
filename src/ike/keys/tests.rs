//! Lengths and order of the keys; the values are checked by the recordings and the NIST file (`tests/`).

use super::*;
use crate::crypto::{Encr, Group};

const CBC: IkeSuite = IkeSuite {
    encr: Encr::AesCbc256,
    integ: Some(Integ::HmacSha384_192),
    prf: Prf::HmacSha512,
    group: Group::Ecp256,
    additional: None,
};
const GCM: IkeSuite = IkeSuite {
    encr: Encr::AesGcm128,
    integ: None,
    prf: Prf::HmacSha256,
    group: Group::Curve25519,
    additional: None,
};

fn secret(octet: u8) -> Secret {
    Secret::new(vec![octet; 32])
}

fn lengths(keys: &SaKeys) -> [usize; 7] {
    let SaKeys { sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr } = keys;
    [sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr].map(Secret::len)
}

#[test]
fn keys_have_the_lengths_of_their_algorithms() {
    let derive = |suite| SaKeys::derive(suite, &[1; 32], &[2; 32], &secret(3), &[4; 8], &[5; 8]);
    assert_eq!(lengths(&derive(&CBC)), [64, 48, 48, 32, 32, 64, 64]);
    assert_eq!(lengths(&derive(&GCM)), [32, 0, 0, 20, 20, 32, 32], "SK_e holds the salt");
}

#[test]
fn a_rekey_uses_the_old_prf_for_skeyseed_and_the_new_one_after_it() {
    let old = secret(9);
    let keys =
        SaKeys::derive_rekey(Prf::HmacSha384, &old, &GCM, &[1; 32], &[2; 32], &secret(3), &[4; 8], &[5; 8]);
    let seed = Prf::HmacSha384.compute(old.expose(), &[&[3; 32], &[1; 32], &[2; 32]]);
    let keymat = Prf::HmacSha256.plus(seed.expose(), &[&[1; 32], &[2; 32], &[4; 8], &[5; 8]], 32);
    assert_eq!(keys.sk_d, keymat);
    assert_eq!(lengths(&keys), [32, 0, 0, 20, 20, 32, 32]);
}

#[test]
fn both_ends_of_a_child_sa_derive_the_same_keys() {
    let (sk_d, shared) = (secret(1), secret(2));
    for shared in [None, Some(&shared)] {
        let keying = ChildKeying { prf: Prf::HmacSha384, sk_d: &sk_d, ni: &[3; 32], nr: &[4; 32], shared };
        for (encr, integ) in [(Encr::AesCbc256, Some(Integ::HmacSha256_128)), (Encr::AesGcm256, None)] {
            let suite = EspSuite { encr, integ, group: None, esn: true };
            let initiator = keying.derive(&suite, true, 10, 20, vec![], vec![]);
            let responder = keying.derive(&suite, false, 20, 10, vec![], vec![]);
            assert_eq!((initiator.spi_in, initiator.spi_out, initiator.esn), (10, 20, true));
            assert_eq!(initiator.encr_out, responder.encr_in);
            assert_eq!(initiator.encr_in, responder.encr_out);
            assert_eq!(initiator.integ_out, responder.integ_in);
            assert_eq!(initiator.integ_in, responder.integ_out);
            assert!(initiator.encr_out != initiator.encr_in, "each direction has its own key");
            assert_eq!(initiator.encr_out.len(), encr.key_len());
            assert_eq!(initiator.integ_out.len(), integ.map_or(0, Integ::key_len));
        }
    }
}
