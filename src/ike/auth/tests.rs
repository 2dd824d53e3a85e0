use super::*;
use proptest::prelude::*;

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

/// RFC 8420 appendix A, and only where "Identity" is announced.
#[test]
fn ed25519_has_its_name_and_is_not_taken() {
    let identifier = unhex("30 05 06 03 2b 65 70");
    assert_eq!(algorithm::encode(Scheme::Ed25519), Some(identifier.clone()));
    assert_eq!(algorithm::decode(&identifier), None);
    assert!(takes_ed25519(&[0, 2, 0, 5]) && !takes_ed25519(&[0, 2, 5, 0]) && !takes_ed25519(&[5]));
}

#[test]
fn hash_algorithms_are_read_as_written() {
    assert_eq!(our_hash_algorithms(), [0, 2, 0, 3, 0, 4]);
    assert_eq!(read_hash_algorithms(&our_hash_algorithms()), OUR_HASHES);
    assert_eq!(read_hash_algorithms(&[0, 5, 0, 2, 255, 255, 0]), [Hash::Sha256]);
}

proptest! {
    #[test]
    fn any_identifier_is_known_or_refused(der in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Some(scheme) = algorithm::decode(&der) {
            prop_assert!(algorithm::encode(scheme).is_some());
        }
        read_digital_signature(&der);
        read_hash_algorithms(&der);
    }
}

#[test]
fn an_auth_payload_is_described_by_its_method_and_algorithm() {
    assert_eq!(describe(method::RSA, &[]), "RSA signature (method 1)");
    let identifier = algorithm::encode(Scheme::RsaPss(Hash::Sha384)).unwrap();
    let data = digital_signature(&identifier, b"signature");
    assert!(describe(method::DIGITAL_SIGNATURE, &data).contains("RsaPss(Sha384)"), "{}", describe(14, &data));
    assert!(describe(method::DIGITAL_SIGNATURE, &[200]).contains("not known here"));
    assert_eq!(describe(77, &[]), "unknown (method 77)");
}
