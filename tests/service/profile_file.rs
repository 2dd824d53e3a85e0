//! The profile's file from the import to the last reconnect, by the real programs: found by name, changed, removed and put
//! back while a connection lasts that was made with it.

use crate::person::{Company, PASSWORD, PATIENCE, Person, Stopwatch, said};
use crate::stage::Stage;
use anyhow::{Result, ensure};
use ikeep::ipc::{NoticeKind, Reply, Request};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

/// A person and their company, the profile imported.
fn imported() -> Result<(Company, Person, PathBuf)> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let seed = Person::profile().display().to_string();
    let output = person.run(&["profile", "import", &seed, "--name", "company"])?;
    ensure!(said(&output).ends_with("Connect with: ikeep connect IKEv2_Gateway\n"), "{}", said(&output));
    let file = person.path("config/ikeep/profiles/company.xml");
    Ok((company, person, file))
}

fn log_in(person: &Person, company: &Company, host: &[&str]) -> Result<Output> {
    let ca = company.ca().display().to_string();
    let arguments = [&["connect"], host, &["--trust", &ca, "--user", "test", "--password-stdin"]].concat();
    person.type_in(&arguments, PASSWORD)
}

/// Waits until the status fits.
fn until(person: &Person, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let watch = Stopwatch::start();
    loop {
        let status = person.status()?;
        if fits(&status) {
            return Ok(status);
        }
        ensure!(watch.elapsed() < PATIENCE, "never {what}: {status}\n{}", person.events());
    }
}

fn text(output: &Output) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_connection_outlives_its_profile_and_says_so() -> Result<()> {
    let (company, person, file) = imported()?;
    let output = log_in(&person, &company, &["IKEv2_Gateway"])?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    ensure!(person.status()?["profile_change"].is_null(), "{}", person.status()?);

    // Another version of it comes, as an import or an administrator's tool brings it.
    let seed = fs::read_to_string(&file)?;
    let newer = person.path("newer.xml");
    fs::write(&newer, seed.replace(">12</AuthenticationTimeout>", ">30</AuthenticationTimeout>"))?;
    let newer = newer.display().to_string();
    let output = person.run(&["profile", "import", &newer, "--name", "company", "--replace"])?;
    ensure!(output.status.success(), "{}", said(&output));
    let status = until(&person, "changed", |status| status["profile_change"]["what"] == "changed")?;
    ensure!(status["state"] == "connected" && status["reconnects"] == 0, "{status}");
    let (out, err) = text(&person.run(&["connect"])?);
    ensure!(out.starts_with("Already connected to IKEv2_Gateway"), "{out}{err}");
    let expected = format!(
        "ikeep: warning: the profile {} has changed since the login (AuthenticationTimeout): this connection and its reconnects go \
         on with what it said at the login; what it says now counts from the next login on: `ikeep disconnect`, then `ikeep \
         connect`\n",
        file.display()
    );
    ensure!(err == expected, "{err}");
    let (table, _) = text(&person.run(&["status"])?);
    ensure!(table.contains("\nProfile now "), "{table}");

    // Then it goes: the connection stays, and comes back by token.
    fs::remove_file(&file)?;
    until(&person, "gone", |status| status["profile_change"]["what"] == "gone")?;
    let output = person.run(&["reconnect"])?;
    ensure!(said(&output).contains("Connected by token"), "{}", said(&output));
    let output = person.run(&["connect"])?;
    let (out, err) = text(&output);
    ensure!(output.status.success() && out.starts_with("Already connected"), "{}", said(&output));
    ensure!(err.contains("the next login will not work: the profile of the last connection, "), "{err}");

    let (doctor, _) = text(&person.run(&["doctor", "Wrok", "--profile", &newer])?);
    ensure!(
        doctor.contains("lacking  profile: ") && doctor.contains("no profile has a host Wrok"),
        "{doctor}"
    );

    // And is put back as it was.
    fs::write(&file, &seed)?;
    until(&person, "as at the login", |status| status["profile_change"].is_null())?;
    let (_, err) = text(&person.run(&["connect"])?);
    ensure!(err.is_empty(), "{err}");
    let events = person.events();
    for part in
        ["has changed since the login (AuthenticationTimeout)", "is not there any more", "says again what"]
    {
        ensure!(events.matches(part).count() == 1, "{part}: {events}");
    }
    Ok(())
}

#[test]
fn a_new_agent_takes_another_file_that_has_the_host() -> Result<()> {
    let (company, person, file) = imported()?;
    let output = log_in(&person, &company, &[])?;
    ensure!(output.status.success(), "{}", said(&output));
    fs::rename(&file, file.with_file_name("renamed.xml"))?;
    until(&person, "gone", |status| status["profile_change"]["what"] == "gone")?;
    person.kill_agent()?;
    let output = person.run(&["connect", "--wait", "20"])?;
    let (out, _) = text(&output);
    ensure!(
        out.starts_with("Connected by token") || out.starts_with("Already connected"),
        "{}",
        said(&output)
    );
    let status = until(&person, "connected", |status| status["state"] == "connected")?;
    ensure!(status["auth"] == "psk" && status["profile_change"].is_null(), "{status}");
    ensure!(status["profile"].as_str().is_some_and(|file| file.ends_with("/renamed.xml")), "{status}");
    ensure!(person.events().contains("company.xml is not there any more: "), "{}", person.events());
    Ok(())
}

#[test]
fn forget_finds_the_gateway_of_a_profile_that_has_moved() -> Result<()> {
    let (company, person, file) = imported()?;
    let output = log_in(&person, &company, &[])?;
    ensure!(output.status.success(), "{}", said(&output));
    person.kill_agent()?;
    fs::rename(&file, file.with_file_name("renamed.xml"))?;
    let (out, err) = text(&person.run(&["forget"])?);
    ensure!(out.starts_with("Forgotten of flexvpn-c8kv.example.com: the session "), "{out}{err}");
    Ok(())
}

#[test]
fn several_profiles_are_told_apart_and_a_broken_one_is_not_hidden() -> Result<()> {
    let (company, person, file) = imported()?;
    let seed = fs::read_to_string(&file)?;
    fs::write(file.with_file_name("copy.xml"), &seed)?;
    let output = log_in(&person, &company, &[])?;
    ensure!(output.status.success(), "a copy is no other gateway: {}", said(&output));
    ensure!(person.run(&["disconnect"])?.status.success());

    let person = Person::new(company.ports)?;
    let folder = person.path("config/ikeep/profiles");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("other.xml"), seed.replace("flexvpn-c8kv.example.com", "other.example.com"))?;
    fs::write(folder.join("company.xml"), &seed)?;
    let output = log_in(&person, &company, &["IKEv2_Gateway"])?;
    let (_, err) = text(&output);
    ensure!(output.status.code() == Some(2), "{}", said(&output));
    for part in [
        "several gateways are called IKEv2_Gateway",
        "flexvpn-c8kv.example.com in ",
        "other.example.com in ",
        "`ikeep connect flexvpn-c8kv.example.com`",
        "--profile FILE",
    ] {
        ensure!(err.contains(part), "{part}: {err}");
    }
    let output = log_in(&person, &company, &["flexvpn-c8kv.example.com"])?;
    ensure!(output.status.success(), "{}", said(&output));
    // By itself it comes back to the same one.
    person.kill_agent()?;
    let output = person.run(&["connect", "--wait", "20"])?;
    ensure!(output.status.success(), "{}", said(&output));
    ensure!(person.run(&["disconnect"])?.status.success());

    // The host that is asked for may be in the broken one.
    fs::write(folder.join("other.xml"), "<AnyConnectProfile>")?;
    let company_only = seed.replace("<AllowManualHostInput>true", "<AllowManualHostInput>false");
    fs::write(folder.join("company.xml"), &company_only)?;
    let output = log_in(&person, &company, &["Elsewhere"])?;
    let (_, err) = text(&output);
    ensure!(output.status.code() == Some(2), "{}", said(&output));
    for part in [
        "no profile has a host Elsewhere",
        "there are: IKEv2_Gateway",
        "cannot be used: ",
        "other.xml:1:20: ",
    ] {
        ensure!(err.contains(part), "{part}: {err}");
    }
    Ok(())
}

#[tokio::test]
async fn another_config_file_is_told_too_and_watchers_hear_of_the_profile() -> Result<()> {
    let stage = Stage::set(str::to_owned, "").await?;
    stage.log_in().await?;
    let profile = fs::read_to_string(stage.file("profile.xml"))?;
    fs::write(stage.file("profile.xml"), "<AnyConnectProfile>")?;
    let status = stage.until("unusable", |status| status["profile_change"]["what"] == "unusable").await?;
    let message = status["profile_change"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("profile.xml:1:20: ") && message.contains("the next login needs a sound one"),
        "{message}"
    );
    fs::write(stage.file("profile.xml"), profile)?;
    stage.until("sound", |status| status["profile_change"].is_null()).await?;

    let config = fs::read_to_string(stage.file("config.toml"))?;
    fs::write(stage.file("config.toml"), format!("[agent]\ndpd_interval = \"77s\"\n{config}"))?;
    let mut replied = stage.call(Request::Connect(stage.wishes())).await?;
    let Some(Reply::Notice { kind: NoticeKind::Warning, text }) = replied.recv().await else {
        anyhow::bail!("no notice")
    };
    ensure!(text.starts_with("the config file, or a CA, says something else than at the login"), "{text}");
    ensure!(matches!(replied.recv().await, Some(Reply::Connected(connected)) if connected.already));
    Ok(())
}
