//! What is installed beside the program, judged by the programs that read it.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

const UNIT: &str = include_str!("../packaging/systemd/user/ikeep.service");

/// What systemd says of a user unit, in a folder of its own; `None` where there is no systemd to ask.
fn verify(unit: &str) -> Result<Option<Output>> {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        let _ = writeln!(
            std::io::stderr(),
            "left out: the_user_unit_is_sound (needs systemd-analyze, Debian: systemd)"
        );
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ikeep.service");
    // It looks whether the program is there: the one that was built stands for the one that will be installed.
    fs::write(&file, unit.replace("/usr/bin/ikeep", env!("CARGO_BIN_EXE_ikeep")))?;
    let mut command = Command::new("systemd-analyze");
    command.args(["--user", "--man=no", "verify"]).arg(&file);
    command.env_clear().env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
    command.output().map(Some).context("systemd-analyze")
}

#[test]
fn the_user_unit_is_sound() -> Result<()> {
    let Some(said) = verify(UNIT)? else { return Ok(()) };
    ensure!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    // The judge sees what is wrong.
    for wrong in
        ["[Service]\nRestrictRealtime=perhaps", "[Service]\nFoo=bar", "[Service]\nExecStart=/nowhere/ikeep"]
    {
        let said = verify(&UNIT.replace("[Service]", wrong))?.context("it was there just now")?;
        ensure!(!said.status.success() || !said.stderr.is_empty(), "{wrong} was taken");
    }
    Ok(())
}

#[test]
fn the_user_unit_is_for_every_machine() {
    let lines: Vec<&str> = UNIT.lines().collect();
    for line in
        ["Type=exec", "ExecStart=/usr/bin/ikeep agent", "Restart=on-failure", "WantedBy=default.target"]
    {
        assert!(lines.contains(&line), "{line}");
    }
    let paths = UNIT.match_indices("=/").count();
    assert_eq!(paths, 1, "one path: the program's");
    assert!(
        !lines.iter().any(|line| line.starts_with("User=") || line.starts_with("Group=")),
        "a user's own unit"
    );
}
