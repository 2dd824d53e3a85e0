//! A login that is typed by programs, at the noisiest log, and a bundle while the agent runs.

use crate::bundle::entries;
use crate::person::{Company, Person, said};
use anyhow::{Context as _, Result, ensure};
use ikeep::config::Places;
use ikeep::store::Store;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Where its canaries are.
pub(crate) const PLACES: [&str; 4] = [
    "the answer of an askpass program",
    "the answer of pinentry",
    "the memory of an agent that is connected, its log at -vvv, its EAP forms and its status",
    "the token that the gateway gave",
];
const PASSWORD: &str = "c4naryPassword";
const CODE: &str = "c4naryCode";

fn program(person: &Person, name: &str, script: &str) -> Result<PathBuf> {
    let file = person.path(name);
    fs::create_dir_all(file.parent().context("a folder")?)?;
    fs::write(&file, script)?;
    fs::set_permissions(&file, Permissions::from_mode(0o700))?;
    Ok(file)
}

#[tokio::test]
async fn nothing_of_a_login_is_in_a_bundle_of_the_agent_that_made_it() -> Result<()> {
    let files = tempfile::tempdir()?;
    let (passwords, codes) = (files.path().join("passwords"), files.path().join("codes"));
    fs::write(&passwords, format!("{PASSWORD}\n"))?;
    fs::write(&codes, format!("{CODE}\n"))?;
    let (passwords, codes) = (passwords.display().to_string(), codes.display().to_string());
    let company =
        Company::open(&["--user", "test", "--passwords-file", &passwords, "--second-factors-file", &codes])?;
    for way in ["askpass", "pinentry"] {
        let person = Person::new(company.ports)?;
        let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
        let connect = ["-vvv", "connect", "--profile", &profile, "--trust", &ca, "--user", "test"];
        let mut command = person.command(&connect);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        if way == "askpass" {
            let script =
                format!("#!/bin/sh\ncase \"$1\" in [Pp]assword*) echo {PASSWORD};; *) echo {CODE};; esac\n");
            command.arg("--askpass").arg(program(&person, "bin/askpass", &script)?);
        } else {
            let script = format!(
                "#!/bin/sh\necho 'OK hello'\nwhile read -r line; do\n  case \"$line\" in\n    SETPROMPT*assword*) answer={PASSWORD}; echo OK;;\n\
                 SETPROMPT*) answer={CODE}; echo OK;;\n    GETPIN) echo \"D $answer\"; echo OK;;\n    BYE) echo OK; exit 0;;\n    *) echo OK;;\n  esac\ndone\n"
            );
            let folder = program(&person, "bin/pinentry", &script)?;
            let folder = folder.parent().context("a folder")?.display().to_string();
            let path = std::env::var("PATH")?;
            command.env("PATH", format!("{folder}:{path}")).env("WAYLAND_DISPLAY", "wayland-7");
            fs::remove_file(person.path("bin/askpass")).ok();
        }
        let login = command.output()?;
        ensure!(login.status.success(), "{way}: {}\n{}", said(&login), person.events());
        ensure!(!said(&login).contains("c4nary"), "{way}: {}", said(&login));
        let state = person.path("state/ikeep");
        let places = Places { state, keys: person.path("data/ikeep"), runtime: person.path("runtime/ikeep") };
        let session = Store::in_files(&places).load("flexvpn-c8kv.example.com").await.session;
        let token = session.context("a session in a file")?.token;
        let hex: String = token.expose().iter().map(|octet| format!("{octet:02x}")).collect();
        let raw = String::from_utf8_lossy(token.expose()).into_owned();
        fs::create_dir(person.path("out"))?;
        let out = person.path("out").display().to_string();
        let made = person.run(&["bundle", "--output", &out])?;
        ensure!(made.status.success(), "{}", said(&made));
        let entries = entries(PathBuf::from(String::from_utf8(made.stdout)?.trim_end()).as_path());
        ensure!(entries["status.json"].contains("\"connected\""), "{}", entries["status.json"]);
        let log = entries.iter().find(|(name, _)| name.starts_with("log/agent."));
        ensure!(log.is_some_and(|(_, log)| log.contains(" DEBUG ")), "the log is a noisy one: {log:?}");
        for (name, text) in &entries {
            for secret in [PASSWORD, CODE, &hex, &hex.to_uppercase(), &raw] {
                ensure!(!text.contains(secret), "{way}: {secret} is in {name}; planted in: {PLACES:?}");
            }
        }
    }
    Ok(())
}
