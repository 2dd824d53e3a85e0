//! What is installed beside the program, judged by the programs that read it. The packages themselves: `tests/packages`.

#[path = "../person/mod.rs"]
mod person;
mod service;

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

const UNIT: &str = include_str!("../../packaging/systemd/user/ikeep.service");

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
    ensure!(UNIT.contains("\nMemorySwapMax=0\n"), "secrets may go to swap");
    // The judge sees what is wrong.
    for wrong in
        ["[Service]\nMemorySwapMax=little", "[Service]\nFoo=bar", "[Service]\nExecStart=/nowhere/ikeep"]
    {
        let said = verify(&UNIT.replace("[Service]", wrong))?.context("it was there just now")?;
        ensure!(!said.status.success() || !said.stderr.is_empty(), "{wrong} was taken");
    }
    Ok(())
}

#[test]
fn the_user_unit_leaves_little_open() -> Result<()> {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return verify(UNIT).map(drop);
    }
    // In tenths: 7.0 of 10. What would bring it further down needs a mount namespace, and with it a user namespace, in which
    // the uid of a socket's peer is not what it is outside.
    let judge = |unit: &str| -> Result<bool> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("ikeep.service");
        fs::write(&file, unit)?;
        let mut command = Command::new("systemd-analyze");
        let security = ["--user", "--offline=true", "--no-pager", "--threshold=70", "security"];
        command.args(security).arg(&file).env_clear().env("HOME", folder.path());
        let said = command.env("XDG_RUNTIME_DIR", folder.path()).output()?;
        ensure!(!said.stdout.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        Ok(said.status.success())
    };
    ensure!(judge(UNIT)?, "too much is open");
    let open = UNIT.replace("SystemCallFilter=@system-service", "").replace("RestrictNamespaces=yes", "");
    ensure!(!judge(&open)?, "a wider unit was taken");
    Ok(())
}

#[test]
fn the_user_unit_is_for_every_machine() {
    let lines: Vec<&str> = UNIT.lines().collect();
    for line in [
        "Type=notify",
        "WatchdogSec=60",
        "ExecStart=/usr/bin/ikeep agent",
        "Restart=on-failure",
        "WantedBy=default.target",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
    let paths = UNIT.match_indices("=/").count();
    assert_eq!(paths, 1, "one path: the program's");
    assert!(
        !lines.iter().any(|line| line.starts_with("User=") || line.starts_with("Group=")),
        "a user's own unit"
    );
}

const HELPER: [(&str, &str); 3] = [
    ("ikeep-netd.service", include_str!("../../packaging/systemd/system/ikeep-netd.service")),
    ("ikeep-netd.socket", include_str!("../../packaging/systemd/system/ikeep-netd.socket")),
    ("ikeep-netd-restore.service", include_str!("../../packaging/systemd/system/ikeep-netd-restore.service")),
];

/// What systemd says of the helper's units together, one of them changed; `None` where there is no systemd to ask.
fn judge(arguments: &[&str], change: impl Fn(&str) -> String) -> Result<Option<Output>> {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        let _ = writeln!(
            std::io::stderr(),
            "left out: the helper's units (needs systemd-analyze, Debian: systemd)"
        );
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).env_clear().env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()));
    for (name, unit) in HELPER {
        let unit = change(unit).replace("/usr/bin/ikeep-netd", env!("CARGO_BIN_EXE_ikeep-netd"));
        fs::write(folder.path().join(name), unit)?;
        if name.ends_with(".service") || arguments.contains(&"verify") {
            command.arg(folder.path().join(name));
        }
    }
    command.output().map(Some).context("systemd-analyze")
}

#[test]
fn the_helpers_units_are_sound() -> Result<()> {
    let verify = ["--man=no", "verify"];
    let Some(said) = judge(&verify, str::to_owned)? else { return Ok(()) };
    ensure!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    for wrong in
        ["[Service]\nMemorySwapMax=little", "[Service]\nFoo=bar", "[Service]\nExecStart=/nowhere/ikeep"]
    {
        let said =
            judge(&verify, |unit| unit.replace("[Service]", wrong))?.context("it was there just now")?;
        ensure!(!said.status.success() || !said.stderr.is_empty(), "{wrong} was taken");
    }
    Ok(())
}

/// Units stop in the opposite order: at a shutdown the kill switch goes when whoever might send has gone.
#[test]
fn the_helper_stops_after_logins_and_the_network() -> Result<()> {
    let (_, unit) = HELPER[0];
    let lists = |key: &str, name: &str| {
        let lists = unit.lines().filter_map(|line| line.strip_prefix(key));
        lists.flat_map(str::split_whitespace).any(|listed| listed == name)
    };
    for name in ["network-pre.target", "network.target", "NetworkManager.service", "systemd-networkd.service"]
    {
        ensure!(lists("Before=", name) && !lists("After=", name), "{name}");
    }
    // Debian's, where there is one: through it the scopes of logins stop before network.target.
    if let Ok(logins) = fs::read_to_string("/lib/systemd/system/systemd-user-sessions.service") {
        let after = logins.lines().filter_map(|line| line.strip_prefix("After="));
        ensure!(after.flat_map(str::split_whitespace).any(|unit| unit == "network.target"), "{logins}");
    }
    Ok(())
}

#[test]
fn the_helpers_units_leave_little_open() -> Result<()> {
    // In tenths: 2.5 of 10. It has to be root, in the machine's network, with CAP_NET_ADMIN and netlink.
    let security = ["--offline=true", "--no-pager", "--threshold=25", "security"];
    let Some(said) = judge(&security, str::to_owned)? else { return Ok(()) };
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    let open = |unit: &str| unit.replace("CapabilityBoundingSet=CAP_NET_ADMIN", "");
    let said = judge(&security, open)?.context("it was there just now")?;
    ensure!(!said.status.success(), "a wider unit was taken");
    Ok(())
}

#[test]
fn the_helpers_units_keep_the_device_and_its_socket() {
    let [(_, service), (_, socket), (_, restore)] = HELPER;
    for line in [
        "Type=notify",
        "FileDescriptorStoreMax=1",
        "RestartKillSignal=SIGUSR1",
        "Restart=on-failure",
        "CapabilityBoundingSet=CAP_NET_ADMIN",
        "OnFailure=ikeep-netd-restore.service",
    ] {
        assert!(service.lines().any(|own| own == line), "{line}");
    }
    assert!(restore.lines().any(|line| line == "ExecStart=/usr/bin/ikeep-netd --restore"));
    let path = ikeep::ipc::helper::SOCKET;
    assert!(socket.lines().any(|line| line == format!("ListenSequentialPacket={path}")));
}
