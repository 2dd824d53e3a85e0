//! Two hosts and the link between them.

use crate::interop::Netns;
use crate::person::Stopwatch;
use crate::relay::{Relay, Way};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::any::Any;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Where the gateway is found.
pub(crate) const FRONT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Where it is behind a relay.
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
/// Whatever is to be up or gone is so within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// What `ip netns exec` puts over `/etc` of what it runs.
const FILES: &str = "/etc/netns";
const RESOLVER: &str = "# ikeep bench: a host of its own\n";

/// A namespace with a resolv.conf of its own: whatever runs in it leaves that of this machine alone. Dropped, all that runs in it
/// is ended.
pub(crate) struct Host {
    pub(crate) netns: Netns,
    _files: Files,
}

/// The files of a namespace, gone when dropped.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Only where nobody else has files there.
        let _ = fs::remove_dir(FILES);
    }
}

impl Host {
    fn new(label: &str) -> Result<Self> {
        let netns = Netns::new(label)?;
        let files = Files(PathBuf::from(FILES).join(netns.name()));
        fs::create_dir_all(&files.0)?;
        fs::write(files.0.join("resolv.conf"), RESOLVER)?;
        let host = Self { netns, _files: files };
        // Nothing that changes the resolver starts before this is known.
        let seen = host.netns.command("cat").arg("/etc/resolv.conf").output()?;
        ensure!(seen.stdout == RESOLVER.as_bytes(), "`ip netns exec` does not replace /etc/resolv.conf here");
        Ok(host)
    }

    /// What runs a program here.
    pub(crate) fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", self.netns.name()].map(str::to_owned).to_vec()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let Ok(found) = Command::new("ip").args(["netns", "pids", self.netns.name()]).output() else {
            return;
        };
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        for pid in found.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// 10.9.0.2 on `eth0` of the laptop, and what is at [`FRONT`] for it.
pub(crate) struct Bed {
    /// It ends first.
    _relay: Option<Relay>,
    pub(crate) laptop: Host,
    pub(crate) gateway: Host,
    _middle: Option<Host>,
    /// Where the gateway is on its own host.
    pub(crate) back: Ipv4Addr,
}

impl Bed {
    pub(crate) fn new() -> Result<Self> {
        let (laptop, gateway) = (Host::new("laptop")?, Host::new("gw")?);
        laptop.netns.link(("eth0", &["10.9.0.2/24"]), &gateway.netns, ("eth0", &["10.9.0.1/24"]))?;
        Ok(Self { _relay: None, laptop, gateway, _middle: None, back: FRONT })
    }

    /// Between them somebody who passes on the gateway's datagrams, and nothing else: late, and not all of them.
    pub(crate) fn rough(way: Way) -> Result<Self> {
        let (laptop, middle, gateway) = (Host::new("laptop")?, Host::new("middle")?, Host::new("gw")?);
        laptop.netns.link(("eth0", &["10.9.0.2/24"]), &middle.netns, ("lan", &["10.9.0.1/24"]))?;
        middle.netns.link(("wan", &["10.8.0.2/24"]), &gateway.netns, ("eth0", &["10.8.0.1/24"]))?;
        let relay = Relay::start(&middle.netns, FRONT, BEHIND, way, 1)?;
        Ok(Self { _relay: Some(relay), laptop, gateway, _middle: Some(middle), back: BEHIND })
    }

    /// Pings until the first answer.
    pub(crate) fn wait_for(&self, target: Ipv4Addr) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            let mut ping = self.laptop.netns.command("ping");
            let output = ping.args(["-n", "-c", "1", "-W", "1", &target.to_string()]).output()?;
            if output.status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(watch.elapsed() < PATIENCE, "{target} does not answer: {said}");
        }
    }
}

/// A way from the laptop to the gateway's host that is up.
pub(crate) struct Tunnel {
    /// What answers at its other end.
    pub(crate) target: Ipv4Addr,
    /// The processes that packets pass.
    pub(crate) agent: Option<Pid>,
    pub(crate) gateway: Option<Pid>,
    /// Where it has no device: what leads into it.
    pub(crate) proxy: Option<String>,
    /// What ends it when dropped.
    pub(crate) _parts: Box<dyn Any>,
}

impl Tunnel {
    /// The bare link.
    pub(crate) fn none() -> Self {
        Self { target: FRONT, agent: None, gateway: None, proxy: None, _parts: Box::new(()) }
    }
}

/// The process with this number.
pub(crate) fn pid(number: u32) -> Result<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw).context("a process")
}
