//! AUTH by signature: every method verifies its own signatures and no others.

use ikeep::crypto::{Hash, Scheme, SignatureError, Signer, verify};
use ikeep::ike::auth::{method, sign, verify_signature};
use ikeep::lab::pki::TestKey;
use proptest::prelude::*;

const OCTETS: &[u8] = b"what is signed";
const HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

fn signed(key: TestKey, scheme: Scheme) -> Vec<u8> {
    key.signing_key().unwrap().sign(scheme, OCTETS).unwrap()
}

fn check(method: u8, data: &[u8], key: TestKey) -> Result<(), SignatureError> {
    verify_signature(method, data, OCTETS, &key.spki().unwrap(), false)
}

/// A signer that makes one scheme only, so that `sign` has no choice.
struct Only<'a>(&'a dyn Signer, [Scheme; 1]);

impl Signer for Only<'_> {
    fn schemes(&self) -> &[Scheme] {
        &self.1
    }
    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        self.0.sign(scheme, message)
    }
}

/// AUTH data of method 14 under this scheme.
fn digital_signature(key: TestKey, scheme: Scheme) -> Vec<u8> {
    let signer = key.signing_key().unwrap();
    let (method, data) = sign(&Only(&signer, [scheme]), OCTETS, Some(&HASHES), Hash::Sha256).unwrap();
    assert_eq!(method, method::DIGITAL_SIGNATURE);
    data
}

#[test]
fn every_method_verifies_its_own_signatures_and_no_others() {
    for hash in HASHES {
        let signature = signed(TestKey::Gateway, Scheme::RsaPkcs1(hash));
        assert_eq!(check(method::RSA, &signature, TestKey::Gateway), Ok(()));
        assert_eq!(check(method::RSA, &signature, TestKey::User), Err(SignatureError::Invalid));
        assert_eq!(check(method::RSA, &signature, TestKey::GatewayP256), Err(SignatureError::Key));
        for scheme in [Scheme::RsaPkcs1(hash), Scheme::RsaPss(hash)] {
            let data = digital_signature(TestKey::Gateway, scheme);
            assert_eq!(check(method::DIGITAL_SIGNATURE, &data, TestKey::Gateway), Ok(()));
            assert_eq!(check(method::RSA, &data, TestKey::Gateway), Err(SignatureError::Invalid));
            let mut flipped = data.clone();
            *flipped.last_mut().unwrap() ^= 1;
            assert!(check(method::DIGITAL_SIGNATURE, &flipped, TestKey::Gateway).is_err());
        }
    }
    let fixed = signed(TestKey::GatewayP256, Scheme::EcdsaFixed(Hash::Sha256));
    assert_eq!(check(method::ECDSA_256, &fixed, TestKey::GatewayP256), Ok(()));
    assert!(check(method::ECDSA_384, &fixed, TestKey::GatewayP256).is_err());
    assert!(check(method::ECDSA_521, &fixed, TestKey::GatewayP256).is_err());
    assert!(check(method::SHARED_KEY, &fixed, TestKey::GatewayP256).is_err(), "not a signature");
}

#[test]
fn a_signature_does_not_count_under_another_identifier() {
    let signature = signed(TestKey::Gateway, Scheme::RsaPkcs1(Hash::Sha256));
    for scheme in [Scheme::RsaPkcs1(Hash::Sha512), Scheme::RsaPss(Hash::Sha256)] {
        let honest = digital_signature(TestKey::Gateway, scheme);
        let identifier = &honest[..honest.len() - signature.len()];
        let data = [identifier, &signature].concat();
        assert_eq!(check(method::DIGITAL_SIGNATURE, &data, TestKey::Gateway), Err(SignatureError::Invalid));
    }
}

#[test]
fn the_choice_of_method_follows_what_the_peer_announced() {
    let rsa = TestKey::Gateway.signing_key().unwrap();
    let ec = TestKey::GatewayP256.signing_key().unwrap();
    for (signer, key, hashes, expected) in [
        (&rsa, TestKey::Gateway, None, method::RSA),
        (&rsa, TestKey::Gateway, Some(&[Hash::Sha384][..]), method::DIGITAL_SIGNATURE),
        (&rsa, TestKey::Gateway, Some(&[Hash::Sha1][..]), method::RSA),
        (&ec, TestKey::GatewayP256, None, method::ECDSA_256),
        (&ec, TestKey::GatewayP256, Some(&[Hash::Sha256, Hash::Sha512][..]), method::DIGITAL_SIGNATURE),
        (&ec, TestKey::GatewayP256, Some(&[Hash::Sha512][..]), method::ECDSA_256),
    ] {
        let (method, data) = sign(signer, OCTETS, hashes, Hash::Sha512).unwrap();
        assert_eq!(method, expected, "{key:?} {hashes:?}");
        assert_eq!(check(method, &data, key), Ok(()));
    }
    let (_, data) = sign(&rsa, OCTETS, None, Hash::Sha512).unwrap();
    let spki = TestKey::Gateway.spki().unwrap();
    assert_eq!(verify(&spki, Scheme::RsaPkcs1(Hash::Sha512), OCTETS, &data), Ok(()), "the PRF's hash");
}

proptest! {
    #[test]
    fn any_octets_are_refused_without_a_panic(method: u8, data in proptest::collection::vec(any::<u8>(), 0..600)) {
        let spki = TestKey::Gateway.spki().unwrap();
        prop_assert!(verify_signature(method, &data, OCTETS, &spki, true).is_err());
    }
}
