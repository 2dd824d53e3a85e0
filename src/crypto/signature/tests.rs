use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
};

use super::*;

/// A fresh EC key: PKCS#8, and SubjectPublicKeyInfo put together by hand (RFC 5480 2).
fn ec_key(
    algorithm: &'static ring::signature::EcdsaSigningAlgorithm,
    prefix: &[u8],
) -> (SigningKey, Vec<u8>) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("randomness");
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("just made");
    let spki = [prefix, pair.public_key().as_ref()].concat();
    (SigningKey::from_pkcs8(pkcs8.as_ref()).expect("just made"), spki)
}

const P256_SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\
                           \x03\x42\x00";
const P384_SPKI: &[u8] =
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";

#[test]
fn ecdsa_signs_what_verifies() {
    for (algorithm, prefix, hash, name) in [
        (&ECDSA_P256_SHA256_ASN1_SIGNING, P256_SPKI, Hash::Sha256, "SigningKey(ECDSA P-256)"),
        (&ECDSA_P384_SHA384_ASN1_SIGNING, P384_SPKI, Hash::Sha384, "SigningKey(ECDSA P-384)"),
    ] {
        let (key, spki) = ec_key(algorithm, prefix);
        let (_, other_spki) = ec_key(algorithm, prefix);
        assert_eq!(format!("{key:?}"), name);
        assert_eq!(key.schemes(), [Scheme::EcdsaDer(hash), Scheme::EcdsaFixed(hash)]);
        for &scheme in key.schemes() {
            let signature = key.sign(scheme, b"message").expect("one of its schemes");
            assert_eq!(verify(&spki, scheme, b"message", &signature), Ok(()));
            assert_eq!(verify(&spki, scheme, b"massage", &signature), Err(SignatureError::Invalid));
            assert_eq!(verify(&other_spki, scheme, b"message", &signature), Err(SignatureError::Invalid));
        }
        for other in
            [Scheme::EcdsaDer(Hash::Sha512), Scheme::EcdsaFixed(Hash::Sha1), Scheme::RsaPss(Hash::Sha256)]
        {
            assert_eq!(key.sign(other, b"message"), Err(SignatureError::Key));
        }
    }
}

#[test]
fn a_scheme_of_another_kind_of_key_is_refused() {
    let (key, spki) = ec_key(&ECDSA_P256_SHA256_ASN1_SIGNING, P256_SPKI);
    let signature = key.sign(Scheme::EcdsaFixed(Hash::Sha256), b"message").expect("one of its schemes");
    for scheme in [
        Scheme::RsaPkcs1(Hash::Sha256),
        Scheme::RsaPss(Hash::Sha256),
        Scheme::EcdsaFixed(Hash::Sha384),
        Scheme::EcdsaFixed(Hash::Sha1),
        Scheme::EcdsaDer(Hash::Sha1),
    ] {
        assert_eq!(verify(&spki, scheme, b"message", &signature), Err(SignatureError::Key));
    }
}

#[test]
fn unreadable_keys_are_refused() {
    let (_, spki) = ec_key(&ECDSA_P256_SHA256_ASN1_SIGNING, P256_SPKI);
    let mut compressed = spki.clone();
    compressed[P256_SPKI.len()] = 2;
    let trailing = [&spki[..], &[0]].concat();
    // A P-384 point under the name of P-256.
    let (_, other) = ec_key(&ECDSA_P384_SHA384_ASN1_SIGNING, P384_SPKI);
    let mixed = [&b"\x30\x79"[..], &P256_SPKI[2..23], b"\x03\x62\x00", &other[P384_SPKI.len()..]].concat();
    for bad in [&[][..], b"\x30\x00", &spki[..spki.len() - 1], &compressed, &trailing, &mixed] {
        let found = verify(bad, Scheme::EcdsaFixed(Hash::Sha256), b"message", &[1; 64]);
        assert_eq!(found, Err(SignatureError::Key));
    }
    for bad in [&[][..], b"\x30\x00", &spki] {
        assert_eq!(SigningKey::from_pkcs8(bad).err(), Some(SignatureError::Key));
    }
}

#[test]
fn an_ed25519_key_signs_and_knows_its_certificate() {
    use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("just made");
    let key = SigningKey::from_pkcs8(pkcs8.as_ref()).expect("just made");
    assert_eq!((key.schemes(), format!("{key:?}")), (&[Scheme::Ed25519][..], "SigningKey(Ed25519)".into()));
    assert!(key.is_ed25519() && !key.is_rsa());
    let signature = key.sign(Scheme::Ed25519, b"message").expect("its scheme");
    let public = pair.public_key().as_ref();
    UnparsedPublicKey::new(&ED25519, public).verify(b"message", &signature).expect("a good signature");
    assert_eq!(key.sign(Scheme::EcdsaDer(Hash::Sha256), b"message"), Err(SignatureError::Key));
    let spki = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", public].concat();
    assert!(key.belongs_to(&spki));
    let (ecdsa, ecdsa_spki) = ec_key(&ECDSA_P256_SHA256_ASN1_SIGNING, P256_SPKI);
    assert!(ecdsa.belongs_to(&ecdsa_spki) && !ecdsa.belongs_to(&spki) && !key.belongs_to(&ecdsa_spki));
    // A gateway's proof is never taken in this form.
    assert_eq!(verify(&spki, Scheme::Ed25519, b"message", &signature), Err(SignatureError::Key));
}
