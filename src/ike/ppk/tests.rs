use super::*;

fn ppk(text: &[u8]) -> Result<Ppk, PpkError> {
    Ppk::new("office", &Secret::from(text), true)
}

#[test]
fn a_file_holds_octets_or_hexadecimal_digits() {
    let plain = ppk(&[b'a'; 32]).unwrap();
    let hex = [b"0x".to_vec(), b"61".repeat(32), b"\n".to_vec()].concat();
    assert_eq!(ppk(&hex).unwrap(), plain);
    assert_eq!(ppk(&[&[b'a'; 32][..], b"\r\n"].concat()).unwrap(), plain);
    assert_ne!(ppk(&[b'b'; 32]).unwrap(), plain);
    assert!(!format!("{plain:?}").contains("aaaa"), "{plain:?}");
}

#[test]
fn what_is_none_is_refused() {
    assert_eq!(ppk(&[b'a'; 31]), Err(PpkError::Length(31)));
    assert_eq!(ppk(&[b'a'; 1025]), Err(PpkError::Length(1025)));
    assert_eq!(ppk(b"0x6161"), Err(PpkError::Length(2)));
    assert_eq!(ppk(b"0x616"), Err(PpkError::Hex));
    assert_eq!(ppk(b"0x6g"), Err(PpkError::Hex));
    let long = "n".repeat(256);
    for id in ["", long.as_str()] {
        assert_eq!(Ppk::new(id, &Secret::new(vec![1; 32]), false), Err(PpkError::Name));
    }
}

#[test]
fn only_its_own_name_names_it() {
    let ppk = ppk(&[7; 40]).unwrap();
    let Payload::Notify(named) = &ppk.identity() else { panic!("a notify") };
    assert_eq!((named.kind, named.data.as_slice()), (16_436, &b"\x02office"[..]));
    assert!(ppk.is_named(&named.data));
    for other in [&b""[..], b"office", b"\x01office", b"\x02offic", b"\x02office2"] {
        assert!(!ppk.is_named(other), "{other:?}");
    }
}

#[test]
fn three_keys_are_mixed_and_four_stay() {
    let key = |octet: u8| Secret::new(vec![octet; 48]);
    let [sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr] = [1, 2, 3, 4, 5, 6, 7].map(key);
    let keys = SaKeys { sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr };
    let mixed = ppk(&[9; 32]).unwrap().mix(Prf::HmacSha384, &keys);
    // prf+ of one round: prf(PPK, SK' | 0x01).
    let once = |key: &Secret| Prf::HmacSha384.compute(&[9; 32], &[key.expose(), &[1]]);
    assert_eq!(
        (mixed.sk_d, mixed.sk_pi, mixed.sk_pr),
        (once(&keys.sk_d), once(&keys.sk_pi), once(&keys.sk_pr))
    );
    assert_eq!((mixed.sk_ai, mixed.sk_ar), (keys.sk_ai, keys.sk_ar));
    assert_eq!((mixed.sk_ei, mixed.sk_er), (keys.sk_ei, keys.sk_er));
}
