//! The certificate check, against chains of the lab's CA.

use ikeep::crypto::Hash;
use ikeep::ike::cert::{CertError, IdrCheck, Root, Trust, Verified};
use ikeep::ike::message::Identity;
use ikeep::lab::pki::{self, IssuedBy, Leaf, Pki, TestKey, Usage};
use ikeep::time::UnixTime;
use proptest::prelude::*;
use x509_parser::prelude::{FromDer, X509Certificate};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const HOST: &str = "flexvpn-c8kv.example.com";
const DAY: u64 = 86_400;

struct Fixture {
    pki: Pki,
    trust: Trust,
}

fn fixture() -> Fixture {
    let pki = Pki::new(NOW).unwrap();
    let trust = trusting(pki.ca(), true);
    Fixture { pki, trust }
}

fn trusting(root: &[u8], configured: bool) -> Trust {
    Trust { roots: vec![Root { der: root.to_vec(), configured }], ..Trust::default() }
}

impl Fixture {
    fn leaf(&self) -> Leaf {
        self.pki.leaf(HOST)
    }
    fn chain(&self, leaf: &Leaf) -> Vec<Vec<u8>> {
        self.pki.issue(leaf).unwrap().chain
    }
    fn verify(&self, leaf: &Leaf) -> Result<Verified, CertError> {
        self.verify_for(leaf, HOST)
    }
    fn verify_for(&self, leaf: &Leaf, host: &str) -> Result<Verified, CertError> {
        self.trust.verify(&self.chain(leaf), host, NOW)
    }
}

#[test]
fn an_honest_gateway_passes() {
    let f = fixture();
    let verified = f.verify(&f.leaf()).unwrap();
    assert_eq!(verified.spki, TestKey::Gateway.spki().unwrap());
    assert_eq!(verified.subject, format!("CN={HOST}"));
    assert_eq!(verified.not_after, NOW + pki::VALIDITY);
    assert_eq!(verified.root_key.as_slice(), Hash::Sha1.digest(&[&TestKey::Ca.spki().unwrap()]));
    assert_eq!(verified.fingerprint.as_slice(), Hash::Sha256.digest(&[&f.chain(&f.leaf())[0]]));
    assert!(f.verify(&Leaf { key: TestKey::GatewayP256, ..f.leaf() }).is_ok());
}

#[test]
fn no_certificate_or_rubbish_is_refused() {
    let f = fixture();
    let chain = f.chain(&f.leaf());
    assert_eq!(f.trust.verify(&[], HOST, NOW), Err(CertError::Missing));
    assert!(matches!(f.trust.verify(&[vec![1, 2, 3]], HOST, NOW), Err(CertError::Malformed(_))));
    assert_eq!(f.trust.verify(&vec![chain[0].clone(); 17], HOST, NOW), Err(CertError::TooMany(17)));
    let trailing = [chain[0].as_slice(), &[0]].concat();
    assert!(matches!(f.trust.verify(&[trailing], HOST, NOW), Err(CertError::Malformed(_))));
    let with_rubbish = [chain[0].clone(), vec![0x30, 0x00]];
    assert!(f.trust.verify(&with_rubbish, HOST, NOW).is_ok(), "an extra that cannot be read does no harm");
}

#[test]
fn a_flipped_bit_is_refused() {
    let f = fixture();
    let chain = f.chain(&f.leaf());
    for at in [chain[0].len() - 1, chain[0].len() / 2, 60] {
        let mut flipped = chain[0].clone();
        flipped[at] ^= 1;
        assert!(f.trust.verify(&[flipped], HOST, NOW).is_err(), "octet {at}");
    }
    let mut flipped = chain[0].clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(f.trust.verify(&[flipped], HOST, NOW), Err(CertError::Signature(_))));
}

#[test]
fn an_unknown_issuer_is_named() {
    let f = fixture();
    let error = f.verify(&Leaf { issuer: IssuedBy::OtherCa, ..f.leaf() }).unwrap_err();
    assert!(
        matches!(&error, CertError::UnknownIssuer { issuer, .. } if issuer == "CN=another CA"),
        "{error:?}"
    );
    assert!(error.to_string().contains("--trust"));
    let none = Trust::default();
    assert!(matches!(
        none.verify(&f.chain(&f.leaf()), HOST, NOW),
        Err(CertError::UnknownIssuer { issuer, .. }) if issuer == "CN=ikeep lab CA"
    ));
}

#[test]
fn an_intermediate_is_needed_and_found_in_any_order() {
    let f = fixture();
    let leaf = Leaf { issuer: IssuedBy::Intermediate, ..f.leaf() };
    let mut chain = f.chain(&leaf);
    assert!(f.trust.verify(&chain, HOST, NOW).is_ok());
    chain.insert(1, f.pki.other_ca().to_vec());
    assert!(f.trust.verify(&chain, HOST, NOW).is_ok());
    chain.truncate(1);
    assert!(matches!(
        f.trust.verify(&chain, HOST, NOW),
        Err(CertError::UnknownIssuer { issuer, .. }) if issuer == "CN=ikeep lab intermediate CA"
    ));
}

#[test]
fn a_sent_root_is_not_trusted_for_being_sent() {
    let f = fixture();
    let mut chain = f.chain(&Leaf { issuer: IssuedBy::OtherCa, ..f.leaf() });
    chain.push(f.pki.other_ca().to_vec());
    assert!(matches!(f.trust.verify(&chain, HOST, NOW), Err(CertError::UnknownIssuer { .. })));
}

#[test]
fn validity_is_checked_at_the_given_time() {
    let f = fixture();
    let day = |days: i64| UnixTime::from_secs(NOW.as_secs().checked_add_signed(days * DAY as i64).unwrap());
    let expired = f.verify(&Leaf { not_after: day(-1), not_before: day(-9), ..f.leaf() }).unwrap_err();
    let CertError::Expired { since, now, .. } = &expired else { panic!("{expired:?}") };
    assert_eq!((since.as_str(), now.as_str()), ("2027-01-14T08:00:00Z", "2027-01-15T08:00:00Z"));
    assert!(expired.to_string().contains("clock"));
    let early = f.verify(&Leaf { not_before: day(1), ..f.leaf() }).unwrap_err();
    assert!(matches!(early, CertError::NotYetValid { .. }));
    // The root's own end counts, too: ten years after the fixture's.
    let late = day(4000);
    let leaf = Leaf { not_after: day(9000), ..f.leaf() };
    let error = f.trust.verify(&f.chain(&leaf), HOST, late).unwrap_err();
    assert!(
        matches!(&error, CertError::Expired { subject, .. } if subject == "CN=ikeep lab CA"),
        "{error:?}"
    );
}

#[test]
fn the_name_must_be_an_alternative_name() {
    let f = fixture();
    let named = |names: &[&str]| Leaf { names: names.iter().map(|n| n.to_string()).collect(), ..f.leaf() };
    for (names, host, passes) in [
        (&["a.example.com", HOST][..], HOST, true),
        (&[HOST], "FLEXVPN-c8kv.Example.COM", true),
        (&[HOST], "flexvpn-c8kv.example.com.", true),
        (&["*.example.com"], HOST, true),
        (&["*.example.com"], "a.b.example.com", false),
        (&["*.example.com"], "example.com", false),
        (&["other.example.com"], HOST, false),
        (&["10.9.0.1"], "10.9.0.1", true),
        (&["2001:db8::1"], "2001:db8::1", true),
        (&["2001:db8::1"], "[2001:db8:0::1]", true),
        (&["10.9.0.1"], "10.9.0.2", false),
        (&["10.9.0.1"], HOST, false),
        (&[HOST], "10.9.0.1", false),
    ] {
        let result = f.verify_for(&named(names), host);
        assert_eq!(result.is_ok(), passes, "{names:?} for {host}: {result:?}");
        if let Err(error) = result {
            assert!(
                matches!(&error, CertError::Name { expected, found } if expected == host && found == names[0])
            );
        }
    }
    assert!(matches!(f.verify_for(&f.leaf(), "not a host"), Err(CertError::Host(_))));
}

#[test]
fn the_common_name_counts_only_alone_and_below_a_configured_root() {
    let f = fixture();
    let cn_only = Leaf { names: Vec::new(), ..f.leaf() };
    assert!(f.verify(&cn_only).is_ok());
    assert!(f.verify_for(&Leaf { common_name: "10.9.0.1".into(), ..cn_only.clone() }, "10.9.0.1").is_ok());
    assert!(matches!(f.verify_for(&cn_only, "example.com"), Err(CertError::Name { .. })));
    let system = trusting(f.pki.ca(), false);
    let error = system.verify(&f.chain(&cn_only), HOST, NOW).unwrap_err();
    assert!(matches!(error, CertError::CommonNameOnly { .. }), "{error:?}");
    let beside = Leaf { names: vec!["10.9.0.1".into()], ..f.leaf() };
    assert!(
        matches!(f.verify(&beside), Err(CertError::Name { .. })),
        "an alternative name of any kind rules"
    );
    let wildcard = Leaf { common_name: "*.example.com".into(), ..cn_only };
    assert!(matches!(f.verify(&wildcard), Err(CertError::Name { .. })));
}

#[test]
fn extended_key_usage_must_fit() {
    let f = fixture();
    for (usages, passes) in [
        (vec![], true),
        (vec![Usage::Any], true),
        (vec![Usage::ServerAuth], true),
        (vec![Usage::Ike], true),
        (vec![Usage::IkeIntermediate], true),
        (vec![Usage::ClientAuth, Usage::Ike], true),
        (vec![Usage::ClientAuth], false),
    ] {
        let result = f.verify(&Leaf { usages: usages.clone(), ..f.leaf() });
        assert_eq!(result.is_ok(), passes, "{usages:?}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, CertError::Usage { found } if found == "1.3.6.1.5.5.7.3.2"));
        }
    }
}

#[test]
fn a_ca_is_no_gateway_and_a_gateway_is_no_ca() {
    let f = fixture();
    assert!(matches!(f.verify(&Leaf { is_ca: true, ..f.leaf() }), Err(CertError::CaAsLeaf(_))));
    // A configured end-entity certificate vouches for itself ..
    let own = Leaf { issuer: IssuedBy::SelfSigned, key: TestKey::Ca, ..f.leaf() };
    let chain = f.chain(&own);
    let trust = trusting(&chain[0], true);
    assert!(trust.verify(&chain, HOST, NOW).is_ok());
    assert!(matches!(trust.verify(&chain, "other.example.com", NOW), Err(CertError::Name { .. })));
    assert!(f.trust.verify(&chain, HOST, NOW).is_err(), "not where only the CA is configured");
    // .. but for nobody else: the lab's CA under that name and key has issued another certificate.
    let root = Leaf { common_name: "ikeep lab CA".into(), ..own };
    let trust = trusting(&f.chain(&root)[0], true);
    let error = trust.verify(&f.chain(&f.leaf()), HOST, NOW).unwrap_err();
    assert!(matches!(error, CertError::RootNotCa(_)), "{error:?}");
}

#[test]
fn a_pin_may_be_of_any_certificate_of_the_chain() {
    let mut f = fixture();
    let leaf = Leaf { issuer: IssuedBy::Intermediate, ..f.leaf() };
    let pin = |key: TestKey| -> [u8; 64] { Hash::Sha512.digest(&[&key.spki().unwrap()]).try_into().unwrap() };
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    for (pins, passes) in [
        (vec![], true),
        (vec![pin(TestKey::Gateway)], true),
        (vec![pin(TestKey::Intermediate)], true),
        (vec![pin(TestKey::User), pin(TestKey::Ca)], true),
        (vec![pin(TestKey::OtherCa)], false),
        (vec![[0; 64]], false),
    ] {
        f.trust.pins = pins;
        let result = f.verify(&leaf);
        assert_eq!(result.is_ok(), passes, "{result:?}");
        assert!(
            passes || matches!(result, Err(CertError::Pin { leaf }) if leaf == hex(&pin(TestKey::Gateway)))
        );
    }
    // A certificate that was sent but is not of the verified chain does not count.
    f.trust.pins = vec![pin(TestKey::OtherCa)];
    let mut chain = f.chain(&leaf);
    chain.push(f.pki.other_ca().to_vec());
    assert!(matches!(f.trust.verify(&chain, HOST, NOW), Err(CertError::Pin { .. })));
}

#[test]
fn the_public_test_keys_count_only_below_the_labs_own_root() {
    let f = fixture();
    let system = trusting(f.pki.ca(), false);
    assert_eq!(system.verify(&f.chain(&f.leaf()), HOST, NOW), Err(CertError::TestKey));
    // Any one of two roots with the same name and key will do.
    let mut both = system;
    both.roots.push(Root { der: f.pki.ca().to_vec(), configured: true });
    assert!(both.verify(&f.chain(&f.leaf()), HOST, NOW).is_ok());
}

#[test]
fn certreq_names_configured_and_last_matching_roots_only() {
    let f = fixture();
    let key = |key: TestKey| -> [u8; 20] { Hash::Sha1.digest(&[&key.spki().unwrap()]).try_into().unwrap() };
    let mut trust = f.trust.clone();
    trust.roots.push(Root { der: f.pki.other_ca().to_vec(), configured: false });
    trust.roots.push(Root { der: f.pki.ca().to_vec(), configured: true });
    trust.roots.push(Root { der: b"rubbish".to_vec(), configured: true });
    assert_eq!(trust.certreq(None), key(TestKey::Ca));
    assert_eq!(trust.certreq(Some([9; 20])), key(TestKey::Ca), "a root that is gone is not asked for");
    let both = [key(TestKey::Ca), key(TestKey::OtherCa)].concat();
    assert_eq!(trust.certreq(Some(key(TestKey::OtherCa))), both);
    assert!(trusting(f.pki.ca(), false).certreq(None).is_empty());
}

#[test]
fn idr_must_be_in_the_certificate_or_be_an_address() {
    let f = fixture();
    let leaf = &f.chain(&Leaf { names: vec![HOST.into(), "10.9.0.1".into()], ..f.leaf() })[0];
    let subject = X509Certificate::from_der(leaf).unwrap().1.subject().as_raw().to_vec();
    let strict = Trust { idr_check: IdrCheck::Cert, ..Trust::default() };
    for (kind, data, passes, passes_strictly) in [
        (2, HOST.as_bytes(), true, true),
        (2, b"other.example.com".as_slice(), false, false),
        (2, b"10.9.0.1", false, false),
        (1, &[10, 9, 0, 1], true, true),
        (1, &[10, 106, 45, 225], true, false),
        (1, &[10, 9, 0], false, false),
        (5, &[0; 16], true, false),
        (9, &subject, true, true),
        (9, &subject[1..], false, false),
        (11, HOST.as_bytes(), false, false),
        (3, b"vpn@example.com", false, false),
        (2, b"\xff", false, false),
    ] {
        let idr = Identity { kind, data: data.to_vec() };
        assert_eq!(f.trust.check_idr(leaf, &idr).is_ok(), passes, "{idr:?}");
        assert_eq!(strict.check_idr(leaf, &idr).is_ok(), passes_strictly, "strictly {idr:?}");
    }
    let cn_only = &f.chain(&Leaf { names: vec![], ..f.leaf() })[0];
    assert!(strict.check_idr(cn_only, &Identity { kind: 2, data: HOST.into() }).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_certificate_is_refused_without_a_panic(
        der in proptest::collection::vec(any::<u8>(), 0..200),
        kind: u8,
        host in ".{0,20}",
    ) {
        let trust = Trust { roots: vec![Root { der: der.clone(), configured: true }], ..Trust::default() };
        prop_assert!(trust.verify(std::slice::from_ref(&der), &host, NOW).is_err());
        let idr = Identity { kind, data: der.clone() };
        prop_assert!(trust.check_idr(&der, &idr).is_err());
    }

    #[test]
    fn a_damaged_certificate_never_panics(at in 0..700usize, by in 1..=255u8) {
        let f = fixture();
        let mut der = f.chain(&f.leaf()).remove(0);
        let at = at % der.len();
        der[at] ^= by;
        prop_assert!(f.trust.verify(std::slice::from_ref(&der), HOST, NOW).is_err());
        let _ = f.trust.check_idr(&der, &Identity { kind: 2, data: HOST.into() });
    }
}
