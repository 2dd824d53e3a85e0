use super::*;
use std::path::Path;

const FILE: &str = "/etc/none/config.toml";

fn good(text: &str) -> Config {
    Config::parse(text.as_bytes(), Path::new(FILE)).unwrap_or_else(|error| panic!("{error}"))
}

fn bad(text: &str) -> String {
    Config::parse(text.as_bytes(), Path::new(FILE)).expect_err(text).to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = good("");
    assert_eq!(config, Config::default());
    assert_eq!(config.agent.tunnel, None);
    assert_eq!(config.agent.dpd_interval, Duration::from_secs(30));
    assert_eq!(config.agent.reconnect_window, Duration::from_secs(900));
    let gateway = config.gateway("anything");
    assert_eq!((gateway.port.get(), gateway.nat_port.get()), (500, 4500));
    assert_eq!(gateway.dialect, Dialect::default());
}

#[test]
fn the_designs_example_reads() {
    let folder = tempfile::tempdir().unwrap();
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded-ca.pem");
    std::fs::copy(ca, folder.path().join("lab-ca.pem")).unwrap();
    let text = r#"
[agent]
tunnel = "none"
proxy = "127.0.0.1:1081"
dpd_interval = "20s"
reconnect_window = "600s"
refusal_retry = ["1s", "500ms"]
[trust]
system = false
roots = ["lab-ca.pem"]
[gateway."FlexVPN-c8kv.example.com"]
address = "10.9.0.1"
port = 10500
nat_port = 14500
idr_check = "cert"
pins = ["QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ=="]
[gateway."FlexVPN-c8kv.example.com".dialect]
session_id_attribute = 28731
initial_id_type = 11
"#;
    let config = Config::parse(text.as_bytes(), &folder.path().join("config.toml")).unwrap();
    assert_eq!(config.agent.tunnel, Some(Tunnel::None));
    assert_eq!(config.agent.refusal_retry, [Duration::from_secs(1), Duration::from_millis(500)]);
    assert!(!config.trust.system);
    assert_eq!(config.trust.roots.len(), 1);
    assert!(config.trust.roots[0].configured);
    let gateway = config.gateway("flexvpn-c8kv.example.COM.");
    assert_eq!(gateway.address, [IpAddr::from([10, 9, 0, 1])]);
    assert_eq!((gateway.port.get(), gateway.nat_port.get()), (10500, 14500));
    assert_eq!(gateway.idr_check, IdrCheck::Cert);
    assert_eq!(gateway.dialect.session_id_attribute, 28731);
    assert_eq!(gateway.dialect.session_token_attribute, Dialect::default().session_token_attribute);
    let profile = include_bytes!("../../profiles/flexvpn-c8kv.xml");
    let (profile, _) = crate::profile::Profile::parse(profile).unwrap();
    let (trust, notes) = config.trust_for(&profile.hosts[0]);
    assert_eq!(trust.pins, [[0x41; 64]]);
    assert_eq!((trust.roots.len(), trust.idr_check, notes.len()), (1, IdrCheck::Cert, 0));
}

#[test]
fn unknown_keys_are_errors_with_line_and_suggestion() {
    assert_eq!(
        bad("[agent]\ntunel = \"tun\"\n"),
        format!("{FILE}:2:1: unknown key `tunel`; did you mean `tunnel`?")
    );
    assert_eq!(
        bad("[gateway.\"a\".dialect]\n\nsession_id_atribute = 1\n"),
        format!("{FILE}:3:1: unknown key `session_id_atribute`; did you mean `session_id_attribute`?")
    );
    assert_eq!(
        bad("[colours]\n"),
        format!(
            "{FILE}:1:2: unknown key `colours`; known here: agent, tunnel, portal, preferences, trust, gateway"
        )
    );
    assert_eq!(
        bad("[agent]\n  tunnel = \"tum\"\n"),
        format!("{FILE}:2:12: unknown value `tum`; did you mean `tun`?")
    );
    assert_eq!(
        bad("[agent]\ntunnel = \"\\u001b[2Jtu\\tn\"\n"),
        format!("{FILE}:2:10: unknown value `\u{fffd}[2Jtu\u{fffd}n`; known here: tun, proxy, none")
    );
    assert_eq!(bad("[trust]\nrots = []"), format!("{FILE}:2:1: unknown key `rots`; did you mean `roots`?"));
}

#[test]
fn values_outside_their_type_say_what_to_write() {
    let duration = "write a duration such as \"30s\" (units ms, s, m, h), from 5s to 1h";
    assert_eq!(
        bad("[agent]\ndpd_interval = 30\n"),
        format!("{FILE}:2:16: invalid type: integer `30`; {duration}")
    );
    assert_eq!(
        bad("[agent]\ndpd_interval = \"1s\"\n"),
        format!("{FILE}:2:16: invalid value: string \"1s\"; {duration}")
    );
    let pin = bad("[gateway.a]\npins = [\"x\"]\n");
    assert!(pin.starts_with(&format!("{FILE}:2:8: invalid pin; write a SHA-512")), "{pin}");
    assert!(bad("[gateway.a]\nport = 0\n").contains(":2:8: "));
    assert!(bad("[gateway.a]\naddress = \"host\"\n").contains(":2:11: "));
    let families = good("[gateway.a]\naddress = [\"192.0.2.1\", \"2001:db8::1\"]\n");
    assert_eq!(families.gateway("a").address.len(), 2);
    let many = format!("[gateway.a]\naddress = [{}]\n", "\"192.0.2.1\",".repeat(17));
    assert!(bad(&many).contains("17 addresses; write at most 16"), "{}", bad(&many));
    let wish = bad("[preferences]\nauto_reconnect_behavior = \"Sometimes\"\n");
    assert!(wish.contains("ReconnectAfterResume"), "{wish}");
    let many = format!("[agent]\nrefusal_retry = [{}]", "\"1s\",".repeat(17));
    assert!(bad(&many).contains("17 durations; write at most 16"), "{}", bad(&many));
    let broken = bad("[agent\n");
    assert!(broken.starts_with(&format!("{FILE}:1:7: ")), "{broken}");
    assert!(!broken.contains('\n'), "{broken}");
    let twice = bad("[agent]\n[agent]\n");
    assert!(twice.starts_with(&format!("{FILE}:2:")), "{twice}");
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let missing = bad("[trust]\nroots = [\n  \"none.pem\"]\n");
    assert!(
        missing.starts_with(&format!("{FILE}:3:3: the roots in /etc/none/none.pem cannot be read")),
        "{missing}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let roots = |content: &str| {
        std::fs::write(folder.path().join("r.pem"), content).unwrap();
        Config::parse(b"[trust]\nroots = [\"r.pem\"]", &file).unwrap_err().to_string()
    };
    assert!(roots("").contains("r.pem holds no certificate"));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(roots(junk).contains("certificate 1 in"), "{}", roots(junk));
    assert!(roots("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").contains("is not PEM"));
    assert!(bad(&" ".repeat(MAX_SIZE + 1)).contains("is larger than 65536 bytes"));
    let latin = Config::parse(b"[agent]\n# caf\xe9", Path::new(FILE)).unwrap_err().to_string();
    assert_eq!(latin, format!("{FILE}:2:6: is not text in UTF-8; save it as UTF-8"));
    let named = Config::load(Some(&folder.path().join("none.toml"))).unwrap_err().to_string();
    assert!(named.contains("--config"), "{named}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in "[a-z\\[\\]\"=.# 0-9\n{},]{0,120}") {
        if let Err(error) = Config::parse(text.as_bytes(), Path::new(FILE)) {
            proptest::prop_assert!(!error.to_string().contains('\n'));
        }
    }
}

#[test]
fn the_kill_switch_is_off_unless_it_is_wanted() {
    assert_eq!(good("").tunnel.kill_switch, KillSwitch::Off);
    for (text, wanted) in
        [("off", KillSwitch::Off), ("tunnel-prefixes", KillSwitch::TunnelPrefixes), ("all", KillSwitch::All)]
    {
        assert_eq!(good(&format!("[tunnel]\nkill_switch = \"{text}\"\n")).tunnel.kill_switch, wanted);
    }
    let error = bad("[tunnel]\nkill_switch = \"on\"\n");
    assert!(error.contains(":2:") && error.contains("tunnel-prefixes"), "{error}");
}

#[test]
fn the_portals_page_can_be_another_or_none() {
    assert_eq!(good("").portal, Portal::default());
    let other = good("[portal]\nprobe = \"http://probe.example/x\"\nexpect = \"\"\n").portal;
    assert_eq!(other.probe.map(|url| url.to_string()).as_deref(), Some("http://probe.example/x"));
    assert_eq!(other.expect, "");
    for off in ["", "off"] {
        assert_eq!(good(&format!("[portal]\nprobe = \"{off}\"\n")).portal.probe, None);
    }
    let error = bad("[portal]\nprobe = \"https://probe.example/\"\n");
    assert!(
        error.starts_with("/etc/none/config.toml:2:9: invalid URL: expected http://HOST/PATH"),
        "{error}"
    );
    let error = bad(&format!("[portal]\nexpect = \"{}\"\n", "x".repeat(MAX_EXPECT + 1)));
    assert!(error.contains(":2:10: 257 octets; write at most 256"), "{error}");
}

#[test]
fn the_example_of_the_readme_is_a_config_file() {
    let readme = include_str!("../../README.md");
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    // The one file that it names is not there.
    let config = good(&example.replace("\"company-ca.pem\"", ""));
    assert_eq!(config.gateway("flexvpn-c8kv.example.com").address.len(), 2);
    assert_eq!(config.preferences.auto_reconnect, Some(true));
}

#[test]
fn a_certificate_and_an_identity_of_a_gateway_are_read() {
    let gateway = |text: &str| good(&format!("[gateway.\"a.example\"]\n{text}")).gateway("a.example");
    let named = gateway("certificate = \"me.pem\"\nkey = \"/keys/me.pem\"\nidentity = \"me@a.example\"");
    assert_eq!(named.certificate.as_deref(), Some(Path::new("/etc/none/me.pem")));
    assert_eq!(named.key.as_deref(), Some(Path::new("/keys/me.pem")));
    assert_eq!(named.identity, Identity::from_text("me@a.example"));
    let none = gateway("port = 500");
    assert_eq!((none.certificate, none.key, none.identity), (None, None, None));
    let tls = gateway("login = \"eap-tls\"\neap_server_name = \"radius.example\"\neap_ca = \"ca.pem\"");
    assert_eq!(
        (tls.login, tls.eap_server_name.as_deref()),
        (Some(crate::config::Login::EapTls), Some("radius.example"))
    );
    assert_eq!(tls.eap_ca.as_deref(), Some(Path::new("/etc/none/ca.pem")));
    assert!(bad("[gateway.\"a.example\"]\nlogin = \"eap-md5\"").contains("eap-tls"), "no other method");
    let wrong = bad("[gateway.\"a.example\"]\nidentity = \"two words\"");
    assert!(wrong.contains("key-id:"), "{wrong}");
}

#[test]
fn a_host_scan_with_a_folder_in_its_name_starts_in_the_config_files() {
    let program = |name: &str| {
        let text = format!("[gateway.\"vpn.example.com\"]\nhost_scan = [{name:?}, \"./as is\"]\n");
        let config = Config::parse(text.as_bytes(), Path::new("/etc/ikeep/config.toml")).unwrap();
        config.gateways["vpn.example.com"].host_scan.clone()
    };
    assert_eq!(program("bin/scan"), ["/etc/ikeep/bin/scan", "./as is"]);
    assert_eq!(program("/opt/scan"), ["/opt/scan", "./as is"]);
    assert_eq!(program("scan"), ["scan", "./as is"], "looked for in the usual folders");
}
