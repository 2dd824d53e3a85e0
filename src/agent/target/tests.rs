use super::*;
use crate::ipc::{Failure, FailureKind};
use std::fs;
use tempfile::TempDir;

fn seed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("profiles/flexvpn-c8kv.xml")
}

/// A folder with a profile of these hosts (name, address) and an empty config file; the wishes name both.
fn profile(hosts: &[(&str, &str)], client: &str) -> (TempDir, Connect) {
    let folder = tempfile::tempdir().unwrap();
    let entry = |(name, address): &(&str, &str)| {
        format!(
            "<HostEntry><HostName>{name}</HostName><HostAddress>{address}</HostAddress>\
             <PrimaryProtocol>IPsec</PrimaryProtocol></HostEntry>"
        )
    };
    let entries: String = hosts.iter().map(entry).collect();
    let text = format!(
        "<AnyConnectProfile xmlns=\"http://schemas.xmlsoap.org/encoding/\"><ClientInitialization>{client}\
         </ClientInitialization><ServerList>{entries}</ServerList></AnyConnectProfile>"
    );
    let (file, config) = (folder.path().join("p.xml"), folder.path().join("config.toml"));
    fs::write(&file, text).unwrap();
    fs::write(&config, "[trust]\nsystem = false\n").unwrap();
    let wishes = Connect { profile: Some(file), config: Some(config), ..Connect::default() };
    (folder, wishes)
}

fn find(wishes: &Connect, last: Option<&Connect>) -> Result<Target, Failure> {
    Target::find(wishes, last, "00ff").map_err(Failure::from)
}

fn host(wishes: &Connect, name: &str) -> Result<Target, Failure> {
    find(&Connect { host: Some(name.into()), ..wishes.clone() }, None)
}

#[test]
fn the_config_file_says_how_the_gateway_is_reached() {
    let (folder, mut wishes) = profile(&[], "");
    wishes.profile = Some(seed());
    fs::write(
        folder.path().join("config.toml"),
        "[agent]\ndpd_interval = \"10s\"\nproxy = \"127.0.0.1:1090\"\n[trust]\nsystem = false\n\
         [gateway.\"flexvpn-c8kv.example.com\"]\naddress = \"10.9.0.1\"\nport = 15000\nnat_port = 15001\n",
    )
    .unwrap();
    let target = find(&wishes, None).unwrap();
    let settings = &target.settings;
    assert_eq!((settings.port, settings.nat_port), (15000, 15001));
    assert_eq!(settings.addresses, ["10.9.0.1".parse::<IpAddr>().unwrap()]);
    assert!(target.fixed_address && target.key_log.is_none() && !settings.key_log);
    assert_eq!(settings.dpd_interval.as_secs(), 10);
    assert_eq!((target.tunnel, target.proxy), (None, "127.0.0.1:1090".parse().unwrap()));
    assert_eq!(target.wishes.host.as_deref(), Some(settings.host_name.as_str()));
    let wish = Connect { proxy: Some("127.0.0.1:9".parse().unwrap()), tunnel: Some(Tunnel::None), ..wishes };
    let target = find(&wish, None).unwrap();
    assert_eq!((target.tunnel, target.proxy), (Some(Tunnel::None), "127.0.0.1:9".parse().unwrap()));
}

#[test]
fn a_host_is_found_by_name_or_address_and_the_only_one_needs_no_name() {
    let (_folder, wishes) = profile(&[("Berlin", "b.example.com"), ("Wien", "w.example.com")], "");
    assert_eq!(host(&wishes, "wien").unwrap().settings.host_address, "w.example.com");
    assert_eq!(host(&wishes, "B.example.com").unwrap().settings.host_name, "Berlin");
    let failure = find(&wishes, None).unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Usage, "which host? name one, as in `ikeep connect HOST`; there are: Berlin, Wien")
    );
    let (_folder, one) = profile(&[("Berlin", "b.example.com")], "");
    assert_eq!(find(&one, None).unwrap().settings.host_name, "Berlin");
}

#[test]
fn a_name_that_several_gateways_have_is_told_and_an_address_is_enough() {
    let hosts = [("Berlin", "b.example.com"), ("berlin", "c.example.com"), ("Wien", "w.example.com")];
    let (folder, wishes) = profile(&hosts, "");
    let file = folder.path().join("p.xml");
    let failure = host(&wishes, "Berlin").unwrap_err();
    let expected = format!(
        "several gateways are called Berlin: b.example.com in {0}, c.example.com in {0}; choose one by its address, as in \
         `ikeep connect b.example.com`",
        file.display()
    );
    assert_eq!((failure.kind, failure.message), (FailureKind::Usage, expected));
    let failure = find(&wishes, None).unwrap_err();
    assert!(failure.message.ends_with("there are: b.example.com, c.example.com, Wien"), "{failure}");
    // What the next start of the agent reads names it too.
    let chosen = host(&wishes, "C.example.com").unwrap();
    assert_eq!(chosen.settings.host_address, "c.example.com");
    let again = find(&Connect::default(), Some(&chosen.wishes)).unwrap();
    assert_eq!(again.settings.host_address, "c.example.com");
    // The same entry twice is one gateway.
    let (_folder, copies) = profile(&[("Berlin", "b.example.com"), ("Berlin", "B.example.com.")], "");
    assert_eq!(find(&copies, None).unwrap().settings.host_address, "b.example.com");
    assert_eq!(host(&copies, "berlin").unwrap().wishes.host.as_deref(), Some("Berlin"));
}

#[test]
fn a_profile_that_has_gone_is_named_unless_the_person_names_another_one() {
    let (folder, wishes) = profile(&[("Berlin", "b.example.com")], "");
    let last = find(&wishes, None).unwrap().wishes;
    fs::rename(folder.path().join("p.xml"), folder.path().join("q.xml")).unwrap();
    let failure = find(&Connect::default(), Some(&last)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Other);
    for part in
        ["the profile of the last connection, ", "p.xml, is not there any more", "Berlin", "--profile FILE"]
    {
        assert!(failure.message.contains(part), "{failure}");
    }
    let named = find(&wishes, Some(&last)).unwrap_err();
    assert!(named.message.starts_with("cannot read the profile "), "{named}");
    let other = Connect { profile: Some(folder.path().join("q.xml")), ..wishes };
    assert_eq!(find(&other, Some(&last)).unwrap().settings.host_name, "Berlin");
}

#[test]
fn a_profile_that_has_gone_is_in_the_way_of_no_other_host() {
    let manual = "<AllowManualHostInput>false</AllowManualHostInput>";
    let (folder, _) = profile(&[("Wien", "w.example.com")], manual);
    let folders = [folder.path().to_owned()];
    let gone =
        Connect { host: Some("Berlin".into()), profile: Some("/gone/p.xml".into()), ..Connect::default() };
    let find = |host: &str| {
        let wishes = Connect { host: Some(host.into()), ..Connect::default() };
        Target::find_in(&folders, &wishes, Some(&gone), "00").map_err(Failure::from)
    };
    let wien = find("Wien").unwrap();
    assert_eq!((wien.settings.host_address.as_str(), wien.warnings.as_slice()), ("w.example.com", &[][..]));
    let typo = find("Wein").unwrap_err();
    assert!(typo.message.starts_with("no profile has a host Wein"), "{typo}");
}

#[test]
fn a_blank_is_in_no_address() {
    let (_folder, yes) = profile(&[], "<AllowManualHostInput>true</AllowManualHostInput>");
    let failure = host(&yes, "Head ofice").unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Usage, "no profile has a host Head ofice")
    );
}

#[test]
fn a_host_of_no_profile_is_taken_where_the_profile_allows_it() {
    let hosts = [("Berlin", "b.example.com")];
    let (_folder, yes) = profile(&hosts, "<AllowManualHostInput>true</AllowManualHostInput>");
    let target = host(&yes, "192.0.2.7").unwrap();
    assert_eq!(target.warnings, [""; 0]);
    // A single word may be meant otherwise.
    let expected = "no profile has a host Berln (there are: Berlin): it is taken for the gateway's own name";
    assert_eq!(host(&yes, "Berln").unwrap().warnings, [expected]);
    assert_eq!(target.settings.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    let (_folder, no) = profile(&hosts, "<AllowManualHostInput>false</AllowManualHostInput>");
    let failure = host(&no, "192.0.2.7").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Usage);
    assert!(failure.message.contains("there are: Berlin"), "{failure}");
}

#[test]
fn what_is_not_said_is_as_at_the_last_time_for_the_same_host_only() {
    let (_folder, wishes) = profile(&[("Berlin", "b.example.com"), ("Wien", "w.example.com")], "");
    let berlin = Connect { host: Some("Berlin".into()), user: Some("eva".into()), ..wishes.clone() };
    let last = find(&berlin, None).unwrap().wishes;
    let again = find(&Connect::default(), Some(&last)).unwrap();
    assert_eq!((again.wishes.user.as_deref(), again.settings.host_name.as_str()), (Some("eva"), "Berlin"));
    let wien = Connect { host: Some("Wien".into()), ..wishes };
    assert_eq!(find(&wien, Some(&last)).unwrap().wishes.user, None);
}

#[test]
fn a_damaged_profile_and_one_for_another_client_say_so() {
    let (folder, wishes) = profile(&[("Berlin", "b.example.com")], "");
    let file = folder.path().join("p.xml");
    fs::write(&file, "<AnyConnectProfile><ServerList>").unwrap();
    let failure = find(&wishes, None).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Profile);
    assert!(failure.message.starts_with(&format!("{}:1:", file.display())), "{failure}");
    let ssl = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/ssl-only.xml");
    let failure = find(&Connect { profile: Some(ssl), ..wishes.clone() }, None).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Profile);
    assert!(failure.message.contains("openconnect"), "{failure}");
    let missing = Connect { profile: Some(folder.path().join("none.xml")), ..wishes };
    assert_eq!(find(&missing, None).unwrap_err().kind, FailureKind::Other);
}

#[test]
fn trust_is_read_now() {
    let (folder, wishes) = profile(&[("Berlin", "b.example.com")], "");
    let none = Connect { trust: vec![folder.path().join("p.xml")], ..wishes.clone() };
    let failure = find(&none, None).unwrap_err();
    assert!(failure.message.contains("holds no certificate"), "{failure}");
}

#[test]
fn a_backup_server_is_a_gateway_of_its_own_behind_the_same_host() {
    let lists = "<BackupServerList><HostAddress>one.example.com</HostAddress><HostAddress>B.example.com</HostAddress>\
                 <HostAddress>bad.example.com/group</HostAddress></BackupServerList>";
    let (folder, wishes) = profile(&[("Berlin", "b.example.com"), ("Wien", "w.example.com")], lists);
    fs::write(
        folder.path().join("config.toml"),
        "[trust]\nsystem = false\n[gateway.\"one.example.com\"]\naddress = \"192.0.2.1\"\nport = 501\n",
    )
    .unwrap();
    let told = vec!["w.example.com".to_owned(), "ONE.example.com".to_owned()];
    let berlin = Connect { host: Some("Berlin".into()), backups: told, ..wishes };
    let first = find(&berlin, None).unwrap();
    // The profile's, then what the gateway named before; neither itself nor one twice.
    assert_eq!(first.backups, ["one.example.com", "w.example.com"]);
    assert!(first.notes.iter().any(|note| note.contains("bad.example.com/group")), "{:?}", first.notes);
    assert_eq!(first.next_backup().map(String::as_str), Some("one.example.com"));
    assert!(first.settings.silence_limit.is_some());

    let second =
        find(&Connect { backup: first.next_backup().cloned(), ..first.wishes.clone() }, None).unwrap();
    let settings = &second.settings;
    assert_eq!((settings.host_address.as_str(), settings.port), ("one.example.com", 501));
    assert_eq!(settings.addresses, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(second.wishes.host.as_deref(), Some("Berlin"));
    assert!(second.is_same(&first, true) && !second.has_settings_of(&first));

    let third =
        find(&Connect { backup: second.next_backup().cloned(), ..second.wishes.clone() }, None).unwrap();
    assert_eq!(third.settings.host_name, "Wien", "as the profile calls it");
    assert_eq!((third.next_backup(), third.settings.silence_limit), (None, None), "nobody is left");

    // The next connect begins with the host, and knows what the gateway has named.
    let again = find(&Connect::default(), Some(&third.wishes)).unwrap();
    assert_eq!((again.settings.host_name.as_str(), again.backups.len()), ("Berlin", 2));
    let unlisted = find(&Connect { backup: Some("evil.example.net".into()), ..first.wishes }, None).unwrap();
    assert_eq!(unlisted.settings.host_address, "b.example.com");
}

#[test]
fn honours_local_lan_access() {
    // A full tunnel whose gateway allows the local LAN (0.0.0.0/32 among the networks outside).
    let lan = crate::plan::Net::host(std::net::Ipv4Addr::UNSPECIFIED.into());
    let plan = crate::plan::Plan {
        address4: Some("192.168.20.5".parse().unwrap()),
        exclude: vec![lan],
        ..crate::plan::Plan::default()
    };
    let granted = |client: &str, config: &str| {
        let (folder, wishes) = profile(&[("Berlin", "b.example.com")], client);
        fs::write(folder.path().join("config.toml"), format!("[trust]\nsystem = false\n{config}")).unwrap();
        let target = find(&wishes, None).unwrap();
        crate::plan::Network::new(&plan, target.network, &[], 1400).local_lan
    };
    let wanted = "[preferences]\nlocal_lan_access = true\n";
    let fixed = "<LocalLanAccess UserControllable=\"false\">false</LocalLanAccess>";
    assert!(granted("<LocalLanAccess>true</LocalLanAccess>", ""));
    assert!(!granted("<LocalLanAccess>false</LocalLanAccess>", ""));
    assert!(granted("<LocalLanAccess UserControllable=\"true\">false</LocalLanAccess>", wanted));
    assert!(!granted(fixed, wanted), "the profile does not leave it to the user");
}

#[test]
fn a_profile_that_nobody_has_named_is_found_anew() {
    let (folder, mut wishes) = profile(&[("Berlin", "b.example.com")], "");
    let file = wishes.profile.take().unwrap();
    let folders = [folder.path().to_owned()];
    let find = |wishes: &Connect, last: &Connect| Target::find_in(&folders, wishes, Some(last), "00ff");
    let first = find(&wishes, &Connect::default()).unwrap();
    assert_eq!((first.profile_file.as_path(), first.wishes.named), (file.as_path(), Some(false)));
    // A newer one comes, and comes first.
    let newer = folder.path().join("a.xml");
    fs::copy(&file, &newer).unwrap();
    let plain = Connect::default();
    assert_eq!(find(&plain, &first.wishes).unwrap().profile_file, newer);
    // The agent's own goes on with the one it had, and still nobody has named it.
    let again = find(&Target::again(&first.wishes), &first.wishes).unwrap();
    assert_eq!((&again.profile_file, again.wishes.named), (&file, Some(false)));
    // What was kept before that was kept: in one of the folders it was found, elsewhere it was named.
    let old = Connect { named: None, ..first.wishes.clone() };
    assert_eq!(find(&plain, &old).unwrap().profile_file, newer);
    let old = Target::find_in(&[], &plain, Some(&old), "00ff").unwrap();
    assert_eq!((&old.profile_file, old.wishes.named), (&file, Some(true)));
    // A person who has named it means it at the next time too, and by that one's wishes.
    let named = find(&Connect { profile: Some(file.clone()), ..wishes.clone() }, &plain).unwrap();
    let again = find(&plain, &named.wishes).unwrap();
    assert_eq!((&again.profile_file, again.wishes.named), (&file, Some(true)));
    // By now the name is another gateway's as well.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&newer, text.replace("b.example.com", "c.example.com")).unwrap();
    assert!(matches!(find(&plain, &first.wishes), Err(TargetError::Ambiguous { .. })));
    // Gone, it is told, with what may have its host.
    fs::remove_file(&file).unwrap();
    fs::write(&newer, "<AnyConnectProfile>").unwrap();
    let error = find(&plain, &first.wishes).unwrap_err().to_string();
    assert!(error.contains("p.xml, is not there any more") && error.contains("a.xml:1:20: "), "{error}");
}

#[test]
fn a_folder_that_cannot_be_listed_is_told() {
    let (folder, mut wishes) = profile(&[], "");
    let file = wishes.profile.take().unwrap();
    // A file in the place of a folder, for root too.
    let error = Target::find_in(std::slice::from_ref(&file), &wishes, None, "00ff").unwrap_err().to_string();
    assert!(error.contains(&format!("; cannot list {}: ", file.display())), "{error}");
    drop(folder);
}

#[test]
fn a_certificate_that_is_not_at_hand_is_in_the_way_of_logins_only() {
    let (folder, wishes) = profile(&[("Berlin", "b.example.com")], "");
    let file = folder.path().join("p.xml");
    let named = "<PrimaryProtocol>IPsec<StandardAuthenticationOnly>true<AuthMethodDuringIKENegotiation>IKE-RSA\
                 </AuthMethodDuringIKENegotiation></StandardAuthenticationOnly></PrimaryProtocol>";
    let text = fs::read_to_string(&file).unwrap().replace("<PrimaryProtocol>IPsec</PrimaryProtocol>", named);
    fs::write(&file, text).unwrap();
    let card = folder.path().join("card.pem");
    let wishes = Connect { certificate: Some(card.clone()), key: Some(card), named: Some(true), ..wishes };
    let error = find(&wishes, None).unwrap_err();
    assert!(error.message.contains("card.pem"), "{error}");
    let last = Target::find_last(&wishes, "00ff").unwrap();
    assert!(last.warnings.iter().any(|warning| warning.contains("card.pem")), "{:?}", last.warnings);
}
