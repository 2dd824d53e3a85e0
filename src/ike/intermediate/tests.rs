use super::*;
use crate::ike::message::Exchange;

fn keys() -> SaKeys {
    let key = |octet: u8| Secret::new(vec![octet; 32]);
    let [sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr] = [1, 2, 3, 4, 5, 6, 7].map(key);
    SaKeys { sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr }
}

fn header(initiator: bool, message_id: u32) -> Header {
    Header {
        spi_i: [0x11; 8],
        spi_r: [0x22; 8],
        next_payload: payload_type::SKF, // as in a fragment
        exchange: Exchange::IkeIntermediate,
        initiator,
        response: !initiator,
        message_id,
        length: 1200,
    }
}

#[test]
fn nothing_without_an_exchange_or_with_half_of_one() {
    let mut auth = IntAuth::default();
    assert!(auth.octets().is_empty());
    auth.take(Prf::HmacSha256, &keys(), &header(true, 1), 34, b"public");
    assert!(auth.octets().is_empty());
}

#[test]
fn each_direction_is_a_chain_over_messages_without_encryption() {
    let mut auth = IntAuth::default();
    for (id, what) in [(1, b"one"), (2, b"two")] {
        auth.take(Prf::HmacSha256, &keys(), &header(true, id), 34, what);
        auth.take(Prf::HmacSha256, &keys(), &header(false, id), 40, b"answer");
    }
    // By hand: lengths without IV, padding and ICV, the type of SK in the header.
    let message = |flags: u8, id: u8, first: u8, chain: &[u8]| {
        let length = 32 + chain.len() as u8;
        let mut octets = [vec![0x11; 8], vec![0x22; 8], vec![46, 0x20, 43, flags]].concat();
        octets.extend([0, 0, 0, id, 0, 0, 0, length, first, 0, 0, length - 28]);
        [&octets, chain].concat()
    };
    let prf = |key: u8, parts: &[&[u8]]| Prf::HmacSha256.compute(&[key; 32], parts);
    let i1 = prf(6, &[&message(0x08, 1, 34, b"one")]);
    let i2 = prf(6, &[i1.expose(), &message(0x08, 2, 34, b"two")]);
    let r1 = prf(7, &[&message(0x20, 1, 40, b"answer")]);
    let r2 = prf(7, &[r1.expose(), &message(0x20, 2, 40, b"answer")]);
    assert_eq!(auth.octets(), [i2.expose(), r2.expose(), &[0, 0, 0, 3]].concat());
}
