//! A gateway that asks for a scan of the host, and the real program. It never scans as root: where this runs as root it is another
//! user in a user namespace, and once root.

mod person;

use anyhow::{Result, ensure};
use person::{Company, PASSWORD, PATIENCE, Person, Stopwatch, said};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

/// Who is nobody special.
fn person(company: &Company) -> Result<Person> {
    let prefix: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["unshare", "--user", "--map-user=1000", "--map-group=1000"],
        false => &[],
    };
    Person::within(prefix.iter().map(|word| (*word).to_owned()).collect(), company.ports)
}

/// A script in this person's home, and the config file that names it.
fn scanner(person: &Person, script: &str, more: &str) -> Result<()> {
    let program = person.path("scan it");
    fs::write(&program, format!("#!/bin/sh\n{script}\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    let file = person.path("config/ikeep/config.toml");
    let words = format!("host_scan = [\"{}\", \"two words\", \"$HOME;\"]\n{more}", program.display());
    Ok(fs::write(&file, fs::read_to_string(&file)? + &words)?)
}

fn company() -> Result<Company> {
    Company::open(&["--host-scan", "CD34"])
}

fn refused(output: &Output, parts: &[&str]) -> Result<()> {
    let text = said(output);
    ensure!(output.status.code() == Some(3), "{text}");
    for part in parts {
        ensure!(text.contains(part), "{part:?} is missing in {text}");
    }
    Ok(())
}

#[test]
fn the_program_is_told_what_the_gateway_says_and_its_token_logs_in() -> Result<()> {
    let company = company()?;
    let person = person(&company)?;
    let seen = person.path("seen");
    let script =
        format!("{{ printf '%s\\n' \"$#\" \"$1\" \"$2\"; env | sort; }} > '{}'\necho CD34", seen.display());
    scanner(&person, &script, "")?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    let seen = fs::read_to_string(seen)?;
    ensure!(seen.starts_with("2\ntwo words\n$HOME;\n"), "no shell has read its arguments: {seen}");
    for line in [
        "IKEEP_HOST=flexvpn-c8kv.example.com",
        "IKEEP_HOST_SCAN_TICKET=1",
        "IKEEP_HOST_SCAN_TOKEN=CD34",
        "IKEEP_HOST_SCAN_BASE_URI=/CACHE",
    ] {
        ensure!(seen.lines().any(|found| found == line), "{line}: {seen}");
    }
    ensure!(!seen.contains("XDG_"), "a small environment: {seen}");
    // `gateway learn` logs in with it, too.
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let learn = ["gateway", "learn", "IKEv2_Gateway", "--profile", &profile, "--trust", &ca];
    let learnt = person.type_in(&[&learn[..], &["--user", "test", "--password-stdin"]].concat(), PASSWORD)?;
    ensure!(learnt.status.success(), "{}", said(&learnt));
    Ok(())
}

#[test]
fn without_a_program_it_is_told_which_key_names_one() -> Result<()> {
    let company = company()?;
    refused(
        &person(&company)?.log_in(&company.ca())?,
        &["host scan", "host_scan in its section of the config file"],
    )
}

#[test]
fn a_program_that_fails_says_too_much_or_nothing_ends_the_login() -> Result<()> {
    let company = company()?;
    for (script, why) in [
        ("exit 7", "exit status: 7"),
        ("true", "printed no token"),
        ("printf 'a\\nb\\n'", "more than one line"),
        ("yes", "more than 1024 octets"),
        ("printf '\\377'", "no text"),
        ("echo WRONG", "Host scan failed"),
    ] {
        let person = person(&company)?;
        scanner(&person, script, "")?;
        refused(&person.log_in(&company.ca())?, &[why])?;
    }
    let person = person(&company)?;
    let file = person.path("config/ikeep/config.toml");
    fs::write(&file, fs::read_to_string(&file)? + "host_scan = \"/nowhere/scan\"\n")?;
    refused(&person.log_in(&company.ca())?, &["/nowhere/scan (host_scan) cannot be started"])
}

/// Nobody of that process group is left.
fn gone(file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    // A dead one may wait for init for ever.
    let alive = |pid: &str| {
        let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    !text.split_whitespace().any(alive)
}

#[test]
fn at_the_time_limit_the_program_is_killed_with_its_children() -> Result<()> {
    let company = company()?;
    let person = person(&company)?;
    let pids = person.path("pids");
    let script = format!("sleep 300 &\necho $$ $! > '{}'\nwait", pids.display());
    scanner(&person, &script, "host_scan_timeout = \"1s\"\n")?;
    let watch = Stopwatch::start();
    refused(&person.log_in(&company.ca())?, &["did not end within 1 s and was killed", "host_scan_timeout"])?;
    ensure!(watch.elapsed() < PATIENCE, "{:?}", watch.elapsed());
    // The child of a killed one is init's to bury.
    while !gone(&pids) && watch.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    ensure!(gone(&pids), "{}", fs::read_to_string(&pids)?);
    Ok(())
}

#[test]
fn root_scans_nothing() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        println!("left out: this does not run as root");
        return Ok(());
    }
    let company = company()?;
    let person = Person::new(company.ports)?;
    scanner(&person, "echo CD34", "")?;
    refused(&person.log_in(&company.ca())?, &["is not started as root"])
}
