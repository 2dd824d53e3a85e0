//! A canary in every place where a secret lives, each its own; none may be in a bundle, masked or not.
//!
//! The list of the places is in docs/security.md; `IKEEP_DOCS=write cargo test --test cli_logs` writes it anew.

use crate::bundle::{append, entries, make, session};
use crate::home::Home;
use ikeep::crypto::Secret;
use ikeep::store::Store;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Planted where everybody may see it: a search that does not find this one finds nothing.
const VISIBLE: &str = "c4naryVisible";

/// What needs a keyring: planted by tests/store/remember.rs.
const ELSEWHERE: [&str; 1] = ["a password in the desktop's keyring"];

/// Plants one after the other and keeps the list.
struct Planter {
    planted: Vec<(String, String)>,
}

impl Planter {
    /// A canary for this place.
    fn canary(&mut self, place: &str) -> String {
        let canary = format!("c4nary{:02}x{:04x}", self.planted.len(), self.planted.len() * 7919);
        self.planted.push((place.to_owned(), canary.clone()));
        canary
    }

    /// A line with a canary after each of these beginnings, and what is behind it.
    fn lines(&mut self, place: &str, lines: &[(&str, &str)]) -> String {
        let line = |(before, after): &(&str, &str)| {
            let canary = self.canary(&format!("{place}: {}", before.trim()));
            format!("{before}{canary}{after}\n")
        };
        lines.iter().map(line).collect()
    }
}

/// All forms in which a canary would still be one.
fn forms(canary: &str) -> [String; 4] {
    let hex: String = canary.bytes().map(|octet| format!("{octet:02x}")).collect();
    let upper = hex.to_uppercase();
    let backwards = canary.chars().rev().collect();
    [canary.to_owned(), hex, upper, backwards]
}

async fn plant(home: &Home) -> Planter {
    let mut planter = Planter { planted: Vec::new() };
    let places = home.places();
    let mut session = session();
    session.token = Secret::from(planter.canary("the token of a session in the store").as_bytes());
    Store::in_files(&places).save(&session).await.unwrap();
    let plain = planter.canary("a session file without a seal");
    fs::write(places.sessions().join("x.plain"), plain).unwrap();
    fs::write(places.keys.join("session.key.old"), planter.canary("a key that seals sessions")).unwrap();
    let name = planter.canary("the name of a session file");
    fs::write(places.sessions().join(name), "x").unwrap();

    let log = planter.lines(
        "the agent's log at -vvv",
        &[
            ("DEBUG ikeep::agent: login password=", " user=test"),
            (
                "TRACE eap: answer <config-auth><auth><username>test</username><password>",
                "</password></auth>",
            ),
            ("TRACE eap: <session-token>", "</session-token>"),
            ("TRACE eap: <opaque><otp>", "</otp></opaque>"),
            ("DEBUG session token: ", ""),
            ("DEBUG keys: SK_d=", " len=32"),
            ("DEBUG keys: SK_ei: ", ""),
            ("DEBUG proxy https://user:", "@proxy.example/"),
            ("DEBUG header Cookie: webvpn=", "; path=/"),
            ("DEBUG env IKEEP_PASSWORD=", ""),
            ("DEBUG {\"user\":\"test\",\"password\":\"", "\"}"),
            ("DEBUG Connect { user: \"test\", password: \"", "\" }"),
        ],
    );
    fs::create_dir_all(places.logs()).unwrap();
    let pem = planter.canary("a private key in the agent's log");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
    append(&places.logs().join("agent.2026-01-01.log"), &format!("INFO {VISIBLE} is here\n{log}{pem}"));
    let events = planter.lines("the event log", &[("Password: ", ""), ("One-time passcode = ", "")]);
    append(&places.events(), &format!("***\n{VISIBLE}\n{events}"));
    for (name, place) in [
        ("core.1234", "a core dump beside the logs"),
        ("crash.dmp", "a crash dump beside the logs"),
        ("crash.20260101T000000000Z.1.txt.partial", "a report of a panic that was not finished"),
        ("esp_sa", "Wireshark's table of keys"),
        ("ikev2_decryption_table", "Wireshark's table of IKE keys"),
    ] {
        append(&places.logs().join(name), &planter.canary(place));
    }

    fs::create_dir_all(home.config().join("profiles")).unwrap();
    let config = planter.lines(
        "the config file",
        &[
            ("psk = \"", "\""),
            ("[gateway.\"gw.example\"]\npassword = \"", "\""),
            ("shared_secret = '", "'"),
            ("private_key = \"\"\"\n", "\"\"\""),
        ],
    );
    append(&home.config().join("config.toml"), &format!("# {VISIBLE}\n{config}"));
    let profile = planter.lines(
        "a profile",
        &[
            ("<Password>", "</Password>"),
            ("<PSK>", "</PSK>"),
            ("<Host token=\"", "\"/>"),
            ("<Setting name=\"secret\" value=\"", "\"/>"),
        ],
    );
    append(
        &home.config().join("profiles/own.xml"),
        &format!("<Profile><!-- {VISIBLE} -->\n{profile}</Profile>\n"),
    );
    planter
}

/// Every octet of the bundle's entries, and the file itself.
fn search(bundle: &Path, needle: &str) -> Option<String> {
    let raw = fs::read(bundle).unwrap();
    let in_raw = raw.windows(needle.len()).any(|window| window == needle.as_bytes());
    let found =
        entries(bundle).into_iter().find(|(name, text)| name.contains(needle) || text.contains(needle));
    found.map(|(name, _)| name).or(in_raw.then(|| "the zip's own octets".to_owned()))
}

#[tokio::test]
async fn no_secret_of_any_place_is_in_a_bundle() {
    let home = Home::new();
    let mut planter = plant(&home).await;
    let environment = planter.canary("the environment of the command");
    for output in [&[][..], &["--anonymize"]] {
        let bundle = make(&home, output);
        assert!(search(&bundle, VISIBLE).is_some(), "the search finds what is there");
        for (place, canary) in &planter.planted {
            for form in forms(canary) {
                assert_eq!(search(&bundle, &form), None, "planted in {place}");
            }
        }
    }
    // The command's own environment, with what people put there.
    let mut command: Command = home.ikeep();
    command.env("IKEEP_PASSWORD", &environment).env("SECRET_TOKEN", &environment);
    let made = command.args(["bundle", "--output", "."]).output().unwrap();
    let bundle = home.path().join(String::from_utf8(made.stdout).unwrap().trim_end());
    assert_eq!(search(&bundle, &environment), None);
    let planted = planter.planted.iter().map(|(place, _)| place.as_str());
    let all = planted.chain(crate::crash::PLACES).chain(crate::live::PLACES).chain(ELSEWHERE);
    list(
        &all.map(|place| format!("* {}\n", place.replace('<', "&lt;").replace('\n', " ")))
            .collect::<String>(),
    );
}

/// Compares the list in the guide with what was planted, or writes it.
fn list(wanted: &str) {
    let (begin, end) = ("<!-- canaries: made by tests/cli_logs -->\n", "<!-- end of canaries -->");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(begin).expect("a mark where the list begins");
    let (found, after) = rest.split_once(end).expect("a mark where the list ends");
    println!("nothing of these is in a bundle:\n{wanted}");
    if std::env::var_os("IKEEP_DOCS").is_some_and(|value| value == "write") {
        fs::write(&path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(found, wanted, "docs/security.md: IKEEP_DOCS=write cargo test --test cli_logs");
}

/// Who and where, with `--anonymize`, in whatever entry.
#[test]
fn an_anonymized_bundle_names_nobody() {
    let home = Home::new();
    fs::create_dir_all(home.places().logs()).unwrap();
    fs::create_dir_all(home.config().join("profiles")).unwrap();
    let log = "INFO user=mmustermann host=vpn.acme-corp.example session_id=Zr9QKkd0aa31 local 192.168.178.23 to \
               198.51.100.77:4500 and [2001:db8:7::42]:500 by 3c:22:fb:01:02:03\nINFO MMustermann again, Zr9QKkd0aa31\n";
    append(&home.places().logs().join("agent.2026-01-01.log"), log);
    let host = "<HostName>Acme Zentrale</HostName><HostAddress>vpn.acme-corp.example</HostAddress>";
    append(&home.config().join("profiles/acme-corp.xml"), &format!("<Profile>{host}</Profile>\n"));
    append(
        &home.places().events(),
        "***\n\nDate        : 03/13/2025\nTime        : 03:08:44\nType        : Information\nSource      : ikeepui\n\n\
         Description : Message type information sent to the user:\nConnected to Acme Zentrale.\n",
    );
    let originals = [
        "mustermann",
        "acme",
        "zentrale",
        "zr9qkkd0aa31",
        "192.168.178.23",
        "198.51.100.77",
        "2001:db8:7::42",
        "3c:22:fb:01:02:03",
    ];
    let plain = make(&home, &[]);
    let masked = make(&home, &["--anonymize"]);
    let lower = |bundle: &Path| {
        entries(bundle)
            .into_iter()
            .map(|(name, text)| format!("{name}\n{text}").to_lowercase())
            .collect::<String>()
    };
    let (plain, masked) = (lower(&plain), lower(&masked));
    let folder = home.path().file_name().unwrap().to_str().unwrap().to_lowercase();
    for original in originals {
        assert!(plain.contains(original), "{original} is there without the option");
        assert!(!masked.contains(original), "{original} is left");
    }
    assert!(plain.contains(&folder) && !masked.contains(&folder), "the user's folder");
    for mask in ["ipv4-private-", "ipv4-public-", "ipv6-public-", "mac-1", "user-", "session-1"] {
        assert!(masked.contains(mask), "{mask}");
    }
}
