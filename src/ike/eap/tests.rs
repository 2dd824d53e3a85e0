mod certificate;
mod scan;

use super::server::{ClientKind, ClientMessage, Complete};
use super::*;
use proptest::prelude::*;

fn device() -> Device {
    Device {
        version: "0.1.0".into(),
        computer_name: "laptop \"<&>\"".into(),
        device_type: "linux".into(),
        platform_version: "6.1".into(),
        unique_id: "AB12".into(),
        unique_id_global: "CD34".into(),
    }
}

fn login() -> AnyConnect {
    AnyConnect::new(LoginParams {
        device: device(),
        group_access: Some("Staff & Co".into()),
        own: None,
        scans: false,
    })
}

fn input(name: &str, kind: InputKind) -> Input {
    Input { name: name.into(), label: format!("{name}:"), kind }
}

fn form(inputs: Vec<Input>) -> Form {
    let (title, message, banner, error) =
        (String::new(), "Please log in".into(), String::new(), String::new());
    Form { id: "main".into(), title, message, banner, error, inputs }
}

fn password_form() -> Form {
    form(vec![input("username", InputKind::Text), input("password", InputKind::Password)])
}

fn answers(pairs: &[(&str, &str)]) -> Answers {
    pairs.iter().map(|(name, value)| ((*name).into(), Secret::from(value.as_bytes()))).collect()
}

const OPAQUE: &[u8] =
    b"<opaque is-for=\"sg\"  ><a x='1'>&amp;&#65;</a >\n<!-- kept --><![CDATA[<]]></opaque >";

fn reply(step: Result<Step, EapError>) -> ClientMessage {
    match step {
        Ok(Step::Reply(packet)) => ClientMessage::parse(&packet).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn ask(step: Result<Step, EapError>) -> Form {
    match step {
        Ok(Step::Ask(form)) => form,
        other => panic!("{other:?}"),
    }
}

/// An `auth-request` with this under the root.
fn raw_request(id: u8, kind: &str, content: &str) -> Vec<u8> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<config-auth client=\"vpn\" type=\"{kind}\" \
         aggregate-auth-version=\"2\">{content}</config-auth>"
    );
    dbrp::Message::xml_only(dbrp::code::REQUEST, id, xml.into_bytes()).encode().unwrap()
}

fn fields(message: &ClientMessage) -> Vec<(&str, &[u8])> {
    message.fields.iter().map(|(name, value)| (name.as_str(), value.expose())).collect()
}

#[test]
fn a_login_by_password_with_one_mistake() {
    let mut login = login();
    let init = reply(login.handle(&server::hello(7).unwrap()));
    assert_eq!((init.id, init.kind), (7, ClientKind::Init));
    assert_eq!((&init.device, init.platform.as_str()), (&device(), "linux"));
    assert_eq!(init.group_access.as_deref(), Some("Staff & Co"));

    let asked = ask(login.handle(&server::auth_request(8, OPAQUE, &password_form()).unwrap()));
    assert_eq!(asked, password_form());
    let packet = login.answer(&answers(&[("username", "test"), ("password", "<p>&\"'\r\u{e9}")])).unwrap();
    let first = ClientMessage::parse(&packet).unwrap();
    assert_eq!((first.id, first.kind), (8, ClientKind::AuthReply));
    assert_eq!(first.username(), Some("test"));
    assert_eq!(first.password().unwrap().expose(), "<p>&\"'\r\u{e9}".as_bytes());
    assert_eq!(first.opaque.as_deref(), Some(OPAQUE), "byte for byte");

    let again = Form { error: "Login failed.".into(), ..password_form() };
    let asked = ask(login.handle(&server::auth_request(9, OPAQUE, &again).unwrap()));
    assert_eq!(asked.error, "Login failed.");
    assert!(asked.same_question(&password_form()));
    assert_eq!(login.notices(), [Notice::Error("Login failed.".into())]);
    login.answer(&answers(&[("username", "test"), ("password", "cisco")])).unwrap();

    let complete = Complete { banner: "Hello & welcome".into(), ..Complete::default() };
    let ack = reply(login.handle(&server::complete(10, &complete).unwrap()));
    assert_eq!((ack.id, ack.kind), (10, ClientKind::Ack));
    assert_eq!(login.notices(), [Notice::Banner("Hello & welcome".into())]);
    assert!(matches!(login.handle(&dbrp::success(10)), Ok(Step::Success)));
}

#[test]
fn second_factor_inputs_go_back_as_password_and_verify_inputs_do_not() {
    let mut login = login();
    let inputs = ["whichpin", "new_password", "verify_new_password", "answer"];
    let second = form(inputs.map(|name| input(name, InputKind::Password)).to_vec());
    ask(login.handle(&server::auth_request(1, b"", &second).unwrap()));
    let given = answers(&[("answer", "123456"), ("whichpin", "a"), ("new_password", "b"), ("username", "x")]);
    let sent = ClientMessage::parse(&login.answer(&given).unwrap()).unwrap();
    assert_eq!(fields(&sent), [("password", &b"a"[..]), ("password", b"b"), ("password", b"123456")]);
    assert_eq!(sent.opaque, None);
}

#[test]
fn a_chosen_group_goes_under_the_root() {
    let groups = |selected: &[bool]| {
        let options = [("g1", "Staff"), ("g2", "Guests")].into_iter().zip(selected);
        InputKind::Select(options.map(|((v, l), s)| (v.into(), l.into(), *s)).collect())
    };
    for (selected, answer, sent) in [
        (&[true, false][..], None, Some("g1")),
        (&[true, false], Some("g2"), Some("g2")),
        (&[false], None, Some("g1")),
        (&[false, false], None, None),
        (&[true, false], Some("Staff"), None),
    ] {
        let mut login = login();
        let inputs = vec![input("group_list", groups(selected)), input("username", InputKind::Text)];
        ask(login.handle(&server::auth_request(1, OPAQUE, &form(inputs)).unwrap()));
        let mut given = answers(&[("username", "test")]);
        given.extend(answer.map(|a| ("group_list".to_owned(), Secret::from(a.as_bytes()))));
        match (login.answer(&given), sent) {
            (Ok(packet), Some(group)) => {
                let message = ClientMessage::parse(&packet).unwrap();
                assert_eq!(message.group_select.as_deref(), Some(group));
                assert_eq!(fields(&message), [("username", &b"test"[..])], "the group is not below <auth>");
            }
            (Err(EapError::Answer { input, .. }), None) => assert_eq!(input, "group_list"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_bad_answer_can_be_mended() {
    let mut login = login();
    ask(login.handle(&server::auth_request(1, OPAQUE, &password_form()).unwrap()));
    let missing = login.answer(&answers(&[("username", "test")])).unwrap_err();
    assert!(missing.is_about_answers() && missing.to_string().contains("'password' is missing"));
    let control = login.answer(&answers(&[("username", "test"), ("password", "a\u{1}")])).unwrap_err();
    assert!(control.is_about_answers());
    let mut binary = answers(&[("username", "test")]);
    binary.insert("password".into(), Secret::new(vec![0xff]));
    assert!(login.answer(&binary).unwrap_err().is_about_answers());
    assert!(login.answer(&answers(&[("username", "test"), ("password", "a")])).is_ok());
    assert!(matches!(login.answer(&Answers::new()), Err(EapError::Unexpected(_))), "only once");
}

#[test]
fn an_answer_that_no_packet_can_hold_ends_the_login() {
    let mut login = login();
    ask(login.handle(&server::auth_request(1, OPAQUE, &password_form()).unwrap()));
    let long = "&".repeat(20_000);
    let error = login.answer(&answers(&[("username", "test"), ("password", &long)])).unwrap_err();
    assert_eq!(error, EapError::TooLong);
    assert!(!error.is_about_answers());
    assert!(login.handle(&server::hello(2).unwrap()).is_err());
}

#[test]
fn refusals_say_what_the_gateway_said() {
    let mut failed = login();
    reply(failed.handle(&server::hello(1).unwrap()));
    let error = failed.handle(&dbrp::failure(1)).unwrap_err();
    assert_eq!(error, EapError::Refused("it gave no reason".into()));
    assert!(failed.handle(&server::hello(2).unwrap()).is_err(), "an error is final");

    let mut complained = login();
    let form = Form { error: "Password expired".into(), ..password_form() };
    ask(complained.handle(&server::auth_request(1, OPAQUE, &form).unwrap()));
    let error = complained.handle(&dbrp::failure(1)).unwrap_err();
    assert_eq!(error.to_string(), "the gateway refused the login: Password expired");

    let mut root = login();
    let error = root.handle(&server::error(1, "No licence").unwrap()).unwrap_err();
    assert_eq!(error, EapError::Refused("No licence".into()));
    assert_eq!(root.notices(), [Notice::Error("No licence".into())]);
    let content = "<error id='9' param1='test'>Not\u{202e} for %s</error><auth><form/></auth>";
    let error = login().handle(&raw_request(1, "auth-request", content)).unwrap_err();
    assert_eq!(error, EapError::Refused("Not for test".into()), "although a form follows");
    let content = "<auth id='main'><error id='7'/></auth>";
    let error = login().handle(&raw_request(1, "auth-request", content)).unwrap_err();
    assert_eq!(error, EapError::Refused("error 7".into()), "no form, no other try");
}

#[test]
fn nothing_but_this_method_is_spoken() {
    for (packet, name) in [
        (&[1, 1, 0, 6, 26, 1][..], "EAP-MSCHAPv2"),
        (&[1, 1, 0, 5, 6], "EAP-GTC"),
        (&[1, 1, 0, 6, 4, 1], "EAP-MD5"),
        (&[1, 1, 0, 5, 1], "EAP-Identity"),
        (&[1, 1, 0, 5, 99], "EAP type 99"),
        (&[1, 1, 0, 12, 254, 0, 0, 9, 0, 0, 0, 1], "expanded EAP type 9/1"),
    ] {
        let error = login().handle(packet).unwrap_err();
        assert_eq!(error, EapError::WrongMethod(name.into()));
    }
}

#[test]
fn what_this_version_cannot_do_is_said() {
    let nothing = raw_request(1, "auth-request", "<csport>443</csport>");
    assert!(matches!(login().handle(&nothing), Err(EapError::Unsupported(_))));
    assert!(matches!(login().handle(&raw_request(1, "surprise", "")), Err(EapError::Unsupported(_))));
}

#[test]
fn packets_out_of_turn_end_the_login() {
    assert!(matches!(login().handle(&dbrp::success(1)), Err(EapError::Unexpected(_))), "success too early");
    let mut asking = login();
    ask(asking.handle(&server::auth_request(1, OPAQUE, &password_form()).unwrap()));
    assert!(matches!(asking.handle(&server::hello(2).unwrap()), Err(EapError::Unexpected(_))));
    let mut acked = login();
    reply(acked.handle(&server::complete(1, &Complete::default()).unwrap()));
    assert!(matches!(acked.handle(&server::hello(2).unwrap()), Err(EapError::Unexpected(_))));
    let response = dbrp::Message::xml_only(dbrp::code::RESPONSE, 1, b"<a/>".to_vec()).encode().unwrap();
    assert!(matches!(login().handle(&response), Err(EapError::Unexpected(_))));
}

#[test]
fn a_gateway_that_never_ends_is_left() {
    let mut login = login();
    for id in 0..MAX_ROUNDS {
        reply(login.handle(&server::hello(id as u8).unwrap()));
    }
    assert_eq!(login.handle(&server::hello(99).unwrap()).unwrap_err(), EapError::TooManyRounds);
}

#[test]
fn a_request_that_wants_no_answer_gets_an_empty_one() {
    let mut login = login();
    let content =
        "<auth id=\"main\"><banner>Hi</banner><message>Wait</message><authentication-complete/></auth>";
    let sent = reply(login.handle(&raw_request(3, "auth-request", content)));
    assert_eq!((sent.kind, sent.fields.len()), (ClientKind::AuthReply, 0));
    assert_eq!(login.notices(), [Notice::Banner("Hi".into()), Notice::Message("Wait".into())]);
}

#[test]
fn forms_have_limits() {
    let inputs = |n: usize| (0..n).map(|i| format!("<input type='text' name='n{i}'/>")).collect::<String>();
    let options = |n: usize| "<option>x</option>".repeat(n);
    let request =
        |form: &str| raw_request(1, "auth-request", &format!("<auth id='m'><form>{form}</form></auth>"));
    for (form, passes) in [
        (inputs(xml::MAX_INPUTS), true),
        (inputs(xml::MAX_INPUTS + 1), false),
        (format!("<select name='s'>{}</select>", options(xml::MAX_OPTIONS)), true),
        (format!("<select name='s'>{}</select>", options(xml::MAX_OPTIONS + 1)), false),
        ("<select name='s'/>".into(), false),
        ("<input type='text' name='a'/><input type='text' name='a'/>".into(), false),
        ("<input type='text'/>".into(), false),
        ("<input type='text' name='a&gt;&lt;b'/>".into(), false),
        (format!("<input type='text' name='{}'/>", "n".repeat(xml::MAX_NAME + 1)), false),
        ("<input type='submit' name='Login'/><unknown/><input type='text' name='a'/>".into(), true),
    ] {
        let result = login().handle(&request(&form));
        assert_eq!(matches!(result, Ok(Step::Ask(_))), passes, "{form:.60}: {result:?}");
    }
    let label = "l".repeat(10_000);
    let long = format!("<input type='text' name='a' label='{label}\u{202e}'/>");
    let asked = ask(login().handle(&request(&long)));
    assert_eq!(asked.inputs[0].label.len(), xml::SHOWN_LABEL + 2);
}

#[test]
fn documents_have_limits() {
    let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    let root = "<config-auth type='hello'>";
    for (xml, passes) in [
        (format!("{root}</config-auth>"), true),
        (format!("\u{feff}{root}</config-auth>"), true),
        (
            format!(
                "<?xml version='1.0' encoding='utf-8'?>{root}<x y='&lt;&#65;'>&quot;&apos;</x></config-auth>\n"
            ),
            true,
        ),
        (format!("{root}{}</config-auth>", deep(31)), true),
        (format!("{root}{}</config-auth>", deep(32)), false),
        (format!("{root}{}</config-auth>", "<a/>".repeat(xml::MAX_ELEMENTS - 1)), true),
        (format!("{root}{}</config-auth>", "<a/>".repeat(xml::MAX_ELEMENTS)), false),
        (format!("<!DOCTYPE a [<!ENTITY e 'x'>]>{root}</config-auth>"), false),
        (format!("{root}&e;</config-auth>"), false),
        (format!("{root}&#0;</config-auth>"), false),
        (format!("{root}<x y='&e;'/></config-auth>"), false),
        (format!("{root}<x y='1' y='2'/></config-auth>"), false),
        (format!("<?xml version='1.0' encoding='utf-16'?>{root}</config-auth>"), false),
        (format!("{root}</config-auth>{root}</config-auth>"), false),
        (format!("{root}</config-auth>text"), false),
        (format!("{root}</config>"), false),
        (format!("{root}<a></config-auth>"), false),
        (root.into(), false),
        ("<other type='hello'/>".into(), false),
        (String::new(), false),
    ] {
        let packet =
            dbrp::Message::xml_only(dbrp::code::REQUEST, 1, xml.clone().into_bytes()).encode().unwrap();
        let result = login().handle(&packet);
        assert_eq!(result.is_ok(), passes, "{xml:.80}: {result:?}");
    }
    let latin1 =
        dbrp::Message::xml_only(dbrp::code::REQUEST, 1, b"<config-auth type='hello' a='\xe9'/>".to_vec());
    assert!(matches!(login().handle(&latin1.encode().unwrap()), Err(EapError::Malformed(_))));
}

#[test]
fn opaque_is_the_roots_and_for_the_gateway() {
    let content = "<config><opaque is-for='sg'>inner</opaque></config><opaque is-for='vpn-client'>c</opaque>\
                   <opaque is-for='sg'/><auth id='a'/>";
    let sent = reply(login().handle(&raw_request(1, "auth-request", content)));
    assert_eq!(sent.opaque.as_deref(), Some(&b"<opaque is-for='sg'/>"[..]));
}

#[test]
fn no_answer_shows_in_debug() {
    let mut login = login();
    ask(login.handle(&server::auth_request(1, OPAQUE, &password_form()).unwrap()));
    let given = answers(&[("username", "test"), ("password", "hunter2")]);
    let packet = login.answer(&given).unwrap();
    let message = dbrp::Message::parse(&packet).unwrap();
    let parsed = ClientMessage::parse(&packet).unwrap();
    for shown in [format!("{given:?}"), format!("{message:?}"), format!("{parsed:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117, 110"), "{shown}");
    }
}

#[test]
fn tlvs_have_limits_and_honest_lengths() {
    let packet = |tlvs: &[u8]| {
        let mut out = vec![1, 1, 0, (12 + tlvs.len()) as u8, 254, 0, 0, 9, b'D', b'B', b'R', b'P'];
        out.extend(tlvs);
        out
    };
    let many = |n: u8| (0..n).flat_map(|i| [1, i, 0, 0]).collect::<Vec<u8>>();
    assert_eq!(dbrp::Message::parse(&packet(&many(16))).unwrap().tlvs.len(), 16);
    for bad in [many(17), vec![0, 0, 0, 1], vec![0, 0, 0, 0, 0, 0, 0, 0], vec![0, 0, 0]] {
        assert!(matches!(dbrp::Message::parse(&packet(&bad)), Err(EapError::Malformed(_))), "{bad:?}");
    }
    let padded = [packet(&many(1)), vec![0; 3]].concat();
    assert_eq!(dbrp::Message::parse(&padded).unwrap().tlvs.len(), 1);
    let largest = |n| dbrp::Message::xml_only(1, 1, vec![b' '; n]).encode();
    assert_eq!(largest(dbrp::MAX_EAP - 16).unwrap().len(), dbrp::MAX_EAP);
    assert_eq!(largest(dbrp::MAX_EAP - 15), Err(EapError::TooLong));
    for bad in
        [&[][..], &[1, 1, 0], &[1, 1, 0, 3], &[1, 1, 0, 4], &[1, 1, 0, 9, 1], &[3, 1, 0, 5, 0], &[5, 1, 0, 4]]
    {
        assert!(matches!(dbrp::Packet::parse(bad), Err(EapError::Malformed(_))), "{bad:?}");
    }
}

/// Text that comes back as it went: no control characters, no blanks at the ends, nothing that a terminal would turn around.
fn shown() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9<>&'\"\u{e4}\u{20ac}]{0,6}( [a-zA-Z<>&%]{1,4}){0,2}".prop_map(|text| text.trim().to_owned())
}

fn any_form() -> impl Strategy<Value = Form> {
    let kind = prop_oneof![
        Just(InputKind::Text),
        Just(InputKind::Password),
        proptest::collection::vec((shown(), "[a-z<&]{1,5}", any::<bool>()), 1..4).prop_map(InputKind::Select),
    ];
    let inputs = proptest::collection::btree_map("[a-z_][a-z_0-9.-]{0,8}", ("[a-z&<\"]{1,8}", kind), 0..5);
    let inputs = inputs.prop_map(|map| {
        map.into_iter().map(|(name, (label, kind))| Input { name, label, kind }).collect::<Vec<_>>()
    });
    // `%s` in an error is replaced by its parameters, which the server leaves empty.
    let error = shown().prop_filter("no parameters", |text| !text.contains("%s"));
    ("[a-z]{0,8}", shown(), shown(), shown(), error, inputs).prop_map(
        |(id, title, message, banner, error, inputs)| Form { id, title, message, banner, error, inputs },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_the_server_asks_the_client_reads(form in any_form(), id: u8) {
        let packet = server::auth_request(id, OPAQUE, &form).unwrap();
        let mut login = login();
        prop_assert_eq!(ask(login.handle(&packet)), form);
    }

    #[test]
    fn what_the_client_answers_the_server_reads(form in any_form(), text in "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{0,40}") {
        let mut login = login();
        ask(login.handle(&server::auth_request(1, OPAQUE, &form).unwrap()));
        let given: Answers = form.inputs.iter().map(|input| {
            let value = match &input.kind {
                InputKind::Select(options) => &options[0].0,
                _ => &text,
            };
            (input.name.clone(), Secret::from(value.as_bytes()))
        }).collect();
        let sent = ClientMessage::parse(&login.answer(&given).unwrap()).unwrap();
        let expected: Vec<(String, Secret)> = form.inputs.iter()
            .filter(|input| !input.name.starts_with("verify_"))
            .filter(|input| !(input.name == "group_list" && matches!(input.kind, InputKind::Select(_))))
            .map(|input| {
                let element = match input.name.as_str() {
                    "answer" | "whichpin" | "new_password" => "password",
                    name => name,
                };
                (element.to_owned(), given[&input.name].clone())
            }).collect();
        prop_assert_eq!(sent.fields, expected);
        prop_assert_eq!(sent.opaque.as_deref(), Some(OPAQUE));
    }

    #[test]
    fn any_packet_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = login().handle(&octets);
        let _ = ClientMessage::parse(&octets);
        if let Ok(message) = dbrp::Message::parse(&octets) {
            prop_assert!(message.tlvs.len() <= dbrp::MAX_TLVS);
        }
    }

    #[test]
    fn tlvs_are_read_as_written(code in 1..3u8, id: u8, tlvs in proptest::collection::btree_map(any::<u16>(), proptest::collection::vec(any::<u8>(), 0..50), 0..16)) {
        let message = dbrp::Message { code, id, tlvs: tlvs.into_iter().collect() };
        let packet = message.encode().unwrap();
        let read = dbrp::Message::parse(&packet).unwrap();
        prop_assert_eq!(read.encode().unwrap(), packet);
        prop_assert_eq!(read, message);
    }

    #[test]
    fn any_document_is_read_or_refused(xml in "(<[a-z/?!-]{0,4}|[a-z]{1,3}='[^']{0,3}'|>|/>|&[a-z#0-9]{0,4};|\\PC){0,40}", good: bool) {
        let xml = if good { format!("<config-auth type='auth-request'>{xml}</config-auth>") } else { xml };
        let packet = dbrp::Message::xml_only(dbrp::code::REQUEST, 1, xml.clone().into_bytes()).encode().unwrap();
        let _ = login().handle(&packet);
        let response = dbrp::Message::xml_only(dbrp::code::RESPONSE, 1, xml.into_bytes()).encode().unwrap();
        let _ = ClientMessage::parse(&response);
    }

    #[test]
    fn a_damaged_request_never_panics(form in any_form(), at: usize, by in 1..=255u8) {
        let mut packet = server::auth_request(1, OPAQUE, &form).unwrap();
        let at = at % packet.len();
        packet[at] ^= by;
        let _ = login().handle(&packet);
    }
}
