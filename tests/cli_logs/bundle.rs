use crate::home::{Home, event};
use ikeep::crypto::Secret;
use ikeep::ipc::Connect;
use ikeep::session::Session;
use ikeep::store::{Intent, Store, device_id};
use ikeep::time::UnixTime;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zip::ZipArchive;

/// What must be nowhere in a bundle; with it stands where it was planted.
const CANARY: &str = "c4nary";

const CONFIG: &str = "# my settings\n[agent]\ntunnel = \"proxy\"\n[gateway.\"gw.example\".dialect]\n\
    session_token_attribute = 28733\n";

struct Counter(u8);

impl ikeep::crypto::Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

pub(crate) fn session() -> Session {
    Session {
        host_name: "Gateway".into(),
        host_address: "gw.example".into(),
        id: b"rIUHKccDRiUtFTATwq".to_vec(),
        token: Secret::from(format!("{CANARY} in the store").as_bytes()),
        ticket: None,
        user: "user1".into(),
        peer: ([10, 9, 0, 1], 4500).into(),
        addresses: Vec::new(),
        group: 19,
        root_key: None,
        window: Duration::from_secs(900),
        issued: UnixTime::from_secs(1),
        last_contact: UnixTime::from_secs(1),
    }
}

/// A user with a canary in everything that is collected, and in everything that is not to be.
async fn canaries() -> Home {
    let home = Home::new();
    let places = home.places();
    Store::in_files(&places).save(&session()).await.unwrap();
    // A plain session beside the sealed one, and one that was put aside.
    for name in ["x.plain", "x.plain.damaged"] {
        fs::write(places.sessions().join(name), session().encode().expose()).unwrap();
    }
    fs::write(places.keys.join("old.key"), CANARY).unwrap();
    device_id(&places, &mut Counter(7));
    let last = Connect { profile: Some(home.path().join("elsewhere.xml")), ..Connect::default() };
    Intent { wanted: false, last: Some(last) }.save(&places).await.unwrap();

    let mut journal = home.journal();
    for number in 0..3 {
        journal.write(&event(number)).unwrap();
    }
    append(&places.events(), &format!("Password: {CANARY} typed\nnot a secret line\n"));
    fs::create_dir_all(places.logs()).unwrap();
    append(&places.logs().join("agent.2026-01-01.log"), &format!("INFO token={CANARY} group=19\n"));
    append(&places.logs().join("esp_sa"), &format!("\"0x{CANARY}\"\n"));
    symlink("../sessions/x.plain", places.logs().join("agent.2026-01-02.log")).unwrap();
    fs::create_dir(places.logs().join("agent.2026-01-03.log")).unwrap();

    fs::create_dir_all(home.config().join("profiles")).unwrap();
    append(&home.config().join("config.toml"), &format!("{CONFIG}secret = \"{CANARY}\"\n"));
    let profile = format!("<Profile><Host>gw</Host><Password>\n{CANARY}\n</Password></Profile>\n");
    append(&home.config().join("profiles/own.xml"), &profile);
    append(&home.path().join("elsewhere.xml"), &profile);
    home
}

pub(crate) fn append(file: &Path, text: &str) {
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, before + text).unwrap();
}

pub(crate) fn make(home: &Home, output: &[&str]) -> PathBuf {
    let made = home.ikeep().arg("bundle").args(output).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(made.stderr.is_empty(), "{}", String::from_utf8_lossy(&made.stderr));
    let stdout = String::from_utf8(made.stdout).unwrap();
    home.path().join(stdout.strip_suffix('\n').unwrap())
}

/// The entries, without the folder they are in.
pub(crate) fn entries(bundle: &Path) -> BTreeMap<String, String> {
    let stem = format!("{}/", bundle.file_stem().unwrap().to_str().unwrap());
    let mut zip = ZipArchive::new(File::open(bundle).unwrap()).unwrap();
    (0..zip.len())
        .map(|at| {
            let mut entry = zip.by_index(at).unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let name = entry.name().unwrap().into_owned();
            (name.strip_prefix(&stem).unwrap().to_owned(), text)
        })
        .collect()
}

#[tokio::test]
async fn no_canary_is_in_the_bundle_and_everything_else_is() {
    let home = canaries().await;
    let bundle = make(&home, &[]);
    assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o777, 0o600);
    let entries = entries(&bundle);
    for (name, text) in &entries {
        assert!(!text.contains(CANARY), "{name}: {text}");
        assert!(!text.contains("YzRuYXJ5"), "{name}: {text}");
        assert!(!text.contains("07070707"), "{name}: {text}");
    }
    // Another client of this machine may have profiles too, and machines differ in how they look names up.
    let ours = |name: &&str| match name.split_once('/') {
        Some(("profiles", name)) => name == "own.xml" || name == "elsewhere.xml",
        Some((folder, _)) => folder != "dns",
        None => true,
    };
    let names: Vec<&str> = entries.keys().map(String::as_str).filter(ours).collect();
    assert_eq!(
        names,
        [
            "config.toml",
            "doctor.json",
            "events/events.log",
            "events/events.log.1",
            "log/agent.2026-01-01.log",
            "log/agent.2026-01-02.log.unreadable.txt",
            "log/agent.2026-01-03.log.unreadable.txt",
            "manifest.json",
            "network.json",
            "profiles/elsewhere.xml",
            "profiles/own.xml",
            "status.json",
            "summary.html",
            "system.json",
        ]
    );
    // What is no secret is as it was.
    assert_eq!(entries["config.toml"], format!("{CONFIG}secret = \"[masked]\"\n"));
    let profile = "<Profile><Host>gw</Host><Password>\n[masked]\n</Password></Profile>\n";
    assert_eq!(entries["profiles/own.xml"], profile);
    assert_eq!(entries["profiles/elsewhere.xml"], profile);
    assert_eq!(entries["log/agent.2026-01-01.log"], "INFO token=[masked] group=19\n");
    let log = fs::read_to_string(home.places().events()).unwrap();
    let masked = log.replace(&format!("{CANARY} typed"), "[masked]");
    assert_eq!(entries["events/events.log"], masked);
    let rotated = fs::read_to_string(home.places().state.join("events.log.1")).unwrap();
    assert_eq!(entries["events/events.log.1"], rotated);
    assert!(entries["log/agent.2026-01-02.log.unreadable.txt"].contains("which no bundle opens"));

    let status: Value = serde_json::from_str(&entries["status.json"]).unwrap();
    assert!(status["not_available"].as_str().unwrap().starts_with("no agent of yours runs"), "{status}");
    let system: Value = serde_json::from_str(&entries["system.json"]).unwrap();
    assert_eq!(system["ikeep"], env!("CARGO_PKG_VERSION"));
    assert!(!system["kernel"]["release"].as_str().unwrap().is_empty());
    let manifest: Value = serde_json::from_str(&entries["manifest.json"]).unwrap();
    assert_eq!(manifest["entries"].as_array().unwrap().len(), entries.len() - 1, "all but itself");
    let left_out = manifest["left_out"].as_array().unwrap();
    let state = home.places().state;
    let ours = |left: &&Value| left["source"].as_str().unwrap().starts_with(state.to_str().unwrap());
    assert_eq!(left_out.iter().filter(ours).count(), 2);
}

#[test]
fn the_machine_is_in_it_without_an_agent() {
    let home = Home::new();
    let entries = entries(&make(&home, &[]));
    let json = |name: &str| serde_json::from_str::<Value>(&entries[name]).unwrap();
    let network = json("network.json");
    for list in ["links", "addresses", "routes", "rules"] {
        assert!(network[list].as_array().is_some_and(|list| !list.is_empty()), "{list}: {network:#}");
    }
    let system = json("system.json");
    assert!(system["settings"]["net.ipv4.ip_forward"].is_string(), "{system:#}");
    assert!(system["up_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{system:#}");
    let findings = json("doctor.json");
    // All that `ikeep doctor` says, in its order.
    let said = home.ikeep().args(["doctor", "--json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let what = |of: &Value| -> Vec<String> {
        let list = of["findings"].as_array().into_iter().flatten();
        list.map(|finding| finding["what"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(what(&findings), what(&said));
    for one in ["clock", "config file", "profiles", "TUN devices"] {
        assert!(what(&findings).iter().any(|what| what == one), "{one}: {findings:#}");
    }
}

/// What is shown is what a bundle has, and showing it leaves nothing behind.
#[tokio::test]
async fn a_preview_names_every_entry_and_writes_nothing() {
    let home = canaries().await;
    let before = fs::read_dir(home.path()).unwrap().count();
    let listed = home.ikeep().args(["bundle", "--list"]).output().unwrap();
    assert_eq!((listed.status.code(), listed.stderr.len()), (Some(0), 0));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), before, "nothing is written");
    let stdout = String::from_utf8(listed.stdout).unwrap();
    assert!(!stdout.contains(CANARY), "{stdout}");
    let entries = entries(&make(&home, &[]));
    for (name, text) in entries.iter().filter(|(name, _)| *name != "manifest.json") {
        let line = stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{stdout}"));
        // How long the machine is up and how long ago things were have more digits at times.
        if name != "system.json" && name != "summary.html" {
            assert!(line.trim_start().starts_with(&format!("{} ", text.len())), "{line}: {}", text.len());
        }
    }
    assert!(stdout.contains(home.places().events().to_str().unwrap()), "{stdout}");
}

/// A file size limit stands in for a full disk, which only root can make.
#[test]
fn a_disk_that_is_full_is_told_and_left_as_it_was() {
    let home = Home::new();
    fs::create_dir(home.path().join("there")).unwrap();
    let mut shell = home.ikeep();
    let ikeep = shell.get_program().to_owned();
    let mut limited = std::process::Command::new("/bin/sh");
    limited.env_clear().envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell = limited;
    shell
        .current_dir(home.path())
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" bundle --output there"]);
    let failed = shell.arg(ikeep).output().unwrap();
    let stderr = String::from_utf8(failed.stderr).unwrap();
    assert_eq!((failed.status.code(), failed.stdout.len()), (Some(1), 0), "{stderr}");
    assert!(stderr.contains("cannot be written to there: File too large"), "{stderr}");
    assert!(!stderr.contains("ZipWriter") && stderr.lines().count() <= 2, "{stderr}");
    assert_eq!(fs::read_dir(home.path().join("there")).unwrap().count(), 0, "no part of it is left");
}

#[tokio::test]
async fn a_bundle_goes_where_it_is_told_and_replaces_none() {
    let home = Home::new();
    fs::create_dir(home.path().join("there")).unwrap();
    let paths: Vec<PathBuf> = (0..2).map(|_| make(&home, &["--output", "there"])).collect();
    assert_eq!(fs::read_dir(home.path().join("there")).unwrap().count(), 2);
    assert_ne!(paths[0], paths[1]);
    // Even for a user who has nothing yet.
    assert!(entries(&paths[0]).contains_key("manifest.json"));

    let failed = home.ikeep().args(["bundle", "--output", "nowhere"]).output().unwrap();
    let stderr = String::from_utf8(failed.stderr).unwrap();
    assert_eq!((failed.status.code(), failed.stdout.len()), (Some(1), 0));
    assert!(stderr.contains("nowhere: No such file") && stderr.contains("--output"), "{stderr}");
}

/// The config file that the last connection was asked for with, where the command names none.
#[tokio::test]
async fn the_config_in_use_is_the_one_that_is_collected() {
    let home = Home::new();
    for name in ["used.toml", "named.toml"] {
        append(&home.path().join(name), &format!("# {name}\n"));
    }
    let last = Connect { config: Some(home.path().join("used.toml")), ..Connect::default() };
    Intent { wanted: true, last: Some(last) }.save(&home.places()).await.unwrap();
    assert_eq!(entries(&make(&home, &[]))["config.toml"], "# used.toml\n");
    let named = home.path().join("named.toml");
    let named = make(&home, &["--config", named.to_str().unwrap()]);
    assert_eq!(entries(&named)["config.toml"], "# named.toml\n");
}
