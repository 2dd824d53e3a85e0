use super::*;
use proptest::prelude::*;

fn read_in_pieces(access: Option<&str>, input: &[u8], piece: usize) -> (Step, usize) {
    let access = access.map(|text| Arc::new(Access::parse(text.as_bytes()).unwrap()));
    let (mut head, mut at) = (Head::new(access), 0);
    loop {
        let length = head.wanted().min(input.len() - at).min(piece);
        if length == 0 {
            return (Step::More, at);
        }
        let step = head.receive(&input[at..at + length]);
        at += length;
        assert_eq!(head.wanted() == 0, step != Step::More);
        if step != Step::More {
            return (step, at);
        }
    }
}

fn read(input: &str) -> Step {
    read_in_pieces(None, input.as_bytes(), usize::MAX).0
}

fn status(step: &Step) -> &str {
    match step {
        Step::Refuse(answer) => {
            let (head, body) = std::str::from_utf8(answer).unwrap().split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            &head[9..12]
        }
        other => panic!("{other:?}"),
    }
}

fn address(text: &str) -> Target {
    Target::Address(text.parse().unwrap())
}

fn name(name: &str, port: u16) -> Target {
    Target::Name(name.into(), port)
}

#[test]
fn a_tunnel_is_asked_for_by_host_and_port() {
    for (to, target) in [
        ("www.example.com:443", name("www.example.com", 443)),
        ("192.168.10.1:22", address("192.168.10.1:22")),
        ("[2001:db8::1]:443", address("[2001:db8::1]:443")),
        ("[::ffff:192.168.10.1]:443", address("192.168.10.1:443")),
    ] {
        let step = read(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: x\r\n\r\nearly"));
        assert_eq!(step, Step::Connect { target, tunnel: true, first: b"early".to_vec() });
    }
    for to in [
        "www.example.com",
        "www.example.com:",
        ":443",
        "a:0",
        "a:65536",
        "a:+1",
        "user@a:1",
        "[a]:1",
        "[::1:1",
        "::1:1",
        "a b:1",
        "https://a:1",
        "/",
        "a%00:1",
        "[192.168.1.1]:1",
        "[2001:db8::1%25eth0]:1",
    ] {
        assert_eq!(status(&read(&format!("CONNECT {to} HTTP/1.1\r\n\r\n"))), "400", "{to}");
    }
}

#[test]
fn a_request_for_a_url_goes_to_its_host_without_what_is_the_proxys() {
    let request = "POST http://www.example.com:8080/a?b#c HTTP/1.1\r\nHost: somebody.else\r\nProxy-Connection: keep-alive\r\n\
                   Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nContent-Length: 3\r\nproxy-authorization: Basic eA==\r\nX: y\r\n\r\nabc";
    let first = "POST /a?b HTTP/1.1\r\nHost: www.example.com:8080\r\nContent-Length: 3\r\nX: y\r\nConnection: close\r\n\r\nabc";
    let target = name("www.example.com", 8080);
    assert_eq!(read(request), Step::Connect { target, tunnel: false, first: first.into() });
    let get = |url: &str| match read(&format!("GET {url} HTTP/1.1\r\n\r\n")) {
        Step::Connect { target, first, .. } => (target, String::from_utf8(first).unwrap()),
        other => panic!("{other:?}"),
    };
    let root = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(get("http://a.example"), (name("a.example", 80), root("a.example")));
    assert_eq!(get("HTTP://[2001:db8::1]/"), (address("[2001:db8::1]:80"), root("[2001:db8::1]")));
    assert!(get("http://a.example?q").1.starts_with("GET /?q HTTP/1.1\r\n"));
}

#[test]
fn a_web_page_that_reaches_this_port_is_refused_whatever_its_name() {
    for request in [
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:1080\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: rebound.example:1080\r\nOrigin: http://rebound.example:1080\r\n\r\n",
        "POST /http://inside.example/ HTTP/1.1\r\nHost: inside.example\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: inside.example\r\n\r\n",
        "GET https://inside.example/ HTTP/1.1\r\n\r\n",
        "GET ftp://inside.example/ HTTP/1.1\r\n\r\n",
    ] {
        let step = read(request);
        assert_eq!(status(&step), "400", "{request}");
        let Step::Refuse(answer) = step else { unreachable!() };
        assert!(!String::from_utf8(answer).unwrap().contains("Access-Control"), "no page may read it");
    }
}

#[test]
fn what_is_no_request_is_refused() {
    for bad in [
        "GET http://a/ HTTP/2\r\n\r\n",
        "GET http://a/\r\n\r\n",
        "GET  http://a/ HTTP/1.1\r\n\r\n",
        "\r\n\r\n",
        "G\u{e9}T http://a/ HTTP/1.1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nno field\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA: b\r\n continued\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA : b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA: b\nB: c\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA: \0\r\n\r\n",
        "GET http://a@b/ HTTP/1.1\r\n\r\n",
        "GET http:/// HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(status(&read(bad)), "400", "{bad:?}");
    }
    let long = format!("GET http://a/{} HTTP/1.1\r\n\r\n", "x".repeat(LIMIT));
    assert_eq!(status(&read(&long)), "431");
    assert_eq!(read(&long[..LIMIT - 1]), Step::More);
}

#[test]
fn user_and_password_are_asked_for_where_they_are_wanted() {
    let ask = |authorization: &str| {
        let request = format!("CONNECT a:1 HTTP/1.1\r\n{authorization}\r\n");
        read_in_pieces(Some("anna:s\u{e9}same:x"), request.as_bytes(), usize::MAX).0
    };
    let basic = |login: &str| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(login));
    assert!(matches!(ask(&basic("anna:s\u{e9}same:x")), Step::Connect { .. }));
    assert!(matches!(
        ask(&basic("anna:s\u{e9}same:x").replace("Proxy-A", "pROXY-a").replace("Basic", "basic")),
        Step::Connect { .. }
    ));
    for wrong in [
        String::new(),
        basic("anna:x"),
        basic("anna"),
        basic("ANNA:s\u{e9}same:x"),
        "Proxy-Authorization: Basic ?\r\n".into(),
    ] {
        let refused = ask(&wrong);
        assert_eq!(status(&refused), "407", "{wrong}");
        let Step::Refuse(answer) = refused else { unreachable!() };
        assert!(String::from_utf8(answer).unwrap().contains("Proxy-Authenticate: Basic realm="));
    }
}

proptest! {
    #[test]
    fn octet_by_octet_is_all_at_once(
        method in "(GET|CONNECT|POST)", to in "(http://)?[a-c.:\\[\\]/@0-9]{0,20}", fields in "([A-C]: ?[a-c]{0,5}\r\n){0,4}",
        rest in "[a-d\r\n ]{0,30}", piece in 1usize..60,
    ) {
        let input = format!("{method} {to} HTTP/1.1\r\n{fields}\r\n{rest}");
        let (whole, _) = read_in_pieces(None, input.as_bytes(), usize::MAX);
        let (parts, taken) = read_in_pieces(None, input.as_bytes(), piece);
        match (whole, parts) {
            (Step::Connect { target, first, .. }, Step::Connect { target: other, first: start, .. }) => {
                prop_assert_eq!(target, other);
                prop_assert_eq!(first, [start.as_slice(), &input.as_bytes()[taken..]].concat());
            }
            (whole, parts) => prop_assert_eq!(whole, parts),
        }
    }

    #[test]
    fn no_octets_do_harm(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_in_pieces(None, &[&b"GET http://a/ HTTP/1.1\r\n"[..], &input, b"\r\n\r\n"].concat(), 7);
        read_in_pieces(None, &input, 3);
    }
}
