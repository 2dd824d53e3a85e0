//! A datagram from anybody: header, unencrypted message, encrypted message under keys the sender does not have.

use super::common::{CBC, GCM, opener};
use ikeep::ike::message::{Header, decode_message, encode_payloads};

/// One input.
pub(crate) fn check(datagram: &[u8]) {
    let Ok(header) = Header::decode(datagram) else {
        assert!(decode_message(datagram).is_err(), "a message has a header");
        return;
    };
    assert_eq!(Header::decode(&[&header.encode(), &datagram[28..]].concat()), Ok(header));
    if let Ok((_, payloads)) = decode_message(datagram) {
        let (first, chain) = encode_payloads(&payloads);
        assert_eq!(first, header.next_payload);
        assert!(chain.len() + 28 <= datagram.len(), "encoding adds nothing");
    }
    for suite in [CBC, GCM] {
        assert!(opener(suite).open(&header, datagram).is_err(), "nobody can forge a message");
    }
}
