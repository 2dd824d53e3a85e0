use super::*;
use proptest::prelude::*;

/// Everything at once, as far as it is wanted; the last step and how many octets were read.
fn read(input: &[u8]) -> (Step, usize) {
    read_in_pieces(input, usize::MAX)
}

fn read_in_pieces(input: &[u8], piece: usize) -> (Step, usize) {
    let mut handshake = Handshake::new(None);
    let mut at = 0;
    loop {
        let length = handshake.wanted().min(input.len() - at).min(piece);
        if length == 0 {
            return (Step::More, at);
        }
        let step = handshake.receive(&input[at..at + length]);
        at += length;
        match step {
            Step::More => {}
            Step::Send(answer) => assert_eq!(answer, [5, 0], "the only method that is ever chosen"),
            over => {
                assert_eq!(handshake.wanted(), 0);
                return (over, at);
            }
        }
    }
}

fn request(rest: &[u8]) -> Step {
    read(&[&[5, 1, 0], rest].concat()).0
}

fn refused(reply: Reply) -> Step {
    Step::Refuse(vec![5, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0])
}

fn name(name: &str) -> Step {
    let length = u8::try_from(name.len()).unwrap();
    request(&[&[5, 1, 0, 3, length], name.as_bytes(), &[0, 80]].concat())
}

fn address(text: &str) -> Step {
    Step::Connect(Target::Address(text.parse().unwrap()))
}

#[test]
fn the_three_kinds_of_destination_are_read() {
    assert_eq!(request(&[5, 1, 0, 1, 192, 168, 10, 1, 0, 80]), address("192.168.10.1:80"));
    let six = [&[5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8], &[0; 11][..], &[1, 1, 187]].concat();
    assert_eq!(request(&six), address("[2001:db8::1]:443"));
    let www = "www.inside.example.com";
    assert_eq!(name(www), Step::Connect(Target::Name(www.into(), 80)));
}

#[test]
fn an_address_that_is_written_as_a_name_is_an_address() {
    assert_eq!(name("192.168.10.1"), address("192.168.10.1:80"));
    assert_eq!(name("2001:db8::1"), address("[2001:db8::1]:80"));
    assert_eq!(name("[2001:db8::1]"), address("[2001:db8::1]:80"));
    assert_eq!(name("::ffff:192.168.10.1"), address("192.168.10.1:80"));
    assert_eq!(name("[192.168.10.1]"), Step::Connect(Target::Name("[192.168.10.1]".into(), 80)));
}

#[test]
fn what_is_no_name_is_not_found() {
    for bad in ["", "a b", "a\0b", "b\u{fc}cher.example"] {
        assert_eq!(name(bad), refused(Reply::HostUnreachable), "{bad:?}");
    }
}

#[test]
fn other_methods_versions_commands_and_kinds_are_refused_with_their_code() {
    let no_method = Step::Refuse(vec![5, 0xff]);
    assert_eq!(read(&[5, 2, 1, 2]).0, no_method, "GSSAPI and password only");
    assert_eq!(read(&[5, 0]).0, no_method, "no method at all");
    assert_eq!(read(&[4, 1, 0, 80]).0, no_method, "SOCKS4");
    assert_eq!(read(b"GET / HTTP/1.1\r\n").0, no_method);
    assert_eq!(read(&[5, 3, 1, 0, 2, 5, 1, 0, 1, 1, 2, 3, 4, 0, 1]).0, address("1.2.3.4:1"));
    for command in [0, 2, 4, 255] {
        let bind = [5, command, 0, 1, 1, 2, 3, 4, 0, 1];
        assert_eq!(request(&bind), refused(Reply::CommandNotSupported));
    }
    assert_eq!(request(&[4, 1, 0, 1, 1, 2, 3, 4, 0, 1]), refused(Reply::Failure));
    assert_eq!(request(&[5, 1, 0, 2, 1, 2, 3, 4, 0, 1]), refused(Reply::AddressNotSupported));
}

#[test]
fn what_follows_the_request_is_left_alone() {
    let request = [5, 1, 0, 5, 1, 0, 1, 192, 168, 10, 1, 0, 80];
    let input = [&request[..], b"GET / HTTP/1.1\r\n"].concat();
    assert_eq!(read(&input), (address("192.168.10.1:80"), request.len()));
}

#[test]
fn a_reply_names_our_end_in_its_family() {
    let bound = |text: &str| Reply::Succeeded.encode(text.parse().unwrap());
    assert_eq!(bound("192.168.20.5:258"), [5, 0, 0, 1, 192, 168, 20, 5, 1, 2]);
    let six = [&[5, 0, 0, 4, 0x20, 1, 0x0d, 0xb8], &[0; 11][..], &[5, 1, 2]].concat();
    assert_eq!(bound("[2001:db8::5]:258"), six);
    assert_eq!(Reply::Refused.without_address(), [5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
}

/// Octets that come near a handshake.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let greeting = prop_oneof![
        Just(vec![5u8, 1, 0]),
        (0u8..6, proptest::collection::vec(any::<u8>(), 0..6)).prop_map(|(version, methods)| [
            &[version, methods.len() as u8],
            &methods[..]
        ]
        .concat()),
    ];
    let request = (4u8..7, 0u8..4, any::<u8>(), 0u8..6, proptest::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(version, command, reserved, kind, rest)| {
            [&[version, command, reserved, kind], &rest[..]].concat()
        });
    (greeting, request).prop_map(|(greeting, request)| [greeting, request].concat())
}

proptest! {
    #[test]
    fn octet_by_octet_is_all_at_once(
        input in prop_oneof![nearly(), proptest::collection::vec(any::<u8>(), 0..600)],
        piece in 1usize..40,
    ) {
        let whole = read(&input);
        // A refusal may come earlier in a message that comes in pieces, but it is the same one.
        let (step, _) = read_in_pieces(&input, 1);
        prop_assert_eq!(&step, &whole.0);
        prop_assert_eq!(&read_in_pieces(&input, piece).0, &whole.0);
        if let Step::Connect(_) = step {
            prop_assert_eq!(read_in_pieces(&input, 1), whole);
        }
    }

    #[test]
    fn every_request_is_read_back(ip in any::<[u8; 16]>(), four in any::<bool>(), port in any::<u16>()) {
        let ip = if four {
            IpAddr::from([ip[0], ip[1], ip[2], ip[3]])
        } else {
            IpAddr::from(ip).to_canonical()
        };
        let port_octets = port.to_be_bytes();
        let message = match ip {
            IpAddr::V4(ip) => [&[5, 1, 0, 1], &ip.octets()[..], &port_octets].concat(),
            IpAddr::V6(ip) => [&[5, 1, 0, 4], &ip.octets()[..], &port_octets].concat(),
        };
        prop_assert_eq!(request(&message), Step::Connect(Target::Address(SocketAddr::new(ip, port))));
    }
}
