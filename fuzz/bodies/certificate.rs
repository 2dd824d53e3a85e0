//! A gateway's certificates, each with its length of 16 bits before it, and a recorded root: whatever is put around it, only the leaf
//! that this root has signed is believed, and only for its own name. What is read of others for people cannot move a terminal's
//! cursor.

use ikeep::ike::cert::{Facts, Root, Trust, shape, user_name};
use ikeep::time::UnixTime;

/// The root of the recordings in `tests/data`, and the gateway's certificate.
const CA: &[u8] = include_bytes!("ca.der");
const GATEWAY: &[u8] = include_bytes!("gateway.der");

/// One input.
pub(crate) fn check(data: &[u8]) {
    let (mut chain, mut rest) = (Vec::new(), data);
    while let [high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (certificate, next) = after.split_at(length.min(after.len()));
        chain.push(certificate.to_vec());
        rest = next;
    }
    let now = UnixTime::from_secs(1_796_083_200);
    let trust = Trust { roots: vec![Root { der: CA.to_vec(), configured: true }], ..Trust::default() };
    let genuine = chain.first().is_some_and(|leaf| leaf == GATEWAY);
    assert!(
        genuine || trust.verify(&chain, "flexvpn-c8kv.example.com", now).is_err(),
        "nobody vouches for it"
    );
    assert!(trust.verify(&chain, "vpn.example.org", now).is_err(), "another name");
    for certificate in &chain {
        let _ = shape(certificate, now);
        let _ = Facts::read(certificate);
        if let Some(name) = user_name(certificate) {
            assert!(!name.is_empty() && !name.chars().any(char::is_control));
        }
    }
}
