use super::*;

const SEED: &str = include_str!("../../../profiles/flexvpn-c8kv.xml");
const HOST: &str = "IKEv2_Gateway";

fn meaning(text: &str) -> Meaning {
    Meaning::of(&Profile::parse(text.as_bytes()).unwrap().0, HOST)
}

/// How the seed's profile stands after a change of its text.
fn since(from: &str, to: &str) -> Standing {
    assert_eq!(SEED.matches(from).count(), 1, "{from}");
    meaning(&SEED.replace(from, to)).since(&meaning(SEED))
}

#[test]
fn only_what_counts_for_the_host_is_a_change() {
    let other = "<HostEntry><HostName>Other</HostName><HostAddress>o.example.com</HostAddress></HostEntry>";
    for (from, to) in [
        ("<ServerList>", &format!("<!-- -->\n\n<ServerList>\n{other}")[..]),
        (">Native</ProxySettings>", ">IgnoreProxy</ProxySettings>"),
        ("</ClientInitialization>", "<BackupServerList></BackupServerList></ClientInitialization>"),
    ] {
        assert_eq!(since(from, to), Standing::AsAtLogin, "{to}");
    }
}

#[test]
fn what_has_changed_is_named() {
    let changed = |what: &str| Standing::Changed(what.to_owned());
    assert_eq!(
        since(">12</AuthenticationTimeout>", ">13</AuthenticationTimeout>"),
        changed("AuthenticationTimeout")
    );
    assert_eq!(since("flexvpn-c8kv.example.com", "other.example.com"), changed("HostAddress"));
    assert_eq!(since(HOST, "Renamed"), changed("it does not name this host any more"));
    let free = since(
        "<AutoReconnectBehavior UserControllable=\"false\"",
        "<AutoReconnectBehavior UserControllable=\"true\"",
    );
    assert_eq!(free, changed("AutoReconnectBehavior"), "the user may change it now");
    let many = Meaning((0..7).map(|n| (format!("ClientInitialization/S{n}"), vec![String::new()])).collect());
    assert_eq!(many.since(&Meaning::default()), changed("S0, S1, S2, S3, S4 and 2 more"));
    // A host that the user named by hand stands in no file.
    let none = meaning(&SEED.replace(HOST, "Renamed"));
    assert_eq!(none.since(&none), Standing::AsAtLogin);
}

#[test]
fn each_standing_says_what_follows() {
    let file = Path::new("/p.xml");
    let unusable = Standing::Unusable("/p.xml:1:1: found x".to_owned());
    for (standing, parts) in [
        (
            Standing::Changed("X".into()),
            ["/p.xml has changed", "(X)", "`ikeep disconnect`, then `ikeep connect`"],
        ),
        (Standing::Gone, ["/p.xml is not there", "go on with", "`ikeep profile import FILE`"]),
        (unusable, ["/p.xml:1:1: found x", "go on with", "needs a sound one"]),
    ] {
        let text = standing.text(file).unwrap();
        assert!(parts.iter().all(|part| text.contains(part)) && standing.name().is_some(), "{text}");
    }
    assert_eq!((Standing::AsAtLogin.text(file), Standing::AsAtLogin.name()), (None, None));
}

#[tokio::test]
async fn a_file_that_is_written_replaced_removed_and_put_back_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.xml");
    fs::write(&file, SEED).unwrap();
    let (said, mut heard) = watch::channel(Standing::AsAtLogin);
    let following = tokio::spawn(follow(file.clone(), HOST.to_owned(), meaning(SEED), said));
    let mut next = async || {
        tokio::time::timeout(Duration::from_secs(20), heard.changed()).await.expect("word in time").unwrap();
        heard.borrow_and_update().clone()
    };
    let changed = SEED.replace(">12</AuthenticationTimeout>", ">13</AuthenticationTimeout>");
    fs::write(folder.path().join("new"), &changed).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    assert_eq!(next().await, Standing::Changed("AuthenticationTimeout".into()));
    fs::write(&file, "<AnyConnectProfile>").unwrap();
    assert!(matches!(next().await, Standing::Unusable(why) if why.contains("p.xml:1:20")));
    fs::remove_file(&file).unwrap();
    assert_eq!(next().await, Standing::Gone);
    fs::write(&file, SEED).unwrap();
    assert_eq!(next().await, Standing::AsAtLogin);
    following.abort();
}
