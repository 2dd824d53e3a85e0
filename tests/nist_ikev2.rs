//! NIST CAVS 17.3, "IKE v2": SKEYSEED, DKM, Child SA keys with and without Diffie-Hellman, SKEYSEED of a rekey.
//!
//! The file is not part of the project: `IKEEP_NIST_FAX` says where it is, and without it the cases are left out.

mod common;

use common::recording::unhex;
use ikeep::crypto::{Encr, Group, Integ, Prf, Secret};
use ikeep::ike::keys::{ChildKeying, SaKeys, rekey_skeyseed, skeyseed};
use ikeep::ike::proposal::IkeSuite;
use std::collections::BTreeMap;
use std::io::Write;

/// The fields of one case, by name.
type Case = BTreeMap<String, Vec<u8>>;

#[test]
fn nist_cases() {
    let Some(path) = std::env::var_os("IKEEP_NIST_FAX") else {
        // `eprintln!` would be swallowed for a passing test.
        let _ =
            writeln!(std::io::stderr(), "left out: nist_cases (IKEEP_NIST_FAX does not name NIST's file)");
        return;
    };
    let text = std::fs::read_to_string(&path).expect("the file IKEEP_NIST_FAX names");
    let (mut prf, mut case, mut checked) = (None, Case::new(), 0);
    for line in text.lines().map(str::trim).chain(["COUNT = end"]) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            checked += check(prf, &std::mem::take(&mut case));
            prf = match name {
                "SHA-1" => Some(Prf::HmacSha1),
                "SHA-256" => Some(Prf::HmacSha256),
                "SHA-384" => Some(Prf::HmacSha384),
                "SHA-512" => Some(Prf::HmacSha512),
                other if other.starts_with("SHA") => None,
                _ => prf,
            };
        } else if line.starts_with("COUNT") {
            checked += check(prf, &std::mem::take(&mut case));
        } else if let Some((name, value)) = line.split_once(" = ") {
            case.insert(name.to_owned(), unhex(value));
        }
    }
    assert!(checked >= 900, "only {checked} cases were found");
}

/// Checks one case; 0 where there is none, or its hash is none of ours.
fn check(prf: Option<Prf>, case: &Case) -> usize {
    let Some(prf) = prf.filter(|_| !case.is_empty()) else { return 0 };
    let field = |name: &str| case.get(name).unwrap_or_else(|| panic!("no {name}")).as_slice();
    let (ni, nr) = (field("Ni"), field("Nr"));
    let [spi_i, spi_r] = ["SPIi", "SPIr"].map(|name| <[u8; 8]>::try_from(field(name)).expect("eight octets"));
    let [shared, new] = ["g^ir", "g^ir (new)"].map(|name| Secret::from(field(name)));

    let seed = skeyseed(prf, ni, nr, &shared);
    assert_eq!(seed.expose(), field("SKEYSEED"));
    let dkm = field("DKM");
    assert_eq!(prf.plus(seed.expose(), &[ni, nr, &spi_i, &spi_r], dkm.len()).expose(), dkm);

    // Our seven keys are the start of DKM, one after the other.
    let suite = IkeSuite {
        encr: Encr::AesCbc256,
        integ: Some(Integ::HmacSha256_128),
        prf,
        group: Group::Modp2048,
        additional: None,
    };
    let keys = SaKeys::derive(&suite, ni, nr, &shared, &spi_i, &spi_r);
    let all = [&keys.sk_d, &keys.sk_ai, &keys.sk_ar, &keys.sk_ei, &keys.sk_er, &keys.sk_pi, &keys.sk_pr];
    let all = all.map(Secret::expose).concat();
    let common = all.len().min(dkm.len());
    assert!(common > keys.sk_d.len(), "more than SK_d is compared");
    assert_eq!(all[..common], dkm[..common]);

    for (name, shared) in [("DKM(Child SA)", None), ("DKM(Child SA D-H)", Some(&new))] {
        let keying = ChildKeying { prf, sk_d: &keys.sk_d, ni, nr, shared };
        assert_eq!(keying.keymat(field(name).len()).expose(), field(name), "{name}");
    }
    assert_eq!(rekey_skeyseed(prf, &keys.sk_d, ni, nr, &new).expose(), field("SKEYSEED(Rekey)"));
    1
}
