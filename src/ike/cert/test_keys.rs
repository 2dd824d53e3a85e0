//! The public test keys of the lab, known to the core so that it can refuse them.

use crate::crypto::Hash;

/// SHA-256 of the SubjectPublicKeyInfo of every key in `src/lab/keys` (a test there keeps the two together).
const PUBLIC_TEST_KEYS: [&str; 6] = [
    "60a3635a69e39a50511fe04ad9aaec64b63c2a7036605f9f8857bdd6240ef465", // ca
    "878d89c50c792f29cd3fda99813af14986b25d70ab73ca08a662c6e3faa73950", // other-ca
    "ea55d73cf3410d0b83386e77896009226ee03d302b81e88e1f65e956866f29e0", // intermediate
    "a257e9e35ea03a76c39cc7b7022de14ba70bebc2ba28767a448fc7a02b14ac64", // gateway
    "93a8e1fc94873703ef2fd6337034053644805dc80738e1a96d79ad9b17bf4776", // gateway-p256
    "aba898b6a0ce0dda1d1ca5697cbc342e8351e55439b70443d42e3d07e6985c0a", // user
];

/// Whether everybody has the private half of this key (`spki`: DER SubjectPublicKeyInfo).
pub fn is_public_test_key(spki: &[u8]) -> bool {
    let digest: String = Hash::Sha256.digest(&[spki]).iter().map(|octet| format!("{octet:02x}")).collect();
    PUBLIC_TEST_KEYS.contains(&digest.as_str())
}
