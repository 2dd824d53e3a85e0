//! `ikeep profile ..` as people and scripts see it: stdout, stderr, exit codes.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn ikeep(arguments: &[&str], config_home: &Path) -> Run {
    let output = Command::cargo_bin("ikeep")
        .unwrap()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CONFIG_HOME", config_home)
        .args(arguments)
        .output()
        .unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn profile(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    ikeep(&[&["profile"], arguments].concat(), home.path())
}

/// The row of a table whose first cell is `setting`, wherever it is moved to the right.
fn row<'o>(out: &'o str, setting: &str) -> &'o str {
    let mut rows = out.lines().map(str::trim_start).filter(|line| line.split("  ").next() == Some(setting));
    let row = rows.next().unwrap_or_else(|| panic!("no {setting} in\n{out}"));
    assert_eq!(rows.next(), None, "{setting} twice");
    row
}

#[test]
fn check_tells_what_is_honoured() {
    let run = profile(&["check", "profiles/flexvpn-c8kv.xml"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(row(&run.out, "IKEv2_Gateway").contains("flexvpn-c8kv.example.com  IPsec     EAP-AnyConnect"));
    let honoured = row(&run.out, "AutoReconnectBehavior");
    assert!(honoured.contains("ReconnectAfterResume") && honoured.contains("  honoured  "), "{honoured}");
    assert!(row(&run.out, "AutoUpdate").contains("  ignored  "));
    assert!(row(&run.out, "WindowsLogonEnforcement").contains("  not for Linux  Windows only"));
    assert!(row(&run.out, "AuthenticationTimeout").contains("  12"));
    assert!(row(&run.out, "ServiceDisable").contains("default"));
    assert!(run.out.contains("\nHostEntry IKEv2_Gateway\n  HostName "), "{}", run.out);
    let widest = run.out.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(180), "{widest:?} columns");
    assert!(run.out.contains(" honoured, ") && run.out.ends_with("; 0 warnings\n"), "{}", run.out);
}

#[test]
fn show_tells_values_and_defaults() {
    let run = profile(&["show", "profiles/eap-gtc.xml"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(row(&run.out, "EAP-GTC gateway").contains("EAP-GTC"));
    let behavior = row(&run.out, "AutoReconnectBehavior");
    assert_eq!(behavior.split_whitespace().collect::<Vec<_>>()[1..], ["ReconnectAfterResume", "no", "7"]);
    assert!(row(&run.out, "LocalLanAccess").ends_with("default"));
}

#[test]
fn json_is_one_document_and_nothing_else() {
    for command in ["show", "check"] {
        let run = profile(&[command, "--json", "profiles/flexvpn-c8kv.xml"]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{command}");
        let document: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(document["valid"], true);
        assert_eq!(document["hosts"][0]["authentication"], "EAP-AnyConnect");
        assert_eq!(document["hosts"][0]["usable"], true);
        assert_eq!(document["warnings"], serde_json::json!([]));
        let settings = document["settings"].as_array().unwrap();
        let timeout = settings
            .iter()
            .find(|setting| setting["setting"] == "ClientInitialization/AuthenticationTimeout")
            .unwrap();
        assert_eq!((&timeout["value"], &timeout["line"]), (&"12".into(), &11.into()));
        assert_eq!(timeout.get("status").is_some(), command == "check");
    }
    let run = profile(&["check", "--json", "tests/data/profiles/damaged-ja.xml"]);
    assert_eq!(run.code, 7);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(document["valid"], false);
    assert_eq!((&document["error"]["line"], &document["error"]["column"]), (&17.into(), &1.into()));
    assert!(run.err.contains("damaged-ja.xml:17:1: found the text \"true\""), "{}", run.err);
}

#[test]
fn damaged_profiles_exit_with_7_and_the_place() {
    for (file, place) in [("damaged-ja", "17:1"), ("damaged-nl", "17:1")] {
        for command in ["show", "check"] {
            let file = format!("tests/data/profiles/{file}.xml");
            let run = profile(&[command, &file]);
            assert_eq!((run.code, run.out.as_str()), (7, ""), "{command} {file}");
            let expected = format!("ikeep: {file}:{place}: found the text ");
            assert!(run.err.starts_with(&expected), "{}", run.err);
            assert!(run.err.contains("expected an element such as <AutoReconnect>"), "{}", run.err);
        }
    }
}

#[test]
fn a_profile_for_ssl_only_is_shown_but_not_for_this_client() {
    assert_eq!(profile(&["show", "profiles/ssl-only.xml"]).code, 0);
    let run = profile(&["check", "profiles/ssl-only.xml"]);
    assert_eq!(run.code, 7);
    assert!(run.err.contains("speaks SSL") && run.err.contains("use openconnect"), "{}", run.err);
}

#[test]
fn warnings_go_to_stderr_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.xml");
    let good =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/eap-anyconnect.xml")).unwrap();
    std::fs::write(&file, good.replace("<ServerList>", "<Novelty>\u{9b}</Novelty>\n<ServerList>")).unwrap();
    let file = file.to_str().unwrap();
    let run = profile(&["check", file]);
    assert_eq!(run.code, 0);
    assert_eq!(
        run.err,
        format!("{file}:10:3: warning: unknown element <Novelty> inside <AnyConnectProfile>: ignored\n")
    );
}

#[test]
fn list_finds_the_users_profiles_in_order_and_tells_broken_ones() {
    let home = tempfile::tempdir().unwrap();
    let none = ikeep(&["profile", "list"], home.path());
    let folder = home.path().join("ikeep/profiles");
    assert_eq!((none.code, none.out.as_str()), (0, ""));
    assert!(none.err.contains(folder.to_str().unwrap()), "{}", none.err);
    std::fs::create_dir_all(&folder).unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(from), folder.join(to)).unwrap();
    };
    copy("profiles/flexvpn-c8kv.xml", "b.xml");
    copy("tests/data/profiles/damaged-ja.xml", "a.xml");
    copy("profiles/ssl-only.xml", "c.xml");
    let run = ikeep(&["profile", "list"], home.path());
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let lines: Vec<_> = run.out.lines().collect();
    assert!(lines[1].contains("a.xml:17:1: found the text"), "{}", run.out);
    assert!(lines[2].contains("IKEv2_Gateway") && lines[2].contains("EAP-AnyConnect"), "{}", run.out);
    assert!(lines[3].contains("speaks SSL"), "{}", run.out);
    let run = ikeep(&["profile", "list", "--json"], home.path());
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let valid: Vec<_> =
        document["profiles"].as_array().unwrap().iter().map(|one| one["valid"].clone()).collect();
    assert_eq!(valid, [false, true, true]);
}

#[test]
fn wrong_command_lines_exit_with_2_and_missing_files_with_1() {
    assert_eq!(profile(&[]).code, 2);
    assert_eq!(profile(&["check"]).code, 2);
    assert_eq!(profile(&["check", "--jsn", "x"]).code, 2);
    let run = profile(&["check", "profiles/none.xml"]);
    assert_eq!(run.code, 1);
    assert!(run.err.starts_with("ikeep: cannot read profiles/none.xml: No such file"), "{}", run.err);
}
