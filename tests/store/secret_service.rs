//! A real secret service, GNOME's, as the judge of what is kept there.

use crate::bus::{Desktop, Keyring, turn};
use crate::liar::{Liar, Lie};
use crate::story::{TOKEN, session};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

/// What the store may take where the service does not help: its limit, and time for the process beside it.
const IN_TIME: Duration = Duration::from_millis(300 + 200);

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn ends_with(names: &[String], endings: &[&str]) -> bool {
    names.len() == endings.len() && names.iter().zip(endings).all(|(name, ending)| name.ends_with(ending))
}

#[test]
fn an_open_keyring_keeps_the_session_and_no_file_does() -> Result<()> {
    let Some(_turn) = turn("an_open_keyring_keeps_the_session_and_no_file_does") else { return Ok(()) };
    let mut desktop = Desktop::new()?;
    let sessions = desktop.store().join("state/sessions");
    // Nobody on the bus yet: the file serves.
    let told = desktop.tell("save 1 load")?;
    ensure!(told[0].what == "saved Sealed" && told[1].what == "loaded 1", "{told:?}");
    ensure!(told[0].notes.is_empty(), "a desktop without a keyring is nothing to talk about: {told:?}");

    desktop.start_keyring(Keyring::Open)?;
    desktop.traffic()?;
    let told = desktop.tell("load save 2 save 3 load")?;
    let what: Vec<&str> = told.iter().map(|told| told.what.as_str()).collect();
    ensure!(what == ["loaded 1", "saved SecretService", "saved SecretService", "loaded 3"], "{told:?}");
    ensure!(told.iter().all(|told| told.notes.is_empty()), "{told:?}");
    println!("open keyring: {:?}", told.iter().map(|told| told.took).collect::<Vec<_>>());
    ensure!(ends_with(&files(&sessions), &[".service"]), "no copy in a file: {:?}", files(&sessions));
    let traffic = desktop.traffic()?;
    ensure!(traffic.contains("member=CreateItem"), "the monitor sees nothing:\n{traffic}");
    ensure!(
        !traffic.contains(TOKEN) && !traffic.contains("Y2FuYXJ5"),
        "the token passed the bus unencrypted"
    );

    // The judge's own eyes.
    let kept = desktop.look_up()?.unwrap_or_default();
    ensure!(kept.as_bytes() == session(3).encode().expose(), "secret-tool found {kept:?}");
    let found = desktop.search()?;
    ensure!(found.matches("label = ikeep: VPN session with FlexVPN C8KV").count() == 1, "{found}");

    // Its daemon is not there: it is waited for, in its limit.
    desktop.end_keyring();
    let told = desktop.tell("load")?;
    ensure!(told[0].what == "loaded nothing" && told[0].notes.contains("no secret service"), "{told:?}");
    ensure!(told[0].took < IN_TIME, "{told:?}");
    desktop.start_keyring(Keyring::Open)?;

    // Another process: a new agent, or the next day.
    let told = desktop.tell("load erase load")?;
    let what: Vec<&str> = told.iter().map(|told| told.what.as_str()).collect();
    ensure!(what == ["loaded 3", "erased", "loaded nothing"], "{told:?}");
    ensure!(desktop.look_up()?.is_none() && files(&sessions).is_empty());
    Ok(())
}

#[test]
fn a_locked_keyring_is_left_alone() -> Result<()> {
    let Some(_turn) = turn("a_locked_keyring_is_left_alone") else { return Ok(()) };
    let mut desktop = Desktop::new()?;
    desktop.start_keyring(Keyring::Open)?;
    let told = desktop.tell("save 5")?;
    ensure!(told[0].what == "saved SecretService", "{told:?}");

    desktop.start_keyring(Keyring::Locked)?;
    desktop.traffic()?;
    let told = desktop.tell("load save 4 load erase load")?;
    let traffic = desktop.traffic()?;
    ensure!(told[0].what == "loaded nothing" && told[0].notes.contains("locked"), "{told:?}");
    ensure!(told[1].what == "saved Sealed" && told[1].notes.contains("locked"), "{told:?}");
    // The clock went back between 5 and 4: the later save counts all the same.
    ensure!(told[2].what == "loaded 4", "{told:?}");
    ensure!(told[3].what.starts_with("error") && told[3].what.contains("it is not used"), "{told:?}");
    ensure!(told[4].what == "loaded nothing", "{told:?}");
    ensure!(told.iter().all(|told| told.took < IN_TIME), "{told:?}");
    println!("locked keyring: {:?}", told.iter().map(|told| told.took).collect::<Vec<_>>());
    ensure!(traffic.contains("member=ReadAlias"), "the monitor sees nothing:\n{traffic}");
    for member in ["member=Prompt", "member=Unlock", "member=CreateItem", "BeginPrompting"] {
        ensure!(!traffic.contains(member), "{member} passed on the bus:\n{traffic}");
    }

    // Open again: what was erased is not used, and is erased now.
    desktop.start_keyring(Keyring::Open)?;
    ensure!(desktop.look_up()?.is_some(), "it is still there");
    let told = desktop.tell("load")?;
    ensure!(told[0].what == "loaded nothing" && told[0].notes.is_empty(), "{told:?}");
    ensure!(desktop.look_up()?.is_none(), "it is gone");
    Ok(())
}

#[test]
fn a_stopped_keyring_costs_its_limit_once() -> Result<()> {
    let Some(_turn) = turn("a_stopped_keyring_costs_its_limit_once") else { return Ok(()) };
    let mut desktop = Desktop::new()?;
    desktop.start_keyring(Keyring::Open)?;
    desktop.signal_keyring(Signal::STOP)?;
    let told = desktop.tell("save 1 save 2 save 3 load")?;
    println!("stopped keyring: {:?}", told.iter().map(|told| told.took).collect::<Vec<_>>());
    ensure!(told[..3].iter().all(|told| told.what == "saved Sealed"), "{told:?}");
    ensure!(told[..3].iter().all(|told| told.notes.contains("did not answer within 300 ms")), "{told:?}");
    ensure!(told[3].what == "loaded 3", "{told:?}");
    let slow = |told: &&crate::story::Told| told.took >= Duration::from_millis(300);
    ensure!(told[..3].iter().filter(slow).count() == 1, "a save after the first waited again: {told:?}");
    ensure!(told.iter().all(|told| told.took < IN_TIME), "{told:?}");

    desktop.signal_keyring(Signal::CONT)?;
    let told = desktop.tell("save 4 load")?;
    ensure!(told[0].what == "saved SecretService" && told[1].what == "loaded 4", "{told:?}");
    Ok(())
}

/// Whatever it says, the file has the session.
#[test]
fn a_service_that_lies_is_not_believed() -> Result<()> {
    let Some(_turn) = turn("a_service_that_lies_is_not_believed") else { return Ok(()) };
    let lies = [
        (Lie::Garbage, "gave back something else"),
        (Lie::Nothing, "gave back something else"),
        (Lie::NoKey, "the secret service failed"),
    ];
    for (lie, said) in lies {
        let desktop = Desktop::new()?;
        let _liar = Liar::start(&desktop, lie)?;
        let told = desktop.tell("load save 1 load erase load")?;
        let what: Vec<&str> = told.iter().map(|told| told.what.as_str()).collect();
        ensure!(what[..3] == ["loaded nothing", "saved Sealed", "loaded 1"], "{lie:?}: {told:?}");
        ensure!(what[4] == "loaded nothing", "{lie:?}: {told:?}");
        ensure!(told[1].notes.contains(said) && !told[2].notes.contains('\u{1b}'), "{lie:?}: {told:?}");
        ensure!(told.iter().all(|told| told.took < IN_TIME), "{lie:?}: {told:?}");
    }
    // It has a real session, but not the one it was given last: the save after it is not believed, and the newest counts.
    let desktop = Desktop::new()?;
    let _liar = Liar::start(&desktop, Lie::Old)?;
    let told = desktop.tell("save 1 load save 2 load save 3 load")?;
    let what: Vec<&str> = told.iter().map(|told| told.what.as_str()).collect();
    let expected =
        ["saved SecretService", "loaded 1", "saved Sealed", "loaded 2", "saved Sealed", "loaded 3"];
    ensure!(what == expected, "{told:?}");
    Ok(())
}
