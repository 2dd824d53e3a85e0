//! A gateway that asks for a scan of the host.

use super::*;

fn scan() -> HostScan {
    HostScan { ticket: "AB12".into(), token: "CD34".into(), base_uri: "/CACHE".into(), wait_uri: "/w".into() }
}

fn with_scanner() -> AnyConnect {
    AnyConnect::new(LoginParams { device: device(), group_access: None, own: None, scans: true })
}

fn scanning(packet: &[u8]) -> AnyConnect {
    let mut login = with_scanner();
    match login.handle(packet) {
        Ok(Step::Scan(asked)) => assert_eq!(asked, scan()),
        other => panic!("{other:?}"),
    }
    login
}

#[test]
fn the_token_goes_with_the_answer_to_the_same_request() {
    let mut login = scanning(&server::confirmation(3, OPAQUE, Some(&scan())).unwrap());
    let sent = reply(login.scanned(Ok("<EF&56>".into())));
    assert_eq!((sent.id, sent.kind, sent.fields.len()), (3, ClientKind::AuthReply, 0));
    assert_eq!(sent.host_scan_token.as_deref(), Some("<EF&56>"));
    assert_eq!(sent.opaque.as_deref(), Some(OPAQUE), "byte for byte");

    let form = server::auth_request_with(3, OPAQUE, &password_form(), Some(&scan())).unwrap();
    let mut login = scanning(&form);
    ask(login.scanned(Ok("EF56".into())));
    let bad = login.answer(&answers(&[("username", "test"), ("password", "a\u{1}")])).unwrap_err();
    assert!(bad.is_about_answers());
    let given = answers(&[("username", "test"), ("password", "cisco")]);
    let sent = ClientMessage::parse(&login.answer(&given).unwrap()).unwrap();
    assert_eq!((sent.username(), sent.host_scan_token.as_deref()), (Some("test"), Some("EF56")));
    // It is of this request, and none of the next.
    ask(login.handle(&server::auth_request(4, OPAQUE, &password_form()).unwrap()));
    let sent = ClientMessage::parse(&login.answer(&given).unwrap()).unwrap();
    assert_eq!(sent.host_scan_token, None);
}

#[test]
fn without_a_program_or_a_token_the_login_is_over_and_says_why() {
    let request = server::confirmation(3, OPAQUE, Some(&scan())).unwrap();
    let error = login().handle(&request).unwrap_err();
    assert!(error == EapError::HostScan && error.to_string().contains("host_scan"), "{error}");
    let mut failed = scanning(&request);
    let error = failed.scanned(Err("the program ended with 1".into())).unwrap_err();
    assert_eq!(error, EapError::NotScanned("the program ended with 1".into()));
    assert!(failed.handle(&server::hello(4).unwrap()).is_err(), "an error is final");
    let mut early = with_scanner();
    assert!(matches!(early.scanned(Ok("x".into())), Err(EapError::Unexpected(_))));
    let mut late = scanning(&request);
    assert!(matches!(late.handle(&server::hello(4).unwrap()), Err(EapError::Unexpected(_))));
    let control = scanning(&request).scanned(Ok("a\u{1}b".into())).unwrap_err();
    assert_eq!(control, EapError::NotXml);
}

#[test]
fn a_request_for_a_program_has_limits() {
    for (text, passes) in [
        ("x".repeat(xml::MAX_NAME), true),
        ("x".repeat(xml::MAX_NAME + 1), false),
        ("a\nb".into(), false),
        ("a&#9;b".into(), false),
    ] {
        let scan = format!("<host-scan><host-scan-ticket>{text}</host-scan-ticket></host-scan>");
        let result = with_scanner().handle(&raw_request(1, "auth-request", &scan));
        assert_eq!(matches!(result, Ok(Step::Scan(_))), passes, "{text:.20}: {result:?}");
    }
}
