use super::schema::Support;
use super::*;
use proptest::prelude::*;

const SEED: &[u8] = include_bytes!("../../profiles/flexvpn-c8kv.xml");

fn wrap(client: &str, servers: &str) -> String {
    format!(
        "<AnyConnectProfile xmlns=\"{NAMESPACE}\">\n<ClientInitialization>{client}</ClientInitialization>\n\
         <ServerList>{servers}</ServerList>\n</AnyConnectProfile>"
    )
}

fn client(inner: &str) -> String {
    wrap(inner, "<HostEntry><HostName>gw</HostName></HostEntry>")
}

fn host(inner: &str) -> String {
    wrap("", &format!("<HostEntry><HostName>gw</HostName>{inner}</HostEntry>"))
}

#[track_caller]
fn good(text: &str) -> Profile {
    let (profile, warnings) = Profile::parse(text.as_bytes()).unwrap();
    assert_eq!(warnings, [], "{text}");
    profile
}

#[track_caller]
fn warned(text: &str) -> (Profile, Vec<String>) {
    let (profile, warnings) = Profile::parse(text.as_bytes()).unwrap();
    (profile, warnings.iter().map(|warning| format!("{}: {}", warning.at, warning.kind)).collect())
}

#[track_caller]
fn bad(text: &str) -> ProfileError {
    Profile::parse(text.as_bytes()).expect_err(text)
}

fn at(line: u32, column: u32) -> Position {
    Position { line, column }
}

#[test]
fn the_seeds_profile_reads_without_a_warning() {
    let (profile, warnings) = Profile::parse(SEED).unwrap();
    assert_eq!(warnings, []);
    let client = &profile.client;
    assert_eq!(client.authentication_timeout().as_secs(), 12);
    assert!(client.auto_reconnect.enabled.value);
    assert_eq!(client.auto_reconnect.behavior.value, AutoReconnectBehavior::ReconnectAfterResume);
    assert!(!client.auto_reconnect.behavior.user_controllable);
    assert!(client.local_lan_access.user_controllable);
    assert_eq!(client.ip_protocol_support.value, IpProtocolSupport::V4V6);
    assert_eq!(client.ppp_exclusion.mode.value, PppExclusionMode::Disable);
    assert_eq!(client.ppp_exclusion.server.set, None);
    assert_eq!(client.windows_vpn_establishment.value, Establishment::AllowRemoteUsers);
    assert_eq!(client.automatic_server_selection.improvement.value.get(), 20);
    assert_eq!(profile.hosts.len(), 1);
    let host = &profile.hosts[0];
    assert_eq!((host.name.as_str(), host.address.as_str()), ("IKEv2_Gateway", "flexvpn-c8kv.example.com"));
    assert_eq!(host.primary_protocol, PrimaryProtocol::Ipsec);
    assert_eq!(host.standard_authentication_only, Some(true));
    assert_eq!(host.usable(), Ok(AuthMethod::EapAnyConnect));
}

#[test]
fn honours_host_name() {
    let text = wrap(
        "",
        "<HostEntry><HostName>One</HostName><HostAddress>a.example</HostAddress></HostEntry>\
         <HostEntry><HostName>two.example</HostName></HostEntry>",
    );
    let profile = good(&text);
    assert_eq!(profile.host("one").map(|host| host.address.as_str()), Some("a.example"));
    assert_eq!(profile.host("two.example").map(|host| host.address.as_str()), Some("two.example"));
    assert_eq!(profile.host("three"), None);
}

#[test]
fn an_empty_profile_has_the_schemas_defaults() {
    let (profile, warnings) = warned(&format!("<AnyConnectProfile xmlns=\"{NAMESPACE}\"/>"));
    assert_eq!(warnings, ["line 1, column 1: the profile names no gateway (no <HostEntry> in <ServerList>)"]);
    let client = profile.client;
    assert!(client.auto_reconnect.enabled.value && client.auto_reconnect.enabled.set.is_none());
    assert!(!client.auto_reconnect.enabled.user_controllable);
    assert_eq!(client.auto_reconnect.behavior.value, AutoReconnectBehavior::DisconnectOnSuspend);
    assert_eq!(client.authentication_timeout().as_secs(), 30);
    assert!(!client.local_lan_access.value && !client.auto_connect_on_start.value);
    assert!(
        client.allow_manual_host_input.value
            && client.automatic_vpn_policy.always_on.allow_vpn_disconnect.value
    );
    assert_eq!(client.automatic_vpn_policy.always_on.captive_portal_remediation_timeout.value.get(), 5);
}

#[test]
fn the_authentication_method_follows_standard_authentication_only() {
    let method = |inner: &str| warned(&host(inner)).0.hosts[0].auth_method();
    assert_eq!(method(""), None, "the default protocol is SSL");
    assert_eq!(method("<PrimaryProtocol>IPsec</PrimaryProtocol>"), Some(AuthMethod::EapAnyConnect));
    let standard = |value: &str, inner: &str| {
        let only = format!("<StandardAuthenticationOnly>{value}{inner}</StandardAuthenticationOnly>");
        format!("<PrimaryProtocol>IPsec{only}</PrimaryProtocol>")
    };
    let md5 = "<AuthMethodDuringIKENegotiation>EAP-MD5</AuthMethodDuringIKENegotiation>";
    assert_eq!(method(&standard("true", "")), Some(AuthMethod::EapGtc));
    assert_eq!(method(&standard("false", "")), Some(AuthMethod::EapAnyConnect));
    assert_eq!(method(&standard("true", md5)), Some(AuthMethod::EapMd5));
    assert_eq!(method(&standard("false", md5)), Some(AuthMethod::EapAnyConnect));
    let (_, warnings) = warned(&host(&standard("false", md5)));
    assert!(warnings[0].contains("EAP-AnyConnect is used"), "{warnings:?}");
}

#[test]
fn a_host_that_cannot_be_used_says_what_to_do() {
    let ssl = good(&host("<PrimaryProtocol>SSL</PrimaryProtocol>")).hosts[0].usable().unwrap_err();
    assert!(ssl.to_string().contains("openconnect"), "{ssl}");
    let standard = |method: &str| {
        let only = format!("<StandardAuthenticationOnly>true{method}</StandardAuthenticationOnly>");
        good(&host(&format!("<PrimaryProtocol>IPsec{only}</PrimaryProtocol>"))).hosts[0].usable()
    };
    assert_eq!(standard(""), Ok(AuthMethod::EapGtc));
    let named = "<AuthMethodDuringIKENegotiation>IKE-RSA</AuthMethodDuringIKENegotiation>";
    assert_eq!(standard(named), Ok(AuthMethod::IkeRsa));
    let address = |address: &str| {
        good(&host(&format!("<HostAddress>{address}</HostAddress><PrimaryProtocol>IPsec</PrimaryProtocol>")))
            .hosts[0]
            .usable()
    };
    for usable in ["vpn.example.com", "10.0.0.1", "2001:db8::1", "a_b.example."] {
        assert!(address(usable).is_ok(), "{usable}");
    }
    for unusable in
        ["vpn.example.com:8443", "vpn.example.com/group", "https://vpn.example.com", "a..b", "[::1]"]
    {
        assert!(matches!(address(unusable), Err(NotUsable::Address { .. })), "{unusable}");
    }
}

#[test]
fn mixed_content_is_trimmed_and_references_are_resolved() {
    let profile = good(&client(
        "\r\n<AutoReconnect UserControllable='true'>\r\n  false <!-- why --> \n<AutoReconnectBehavior>\
         <![CDATA[ReconnectAfterResume]]></AutoReconnectBehavior>\n\n</AutoReconnect>",
    ));
    assert!(!profile.client.auto_reconnect.enabled.value);
    assert!(profile.client.auto_reconnect.enabled.user_controllable);
    assert_eq!(profile.client.auto_reconnect.behavior.value, AutoReconnectBehavior::ReconnectAfterResume);
    let after = good(&client(
        "<AutoReconnect><AutoReconnectBehavior>ReconnectAfterResume</AutoReconnectBehavior>false</AutoReconnect>",
    ));
    assert!(!after.client.auto_reconnect.enabled.value, "the value may follow the element inside");
    let named = good(&host("<UserGroup> R&amp;D &#x3c;1&gt; </UserGroup>"));
    assert_eq!(named.hosts[0].user_group.as_deref(), Some("R&D <1>"));
}

#[test]
fn pins_of_host_and_profile_are_joined() {
    let pin = |octet: u8| PinHash([octet; 64]);
    let list = |octet: u8| {
        format!(
            "<CertificatePinning><CertificatePinList><Pin Subject=\"CN={octet}\">{}</Pin></CertificatePinList>\
             </CertificatePinning>",
            pin(octet)
        )
    };
    let servers = format!("<HostEntry><HostName>gw</HostName>{}</HostEntry>", list(1));
    let profile = good(&wrap(&list(2), &servers));
    let pins: Vec<_> = profile.hosts[0].pins.iter().map(|pin| pin.hash).collect();
    assert_eq!(pins, [pin(1), pin(2)]);
    assert_eq!(profile.hosts[0].pins[0].subject.as_deref(), Some("CN=1"));
    let error = bad(&wrap(&list(2).replace("CN=2\">", "CN=2\">!"), ""));
    assert_eq!(
        (error.kind, error.at.line),
        (ErrorKind::Value, 2),
        "a pin that cannot be read is never dropped"
    );
}

#[test]
fn lists_and_nested_policies_are_typed() {
    let profile = good(&client(
        "<AutomaticVPNPolicy>true<TrustedDNSDomains>*.example.com, example.org</TrustedDNSDomains>\
         <TrustedHttpsServerList><TrustedHttpsServer><Address>in.example.com</Address></TrustedHttpsServer>\
         </TrustedHttpsServerList><TrustedNetworkPolicy>Pause</TrustedNetworkPolicy><AlwaysOn>true\
         <ConnectFailurePolicy>Open</ConnectFailurePolicy></AlwaysOn></AutomaticVPNPolicy>\
         <BackupServerList><HostAddress>b1</HostAddress><HostAddress>b2</HostAddress></BackupServerList>\
         <CertificateMatch><KeyUsage><MatchKey>Digital_Signature</MatchKey></KeyUsage><DistinguishedName>\
         <DistinguishedNameDefinition Operator=\"Equal\"><Name>CN</Name><Pattern>x</Pattern>\
         </DistinguishedNameDefinition></DistinguishedName></CertificateMatch>",
    ));
    let policy = &profile.client.automatic_vpn_policy;
    assert_eq!(policy.trusted_dns_domains.value.0, ["*.example.com", "example.org"]);
    assert_eq!(policy.trusted_https_servers[0].port, 443);
    assert_eq!(policy.trusted_network_policy.value, TrustedNetworkPolicy::Pause);
    assert_eq!(policy.always_on.connect_failure_policy.value, ConnectFailurePolicy::Open);
    assert_eq!(profile.client.backup_servers, ["b1", "b2"]);
    assert_eq!(profile.client.certificate_match.key_usage, ["Digital_Signature"]);
    assert_eq!(
        profile.client.certificate_match.distinguished_names[0].attributes,
        [("Operator", "Equal".into())]
    );
}

#[test]
fn unknown_things_only_warn_with_their_place() {
    let (profile, warnings) = warned(&client(
        "\n<Unheard Of=\"1\">text<Of>more</Of></Unheard>\n  <autoreconnect>false</autoreconnect>\n\
         <LocalLanAccess Colour=\"red\">true</LocalLanAccess>",
    ));
    assert!(profile.client.local_lan_access.value);
    assert_eq!(
        warnings,
        [
            "line 3, column 1: unknown element <Unheard> inside <ClientInitialization>: ignored",
            "line 4, column 3: unknown element <autoreconnect> inside <ClientInitialization>: ignored (did you mean \
             <AutoReconnect>?)",
            "line 5, column 17: unknown attribute Colour of <LocalLanAccess>: ignored",
        ]
    );
}

#[test]
fn values_outside_their_type_refuse_obeyed_settings_and_warn_for_others() {
    let error = bad(&client("\n<AuthenticationTimeout>500</AuthenticationTimeout>"));
    assert_eq!((error.kind, error.at), (ErrorKind::Value, at(3, 24)));
    assert_eq!(
        error.to_string(),
        "line 3, column 24: found \"500\", expected a whole number from 10 to 120 in <AuthenticationTimeout>"
    );
    let error = bad(&host("<PrimaryProtocol>Foo</PrimaryProtocol>"));
    assert_eq!(error.expected, "SSL or IPsec in <PrimaryProtocol>");
    let error = bad(&client("<AutoReconnect><AutoReconnectBehavior/></AutoReconnect>"));
    assert_eq!(error.found, "no value in <AutoReconnectBehavior>");
    let (profile, warnings) =
        warned(&client("<MinimizeOnConnect>maybe</MinimizeOnConnect><CertificateStore/>"));
    assert!(profile.client.minimize_on_connect.value, "the default");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("<MinimizeOnConnect> holds \"maybe\", expected true or false: ignored"));
    let error = bad(&client("<AutoReconnect UserControllable=\"no\">true</AutoReconnect>"));
    assert!(error.found.contains("UserControllable=\"no\""), "{error}");
}

#[test]
fn elements_that_stand_twice() {
    let error = bad(&client("<AutoReconnect>true</AutoReconnect>\n<AutoReconnect>false</AutoReconnect>"));
    assert_eq!((error.kind, error.at), (ErrorKind::Twice, at(3, 1)));
    let (profile, warnings) = warned(&client("<AutoUpdate>true</AutoUpdate><AutoUpdate>false</AutoUpdate>"));
    assert!(profile.client.auto_update.value, "the first one counts");
    assert!(warnings[0].contains("was already there at line 2, column 23"), "{warnings:?}");
    let (_, warnings) = warned(&wrap(
        "",
        "<HostEntry><HostName>a</HostName></HostEntry><HostEntry><HostName>A</HostName></HostEntry>",
    ));
    assert!(warnings[0].contains("a second host of the name A"), "{warnings:?}");
}

#[test]
fn text_in_the_wrong_place_is_an_error() {
    let error = bad(&client("<AutoUpdate>true</AutoUpdate>\n  stray & more".replace('&', "&amp;").as_str()));
    assert_eq!((error.kind, error.at), (ErrorKind::StrayText, at(3, 3)));
    assert_eq!(error.found, "the text \"stray\" directly inside <ClientInitialization>");
    assert_eq!(
        error.expected,
        "an element such as <RSASecurIDIntegration> or <WindowsLogonEnforcement>, or \
         </ClientInitialization>"
    );
    let error = bad(&client(
        "<AutoReconnect>true<AutoReconnectBehavior>ReconnectAfterResume</AutoReconnectBehavior>x\
         </AutoReconnect>",
    ));
    assert_eq!(error.kind, ErrorKind::StrayText, "one value only");
    let error = bad(&format!("{}\nafter", client("")));
    assert_eq!((error.kind, error.at), (ErrorKind::Root, at(5, 1)));
    assert_eq!(bad("hello").kind, ErrorKind::Root);
    assert_eq!(bad("").kind, ErrorKind::Root);
    assert_eq!(bad("<Other/>").found, "<Other>");
    assert_eq!(bad(&format!("{}<AnyConnectProfile/>", client(""))).kind, ErrorKind::Root);
}

#[test]
fn wrong_and_missing_closing_tags_name_both_ends() {
    let error = bad("<AnyConnectProfile>\n <ServerList>\n  <HostEntry>\n </ServerList>");
    assert_eq!((error.kind, error.at), (ErrorKind::WrongClose, at(4, 2)));
    assert_eq!(error.found, "</ServerList>");
    assert_eq!(error.expected, "</HostEntry>, which closes <HostEntry> opened at line 3, column 3");
    let error = bad("<AnyConnectProfile>\n <Unknown><b></Unknown></b>");
    assert_eq!((error.kind, error.at), (ErrorKind::WrongClose, at(2, 14)), "unknown elements must nest too");
    let error = bad("<AnyConnectProfile>\n <ServerList>\n");
    assert_eq!((error.kind, error.at), (ErrorKind::NeverClosed, at(3, 1)));
    assert!(error.expected.contains("opened at line 2, column 2"), "{error}");
    assert_eq!(bad("</AnyConnectProfile>").kind, ErrorKind::WrongClose);
}

#[test]
fn broken_markup_entities_and_doctypes_are_errors() {
    let cases = [
        ("<AnyConnectProfile", ErrorKind::Markup, at(1, 1)),
        ("<AnyConnectProfile>\n<!-- open", ErrorKind::Markup, at(2, 1)),
        ("<AnyConnectProfile>\n<Unknown b=c/></AnyConnectProfile>", ErrorKind::Markup, at(2, 1)),
        ("<AnyConnectProfile>\n<ServerList b=c/></AnyConnectProfile>", ErrorKind::Markup, at(2, 1)),
        ("<AnyConnectProfile>a &copy; b</AnyConnectProfile>", ErrorKind::StrayText, at(1, 20)),
        ("<AnyConnectProfile>&copy;</AnyConnectProfile>", ErrorKind::Entity, at(1, 20)),
        ("<AnyConnectProfile>&#1;</AnyConnectProfile>", ErrorKind::Entity, at(1, 20)),
        ("<AnyConnectProfile>&#x110000;</AnyConnectProfile>", ErrorKind::Entity, at(1, 20)),
        ("<AnyConnectProfile>&amp </AnyConnectProfile>", ErrorKind::Markup, at(1, 20)),
        ("<AnyConnectProfile xmlns=\"&x;\"/>", ErrorKind::Entity, at(1, 20)),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]>\n<AnyConnectProfile/>", ErrorKind::Dtd, at(1, 1)),
        ("\n<?xml version=\"1.0\"?><AnyConnectProfile/>", ErrorKind::Markup, at(2, 1)),
        ("<AnyConnectProfile>\n\u{1}</AnyConnectProfile>", ErrorKind::Encoding, at(2, 1)),
    ];
    for (text, kind, place) in cases {
        let error = bad(text);
        assert_eq!((error.kind, error.at), (kind, place), "{text}: {error}");
    }
    let error = Profile::parse(b"<AnyConnectProfile>\n\xff").unwrap_err();
    assert_eq!(
        (error.kind, error.at, error.found.as_str()),
        (ErrorKind::Encoding, at(2, 1), "the octet 0xff")
    );
}

#[test]
fn size_depth_and_warnings_are_limited() {
    let mut big = client("").into_bytes();
    big.resize(MAX_SIZE, b' ');
    assert!(Profile::parse(&big).is_ok());
    big.push(b' ');
    assert_eq!(Profile::parse(&big).unwrap_err().kind, ErrorKind::TooLarge);
    let nest = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let deep = |depth: usize| {
        Profile::parse(format!("<AnyConnectProfile>{}</AnyConnectProfile>", nest(depth)).as_bytes())
    };
    assert!(deep(MAX_DEPTH - 1).is_ok());
    assert_eq!(deep(MAX_DEPTH).unwrap_err().kind, ErrorKind::TooDeep);
    let (_, warnings) = Profile::parse(client(&"<a/>".repeat(1000)).as_bytes()).unwrap();
    assert_eq!(warnings.len(), MAX_WARNINGS + 1);
    assert_eq!(warnings.last().map(|warning| warning.kind.clone()), Some(WarningKind::More { count: 900 }));
}

#[test]
fn namespaces_and_encodings() {
    let (_, warnings) = warned("<AnyConnectProfile xmlns=\"urn:other\"><ServerList/></AnyConnectProfile>");
    assert!(warnings[0].starts_with("line 1, column 1: the namespace is \"urn:other\""), "{warnings:?}");
    let (_, warnings) = warned("<AnyConnectProfile/>");
    assert!(warnings[0].contains("the namespace is not there"), "{warnings:?}");
    let prefixed = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<p:AnyConnectProfile xmlns:p=\"{NAMESPACE}\"><p:ServerList>\
         <p:HostEntry><p:HostName>a</p:HostName></p:HostEntry></p:ServerList></p:AnyConnectProfile>"
    );
    assert_eq!(good(&prefixed).hosts[0].name, "a");
    let (profile, warnings) = warned(&host("<x:HostAddress>evil.example</x:HostAddress>"));
    assert_eq!(profile.hosts[0].address, "gw", "an element of another namespace is not ours");
    assert!(warnings[0].contains("unknown element <x:HostAddress>"), "{warnings:?}");
    let latin = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>".to_owned() + &client("");
    assert!(warned(&latin).1[0].contains("encoding ISO-8859-1"));
}

#[test]
fn a_host_needs_a_name() {
    let error = bad(&wrap("", "\n <HostEntry><HostAddress>a</HostAddress></HostEntry>"));
    assert_eq!((error.kind, error.at), (ErrorKind::Missing, at(4, 2)));
    assert_eq!(bad(&wrap("", "<HostEntry><HostName> </HostName></HostEntry>")).kind, ErrorKind::Value);
}

#[test]
fn settings_list_what_is_set_and_what_is_default() {
    let (profile, _) = Profile::parse(SEED).unwrap();
    let find = |path: &str| {
        profile.settings().iter().find(|setting| setting.path == path).unwrap_or_else(|| panic!("{path}"))
    };
    let timeout = find("ClientInitialization/AuthenticationTimeout");
    assert_eq!((timeout.value.as_str(), timeout.at.map(|at| at.line)), ("12", Some(11)));
    assert!(matches!(timeout.support, Support::Honoured { .. }));
    let behavior = find("ClientInitialization/AutoReconnect/AutoReconnectBehavior");
    assert_eq!(behavior.user_controllable, Some(false));
    assert_eq!(find("ClientInitialization/ServiceDisable").at, None);
    let address = find("ServerList/HostEntry[IKEv2_Gateway]/HostAddress");
    assert_eq!(address.value, "flexvpn-c8kv.example.com");
}

#[test]
fn preferences_are_told_in_the_seeds_order() {
    let (profile, _) = Profile::parse(SEED).unwrap();
    let preferences = profile.preference_settings();
    let text = |(name, value): &(&str, String)| format!("{name}: {value}");
    let first: Vec<_> = preferences.iter().take(12).map(text).collect();
    assert_eq!(
        first,
        [
            "ServiceDisable: false",
            "CertificateStoreOverride: false",
            "CertificateStore: All",
            "ShowPreConnectMessage: false",
            "AutoConnectOnStart: false",
            "MinimizeOnConnect: true",
            "LocalLanAccess: false",
            "DisableCaptivePortalDetection: false",
            "AutoReconnect: true",
            "AutoReconnectBehavior: ReconnectAfterResume",
            "UseStartBeforeLogon: false",
            "AutoUpdate: true",
        ]
    );
    let last: Vec<_> = preferences.iter().rev().take(4).rev().map(text).collect();
    assert_eq!(
        last,
        [
            "IPProtocolSupport: IPv4,IPv6",
            "AllowManualHostInput: true",
            "BlockUntrustedServers: true",
            "PublicProxyServerAddress: ",
        ]
    );
    let known = |name: &str| profile.settings().iter().any(|setting| setting.name == name);
    let absent: Vec<_> = preferences.iter().map(|(name, _)| *name).filter(|name| !known(name)).collect();
    assert_eq!(
        absent,
        ["TrustedDNSDomains", "TrustedDNSServers", "PublicProxyServerAddress"],
        "no default, not set"
    );
}

proptest! {
    #[test]
    fn any_octets_are_refused_or_read(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Profile::parse(&octets);
    }

    #[test]
    fn a_profile_with_one_change_never_panics_and_points_into_the_file(
        offset in 0..SEED.len(), replacement in prop_oneof![Just(""), Just("<"), Just("&"), Just("</a>"), Just("<a>"), Just("]]>"), Just("<!--"), Just("\"")]
    ) {
        let text = std::str::from_utf8(SEED).unwrap();
        let changed = format!("{}{replacement}{}", &text[..offset], &text[offset + 1..]);
        let last = Lines::new(&changed).position(changed.len());
        match Profile::parse(changed.as_bytes()) {
            Ok((_, warnings)) => prop_assert!(warnings.iter().all(|warning| warning.at <= last)),
            Err(error) => {
                prop_assert!(error.at <= last, "{}", error);
                prop_assert!(!error.found.is_empty() && !error.expected.is_empty());
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }

    #[test]
    fn markup_soup_never_panics(pieces in proptest::collection::vec(prop_oneof![
        Just("<AnyConnectProfile>"), Just("</AnyConnectProfile>"), Just("<ClientInitialization>"), Just("<ServerList>"),
        Just("<HostEntry>"), Just("</HostEntry>"), Just("<HostName>"), Just("x"), Just("&lt;"), Just("&#0;"), Just("<![CDATA["),
        Just("]]>"), Just("<!DOCTYPE a>"), Just("<?pi"), Just("?>"), Just(" a='b"), Just("'"), Just("/>"), Just("\n"), Just("ç"),
    ], 0..40)) {
        let _ = Profile::parse(pieces.concat().as_bytes());
    }

    #[test]
    fn values_survive_the_file(
        timeout in 10u32..=120, reconnect in any::<bool>(), user in any::<bool>(), group in "[ -~é]{1,20}",
    ) {
        prop_assume!(!group.trim().is_empty());
        let escaped = group.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let text = wrap(
            &format!("<AuthenticationTimeout>{timeout}</AuthenticationTimeout>\
                      <AutoReconnect UserControllable=\"{user}\">{reconnect}</AutoReconnect>"),
            &format!("<HostEntry><HostName>h</HostName><UserGroup>{escaped}</UserGroup></HostEntry>"),
        );
        let profile = good(&text);
        prop_assert_eq!(profile.client.authentication_timeout.value.get(), timeout);
        prop_assert_eq!(profile.client.auto_reconnect.enabled.value, reconnect);
        prop_assert_eq!(profile.client.auto_reconnect.enabled.user_controllable, user);
        prop_assert_eq!(profile.hosts[0].user_group.as_deref(), Some(group.trim()));
    }
}

#[test]
fn a_host_has_its_own_backup_servers_or_the_profiles() {
    let list = |name: &str| format!("<BackupServerList><HostAddress>{name}</HostAddress></BackupServerList>");
    let entry = |name: &str, inner: &str| {
        format!(
            "<HostEntry><HostName>{name}</HostName><HostAddress>{name}.example.com</HostAddress>{inner}</HostEntry>"
        )
    };
    let servers = entry("own", &list("mine.example.com")) + &entry("other", "");
    let profile = good(&wrap(&list("all.example.com"), &servers));
    let backups = |at: usize| profile.hosts[at].backups(&profile.client, &["told.example.com".into()]).0;
    assert_eq!(backups(0), ["mine.example.com", "told.example.com"]);
    assert_eq!(backups(1), ["all.example.com", "told.example.com"]);
    let many: Vec<String> = (0..100).map(|n| format!("b{n}.example.com")).collect();
    assert_eq!(profile.hosts[1].backups(&profile.client, &many).0.len(), 16);
    let backup = profile.hosts[0].backed_by("OTHER.example.com", &profile.hosts);
    assert_eq!((backup.name.as_str(), backup.address.as_str()), ("other", "OTHER.example.com"));
}

/// What fuzzing found: XML allows the control characters from U+007F to U+009F, one of which begins a terminal's commands.
#[test]
fn a_control_character_in_a_name_is_not_shown() {
    let csi = "<AnyConnectProfile><Server\u{9b}List></AnyConnectProfile>";
    let never = "<AnyConnectProfile><Server\u{9b}List>";
    for text in [csi, never] {
        let told = bad(text).to_string();
        assert!(told.contains("Server\u{fffd}List") && !told.contains('\u{9b}'), "{told}");
    }
}
