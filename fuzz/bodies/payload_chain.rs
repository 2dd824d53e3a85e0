//! A payload chain: limits hold, and what decodes survives encoding. The first octet is the type of the first payload.

use ikeep::ike::message::{Payload, Redirect, decode_payloads, encode_payloads, limits};

/// One input.
pub(crate) fn check(data: &[u8]) {
    let Some((&first, chain)) = data.split_first() else { return };
    let Ok(payloads) = decode_payloads(first, chain) else { return };
    assert!(payloads.len() <= limits::PAYLOADS);
    assert!(payloads.iter().filter(|payload| matches!(payload, Payload::Auth { .. })).count() <= 1);
    for payload in &payloads {
        match payload {
            Payload::Sa(proposals) => assert!((1..=limits::PROPOSALS).contains(&proposals.len())),
            Payload::Nonce(nonce) => assert!(limits::NONCE.contains(&nonce.len())),
            Payload::Cp(configuration) => assert!(configuration.attributes.len() <= limits::ATTRIBUTES),
            Payload::Delete(delete) => assert!(delete.spis.len() <= limits::SPIS),
            Payload::Notify(notify) => {
                if let Some(redirect) = Redirect::decode(&notify.data) {
                    assert_eq!(Redirect::decode(&redirect.encode()), Some(redirect));
                }
            }
            Payload::TsI(selectors) | Payload::TsR(selectors) => {
                assert!(selectors.iter().all(|selector| selector.addresses.0 <= selector.addresses.1));
            }
            _ => {}
        }
    }
    let (again, encoded) = encode_payloads(&payloads);
    assert_eq!(decode_payloads(again, &encoded).as_ref(), Ok(&payloads));
    assert_eq!(encode_payloads(&payloads), (again, encoded), "encoding is a function of the payloads");
}
