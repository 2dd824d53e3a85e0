//! Another program of the same user: it neither traces the agent nor reads its memory, and no signal makes the agent leave a core
//! file. The program is `outsider.py`, since tracing is nothing that a test in Rust does without `unsafe`.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Nobody.
const USER: u32 = 65_534;

#[test]
fn another_program_of_the_same_user_gets_at_nothing_and_a_crash_leaves_no_core_file() -> Result<()> {
    let test = "another_program_of_the_same_user_gets_at_nothing_and_a_crash_leaves_no_core_file";
    if !super::as_root(test) {
        return Ok(());
    }
    let home = tempfile::TempDir::with_prefix("ikeep-outsider-")?;
    fs::set_permissions(home.path(), Permissions::from_mode(0o755))?;
    // The build's folder may be closed to this user.
    let program = home.path().join("ikeep");
    fs::copy(super::person::IKEEP, &program)?;
    let own = home.path().join("own");
    fs::create_dir(&own)?;
    std::os::unix::fs::chown(&own, Some(USER), Some(USER))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent_memory/outsider.py");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).arg(USER.to_string()).arg(&program).arg(&own).env("HOME", &own);
    for name in ["CONFIG_HOME", "STATE_HOME", "DATA_HOME", "RUNTIME_DIR"] {
        command.env(format!("XDG_{name}"), own.join(name));
    }
    command.env_remove("DBUS_SESSION_BUS_ADDRESS");
    command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", own.join("no-bus").display()));
    let output = command.output().context("Debian: python3")?;
    ensure!(output.status.success(), "{}", super::person::said(&output));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    println!("{told:#}");
    for signal in ["SIGSEGV", "SIGABRT"] {
        let (other, agent) = (&told[format!("other, {signal}")], &told[format!("agent, {signal}")]);
        ensure!(agent["core"] == "no core", "{agent}");
        for (what, refused, allowed) in [
            ("trace", "EPERM", "traced"),
            ("mem", "EACCES", "read"),
            ("maps", "EACCES", "read"),
            ("environ", "EACCES", "read"),
        ] {
            ensure!(
                other[what] == allowed,
                "who does not mind is open, or nothing is proved: {what}: {other}"
            );
            ensure!(agent[what] == refused, "{what}: {agent}");
        }
        if other["core"] != "core" {
            let _ = writeln!(
                std::io::stderr(),
                "left out: {test}: core files (this machine leaves none of any program)"
            );
        }
    }
    let cores = told["files"].as_array().context("files")?;
    println!("core files, all of the other program: {cores:?}");
    Ok(())
}
