//! The profiles that the project ships, and the seeds' damaged copies of one of them.

use ikeep::profile::{AuthMethod, ErrorKind, Position, Profile, ProfileError};

fn shipped(name: &str) -> Vec<u8> {
    let path = format!("{}/profiles/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn damaged(name: &str) -> String {
    let path = format!("{}/tests/data/profiles/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn refused(text: &str) -> ProfileError {
    Profile::parse(text.as_bytes()).expect_err("a damaged profile was read")
}

#[test]
fn every_shipped_profile_reads_without_a_warning_and_means_its_method() {
    let expected = [
        ("flexvpn-c8kv", Some(AuthMethod::EapAnyConnect)),
        ("eap-anyconnect", Some(AuthMethod::EapAnyConnect)),
        ("eap-md5", Some(AuthMethod::EapMd5)),
        ("eap-mschapv2", Some(AuthMethod::EapMschapv2)),
        ("eap-gtc", Some(AuthMethod::EapGtc)),
        ("ike-rsa", Some(AuthMethod::IkeRsa)),
        ("ike-ecdsa", Some(AuthMethod::IkeEcdsa)),
        ("ssl-only", None),
    ];
    for (name, method) in expected {
        let (profile, warnings) =
            Profile::parse(&shipped(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(warnings, [], "{name}");
        assert_eq!(profile.hosts.len(), 1, "{name}");
        assert_eq!(profile.hosts[0].auth_method(), method, "{name}");
        assert_eq!(profile.hosts[0].usable().ok(), method, "{name}: every method is ours");
    }
    let folder = std::fs::read_dir(format!("{}/profiles", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert_eq!(folder.count(), expected.len(), "a profile that no test reads");
}

#[test]
fn the_japanese_copy_fails_where_the_auto_reconnect_tags_are_gone() {
    let error = refused(&damaged("damaged-ja"));
    assert_eq!((error.kind, error.at), (ErrorKind::StrayText, Position { line: 17, column: 1 }));
    assert_eq!(
        error.to_string(),
        "line 17, column 1: found the text \"true\" directly inside <ClientInitialization>, expected an element such as \
         <AutoReconnect> or <SuspendOnConnectedStandby>, or </ClientInitialization>"
    );
}

#[test]
fn the_japanese_copy_reads_once_the_tags_are_back() {
    let mended = damaged("damaged-ja").replace(
        "true\nReconnectAfterResume\n",
        "<AutoReconnect UserControllable=\"false\">true<AutoReconnectBehavior UserControllable=\"false\">\
         ReconnectAfterResume</AutoReconnectBehavior></AutoReconnect>\n",
    );
    let (mended, warnings) = Profile::parse(mended.as_bytes()).unwrap();
    let (original, _) = Profile::parse(&shipped("flexvpn-c8kv")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(mended.preference_settings(), original.preference_settings());
    let values = |profile: &Profile| {
        let of = |setting: &ikeep::profile::Setting| (setting.path.clone(), setting.value.clone());
        profile.settings().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(values(&mended), values(&original), "the shipped profile is the seed's, restored");
}

#[test]
fn the_dutch_copy_fails_at_its_first_damage() {
    let error = refused(&damaged("damaged-nl"));
    assert_eq!((error.kind, error.at), (ErrorKind::StrayText, Position { line: 17, column: 1 }));
    assert_eq!(error.found, "the text \"```\" directly inside <ClientInitialization>");
    assert!(error.expected.starts_with("an element such as <AutoReconnect>"), "{error}");
}

#[test]
fn the_dutch_copys_closing_tag_is_named_with_the_tag_it_does_not_close() {
    let text: String = damaged("damaged-nl")
        .lines()
        .filter(|line| !line.contains("```") && *line != "true" && *line != "ReconnectAfterResume")
        .map(|line| line.replace("#### **", "").replace("**", "") + "\n")
        .collect();
    let error = refused(&text);
    let line_of = |needle: &str| {
        text.lines().position(|line| line.trim() == needle).map(|at| u32::try_from(at + 1).unwrap())
    };
    assert_eq!(error.kind, ErrorKind::WrongClose);
    assert_eq!(Some(error.at.line), line_of("</HostEntry>"));
    assert_eq!(error.found, "</HostEntry>");
    let opened = error.at.line - 1;
    let expected =
        format!("</PrimaryProtocol>, which closes <PrimaryProtocol> opened at line {opened}, column 21");
    assert_eq!(error.expected, expected);
}
