use super::*;
use proptest::prelude::*;

/// Sends requests in pieces and reads the answers in pieces.
fn talk(requests: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut conversation = Conversation::new();
    let (mut answers, mut at) = (Vec::new(), 0);
    loop {
        while conversation.has_output() {
            let mut room = vec![0; piece];
            let length = conversation.send(&mut room);
            assert!(length > 0);
            answers.extend(&room[..length]);
        }
        if !conversation.wants_input() || at == requests.len() {
            return (answers, conversation.is_over());
        }
        let taken = conversation.receive(&requests[at..requests.len().min(at + piece)]);
        assert!(taken > 0);
        at += taken;
    }
}

/// Head, body, and whether the connection is over then.
fn ask(request: &str) -> (String, Vec<u8>, bool) {
    let (answer, over) = talk(request.as_bytes(), 1 << 20);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let length = format!("Content-Length: {}\r\n", answer.len() - end);
    assert!(head.contains(&length) || request.starts_with("HEAD"), "{head}");
    (head, answer[end..].to_vec(), over)
}

fn get(target: &str, fields: &str) -> (String, Vec<u8>, bool) {
    ask(&format!("GET {target} HTTP/1.1\r\nHost: 192.168.10.1\r\n{fields}\r\n"))
}

fn pattern(range: Range<u64>) -> Vec<u8> {
    range.map(pattern::octet).collect()
}

#[test]
fn the_page_says_what_it_is() {
    let (head, body, over) = get("/", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/plain"), "{head}");
    assert_eq!(body, TEXT.as_bytes());
    assert!(!over, "keep-alive is the rule");
    assert_eq!(get("http://www.inside.example.com", "").1, TEXT.as_bytes());
    assert_eq!(get("http://www.inside.example.com/bytes/3?x", "").1, pattern(0..3));
}

#[test]
fn octets_come_as_many_as_asked_for() {
    for length in [0, 1, 5000] {
        assert_eq!(get(&format!("/bytes/{length}"), "").1, pattern(0..length));
    }
    let (head, body, _) = ask("HEAD /bytes/1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.contains("Content-Length: 1000\r\n") && body.is_empty());
}

#[test]
fn a_download_can_be_resumed() {
    let cases = [
        ("bytes=400-", 400..1000),
        ("bytes=0-0", 0..1),
        ("bytes=10-19", 10..20),
        ("bytes=990-5000", 990..1000),
        ("bytes=-100", 900..1000),
        ("bytes=-5000", 0..1000),
    ];
    for (range, expected) in cases {
        let (head, body, _) = get("/bytes/1000", &format!("Range: {range}\r\n"));
        assert!(head.starts_with("HTTP/1.1 206 "), "{range}: {head}");
        let named = format!("Content-Range: bytes {}-{}/1000\r\n", expected.start, expected.end - 1);
        assert!(head.contains(&named), "{range}: {head}");
        assert_eq!(body, pattern(expected), "{range}");
    }
    for behind in ["bytes=1000-", "bytes=2000-3000", "bytes=-0"] {
        let (head, _, over) = get("/bytes/1000", &format!("Range: {behind}\r\n"));
        assert!(head.starts_with("HTTP/1.1 416 ") && head.contains("bytes */1000"), "{behind}: {head}");
        assert!(!over);
    }
    for unknown in ["bytes=1-2,5-6", "lines=1-2", "bytes=9-1", "bytes=-", "bytes=a-b", "bytes=+1-2"] {
        let (head, body, _) = get("/bytes/10", &format!("Range: {unknown}\r\n"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{unknown}");
        assert_eq!(body.len(), 10);
    }
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let head = |request: &str| {
        let (head, body, over) = ask(request);
        assert!(body.is_empty());
        (head[9..12].to_owned(), over)
    };
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(HEAD));
    let cases = [
        ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "404", false),
        ("GET /bytes/x HTTP/1.1\r\nHost: x\r\n\r\n", "404", false),
        ("GET /bytes/+1 HTTP/1.1\r\nHost: x\r\n\r\n", "404", false),
        ("GET /bytes/99999999999999999999 HTTP/1.1\r\nHost: x\r\n\r\n", "404", false),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405", true),
        ("GET / HTTP/1.1\r\n\r\n", "400", true),
        ("GET / HTTP/2\r\nHost: x\r\n\r\n", "400", true),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "400", true),
        ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "400", true),
        ("\u{16}\u{3}\u{1}\r\n\r\n", "400", true),
        (&long, "431", true),
    ];
    for (request, code, over) in cases {
        assert_eq!(head(request), (code.to_owned(), over), "{request}");
    }
}

#[test]
fn the_connection_stays_as_the_client_wishes() {
    assert!(get("/", "Connection: close\r\n").2);
    assert!(ask("GET / HTTP/1.0\r\n\r\n").2);
    assert!(!ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").2);
    let two = "GET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /bytes/4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /bytes/5 HTTP/1.1\r\n\r\n";
    let (answers, over) = talk(two.as_bytes(), 1 << 20);
    assert!(over);
    let text = String::from_utf8_lossy(&answers);
    assert!(text.contains("Content-Length: 3") && text.contains("Content-Length: 4"));
    assert!(!text.contains("Content-Length: 5"), "nothing is answered after the last one");
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        requests in proptest::collection::vec(
            prop_oneof![
                (0u64..3000, 0u64..3000).prop_map(|(n, from)| {
                    format!("GET /bytes/{n} HTTP/1.1\r\nHost: x\r\nRange: bytes={from}-\r\n\r\n")
                }),
                "[ -~\r\n]{0,60}",
            ],
            1..4,
        ),
        piece in 1usize..50,
    ) {
        let requests = requests.concat();
        prop_assert_eq!(talk(requests.as_bytes(), piece), talk(requests.as_bytes(), 1 << 20));
    }

    #[test]
    fn rubbish_is_survived(octets in proptest::collection::vec(any::<u8>(), 0..9000)) {
        talk(&octets, 1000);
    }
}
