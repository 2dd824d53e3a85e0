//! What Wycheproof has no file for, made with OpenSSL 3: RSA with SHA-1, P-521 with short digests, a weak RSA key. And our
//! own signing with the lab's public test keys.

use crate::hex;
use ikeep::crypto::{Hash, Scheme, SignatureError, Signer, SigningKey, verify};
use rcgen::{KeyPair, PublicKeyData};

const MESSAGE: &[u8] = b"signed octets of IKE";
const RSA_KEY: &str = include_str!("../../src/lab/keys/user.pem");
const P256_KEY: &str = include_str!("../../src/lab/keys/gateway-p256.pem");

/// The key from its PEM, and the public half that a certificate would hold.
fn key(pem: &str) -> (SigningKey, Vec<u8>) {
    let pair = KeyPair::from_pem(pem).expect("a key of the lab");
    let key = SigningKey::from_pkcs8(pair.serialized_der()).expect("PKCS#8");
    (key, pair.subject_public_key_info())
}

fn every_scheme_verifies(pem: &str, expected: &[Scheme]) {
    let (key, spki) = key(pem);
    assert_eq!(key.schemes(), expected);
    for &scheme in expected {
        let signature = key.sign(scheme, MESSAGE).expect("one of its schemes");
        assert_eq!(verify(&spki, scheme, MESSAGE, &signature), Ok(()), "{scheme:?}");
        assert_eq!(verify(&spki, scheme, b"other octets", &signature), Err(SignatureError::Invalid));
        let mut changed = signature.clone();
        *changed.last_mut().expect("not empty") ^= 1;
        assert_eq!(verify(&spki, scheme, MESSAGE, &changed), Err(SignatureError::Invalid));
        assert_eq!(verify(&spki, scheme, MESSAGE, &signature[1..]), Err(SignatureError::Invalid));
        for &other in expected.iter().filter(|other| **other != scheme) {
            assert_eq!(verify(&spki, other, MESSAGE, &signature), Err(SignatureError::Invalid));
        }
    }
}

#[test]
fn rsa_signs_what_verifies() {
    let pss = [Hash::Sha256, Hash::Sha384, Hash::Sha512].map(Scheme::RsaPss);
    let pkcs1 = [Hash::Sha256, Hash::Sha384, Hash::Sha512].map(Scheme::RsaPkcs1);
    every_scheme_verifies(RSA_KEY, &[pss, pkcs1].concat());
}

#[test]
fn ecdsa_signs_what_verifies() {
    every_scheme_verifies(P256_KEY, &[Scheme::EcdsaDer(Hash::Sha256), Scheme::EcdsaFixed(Hash::Sha256)]);
}

#[test]
fn rsa_does_not_sign_with_sha1_or_as_ecdsa() {
    let (key, _) = key(RSA_KEY);
    assert_eq!(format!("{key:?}"), "SigningKey(RSA)");
    for scheme in [Scheme::RsaPkcs1(Hash::Sha1), Scheme::RsaPss(Hash::Sha1), Scheme::EcdsaDer(Hash::Sha256)] {
        assert_eq!(key.sign(scheme, MESSAGE), Err(SignatureError::Key));
    }
}

/// AUTH method 1 may come with SHA-1 (RFC 7296 2.15).
#[test]
fn rsa_with_sha1_counts_where_it_is_asked_for() {
    let (_, spki) = key(RSA_KEY);
    let signature = hex(RSA_SHA1);
    assert_eq!(verify(&spki, Scheme::RsaPkcs1(Hash::Sha1), MESSAGE, &signature), Ok(()));
    assert_eq!(
        verify(&spki, Scheme::RsaPkcs1(Hash::Sha1), b"other", &signature),
        Err(SignatureError::Invalid)
    );
    assert_eq!(
        verify(&spki, Scheme::RsaPkcs1(Hash::Sha256), MESSAGE, &signature),
        Err(SignatureError::Invalid)
    );
    assert_eq!(verify(&spki, Scheme::RsaPss(Hash::Sha1), MESSAGE, &signature), Err(SignatureError::Key));
}

/// SHA-256 is shorter than half of a P-521 number.
#[test]
fn p521_with_each_hash() {
    let spki = hex(P521_SPKI);
    let signatures = [(Hash::Sha256, P521_SHA256), (Hash::Sha384, P521_SHA384), (Hash::Sha512, P521_SHA512)];
    for (hash, signature) in signatures {
        assert_eq!(verify(&spki, Scheme::EcdsaDer(hash), MESSAGE, &hex(signature)), Ok(()), "{hash:?}");
        for (other, _) in signatures.iter().filter(|(other, _)| *other != hash) {
            let found = verify(&spki, Scheme::EcdsaDer(*other), MESSAGE, &hex(signature));
            assert_eq!(found, Err(SignatureError::Invalid));
        }
    }
    for hash in [Hash::Sha256, Hash::Sha384] {
        assert_eq!(verify(&spki, Scheme::EcdsaFixed(hash), MESSAGE, &[1; 132]), Err(SignatureError::Key));
    }
}

/// A right signature by a key of 1024 bits.
#[test]
fn a_weak_rsa_key_is_refused() {
    let found = verify(&hex(RSA_1024_SPKI), Scheme::RsaPkcs1(Hash::Sha256), MESSAGE, &hex(RSA_1024_SHA256));
    assert_eq!(found, Err(SignatureError::Key));
}

const RSA_SHA1: &str =
    "61343880bf90d0a40c132406e8f7361575959d4150f871b41c3c0e3e69f887e9980a687751c2d953a4a1b0c68c3d68c6
    85b78b90e91c20470a9e6dc54b06a22c630d266a9add8870736b8cdfa4161e482f873535b9dfddfb4e0ca2392e3ad7a3
    9f89892d658525f4de44bff9e84eb176b61791e033b35374684f80c942b203e81a1dc1d4e1c57a3b3070c5c8c1479a1d
    d61c9ece88157cba43411e7717bfd5fafa8024c0b8dbe495d2dda92fdfbab6a0ac8fd28435364f4734ef408e86731414
    79ddc4608e169a1dc183238756ef8f6059593e16472ae72e03ece4b8b188fbe1c8db18a8b90be4f4613e097c83cca568
    478118e1967910de7b6a3b757236a2b7";
const P521_SPKI: &str =
    "30819b301006072a8648ce3d020106052b81040023038186000400ebad7356d5fdaba7653bc3f4e866ae4bbb4bd5335f
    756a472e5dce213b68987805dffadbdb722fef04de4233ff79e112ec9fabb612562558b560ac185d9535d32500868903
    b2d0976f410efbdb795fce952757dd8fd1bbb9d8a990248773643f50931896a7643b5775f2c97b2f0a73d543a69b8456
    672ba5064851523d74d2aafeeab0";
const P521_SHA256: &str =
    "30818602415c59f740d20a673959f20b856b93b6554192a33c6910b5fe44a16ea8f738c16baf5160c0e128501a97b716
    ec9e7bec288b798ced6464087b3215d42dd2de1ee8f002411486fdb45f7f327ac953e965983ef0048becbd9cd04449b1
    118f82e058b7fb21b7cc2bf115f7f5964acf27fac2e44bdba112ed2916af3e4d591ad6f281a881644b";
const P521_SHA384: &str =
    "308188024201e836d96fd29fa2534f37dcd6e487a8831dfbb73522cfce8816e5fa63a4ae5fa4af6f7e2106fd7bb8f901
    de7bdccc195e30cb90e68654dbb36e82c1eefcd94a9055024201a1064ddf786e3fe2725e5a98bc913c155ee7cd547993
    4c1b326466093f65fa204f528b79c3a08ed1548a2b1bf1270ea43e3850f77803cf7831aac14e3369024141";
const P521_SHA512: &str =
    "308187024200daacd54b3be01917a23d0db5501c1ff797d0170a86dd436064f7bbc7f9dccb131726d1b370baa57bafa8
    65f3b1d99aa1b99d9019b51e5b2909d201a6717fc40bb1024142dcda0ae27fca68da3a71a8c3ff5a62eb49ea37efb29f
    d252a12f954269fd24cb630a4e0049b42caf46c4aad9bd68f59a200c5687b34834ad176bfea9530e84f7";
const RSA_1024_SPKI: &str =
    "30819f300d06092a864886f70d010101050003818d0030818902818100e11e78df68ecd7771060e4256ef23929738d4e
    ab3dd1251227b10afcd568c58eb2253c99848d398757005d4a2bd1c873d26c85e9f0a4b581f791490f00440c683db445
    ff5b23fc4c1283aed20899463de51992e1319f757b6472379751da3bcc4b2f703d6be7ec72beb481314a98d20734d533
    19f6bab8ee9a3848f182e94b0d0203010001";
const RSA_1024_SHA256: &str =
    "d105d037304ee0d53cc870680e71d1167248892889179242f2b21f49a561a6018cf27f61d035a8da4fd71193335e9dec
    f1e2dd5650ee8606fad15c3df6f7fea8d17a52cb2a221912bf2c688e60e8519aadd3ff3b733eb2d4034c16d594a35cf8
    850b00cc9813646469a17e94e367b2f6809713854df49328cca9a230d981aa84";
