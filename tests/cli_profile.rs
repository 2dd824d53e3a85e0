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
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(|cell| cell.replace(&format!("{}/", folder.display()), "")).collect::<Vec<_>>()
    };
    let lines: Vec<Vec<String>> = run.out.lines().map(cells).collect();
    let ours =
        ["IKEv2_Gateway", "flexvpn-c8kv.example.com", "IPsec", "EAP-AnyConnect", "yes", "none", "b.xml"];
    assert_eq!(lines[1], ["-", "-", "-", "-", "-", "damaged: line 17, column 1", "a.xml"]);
    assert_eq!(lines[2], ours);
    assert_eq!(lines[3][2..], ["SSL", "-", "yes", "for another client: speaks SSL", "c.xml"]);
    assert_eq!((run.code, lines.len()), (0, 4));
    assert!(
        run.err.starts_with("ikeep: warning: ") && run.err.contains("a.xml:17:1: found the text"),
        "{}",
        run.err
    );
    let run = ikeep(&["profile", "list", "--json"], home.path());
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let profiles = document["profiles"].as_array().unwrap();
    let valid: Vec<_> = profiles.iter().map(|one| one["valid"].clone()).collect();
    assert_eq!(valid, [false, true, true]);
    assert_eq!(profiles[0]["error"]["line"], 17);
    assert_eq!(
        (&profiles[1]["auto_reconnect"], &profiles[1]["hosts"][0]["problems"]),
        (&true.into(), &Value::Array(vec![]))
    );
    assert_eq!(profiles[2]["hosts"][0]["problems"][0], "for another client: speaks SSL");
}

/// The seed's profile with its host called `name` at `address`, and `more` changed.
fn seed(name: &str, address: &str, more: (&str, &str)) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/flexvpn-c8kv.xml");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(more.0), "{}", more.0);
    text.replace("IKEv2_Gateway", name).replace("flexvpn-c8kv.example.com", address).replace(more.0, more.1)
}

#[test]
fn list_tells_what_keeps_an_entry_from_being_used() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("ikeep/profiles");
    std::fs::create_dir_all(&folder).unwrap();
    let sleep = ("ReconnectAfterResume", "DisconnectOnSuspend");
    let off =
        ("<AutoReconnect UserControllable=\"false\">true", "<AutoReconnect UserControllable=\"false\">false");
    for (file, text) in [
        ("a.xml", seed("Berlin", "b.example.com", sleep)),
        ("b.xml", seed("Berlin", "B.example.com.", off)),
        ("c.xml", seed("Wien", "w.example.com", ("<ServerList>", "<Novelty/><ServerList>"))),
        ("d.xml", seed("wien", "w2.example.com", off)),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", folder.join("e.xml")).unwrap();
    let run = ikeep(&["profile", "list"], home.path());
    let first = format!("{}/a.xml comes first", folder.display());
    for (host, parts) in [
        ("b.example.com", [" until sleep ", " none "]),
        ("B.example.com.", [" no ", &first]),
        ("w.example.com", [" yes ", "several gateways have this name; 1 warning"]),
        ("w2.example.com", [" no ", "several gateways have this name  "]),
        ("cannot be read: No such file", ["-  ", "e.xml"]),
    ] {
        let line = run
            .out
            .lines()
            .find(|line| line.contains(&format!(" {host} ")) || line.contains(&format!(" {host}")));
        let line = line.unwrap_or_else(|| panic!("no {host} in\n{}", run.out));
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    assert!(
        run.err.contains("e.xml: No such file") && run.err.contains("`ikeep profile check FILE`"),
        "{}",
        run.err
    );
}

/// Names in our folder, in order.
fn files(home: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(home.join("ikeep/profiles")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn import_copies_a_sound_profile_and_says_what_to_type_next() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let run = ikeep(&["profile", "import", "profiles/flexvpn-c8kv.xml"], home.path());
    let target = home.path().join("ikeep/profiles/flexvpn-c8kv.xml");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[0], format!("Imported as {}", target.display()));
    assert!(
        row(&run.out, "IKEv2_Gateway").ends_with("IPsec     EAP-AnyConnect  yes         none"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains(" honoured, ")
            && run.out.contains(" not for Linux; each of them: ikeep profile check /")
    );
    assert_eq!(lines.last(), Some(&"Connect with: ikeep connect IKEv2_Gateway"));
    let copy = std::fs::read(&target).unwrap();
    assert_eq!(
        copy,
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/flexvpn-c8kv.xml")).unwrap()
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&target), mode(target.parent().unwrap())), (0o600, 0o700));
    assert!(ikeep(&["profile", "list"], home.path()).out.contains("IKEv2_Gateway"));
    // The same again changes nothing, whatever its file is called.
    let other = home.path().join("Copy of it (2).XML");
    std::fs::write(&other, &copy).unwrap();
    for file in ["profiles/flexvpn-c8kv.xml", other.to_str().unwrap()] {
        let run = ikeep(&["profile", "import", file], home.path());
        let expected = format!("Nothing to do, this profile is there already: {}\n", target.display());
        assert!(run.code == 0 && run.out.starts_with(&expected), "{}", run.out);
    }
    assert_eq!(files(home.path()), ["flexvpn-c8kv.xml"]);
}

#[test]
fn import_replaces_another_profile_only_if_told_to() {
    let home = tempfile::tempdir().unwrap();
    let desk = tempfile::tempdir().unwrap();
    let file = |folder: &str, host: &str, address: &str| {
        let folder = desk.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("Company profile (2).xml");
        std::fs::write(&file, seed(host, address, ("<ServerList>", "<ServerList>"))).unwrap();
        file.into_os_string().into_string().unwrap()
    };
    let (one, two) = (file("1", "Head office", "a.example.com"), file("2", "Head office", "b.example.com"));
    let import = |arguments: &[&str]| ikeep(&[&["profile", "import"], arguments].concat(), home.path());
    let run = import(&[&one]);
    assert!(run.out.ends_with("Connect with: ikeep connect 'Head office'\n"), "{}{}", run.out, run.err);
    assert_eq!(files(home.path()), ["Company-profile-2.xml"]);
    let run = import(&[&two]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    for part in ["Company-profile-2.xml is there already", "--replace", "--name NAME"] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    let there = home.path().join("ikeep/profiles/Company-profile-2.xml");
    assert!(std::fs::read_to_string(&there).unwrap().contains("a.example.com"));
    // Beside it the name is not enough any more, and the program says so.
    let run = import(&["--name", "new.xml", &two]);
    assert!(row(&run.out, "Head office").contains("several gateways have this name"), "{}", run.out);
    assert!(run.out.ends_with("Connect with: ikeep connect b.example.com\n"), "{}", run.out);
    let run = import(&["--replace", &two]);
    let expected = format!("Replaced {}\n", there.display());
    assert!(run.out.starts_with(&expected), "{}", run.out);
    assert!(run.out.contains("keeps to it until `ikeep disconnect`"), "{}", run.out);
    assert!(std::fs::read_to_string(&there).unwrap().contains("b.example.com"));
    assert_eq!(files(home.path()), ["Company-profile-2.xml", "new.xml"], "nothing else is left");
    for name in ["../x", "", ".x", "a/b"] {
        assert_eq!(import(&["--name", name, &one]).code, 2, "{name}");
    }
}

#[test]
fn import_of_a_newer_copy_beside_the_older_one_says_which_counts() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("ikeep/profiles");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy("profiles/flexvpn-c8kv.xml", folder.join("a.xml")).unwrap();
    let newer = home.path().join("b.xml");
    let timeout = (">12</AuthenticationTimeout>", ">30</AuthenticationTimeout>");
    std::fs::write(&newer, seed("IKEv2_Gateway", "flexvpn-c8kv.example.com", timeout)).unwrap();
    let run = ikeep(&["profile", "import", newer.to_str().unwrap()], home.path());
    assert!(row(&run.out, "IKEv2_Gateway").ends_with("/a.xml comes first"), "{}", run.out);
    let expected = format!("ikeep connect --profile {}/b.xml IKEv2_Gateway\n", folder.display());
    assert!(run.code == 0 && run.out.ends_with(&expected), "{}", run.out);
}

#[test]
fn import_reads_standard_input_and_names_it_after_the_host() {
    let home = tempfile::tempdir().unwrap();
    let import = |text: &str| {
        let mut command = Command::cargo_bin("ikeep").unwrap();
        command
            .env("XDG_CONFIG_HOME", home.path())
            .args(["profile", "import", "-"])
            .write_stdin(text)
            .output()
            .unwrap()
    };
    let text = seed("$(reboot) it's", "b.example.com", ("<ServerList>", "<ServerList>"));
    let output = import(&text);
    assert!(output.status.success(), "{output:?}");
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.ends_with("Connect with: ikeep connect '$(reboot) it'\\''s'\n"), "{out}");
    assert_eq!(files(home.path()), ["reboot-it-s.xml"]);
    let output = import(&text.replace("</ServerList>", ""));
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(err.starts_with("ikeep: standard input:") && err.contains("expected </ServerList>"), "{err}");
    assert_eq!(import(&" ".repeat(2 << 20)).status.code(), Some(7), "there is a limit");
    assert_eq!(files(home.path()), ["reboot-it-s.xml"]);
}

#[test]
fn import_of_what_cannot_be_used_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    for (file, code, part) in [
        ("tests/data/profiles/damaged-ja.xml", 7, "damaged-ja.xml:17:1: found the text"),
        ("profiles/ssl-only.xml", 7, "speaks SSL"),
        ("profiles/none.xml", 1, "cannot read the profile profiles/none.xml: No such file"),
        ("profiles", 1, "cannot read the profile profiles: Is a directory"),
    ] {
        let run = ikeep(&["profile", "import", file], home.path());
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{file}");
        assert!(run.err.contains(part), "{}", run.err);
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "not even a folder");
    // Where the folder cannot be made, that is told.
    std::fs::write(home.path().join("ikeep"), "").unwrap();
    let run = ikeep(&["profile", "import", "profiles/flexvpn-c8kv.xml"], home.path());
    assert!(
        run.code == 1 && run.err.starts_with("ikeep: nothing was imported: cannot write "),
        "{}",
        run.err
    );
}

#[test]
fn the_shell_is_offered_what_connect_takes() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("ikeep/profiles");
    std::fs::create_dir_all(&folder).unwrap();
    let same = ("<ServerList>", "<ServerList>");
    for (file, text) in [
        ("a.xml", seed("Berlin", "b.example.com", same)),
        ("b.xml", seed("Berlin", "b.example.com", same)),
        ("c.xml", seed("Wien", "w.example.com", same)),
        ("d.xml", seed("Wien", "w2.example.com", same)),
        ("e.xml", "<AnyConnectProfile>".to_owned()),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    for command in ["connect", "doctor", "forget"] {
        let output = Command::cargo_bin("ikeep")
            .unwrap()
            .env("XDG_CONFIG_HOME", home.path())
            .envs([("COMPLETE", "fish")])
            .args(["--", "ikeep", command, ""])
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let offered: Vec<&str> = out.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(
            offered,
            ["Berlin\tb.example.com", "w.example.com\tWien", "w2.example.com\tWien"],
            "{command}: {out}"
        );
    }
}

#[test]
fn wrong_command_lines_exit_with_2_and_missing_files_with_1() {
    assert_eq!(profile(&[]).code, 2);
    assert_eq!(profile(&["check"]).code, 2);
    assert_eq!(profile(&["check", "--jsn", "x"]).code, 2);
    let run = profile(&["check", "profiles/none.xml"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err.starts_with("ikeep: cannot read the profile profiles/none.xml: No such file"),
        "{}",
        run.err
    );
}
