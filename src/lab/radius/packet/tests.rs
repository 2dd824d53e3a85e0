use super::*;
use proptest::prelude::*;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

const SECRET: &[u8] = b"xyzzy5461";

fn authenticator() -> [u8; 16] {
    unhex("0f403f9473978057bd83d5cb98f4227a").try_into().unwrap()
}

fn question(user: &str, password: &[u8]) -> Question {
    let peer = "198.51.100.7".parse().unwrap();
    Question { id: 1, user: user.into(), password: Secret::from(password), state: None, peer }
}

fn request() -> Request {
    let nas = "192.168.1.16".parse().unwrap();
    Request::new(&question("nemo", b"arctangent"), nas, &Secret::from(SECRET), (0, authenticator())).unwrap()
}

/// A signed answer with these attributes.
fn answer(code: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut octets = vec![code, 0, 0, 0];
    octets.extend(authenticator());
    for (kind, value) in attributes {
        put(&mut octets, *kind, value).unwrap();
    }
    put(&mut octets, attribute::MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    let length = u16::try_from(octets.len()).unwrap();
    octets[2..4].copy_from_slice(&length.to_be_bytes());
    let signature = hmac_md5(&Secret::from(SECRET), &[&octets]);
    let at = octets.len() - 16;
    octets[at..].copy_from_slice(&signature);
    seal(octets)
}

/// With its Response Authenticator.
fn seal(mut octets: Vec<u8>) -> Vec<u8> {
    let sum = md5(&[&octets[..4], &authenticator(), &octets[20..], SECRET]);
    octets[4..20].copy_from_slice(&sum);
    octets
}

fn read(octets: &[u8]) -> Result<Answer, Bad> {
    request().read(octets, &Secret::from(SECRET)).map(|(answer, _)| answer)
}

/// What an Access-Accept with these attributes grants, and what of it is not used.
fn granted(attributes: &[(u8, &[u8])]) -> (Grant, Vec<String>) {
    let read = request().read(&answer(2, attributes), &Secret::from(SECRET));
    let (Answer::Accept(grant), unused) = read.unwrap() else { panic!("an Access-Accept") };
    (grant, unused.iter().map(ToString::to_string).collect())
}

/// RFC 2865 7.1.
#[test]
fn a_password_is_hidden_and_an_answer_sealed_as_in_the_rfcs_example() {
    let hidden = hidden(&Secret::from(&b"arctangent"[..]), &Secret::from(SECRET), &authenticator()).unwrap();
    assert_eq!(hidden, unhex("0dbe708d93d413ce3196e43f782a0aee"));
    assert!(request().octets.windows(16).any(|window| window == hidden));
    let accept = unhex("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103");
    // It is right, and older than Message-Authenticators.
    assert_eq!(read(&accept), Err(Bad::Unsigned));
}

#[test]
fn what_an_answer_grants_is_read() {
    let accept = answer(
        2,
        &[(8, &[192, 168, 20, 77]), (25, b"gold"), (25, b"b"), (168, &[0xfd; 16]), (18, b"hi"), (255, b"?")],
    );
    let expected = Grant {
        address4: Address4::Fixed("192.168.20.77".parse().unwrap()),
        address6: Some(Ipv6Addr::from([0xfd; 16])),
        class: vec![b"gold".to_vec(), b"b".to_vec()],
    };
    assert_eq!(read(&accept), Ok(Answer::Accept(expected)));
    let reject = answer(3, &[(18, b"not\x1b[2J "), (18, b"today")]);
    assert_eq!(read(&reject), Ok(Answer::Reject { message: "not [2J today".into() }));
    let challenge = answer(11, &[(24, b"s"), (18, b"Code?")]);
    let expected = Answer::Challenge { message: "Code?".into(), state: b"s".to_vec() };
    assert_eq!(read(&challenge), Ok(expected));
}

/// RFC 2865 5.8.
#[test]
fn an_address_is_left_to_the_client_or_to_the_gateway() {
    for (value, who) in [([255, 255, 255, 255], Address4::Client), ([255, 255, 255, 254], Address4::Gateway)]
    {
        let (grant, unused) = granted(&[(8, &value)]);
        assert_eq!((grant.address4, unused), (who, Vec::<String>::new()));
    }
    assert_eq!(granted(&[]), (Grant::default(), Vec::new()));
}

#[test]
fn what_cannot_be_given_is_told_and_left_out() {
    for value in [[0, 0, 0, 0], [127, 0, 0, 1], [239, 1, 2, 3]] {
        let (grant, unused) = granted(&[(8, &value)]);
        assert_eq!(grant, Grant::default());
        assert!(unused[0].starts_with(&format!("Framed-IP-Address {}: no host", Ipv4Addr::from(value))));
    }
    for text in ["::", "::1", "ff02::1", "fe80::1"] {
        let address: Ipv6Addr = text.parse().unwrap();
        let (grant, unused) = granted(&[(168, &address.octets())]);
        assert_eq!(grant, Grant::default());
        assert!(unused[0].starts_with(&format!("Framed-IPv6-Address {text}: no host")), "{unused:?}");
    }
    let malformed = |name: &str| vec![format!("{name} is malformed; it counts as not sent")];
    assert_eq!(granted(&[(8, &[10, 0, 0])]), (Grant::default(), malformed("Framed-IP-Address")));
    assert_eq!(granted(&[(168, &[0xfd; 15])]), (Grant::default(), malformed("Framed-IPv6-Address")));
    // A prefix of 64 bits, as it is usually sent, and one that lacks octets, has too many, or is longer than an address.
    let (grant, unused) = granted(&[(97, &[0, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0])]);
    assert_eq!(grant, Grant::default());
    assert!(unused[0].starts_with("Framed-IPv6-Prefix 2001:db8::/64: "), "{unused:?}");
    for value in
        [&[][..], &[0], &[0, 64, 0x20], &[0, 8, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    {
        assert_eq!(granted(&[(97, value)]).1, malformed("Framed-IPv6-Prefix"), "{value:?}");
    }
    assert_eq!(granted(&[(97, &[&[0, 129][..], &[0x20; 16]].concat())]).1, malformed("Framed-IPv6-Prefix"));
}

#[test]
fn what_is_forged_unsigned_or_of_another_request_does_not_count() {
    let good = answer(2, &[(25, b"gold")]);
    assert!(read(&good).is_ok());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(read(&bad).is_err(), "octet {at}");
    }
    // As an attacker who has found an MD5 collision would: the Response Authenticator is right.
    let signed_otherwise = {
        let mut octets = answer(3, &[]);
        octets[0] = 2;
        seal(octets)
    };
    assert_eq!(read(&signed_otherwise), Err(Bad::Forged));
    let otherwise = request().read(&good, &Secret::from(&b"another"[..]));
    assert_eq!(otherwise, Err(Bad::Forged));
    assert_eq!(read(&answer(5, &[])), Err(Bad::Code(5)));
    let two = answer(2, &[(attribute::MESSAGE_AUTHENTICATOR, &[0; 16])]);
    assert!(read(&two).is_err());
}

#[test]
fn a_request_has_its_challenges_state_and_no_more_than_radius_can_say() {
    let nas = "0.0.0.0".parse().unwrap();
    let mut asked = question("nemo", b"");
    asked.state = Some(b"state-of-it".to_vec());
    let request = Request::new(&asked, nas, &Secret::from(SECRET), (9, [7; 16])).unwrap();
    assert!(request.octets.windows(11).any(|window| window == b"state-of-it"));
    for (name, password) in [("x".repeat(254), 8), ("nemo".into(), 129)] {
        let asked = question(&name, &vec![b'p'; password]);
        assert!(Request::new(&asked, nas, &Secret::from(SECRET), (9, [7; 16])).is_none());
    }
}

proptest! {
    #[test]
    fn any_octets_are_an_answer_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..200), sealed: bool) {
        let octets = if sealed && octets.len() >= 20 {
            let mut octets = octets;
            octets[1] = 0;
            let length = u16::try_from(octets.len()).unwrap();
            octets[2..4].copy_from_slice(&length.to_be_bytes());
            seal(octets)
        } else {
            octets
        };
        // Without the right signature none of them counts.
        prop_assert!(read(&octets).is_err());
    }
}
