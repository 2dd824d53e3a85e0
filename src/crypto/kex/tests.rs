use super::*;
use crate::crypto::testing::{Replay, Seeded, hex};

#[test]
fn numbers_go_both_ways() {
    for group in Group::ALL {
        assert_eq!(Group::from_id(group.id()), Some(group));
    }
    for unknown in [0, 1, 2, 5, 13, 17, 18, 22, 30, 32, 35] {
        assert_eq!(Group::from_id(unknown), None);
    }
}

#[test]
fn two_sides_agree_and_others_do_not() {
    let mut random = Seeded::new(1);
    for group in Group::ALL {
        let [a, b, c] = std::array::from_fn(|_| generate(group, &mut random));
        assert_eq!((a.group(), a.public_value().len()), (group, group.public_len()));
        assert_ne!(a.public_value(), b.public_value());
        let shared = a.agree(b.public_value()).expect("a member");
        assert_eq!(b.agree(a.public_value()), Ok(shared.clone()));
        assert_ne!(c.agree(a.public_value()), Ok(shared.clone()));
        let expected = if matches!(group, Group::Ecp256 | Group::Ecp384 | Group::Ecp521) { 2 } else { 1 };
        assert_eq!(shared.len() * expected, group.public_len());
    }
}

#[test]
fn the_private_value_comes_from_the_randomness_passed_in() {
    for group in Group::ALL {
        let [a, b, c] = [7, 7, 8].map(|seed| generate(group, &mut Seeded::new(seed)));
        assert_eq!(a.public_value(), b.public_value());
        assert_ne!(a.public_value(), c.public_value());
    }
}

#[test]
fn every_other_length_is_refused() {
    let mut random = Seeded::new(2);
    for group in Group::ALL {
        let ours = generate(group, &mut random);
        let good = generate(group, &mut random).public_value().to_vec();
        let expected = group.public_len();
        let longer = [&[0], &good[..]].concat();
        for wrong in [&good[..0], &good[1..], &good[..expected - 1], &longer, &good.repeat(2)] {
            assert_eq!(ours.agree(wrong), Err(KexError::Length { found: wrong.len(), expected }));
        }
    }
}

struct Vector {
    group: Group,
    private: [&'static str; 2],
    public: [&'static str; 2],
    shared: &'static str,
}

fn check(vector: Vector) {
    let sides = vector.private.map(|private| generate(vector.group, &mut Replay(hex(private))));
    let public = vector.public.map(hex);
    let shared = Secret::new(hex(vector.shared));
    for (ours, theirs) in [(0, 1), (1, 0)] {
        assert_eq!(sides[ours].public_value(), public[ours], "{:?}", vector.group);
        assert_eq!(sides[ours].agree(&public[theirs]), Ok(shared.clone()), "{:?}", vector.group);
    }
}

#[test]
fn rfc_5903_256() {
    check(Vector {
        group: Group::Ecp256,
        private: [
            "C88F01F5 10D9AC3F 70A292DA A2316DE5 44E9AAB8 AFE84049 C62A9C57 862D1433",
            "C6EF9C5D 78AE012A 011164AC B397CE20 88685D8F 06BF9BE0 B283AB46 476BEE53",
        ],
        public: [
            "DAD0B653 94221CF9 B051E1FE CA5787D0 98DFE637 FC90B9EF 945D0C37 72581180
             5271A046 1CDB8252 D61F1C45 6FA3E59A B1F45B33 ACCF5F58 389E0577 B8990BB3",
            "D12DFB52 89C8D4F8 1208B702 70398C34 2296970A 0BCCB74C 736FC755 4494BF63
             56FBF3CA 366CC23E 8157854C 13C58D6A AC23F046 ADA30F83 53E74F33 039872AB",
        ],
        shared: "D6840F6B 42F6EDAF D13116E0 E1256520 2FEF8E9E CE7DCE03 812464D0 4B9442DE",
    });
}

#[test]
fn rfc_5903_384() {
    check(Vector {
        group: Group::Ecp384,
        private: [
            "099F3C70 34D4A2C6 99884D73 A375A67F 7624EF7C 6B3C0F16 0647B674 14DCE655 E35B5380 41E649EE 3FAEF896 783AB194",
            "41CB0779 B4BDB85D 47846725 FBEC3C94 30FAB46C C8DC5060 855CC9BD A0AA2942 E0308312 916B8ED2 960E4BD5 5A7448FC",
        ],
        public: [
            "667842D7 D180AC2C DE6F74F3 7551F557 55C7645C 20EF73E3 1634FE72 B4C55EE6 DE3AC808 ACB4BDB4 C88732AE E95F41AA
             9482ED1F C0EEB9CA FC498462 5CCFC23F 65032149 E0E144AD A0241815 35A0F38E EB9FCFF3 C2C947DA E69B4C63 4573A81C",
            "E558DBEF 53EECDE3 D3FCCFC1 AEA08A89 A987475D 12FD950D 83CFA417 32BC509D 0D1AC43A 0336DEF9 6FDA41D0 774A3571
             DCFBEC7A ACF31964 72169E83 8430367F 66EEBE3C 6E70C416 DD5F0C68 759DD1FF F83FA401 42209DFF 5EAAD96D B9E6386C",
        ],
        shared: "11187331 C279962D 93D60424 3FD592CB 9D0A926F 422E4718 7521287E 7156C5C4 D6031355 69B9E9D0 9CF5D4A2 70F59746",
    });
}

#[test]
fn rfc_5903_521() {
    check(Vector {
        group: Group::Ecp521,
        private: [
            "0037ADE9 319A89F4 DABDB3EF 411AACCC A5123C61 ACAB57B5 393DCE47 608172A0 95AA85A3 0FE1C295 2C6771D9 37BA9777
             F5957B26 39BAB072 462F68C2 7A57382D 4A52",
            "0145BA99 A847AF43 793FDD0E 872E7CDF A16BE30F DC780F97 BCCC3F07 8380201E 9C677D60 0B343757 A3BDBF2A 3163E4C2
             F869CCA7 458AA4A4 EFFC311F 5CB15168 5EB9",
        ],
        public: [
            "0015417E 84DBF28C 0AD3C278 713349DC 7DF153C8 97A1891B D98BAB43 57C9ECBE E1E3BF42 E00B8E38 0AEAE57C 2D107564
             94188594 2AF5A7F4 601723C4 195D176C ED3E
             017CAE20 B6641D2E EB695786 D8C94614 6239D099 E18E1D5A 514C739D 7CB4A10A D8A78801 5AC405D7 799DC75E 7B7D5B6C
             F2261A6A 7F150743 8BF01BEB 6CA3926F 9582",
            "00D0B397 5AC4B799 F5BEA16D 5E13E9AF 971D5E9B 984C9F39 728B5E57 39735A21 9B97C356 436ADC6E 95BB0352 F6BE64A6
             C2912D4E F2D0433C ED2B6171 640012D9 460F
             015C6822 6383956E 3BD066E7 97B623C2 7CE0EAC2 F551A10C 2C724D98 52077B87 220B6536 C5C408A1 D2AEBB8E 86D678AE
             49CB5709 1F473229 6579AB44 FCD17F0F C56A",
        ],
        shared: "01144C7D 79AE6956 BC8EDB8E 7C787C45 21CB086F A64407F9 7894E5E6 B2D79B04 D1427E73 CA4BAA24 0A347868 59810C06
                 B3C715A3 A8CC3151 F2BEE417 996D19F3 DDEA",
    });
}

#[test]
fn rfc_7748_x25519() {
    check(Vector {
        group: Group::Curve25519,
        private: [
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ],
        public: [
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ],
        shared: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    });
}

/// The points of small order, and with them everything that makes X25519 zero (RFC 7748 6.1, RFC 8031 2.3).
#[test]
fn x25519_zero_is_refused() {
    let ours = generate(Group::Curve25519, &mut Seeded::new(3));
    let (mut one, mut minus_one, mut p) = ([0; 32], [0xff; 32], [0xff; 32]);
    one[0] = 1;
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    (p[0], p[31]) = (0xed, 0x7f);
    for low_order in [[0; 32], one, minus_one, p] {
        assert_eq!(ours.agree(&low_order), Err(KexError::ZeroSecret));
    }
}

/// RFC 6989 2.3: coordinates below p, on the curve.
#[test]
fn points_off_the_curve_are_refused() {
    let mut random = Seeded::new(4);
    for group in [Group::Ecp256, Group::Ecp384, Group::Ecp521] {
        let ours = generate(group, &mut random);
        let good = generate(group, &mut random).public_value().to_vec();
        let mut other_y = good.clone();
        *other_y.last_mut().expect("not empty") ^= 1;
        let swapped = [&good[good.len() / 2..], &good[..good.len() / 2]].concat();
        for bad in [vec![0; good.len()], vec![0xff; good.len()], other_y, swapped] {
            assert_eq!(ours.agree(&bad), Err(KexError::NotInGroup), "{group:?}");
        }
    }
}

/// A draw that is no private value is thrown away: zero, and the order itself.
#[test]
fn ecp_draws_again() {
    let order = "FFFFFFFF 00000000 FFFFFFFF FFFFFFFF BCE6FAAD A7179E84 F3B9CAC2 FC632551";
    let good = "C88F01F5 10D9AC3F 70A292DA A2316DE5 44E9AAB8 AFE84049 C62A9C57 862D1433";
    let expected = generate(Group::Ecp256, &mut Replay(hex(good)));
    let draws = [vec![0; 32], hex(order), vec![0xff; 32], hex(good)].concat();
    let found = generate(Group::Ecp256, &mut Replay(draws));
    assert_eq!(found.public_value(), expected.public_value());
}

#[test]
#[should_panic(expected = "randomness is broken")]
fn ecp_gives_up_on_a_dead_source() {
    generate(Group::Ecp384, &mut Replay(vec![0; 64 * 48]));
}
