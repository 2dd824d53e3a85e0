use super::*;
use crate::crypto::testing::hex;

const ALL: [Prf; 4] = [Prf::HmacSha1, Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512];

#[test]
fn numbers_go_both_ways_and_sha1_is_never_negotiated() {
    for prf in ALL {
        let expected = (prf != Prf::HmacSha1).then_some(prf);
        assert_eq!(Prf::from_id(prf.id()), expected);
        assert_eq!(prf.compute(b"k", &[]).len(), prf.len());
        assert_eq!(prf.hash().digest(&[]).len(), prf.hash().len());
        assert_eq!(Hash::from_number(prf.hash().number()), Some(prf.hash()));
    }
    assert_eq!(Prf::from_id(4), None);
    assert_eq!(Hash::from_number(0), None);
    assert_eq!(Hash::from_number(5), None);
}

#[test]
fn parts_are_concatenated() {
    for prf in ALL {
        assert_eq!(prf.compute(b"key", &[b"ab", b"", b"c"]), prf.compute(b"key", &[b"abc"]));
        assert_eq!(prf.plus(b"key", &[b"ab", b"c"], 100), prf.plus(b"key", &[b"abc"], 100));
        assert_eq!(prf.hash().digest(&[b"ab", b"c"]), prf.hash().digest(&[b"abc"]));
    }
}

/// FIPS 180-4 examples: the digests of "abc".
#[test]
fn digests_of_abc() {
    for (hash, expected) in [
        (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Hash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Hash::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Hash::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ] {
        assert_eq!(hash.digest(&[b"a", b"bc"]), hex(expected));
    }
}

/// RFC 4231 4.2 to 4.8 (without 4.6, which truncates).
#[test]
fn rfc_4231() {
    let counting: Vec<u8> = (1..=25).collect();
    let long = b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be \
                 hashed before being used by the HMAC algorithm.";
    let cases: [(&[u8], &[u8], [&str; 3]); 6] = [
        (
            &[0x0b; 20],
            b"Hi There",
            [
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ],
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            [
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ],
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            [
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
                "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27",
                "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39
                 bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
            ],
        ),
        (
            &counting,
            &[0xcd; 50],
            [
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb",
                "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db
                 a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
            ],
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            [
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352
                 6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ],
        ),
        (
            &[0xaa; 131],
            long,
            [
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
                "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e",
                "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944
                 b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
            ],
        ),
    ];
    for (key, data, expected) in cases {
        for (prf, expected) in ALL[1..].iter().zip(expected) {
            assert_eq!(prf.compute(key, &[data]).expose(), hex(expected), "{prf:?}");
        }
    }
}

/// T1 = prf(K, S | 1), T2 = prf(K, T1 | S | 2), .. spelt out with `compute`.
#[test]
fn prf_plus_is_its_definition_at_every_edge() {
    for prf in ALL {
        let (key, seed) = (b"key", b"seed");
        let mut expected = Vec::new();
        let mut last = Vec::new();
        for round in 1..=255u8 {
            last = prf.compute(key, &[&last, seed, &[round]]).expose().to_vec();
            expected.extend_from_slice(&last);
        }
        let len = prf.len();
        for wanted in [0, 1, len - 1, len, len + 1, 2 * len, 7 * len - 3, 254 * len + 1, 255 * len] {
            assert_eq!(prf.plus(key, &[seed], wanted).expose(), &expected[..wanted], "{prf:?} {wanted}");
        }
    }
}

#[test]
#[should_panic(expected = "255 rounds")]
fn prf_plus_has_no_256th_round() {
    Prf::HmacSha256.plus(b"key", &[b"seed"], 255 * 32 + 1);
}
