use super::*;
use proptest::prelude::*;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn page(url: &str) -> Probe {
    Probe {
        url: url.parse().unwrap(),
        expect: "NetworkManager is online".into(),
        timeout: Duration::from_secs(20),
    }
}

fn empty(url: &str) -> Probe {
    Probe { expect: String::new(), ..page(url) }
}

fn verdict(answer: &str, probe: &Probe) -> Verdict {
    judge(answer.as_bytes(), true, probe).unwrap_or_else(|| panic!("no verdict on {answer:?}"))
}

fn captive(location: &str) -> Verdict {
    Verdict::Captive { location: (!location.is_empty()).then(|| location.to_owned()) }
}

#[test]
fn an_answer_is_judged_by_status_and_by_how_the_page_begins() {
    let probe = page("http://probe.example:81/nm");
    let ok = "HTTP/1.1 200 OK\r\n";
    for (answer, expected) in [
        (format!("{ok}Content-Length: 25\r\n\r\nNetworkManager is online\n"), Verdict::Open),
        (format!("{ok}\r\nNetworkManager is online"), Verdict::Open),
        ("HTTP/1.0 200 OK\n\nNetworkManager is online, and more".into(), Verdict::Open),
        (
            format!(
                "{ok}transfer-encoding: Chunked\r\n\r\n7;x=y\r\nNetwork\r\n11\r\nManager is online\r\n0\r\n\r\n"
            ),
            Verdict::Open,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), Verdict::Open),
        (format!("{ok}\r\n<html>Please log in"), captive("")),
        (format!("{ok}Content-Length: 0\r\n\r\n"), captive("")),
        (format!("{ok}\r\nNetworkManager"), captive("")),
        (format!("{ok}Transfer-Encoding: chunked\r\n\r\nno chunk\r\n"), captive("")),
        ("HTTP/1.1 511 Network Authentication Required\r\n\r\n".into(), captive("")),
        (
            "HTTP/1.1 302 Found\r\nLOCATION:  https://portal.example/?a=b \r\n\r\n".into(),
            captive("https://portal.example/?a=b"),
        ),
        ("HTTP/1.1 307 x\r\nLocation: /login\r\n\r\n".into(), captive("http://probe.example:81/login")),
        ("HTTP/1.1 302 Found\r\nLocation: //elsewhere/\r\n\r\n".into(), captive("")),
        ("HTTP/1.1 302 Found\r\nLocation: javascript:alert(1)\r\n\r\n".into(), captive("")),
        ("HTTP/1.1 302 Found\r\nLocation: http://portal\u{1b}[2J\r\n\r\n".into(), captive("")),
        (format!("HTTP/1.1 302 Found\r\nLocation: http://{}\r\n\r\n", "x".repeat(MAX_LOCATION)), captive("")),
        ("HTTP/1.1 302 Found\r\n\r\nLocation: http://body/\r\n".into(), captive("")),
    ] {
        assert_eq!(verdict(&answer, &probe), expected, "{answer}");
    }
}

#[test]
fn where_no_content_is_expected_a_page_is_a_portals() {
    let probe = empty("http://probe.example/generate_204");
    assert_eq!(verdict("HTTP/1.1 204 No Content\r\n\r\n", &probe), Verdict::Open);
    assert_eq!(verdict("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &probe), Verdict::Open);
    assert_eq!(verdict("HTTP/1.1 200 OK\r\n\r\n<html>", &probe), captive(""));
}

#[test]
fn what_says_nothing_about_portals_is_unknown() {
    let probe = page("http://probe.example/nm");
    for (answer, why) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        ("HTTP/1.1 503 Busy\r\n\r\n", "status 503"),
        ("HTTP/1.1 xyz\r\n\r\n", "not HTTP"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "ended before its header"),
        ("", "ended before its header"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\nNetwork", "cut off"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nNetw", "cut off"),
    ] {
        let Verdict::Unknown { why: said } = verdict(answer, &probe) else { panic!("{answer}") };
        assert!(said.contains(why), "{answer}: {said}");
    }
    let giant = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_HEADER));
    assert!(
        matches!(judge(giant.as_bytes(), false, &probe), Some(Verdict::Unknown { why }) if why.contains("header"))
    );
}

proptest! {
    /// A verdict needs no more octets than it says, and what comes later does not change it, as it is not waited for.
    #[test]
    fn pieces_do_not_matter(
        start in prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nNetwork\r\n11\r\nManager is online",
            "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nNetworkManager is onlin",
            "HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n", "HTTP/1.1 2", "",
        ]),
        rest in "[\\x00-\\x7f]{0,60}",
        cut in 0..100_usize,
    ) {
        let probe = page("http://probe.example/nm");
        let answer = format!("{start}{rest}").into_bytes();
        let early = judge(&answer[..cut.min(answer.len())], false, &probe);
        let last = judge(&answer, true, &probe);
        prop_assert!(last.is_some(), "the end of an answer is a verdict");
        if let Some(early) = early {
            prop_assert_eq!(Some(early), judge(&answer, false, &probe));
        }
    }
}

/// A server that says this to whoever asks, then goes on as told.
async fn server(answer: Vec<u8>, then: Then) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    let url = format!("http://{}/nm?x", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request ended early");
        }
        // Whoever has seen enough goes.
        let _ = stream.write_all(&answer).await;
        match then {
            Then::Close => {}
            Then::Wait => {
                let _ = stream.read(&mut [0]).await;
            }
            Then::GoOn => while stream.write_all(&answer).await.is_ok() {},
        }
        String::from_utf8(request).unwrap()
    });
    (url, task)
}

#[derive(Clone, Copy)]
enum Then {
    Close,
    Wait,
    GoOn,
}

/// Asks at the address that stands in the URL.
async fn probe(probe: &Probe, from: IpAddr, interface: u32) -> Verdict {
    super::probe(probe, &[probe.url.host.parse().unwrap()], from, interface, plain).await
}

#[tokio::test]
async fn a_page_is_asked_for_in_the_clear_without_a_word_about_us() {
    let (url, server) =
        server(b"HTTP/1.1 200 OK\r\n\r\nNetworkManager is online\n".to_vec(), Then::Wait).await;
    let lo =
        rustix::net::netdevice::name_to_index(std::net::UdpSocket::bind((HOME, 0)).unwrap(), "lo").unwrap();
    assert_eq!(probe(&page(&url), HOME, lo).await, Verdict::Open);
    let request = server.await.unwrap();
    let host = url.strip_prefix("http://").unwrap().strip_suffix("/nm?x").unwrap();
    assert!(request.starts_with("GET /nm?x HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: {host}\r\n")), "{request}");
    assert!(!request.contains(env!("CARGO_PKG_VERSION")), "{request}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = TcpListener::bind((HOME, 0)).await.unwrap();
    let elsewhere = format!("http://{}/", other.local_addr().unwrap());
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\n\r\n");
    let (url, server) = server(answer.into_bytes(), Then::Close).await;
    assert_eq!(probe(&page(&url), HOME, 0).await, captive(&elsewhere));
    server.await.unwrap();
    let nobody = tokio::select! {
        biased;
        _ = other.accept() => false,
        () = std::future::ready(()) => true,
    };
    assert!(nobody);
}

#[tokio::test]
async fn a_server_that_never_ends_is_left() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\nNetworkManager is online\n", Verdict::Open),
        ("HTTP/1.1 200 OK\r\n\r\n<html>", captive("")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nN\r\n", captive("")),
    ] {
        let (url, server) = server(answer.as_bytes().to_vec(), Then::GoOn).await;
        assert_eq!(probe(&page(&url), HOME, 0).await, expected, "{answer}");
        server.await.unwrap();
    }
    let (url, server) = server(b"HTTP/1.1 200 OK\r\nX-Filler: yes\r\n".to_vec(), Then::Close).await;
    assert!(
        matches!(probe(&page(&url), HOME, 0).await, Verdict::Unknown { why } if why.contains("ended before"))
    );
    server.await.unwrap();
    let (url, server) =
        self::server([b"HTTP/1.1 200 OK\r\n".as_slice(), &[b'x'; 1 << 20]].concat(), Then::GoOn).await;
    assert!(matches!(probe(&page(&url), HOME, 0).await, Verdict::Unknown { why } if why.contains("header")));
    server.await.unwrap();
}

#[tokio::test]
async fn who_cannot_be_asked_is_unknown() {
    let why = |verdict| match verdict {
        Verdict::Unknown { why } => why,
        other => panic!("{other:?}"),
    };
    let (url, server) = server(Vec::new(), Then::Wait).await;
    let hurried = Probe { timeout: Duration::from_millis(50), ..page(&url) };
    assert!(why(probe(&hurried, HOME, 0).await).contains("did not answer within 50ms"));
    server.await.unwrap();
    // Nobody listens there any more.
    let said = why(probe(&page(&url), HOME, 0).await);
    assert!(said.contains("cannot be asked"), "{said}");
    assert!(
        why(probe(&page("http://[::1]:1/"), HOME, 0).await).contains("no address to reach from 127.0.0.1")
    );
    assert!(why(super::probe(&page(&url), &[], HOME, 0, plain).await).contains("no address to reach from"));
    // An address of ours that is gone.
    let gone = "192.0.2.1".parse().unwrap();
    assert!(why(probe(&page(&url), gone, 0).await).contains("cannot be asked"));
}
