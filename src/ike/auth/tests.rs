use super::*;
use crate::lab::pki::TestKey;
use proptest::prelude::*;

const OCTETS: &[u8] = b"what is signed";

fn signed(key: TestKey, scheme: Scheme) -> Vec<u8> {
    key.signing_key().unwrap().sign(scheme, OCTETS).unwrap()
}

fn check(method: u8, data: &[u8], key: TestKey) -> Result<(), SignatureError> {
    verify_signature(method, data, OCTETS, &key.spki().unwrap(), false)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// RFC 7427 appendix A, and PSS as OpenSSL writes it.
#[test]
fn identifiers_are_those_of_the_rfc() {
    for (scheme, der) in [
        (Scheme::RsaPkcs1(Hash::Sha256), "30 0d 06 09 2a 86 48 86 f7 0d 01 01 0b 05 00"),
        (Scheme::RsaPkcs1(Hash::Sha384), "30 0d 06 09 2a 86 48 86 f7 0d 01 01 0c 05 00"),
        (Scheme::RsaPkcs1(Hash::Sha512), "30 0d 06 09 2a 86 48 86 f7 0d 01 01 0d 05 00"),
        (Scheme::EcdsaDer(Hash::Sha256), "30 0a 06 08 2a 86 48 ce 3d 04 03 02"),
        (Scheme::EcdsaDer(Hash::Sha384), "30 0a 06 08 2a 86 48 ce 3d 04 03 03"),
        (Scheme::EcdsaDer(Hash::Sha512), "30 0a 06 08 2a 86 48 ce 3d 04 03 04"),
        (
            Scheme::RsaPss(Hash::Sha256),
            "30 41 06 09 2a 86 48 86 f7 0d 01 01 0a 30 34 a0 0f 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 \
             a1 1c 30 1a 06 09 2a 86 48 86 f7 0d 01 01 08 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 a2 03 02 01 20",
        ),
    ] {
        assert_eq!(algorithm::encode(scheme), Some(unhex(der)), "{scheme:?}");
        assert_eq!(algorithm::decode(&unhex(der)), Some(scheme));
    }
}

#[test]
fn parameters_may_be_absent_but_nothing_else_may_differ() {
    let absent = unhex("30 0b 06 09 2a 86 48 86 f7 0d 01 01 0b");
    assert_eq!(algorithm::decode(&absent), Some(Scheme::RsaPkcs1(Hash::Sha256)));
    let sha1 = unhex("30 0d 06 09 2a 86 48 86 f7 0d 01 01 05 05 00");
    assert_eq!(algorithm::decode(&sha1), None, "SHA-1 is never announced");
    let default_pss = unhex("30 0d 06 09 2a 86 48 86 f7 0d 01 01 0a 30 00");
    assert_eq!(algorithm::decode(&default_pss), None, "the defaults mean SHA-1");
    let long_form = unhex("30 81 0d 06 09 2a 86 48 86 f7 0d 01 01 0b 05 00");
    assert_eq!(algorithm::decode(&long_form), None, "not DER");
    let pss = algorithm::encode(Scheme::RsaPss(Hash::Sha256)).unwrap();
    for at in 0..pss.len() {
        let mut other = pss.clone();
        other[at] ^= 1;
        assert_ne!(algorithm::decode(&other), Some(Scheme::RsaPss(Hash::Sha256)), "octet {at}");
    }
}

#[test]
fn every_method_verifies_its_own_signatures_and_no_others() {
    for hash in OUR_HASHES {
        let signature = signed(TestKey::Gateway, Scheme::RsaPkcs1(hash));
        assert_eq!(check(method::RSA, &signature, TestKey::Gateway), Ok(()));
        assert_eq!(check(method::RSA, &signature, TestKey::User), Err(SignatureError::Invalid));
        assert_eq!(check(method::RSA, &signature, TestKey::GatewayP256), Err(SignatureError::Key));
        for scheme in [Scheme::RsaPkcs1(hash), Scheme::RsaPss(hash)] {
            let identifier = algorithm::encode(scheme).unwrap();
            let data = digital_signature(&identifier, &signed(TestKey::Gateway, scheme));
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
        let data = digital_signature(&algorithm::encode(scheme).unwrap(), &signature);
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

#[test]
fn hash_algorithms_are_read_as_written() {
    assert_eq!(our_hash_algorithms(), [0, 2, 0, 3, 0, 4]);
    assert_eq!(read_hash_algorithms(&our_hash_algorithms()), OUR_HASHES);
    assert_eq!(read_hash_algorithms(&[0, 5, 0, 2, 255, 255, 0]), [Hash::Sha256]);
}

proptest! {
    #[test]
    fn any_octets_are_refused_without_a_panic(method: u8, data in proptest::collection::vec(any::<u8>(), 0..600)) {
        let spki = TestKey::Gateway.spki().unwrap();
        prop_assert!(verify_signature(method, &data, OCTETS, &spki, true).is_err());
        read_hash_algorithms(&data);
        if let Some(scheme) = algorithm::decode(&data) {
            prop_assert!(algorithm::encode(scheme).is_some());
        }
    }
}
