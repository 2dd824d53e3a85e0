//! Disks that cannot be written to.

use crate::story::{Told, command, listen};
use anyhow::{Result, ensure};
use ikeep::config::Places;
use std::io::Write as _;
use std::process::Command;

/// Runs `story` below a shell that does `before` first.
fn below(shell: &[&str], before: &str, story: &Command) -> Command {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", &format!("{before}\nexec \"$@\""), "sh"]);
    command.arg(story.get_program()).args(story.get_args());
    command.env_clear().envs(story.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    command
}

fn refused(told: &Told, places: &Places, what: &[&str]) -> Result<()> {
    ensure!(told.what.starts_with("error the session cannot be kept: "), "{told:?}");
    ensure!(told.what.contains(&places.state.join("sessions").display().to_string()), "{told:?}");
    ensure!(told.what.ends_with("a new login is needed once the agent has ended"), "{told:?}");
    ensure!(what.iter().all(|what| told.what.contains(what)), "{told:?} without {what:?}");
    Ok(())
}

/// A limit on the length of files stands for a quota, and needs no privilege.
#[test]
fn a_write_that_is_cut_short_keeps_the_old_session() -> Result<()> {
    let temp = tempfile::tempdir()?;
    let told = listen(&mut command(temp.path(), "save 1 want")?)?;
    ensure!(told[0].what == "saved Sealed" && told[1].what == "wanted", "{told:?}");

    let limited = "trap '' XFSZ; ulimit -f 0";
    let told = listen(&mut below(&["sh"], limited, &command(temp.path(), "save 2 load want")?))?;
    refused(&told[0], &Places::inside(temp.path()), &[".sealed", "File too large", "free some space there"])?;
    ensure!(told[1].what == "loaded 1" && told[1].notes.is_empty(), "{told:?}");
    ensure!(told[2].what.starts_with("error") && told[2].what.contains("intent.json"), "{told:?}");

    let told = listen(&mut command(temp.path(), "save 3 load")?)?;
    ensure!(told[0].what == "saved Sealed" && told[1].what == "loaded 3", "{told:?}");
    Ok(())
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_apart_and_keep_the_old_session() -> Result<()> {
    let temp = tempfile::tempdir()?;
    let folder = temp.path();
    let shell: &[&str] = if rustix::process::geteuid().is_root() {
        &["unshare", "--mount", "sh"]
    } else {
        &["unshare", "--map-root-user", "--mount", "sh"]
    };
    let mount = format!("set -e; mount -t tmpfs -o size=64k,mode=700 ikeep '{}'", folder.display());
    let tried = below(shell, &mount, &Command::new("true")).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        let _ = writeln!(
            std::io::stderr(),
            "left out: a_full_disk_and_a_read_only_one_are_told_apart_and_keep_the_old_session (may not mount a tmpfs)"
        );
        return Ok(());
    }
    // One file system for all of it, which is gone with the last process.
    let full = format!("{mount}; \"$@\"; cat /dev/zero >'{}/fill' 2>/dev/null || true", folder.display());
    let story = command(folder, "save 2 load")?;
    let told = listen(&mut below(shell, &full, &story))?;
    ensure!(told[0].what == "saved Sealed" && told[1].what == "loaded 2", "on the empty one: {told:?}");
    refused(&told[2], &Places::inside(folder), &["No space left on device", "free some space there"])?;
    ensure!(told[3].what == "loaded 2" && told[3].notes.is_empty(), "{told:?}");

    let read_only = format!("{mount}; \"$@\"; mount -o remount,ro '{}'", folder.display());
    let told = listen(&mut below(shell, &read_only, &story))?;
    refused(&told[2], &Places::inside(folder), &["Read-only file system", "XDG_STATE_HOME"])?;
    ensure!(told[3].what == "loaded 2" && told[3].notes.is_empty(), "{told:?}");

    let never = format!("{mount}; mount -o remount,ro '{}'", folder.display());
    let told = listen(&mut below(shell, &never, &story))?;
    ensure!(told[0].what.contains(&folder.join("state").display().to_string()), "{told:?}");
    ensure!(told[1].what == "loaded nothing", "{told:?}");
    Ok(())
}
