use super::*;
use proptest::prelude::*;
use serde_json::json;

const CANARY: &str = "c4nary-0f-a-secret";

/// Each form a secret may stand in, CANARY in its place, and what is left of it.
const FORMS: [(&str, &str); 34] = [
    ("password = \"CANARY\"\nuser = \"u\"", "password = \"[masked]\"\nuser = \"u\""),
    ("password='CANARY'", "password='[masked]'"),
    ("psk = \"\"\"\nCANARY\nCANARY\"\"\"\nx = 1", "psk = \"\"\"\n[masked]\"\"\"\nx = 1"),
    ("secret = [\"CANARY\", \"]CANARY\"]\nx = 1", "secret = [masked]\nx = 1"),
    ("secrets = [\n  \"CANARY\",\n  \"CANARY\",\n]\nx = 1", "secrets = [masked]\nx = 1"),
    ("credentials = { user = \"u\", x = \"}CANARY\" } # c", "credentials = [masked] # c"),
    ("token=CANARY x=1", "token=[masked]"),
    ("sent token=CANARY x=1", "sent token=[masked] x=1"),
    ("  password: CANARY and CANARY\nnext", "  password: [masked]\nnext"),
    ("asked for a password: CANARY, CANARY\nnext", "asked for a password: [masked]\nnext"),
    ("Description : Password : CANARY\n", "Description : Password : [masked]\n"),
    ("Session-Token => CANARY\n", "Session-Token => [masked]\n"),
    ("{\"token\":\"CANARY\",\"user\":\"u\"}", "{\"token\":\"[masked]\",\"user\":\"u\"}"),
    ("{\"token\" : \"a\\\"CANARY\", \"n\": 1}", "{\"token\" : \"[masked]\", \"n\": 1}"),
    ("{\"api_key\": CANARY}", "{\"api_key\": [masked]"),
    ("say \"token: CANARY\" again", "say \"token: [masked]\" again"),
    ("password: \"CANARY and no end\nnext", "password: \"[masked]\nnext"),
    ("<password>CANARY</password><user>u</user>", "<password>[masked]</password><user>u</user>"),
    ("<a:password x='1'>\n CANARY\n CANARY\n</a:password>", "<a:password x='1'>\n [masked]\n</a:password>"),
    ("<password><![CDATA[<b>CANARY]]></password>", "<password>[masked]</password>"),
    ("<x password = \"CANARY\"\n y='z'/>CANARYnot", "<x password = \"[masked]\"\n y='z'/>CANARYnot"),
    ("<x token='a\nCANARY'>y</x>", "<x token='[masked]'>y</x>"),
    ("<input type=\"password\" value=\"CANARY\"/>", "<input type=\"password\" value=\"[masked]\"/>"),
    ("<item name='psk'>CANARY</item>", "<item name='psk'>[masked]</item>"),
    ("<password>CANARY torn", "<password>[masked]"),
    ("<password>CANARY\nthe next line", "<password>[masked]\nthe next line"),
    ("<x password=\"CANARY torn\nnext", "<x password=\"[masked]\nnext"),
    ("https://user:CANARY@host/x?a=b", "https://user:[masked]@host/x?a=b"),
    ("https://user:p@CANARY@host", "https://user:[masked]@host"),
    ("GET /?token=CANARY HTTP", "GET /?token=[masked] HTTP"),
    ("Authorization: Bearer CANARY", "Authorization: [masked]"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nCANARY\nCANARY\n-----END RSA PRIVATE KEY-----\nx",
        "-----BEGIN RSA PRIVATE KEY-----\n[masked]\n-----END RSA PRIVATE KEY-----\nx",
    ),
    ("-----BEGIN PRIVATE KEY-----\nCANARY torn", "-----BEGIN PRIVATE KEY-----\n[masked]"),
    ("SK_ei = CANARY\n", "SK_ei = [masked]\n"),
];

#[test]
fn every_form_is_masked_and_the_rest_is_left() {
    for (form, expected) in FORMS {
        assert_eq!(text(form), expected, "{form}");
        assert_eq!(text(expected), expected, "masking twice changes nothing");
    }
}

#[test]
fn harmless_text_is_left_as_it_is() {
    let config = r#"[agent]
tunnel = "proxy"  # comment
refusal_retry = ["1s", "3s"]
[gateway."flexvpn-c8kv.example.com".dialect]
session_id_attribute = 28731
session_token_attribute = 28733
key_log = "/tmp/keys"
"#;
    let log = "Description : The session token was refused by the gateway, a password is needed.\n\
               2026-01-01T00:00:00Z  INFO ikeep::agent: by token, key exchange group=19 session_id=rIUHKccDRiUtFTATwq\n\
               token: none\npassword = \"\"\nremember_password = false\n";
    for harmless in
        [config, log, "a < b, c <d> e </d>", "x://y", "http://host:80/a@b", "", "key", "token:", "ÄÖÜ ß 漢字"]
    {
        assert_eq!(text(harmless), harmless);
    }
    for profile in ["flexvpn-c8kv.xml", "eap-gtc.xml", "ike-rsa.xml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles").join(profile);
        let xml = std::fs::read_to_string(path).unwrap();
        assert_eq!(text(&xml), xml, "{profile}");
    }
}

/// What costs the square of its length would take minutes here, and as long in a bundle.
#[test]
fn a_hostile_text_costs_no_more_than_its_length() {
    for piece in [
        "token=\"x\" ",
        "token=x ",
        "{\"token\":\"x\"},",
        "token: [\n",
        "token=[ ",
        "<token>\n",
        "<token ",
        "<x y=\"",
        "\"token=",
        "- token=x\r",
        "https://a:b@",
        "https://",
        "-----BEGIN ",
        "psk=\"\"\"",
        "<password a='1' ",
    ] {
        let hostile = piece.repeat((512 << 10) / piece.len());
        assert!(text(&hostile).len() <= hostile.len() * 4, "{piece}");
    }
}

#[test]
fn elements_without_end_are_not_looked_for_without_end() {
    let names = (0..40_000).map(|n| format!("<a{n}_token>\n")).collect::<String>()
        + "<password>CANARY\nCANARY</password>";
    let told = text(&names);
    assert!(!told.contains("CANARY") && told.starts_with("<a0_token>"));
}

#[test]
fn values_of_a_json_document_are_masked() {
    let mut value = json!({
        "state": "connected", "session_id": "rIUH", "token": "CANARY", "keys": [1, 2], "has_password": true, "psk": null,
        "error": { "message": "wrong password: CANARY" }, "list": [{ "secret": { "a": "CANARY" } }, 7],
    });
    json(&mut value);
    let expected = json!({
        "state": "connected", "session_id": "rIUH", "token": MASK, "keys": MASK, "has_password": true, "psk": null,
        "error": { "message": "wrong password: [masked]" }, "list": [{ "secret": MASK }, 7],
    });
    assert_eq!(value, expected);
}

proptest! {
    #[test]
    fn any_text_is_survived_and_never_grows_by_more_than_masks(any in ".{0,200}") {
        let masked = text(&any);
        let masks = masked.matches(MASK).count();
        prop_assert!(masked.len() <= any.len() + masks * MASK.len());
    }

    /// Pieces of the grammar, put together in every way: no panic, no mask twice.
    #[test]
    fn any_mixture_is_survived(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("password"), Just("token"), Just("x"), Just("="), Just(":"), Just("\""), Just("'"), Just("\"\"\""),
                Just("<"), Just(">"), Just("/"), Just("</password>"), Just("["), Just("]"), Just("{"), Just("}"), Just("\\"),
                Just("\n"), Just(" "), Just("-----BEGIN PRIVATE KEY-----"), Just("-----END"), Just("://"), Just("@"), Just("ß"),
            ],
            0..40,
        ),
    ) {
        text(&pieces.concat());
    }

    /// A secret in its form is found whatever stands around it on lines of its own.
    #[test]
    fn a_secret_is_found_between_other_lines(before in "[a-z .,0-9]{0,20}", form in 0..FORMS.len(), after in "[ -~]{0,40}") {
        let form = FORMS[form].0.replace("CANARYnot", "").replace("CANARY", CANARY);
        let masked = text(&format!("{before}\n{form}\n{after}"));
        prop_assert!(!masked.contains(CANARY), "{}", masked);
    }
}
