//! A client's chain of certificates as the embedded gateway reads it: PKCS#7 of anybody's.

use ikeep::ike::cert::{MAX_CERTIFICATES, pkcs7};

/// One input.
pub(crate) fn check(data: &[u8]) {
    let Ok(chain) = pkcs7::decode(data) else { return };
    assert!(!chain.is_empty() && chain.len() <= MAX_CERTIFICATES);
    assert_eq!(pkcs7::decode(&pkcs7::encode(&chain)), Ok(chain));
}
