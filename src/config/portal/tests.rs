use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<ProbeUrl, ProbeUrlError> {
    text.parse()
}

#[test]
fn a_url_has_host_port_and_path() {
    for (text, host, port, path, shown) in [
        ("http://example.com", "example.com", 80, "/", "http://example.com/"),
        ("HTTP://example.com:8080/a?b=c", "example.com", 8080, "/a?b=c", "http://example.com:8080/a?b=c"),
        ("http://10.0.0.1?q", "10.0.0.1", 80, "/?q", "http://10.0.0.1/?q"),
        ("http://[fd00::1]:81/", "fd00::1", 81, "/", "http://[fd00::1]:81/"),
    ] {
        let url = read(text).unwrap();
        assert_eq!((url.host.as_str(), url.port.get(), url.path.as_str()), (host, port, path), "{text}");
        assert_eq!(url.to_string(), shown);
    }
    assert_eq!(Portal::default().probe, Some(read("http://network-test.debian.org/nm").unwrap()));
}

#[test]
fn what_is_no_such_url_is_refused_with_a_reason() {
    for (text, error) in [
        ("https://example.com/", ProbeUrlError::Scheme),
        ("example.com", ProbeUrlError::Scheme),
        ("http://", ProbeUrlError::Host),
        ("http:///nm", ProbeUrlError::Host),
        ("http://exa%6dple.com", ProbeUrlError::Host),
        ("http://[fd00::1", ProbeUrlError::Host),
        ("http://[example.com]", ProbeUrlError::Host),
        ("http://user:secret@example.com/", ProbeUrlError::User),
        ("http://example.com:0/", ProbeUrlError::Port),
        ("http://example.com:/", ProbeUrlError::Port),
        ("http://example.com:+80/", ProbeUrlError::Port),
        ("http://[fd00::1]x", ProbeUrlError::Port),
        ("http://example.com/\r\nCookie:", ProbeUrlError::Octets),
        ("http://ex\u{e4}mple.com/", ProbeUrlError::Octets),
        ("http://example.com/#top", ProbeUrlError::Fragment),
    ] {
        assert_eq!(read(text), Err(error), "{text}");
    }
    assert_eq!(read(&format!("http://{}", "x".repeat(MAX_URL))), Err(ProbeUrlError::Length));
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(text in "(http://)?[a-z.\\[\\]:0-9@/?#é -]{0,30}") {
        if let Ok(url) = read(&text) {
            prop_assert_eq!(read(&url.to_string()), Ok(url));
        }
    }
}
