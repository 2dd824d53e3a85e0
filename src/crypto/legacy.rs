//! MD4, MD5 and DES: broken long ago, and what the login methods EAP-MD5 and EAP-MSCHAPv2 are made of (RFC 1994, RFC 2759).
//! MD5 is also what RADIUS is made of (RFC 2865), between the embedded gateway and its AAA. Nothing else may use them; of a user's
//! login only a gateway that has proved itself ever sees what they make.

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use md4::{Digest, Md4};
use md5::Md5;

/// MD4 (RFC 1320).
pub fn md4(octets: &[u8]) -> [u8; 16] {
    Md4::digest(octets).into()
}

/// MD5 (RFC 1321) of the parts, one after the other.
pub fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// One block of DES. `key`: its 56 bits, without the parity bits that the cipher ignores.
pub fn des(key: &[u8; 7], block: &[u8; 8]) -> [u8; 8] {
    let bits = key.iter().fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
    // Seven bits in the upper part of each octet.
    let with_parity: [u8; 8] = std::array::from_fn(|n| ((bits >> (49 - 7 * n)) as u8) << 1);
    let mut out = (*block).into();
    Des::new(&with_parity.into()).encrypt_block(&mut out);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standards_say() {
        // RFC 1320 and RFC 1321, appendix A.5; FIPS 81, appendix B (its key is 0123456789abcdef with parity).
        assert_eq!(
            md4(b"message digest"),
            *b"\xd9\x13\x0a\x81\x64\x54\x9f\xe8\x18\x87\x48\x06\xe1\xc7\x01\x4b"
        );
        assert_eq!(
            md5(&[b"message", b" digest"]),
            *b"\xf9\x6b\x69\x7d\x7c\xb7\x93\x8d\x52\x5a\x2f\x31\xaa\xf1\x61\xd0"
        );
        let key = 0x0123_4567_89ab_cdef_u64.to_be_bytes();
        let bits = key.iter().fold(0u64, |bits, octet| bits << 7 | u64::from(octet >> 1)).to_be_bytes();
        let key = bits[1..].try_into().expect("56 bits");
        assert_eq!(des(key, b"Now is t"), *b"\x3f\xa4\x0e\x8a\x98\x4d\x48\x15");
    }
}
