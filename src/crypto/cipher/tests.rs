use proptest::prelude::*;

use super::*;
use crate::crypto::testing::hex;

const ENCRS: [Encr; 5] = Encr::ALL;
const INTEGS: [Integ; 3] = [Integ::HmacSha256_128, Integ::HmacSha384_192, Integ::HmacSha512_256];

/// Every combination that can be negotiated.
fn suites() -> Vec<(Encr, Option<Integ>)> {
    let integs = |encr: Encr| if encr.is_aead() { vec![None] } else { INTEGS.map(Some).to_vec() };
    ENCRS.into_iter().flat_map(|encr| integs(encr).into_iter().map(move |integ| (encr, integ))).collect()
}

fn protection(encr: Encr, integ: Option<Integ>, seed: u8) -> PacketProtection {
    let octets = |len: usize| (0..len).map(|n| seed.wrapping_add(n as u8)).collect::<Vec<_>>();
    PacketProtection::new(encr, integ, &octets(encr.key_len()), &octets(integ.map_or(0, Integ::key_len)))
}

#[test]
fn numbers_go_both_ways() {
    for encr in ENCRS {
        assert_eq!(Encr::from_id(encr.id(), encr.key_bits()), Some(encr));
        let other = if encr.key_bits().is_some() { None } else { Some(256) };
        assert_eq!(Encr::from_id(encr.id(), other), None);
    }
    for (id, bits) in [(12, 192), (20, 192), (18, 128), (19, 256), (3, 128), (28, 256)] {
        assert_eq!(Encr::from_id(id, Some(bits)), None);
    }
    for integ in INTEGS {
        assert_eq!(Integ::from_id(integ.id()), Some(integ));
        assert_eq!(integ.key_len(), 2 * integ.icv_len());
    }
    assert_eq!(Integ::from_id(2), None);
    assert_eq!(Encr::AesGcm256.key_len(), 36);
    assert_eq!(Encr::ChaCha20Poly1305.key_len(), 36);
    assert_eq!(Encr::AesCbc128.key_len(), 16);
}

/// An ESP packet of strongSwan 5.9.8: AES-GCM-256, the salt at the end of the key.
#[test]
fn opens_a_recorded_gcm_packet() {
    let keys = PacketProtection::new(Encr::AesGcm256, None, &hex(GCM_KEY), &[]);
    let mut packet = hex(GCM_PACKET);
    let sealed = packet.clone();
    let range = keys.open(&mut packet, 8, None).expect("genuine");
    assert_eq!(packet[range.clone()], hex(GCM_PLAIN));
    let iv = sealed[8..16].to_vec();
    keys.seal(&mut packet, 8, &iv, None);
    assert_eq!(packet, sealed);
}

/// The same with AES-CBC-256 and HMAC-SHA-384-192.
#[test]
fn opens_a_recorded_cbc_packet() {
    let keys =
        PacketProtection::new(Encr::AesCbc256, Some(Integ::HmacSha384_192), &hex(CBC_KEY), &hex(CBC_INTEG));
    let mut packet = hex(CBC_PACKET);
    let sealed = packet.clone();
    let range = keys.open(&mut packet, 8, None).expect("genuine");
    assert_eq!(packet[range.clone()], hex(CBC_PLAIN));
    let iv = sealed[8..24].to_vec();
    keys.seal(&mut packet, 8, &iv, None);
    assert_eq!(packet, sealed);
}

/// RFC 4106 5: additional data SPI | high | low. The same tag comes out where that is the header itself.
#[test]
fn gcm_puts_the_high_half_in_the_middle() {
    let keys = protection(Encr::AesGcm128, None, 1);
    let iv = [9; 8];
    let mut with_esn = [&[1, 2, 3, 4, 5, 6, 7, 8][..], &[0; 8], b"text", &[0; 16]].concat();
    keys.seal(&mut with_esn, 8, &iv, Some(0x0a0b_0c0d));
    let mut spelt_out =
        [&[1, 2, 3, 4, 0xa, 0xb, 0xc, 0xd, 5, 6, 7, 8][..], &[0; 8], b"text", &[0; 16]].concat();
    keys.seal(&mut spelt_out, 12, &iv, None);
    assert_eq!(with_esn[8..], spelt_out[12..]);
}

/// RFC 7634, appendix A: an ESP packet.
#[test]
fn rfc_7634() {
    let key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3");
    let keys = PacketProtection::new(Encr::ChaCha20Poly1305, None, &key, &[]);
    let header = hex("01020304 00000005");
    let iv = hex("1011121314151617");
    let plain =
        hex("45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f
         101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637 01020204");
    let sealed =
        hex("24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c0
         2f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b
         7fb0f7b11b369907e1ad43");
    let mut packet = [&header[..], &[0; 8], &plain, &[0; 16]].concat();
    keys.seal(&mut packet, 8, &iv, None);
    assert_eq!(packet[16..], sealed);
    let range = keys.open(&mut packet, 8, None).expect("genuine");
    assert_eq!(packet[range], plain);
}

/// RFC 4303 2.2.1: the MAC reads SPI | low | .. | high.
#[test]
fn cbc_puts_the_high_half_last() {
    let keys = protection(Encr::AesCbc128, Some(Integ::HmacSha256_128), 1);
    let mut packet = [&[1, 2, 3, 4, 5, 6, 7, 8][..], &[0; 16], &[7; 32], &[0; 16]].concat();
    keys.seal(&mut packet, 8, &[9; 16], Some(0x0a0b_0c0d));
    let integ_key: Vec<u8> = (1..=32).collect();
    let mac = crate::crypto::Prf::HmacSha256.compute(&integ_key, &[&packet[..56], &[0xa, 0xb, 0xc, 0xd]]);
    assert_eq!(packet[56..], mac.expose()[..16]);
}

#[test]
fn nothing_is_decrypted_before_the_icv_is_checked() {
    let keys = protection(Encr::AesCbc256, Some(Integ::HmacSha512_256), 1);
    let mut packet = vec![3; 8 + 16 + 48 + 32];
    keys.seal(&mut packet, 8, &[9; 16], None);
    packet[100] ^= 1;
    let before = packet.clone();
    assert_eq!(keys.open(&mut packet, 8, None), Err(Forged));
    assert_eq!(packet, before);
}

#[test]
fn short_and_uneven_packets_are_forged() {
    for (encr, integ) in suites() {
        let keys = protection(encr, integ, 1);
        let shortest = 8 + keys.iv_len() + keys.icv_len();
        for len in 0..shortest {
            assert_eq!(keys.open(&mut vec![0; len], 8, None), Err(Forged));
        }
        // Genuine but for the block: the MAC is right over 17 octets of text.
        if let Some(Integ::HmacSha256_128) = integ {
            let mut packet = vec![0; shortest + 17];
            let icv_at = packet.len() - 16;
            let integ_key: Vec<u8> = (1..=32).collect();
            let mac = crate::crypto::Prf::HmacSha256.compute(&integ_key, &[&packet[..icv_at]]);
            packet[icv_at..].copy_from_slice(&mac.expose()[..16]);
            assert_eq!(keys.open(&mut packet, 8, None), Err(Forged));
        }
        assert_eq!(keys.open(&mut [0; 99], usize::MAX, None), Err(Forged));
    }
}

#[test]
fn debug_shows_algorithms() {
    let keys = protection(Encr::AesCbc256, Some(Integ::HmacSha512_256), 1);
    assert_eq!(format!("{keys:?}"), "PacketProtection { encr: AesCbc256, integ: Some(HmacSha512_256), .. }");
}

#[test]
#[should_panic(expected = "length of the encryption key")]
fn a_key_without_salt_is_a_bug() {
    PacketProtection::new(Encr::AesGcm128, None, &[0; 16], &[]);
}

#[test]
#[should_panic(expected = "AEAD stands alone")]
fn cbc_without_integrity_is_a_bug() {
    PacketProtection::new(Encr::AesCbc128, None, &[0; 16], &[]);
}

proptest! {
    /// What was sealed opens; changed anywhere, or with other keys or another high half, it does not.
    #[test]
    fn seal_then_open(
        suite in prop::sample::select(suites()),
        blocks in 0usize..90,
        fill: u8,
        esn_hi: Option<u32>,
        iv: [u8; 16],
        place: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let (encr, integ) = suite;
        let keys = protection(encr, integ, 1);
        let text_at = 8 + keys.iv_len();
        let text: Vec<u8> = (0..blocks * keys.block_len()).map(|n| fill.wrapping_add(n as u8)).collect();
        let mut packet = [&[1, 2, 3, 4, 5, 6, 7, 8][..], &vec![0; keys.iv_len()], &text, &vec![0; keys.icv_len()]].concat();
        keys.seal(&mut packet, 8, &iv[..keys.iv_len()], esn_hi);
        prop_assert_eq!(&packet[8..text_at], &iv[..keys.iv_len()]);

        let mut genuine = packet.clone();
        let range = keys.open(&mut genuine, 8, esn_hi).expect("genuine");
        prop_assert_eq!(range.start, text_at);
        prop_assert_eq!(&genuine[range], &text[..]);

        let mut changed = packet.clone();
        changed[place.index(packet.len())] ^= 1 << bit;
        prop_assert_eq!(keys.open(&mut changed, 8, esn_hi), Err(Forged));
        let other_high = Some(esn_hi.map_or(0, |high| high ^ 1));
        prop_assert_eq!(keys.open(&mut packet.clone(), 8, other_high), Err(Forged));
        prop_assert_eq!(protection(encr, integ, 2).open(&mut packet.clone(), 8, esn_hi), Err(Forged));
    }

    #[test]
    fn any_octets_are_forged(
        suite in prop::sample::select(suites()),
        mut packet in prop::collection::vec(any::<u8>(), 0..200),
        iv_at in 0usize..300,
    ) {
        prop_assert_eq!(protection(suite.0, suite.1, 1).open(&mut packet, iv_at, None), Err(Forged));
    }
}

const GCM_KEY: &str = "9c1cca827925c9ef776a2b26ab59f5d40330f0db5e89059cb7ae55689f60fc63e0e5de75";
const GCM_PACKET: &str =
    "c64d1f1a00000001aa4842c4d61f0c9085bf7714ccddf0586a53198b068e8373f4e1ee313f155af24f687dfa2ebc7df8
    35ce4d3914ee059729a2585740877ff4c436693791835bcdb0e37c20ada341a2a86effc14c8208f32261abffbc9c3ee0
    5dcb500312a56dbf813ae02af424805d35edc45209848e37";
const GCM_PLAIN: &str =
    "45000054f91d40004001a234c0a81405c0a80a010800789811090001dc49026b00000000c5d50b000000000010111213
    1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204";
const CBC_KEY: &str = "7376fac5c26cb5fb91909981f63d9637b8faec33db83c2f3006cb3ac6f99a6ef";
const CBC_INTEG: &str =
    "22277a2bd4ace96855917c5cbd4738e8e97799c76a7ac9cdf6f48bcd944fad953d113f487d83c30a01df4e757f0ed27d";
const CBC_PACKET: &str =
    "732eaa8f00000001ceba13307a5a82ecdf2dfccbe3c7b1c922a21dd1e9c792a1818bd842660e7cbec54cea0886ae8361
    40bc5a92a4ef7d6136f451d72c27b12bf9b9d5660c92f60105d0cd6204af41fe906b89cf1de71f235fde5351d57784cf
    d9a2325f888afa96aecf22852a8e609c1e0eb3d022a97b90caec3a3e97ef316233df81d948e8147b253ef4959fc70855";
const CBC_PLAIN: &str =
    "45000054f7b940004001a398c0a81405c0a80a010800cc07109d0001db49026b000000007ed200000000000010111213
    1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233343536370102030405060708090a0a04";
