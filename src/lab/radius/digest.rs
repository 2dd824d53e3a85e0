//! What RADIUS is made of, broken as a hash and used as a keyed one (RFC 2865, RFC 2869).

use crate::crypto::Secret;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

/// HMAC-MD5 (RFC 2104) of the parts, one after the other.
pub(super) fn hmac_md5(key: &Secret, parts: &[&[u8]]) -> [u8; 16] {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key.expose()) else { return [0; 16] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_rfc_2202_says() {
        let key = Secret::from(&b"Jefe"[..]);
        let expected = *b"\x75\x0c\x78\x3e\x6a\xb0\xb5\x03\xea\xa8\x6e\x31\x0a\x5d\xb7\x38";
        assert_eq!(hmac_md5(&key, &[b"what do ya want ", b"for nothing?"]), expected);
    }
}
