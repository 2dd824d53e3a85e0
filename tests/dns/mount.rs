//! A resolv.conf that is a mount, as in containers and for hardened services.

use crate::dbus::Process;
use crate::enabled;
use anyhow::{Context as _, Result, ensure};
use ikeep::netd::dns::{Places, Resolver};
use ikeep::netd::net::Device;
use ikeep::plan::Dns;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const BEFORE: &str = "# mine\nnameserver 10.0.0.1\n";

/// A mount namespace with an `etc/resolv.conf` in a folder.
struct Mounted {
    // Before the folder.
    process: Process,
    folder: TempDir,
}

impl Mounted {
    /// `script` mounts something, in the folder.
    fn new(script: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-mount-")?;
        fs::create_dir(folder.path().join("etc"))?;
        fs::write(folder.path().join("etc/resolv.conf"), "")?;
        fs::write(folder.path().join("real"), BEFORE)?;
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-ec"])
            .arg(format!("cd \"$0\"\n{script}\necho ready\nexec cat"))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let process = Process(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "{script}: {line:?}");
        Ok(Self { process, folder })
    }

    /// A name as that namespace sees it.
    fn inside(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.process.0.id()));
        root.join(self.folder.path().strip_prefix("/").unwrap_or(self.folder.path())).join(name)
    }

    fn resolver(&self) -> Resolver {
        let at = |name: &str| self.folder.path().join(name);
        Resolver::new(Places {
            state: at("state"),
            etc: self.inside("etc/resolv.conf"),
            nsswitch: at("nsswitch.conf"),
            bus: Some(format!("unix:path={}", at("no-bus").display())),
            resolved: at("run/systemd/resolve"),
            network_manager: at("run/NetworkManager"),
            resolvconf: at("run/resolvconf"),
        })
    }
}

fn device() -> Device {
    Device { name: "ikeep0".to_owned(), index: 7 }
}

fn dns(domains: usize) -> Dns {
    Dns {
        servers: vec!["10.1.0.53".parse().unwrap()],
        search: (0..domains).map(|n| format!("{}{n}.example", "x".repeat(50))).collect(),
        only: Vec::new(),
    }
}

fn story(test: &str, told: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    if !enabled(test, None) {
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(told())
}

#[test]
fn a_file_that_is_a_mount_is_written_where_it_is() -> Result<()> {
    story("a_file_that_is_a_mount_is_written_where_it_is", async || {
        // What replaces files by renaming others over them fails there.
        let script = "mount --bind real etc/resolv.conf; touch etc/new
            if mv -fT etc/new etc/resolv.conf 2>/dev/null; then exit 1; fi";
        let mounted = Mounted::new(script)?;
        mounted.resolver().apply(&device(), &dns(1)).await?;
        let text = fs::read_to_string(mounted.folder.path().join("real"))?;
        ensure!(text.contains("\nnameserver 10.1.0.53\n"), "{text}");
        ensure!(text == fs::read_to_string(mounted.inside("etc/resolv.conf"))?);
        let problems = mounted.resolver().revert().await;
        ensure!(problems.is_empty(), "{problems:?}");
        ensure!(fs::read_to_string(mounted.folder.path().join("real"))? == BEFORE);
        Ok(())
    })
}

#[test]
fn a_file_that_cannot_be_written_says_what_to_do() -> Result<()> {
    story("a_file_that_cannot_be_written_says_what_to_do", async || {
        let read_only = "mount --bind real etc/resolv.conf; mount -o remount,bind,ro etc/resolv.conf";
        // One page, in which the file has room, but not what takes its place.
        let full = "mount -t tmpfs -o size=4k,mode=755 tmpfs etc; cp real etc/resolv.conf";
        for (script, domains, says) in [(read_only, 1, "ReadWritePaths"), (full, 200, "make room")] {
            let mounted = Mounted::new(script)?;
            let error = mounted.resolver().apply(&device(), &dns(domains)).await.unwrap_err().to_string();
            ensure!(error.contains(says), "{error}");
            ensure!(fs::read_to_string(mounted.inside("etc/resolv.conf"))? == BEFORE);
            let left = fs::read_dir(mounted.folder.path().join("state"))?.count();
            ensure!(left == 0, "{left} files are left");
        }
        Ok(())
    })
}
