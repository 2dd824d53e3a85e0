//! WireGuard in user space, which `wg` configures over a socket: boringtun and wireguard-go.

use crate::bed::{Bed, FRONT, Host, PATIENCE, Tunnel, pid};
use crate::interop::agent::Running;
use crate::person::Stopwatch;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where they and `wg` meet; the name is the device's.
const SOCKETS: &str = "/var/run/wireguard";
const PORT: &str = "51820";
const INSIDE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];
/// WireGuard's own for a path of 1500 octets.
const MTU: &str = "1420";

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Program {
    Boringtun,
    WireguardGo,
}

impl Program {
    /// Its file.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Boringtun => "boringtun-cli",
            Self::WireguardGo => "wireguard-go",
        }
    }

    /// In the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Boringtun => "boringtun",
            Self::WireguardGo => "wireguard-go",
        }
    }

    /// How to get it.
    pub(crate) fn install(self) -> &'static str {
        match self {
            Self::Boringtun => "boringtun-cli of crates.io",
            Self::WireguardGo => "Debian's wireguard-go",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Boringtun => &["--foreground", "--disable-drop-privileges"],
            Self::WireguardGo => &["--foreground"],
        }
    }
}

/// One side, up when it listens.
struct Side {
    process: Running,
    device: String,
    socket: PathBuf,
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
        // A process that is killed leaves it.
        let _ = fs::remove_file(&self.socket);
    }
}

impl Side {
    /// `at`: 0 is the gateway's side.
    fn start(program: Program, host: &Host, at: usize) -> Result<Self> {
        // All namespaces share the folder of the sockets.
        let device = format!("wg{at}-{}", std::process::id());
        let socket = Path::new(SOCKETS).join(format!("{device}.sock"));
        let mut command = host.netns.command(program.file());
        command.args(program.arguments()).arg(&device).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running(command.spawn().with_context(|| format!("starting {}", program.file()))?);
        let side = Self { process, device, socket };
        let watch = Stopwatch::start();
        // It has no other way to say that it listens.
        while UnixStream::connect(&side.socket).is_err() {
            ensure!(watch.elapsed() < PATIENCE, "{} does not listen", program.file());
            std::thread::yield_now();
        }
        host.netns.add_address(&side.device, &format!("{}/24", INSIDE[at]))?;
        host.netns.ip(&["link", "set", &side.device, "mtu", MTU, "up"])?;
        Ok(side)
    }

    fn configure(&self, host: &Host, key: &Path, peer: &str, more: &[&str]) -> Result<()> {
        let mut command = host.netns.command("wg");
        command.args(["set", &self.device, "listen-port", PORT, "private-key"]).arg(key);
        command.args(["peer", peer, "allowed-ips", "10.77.0.0/24"]).args(more);
        let output = command.output()?;
        ensure!(output.status.success(), "wg set: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A private key in a file of its own, and the public one.
fn key(folder: &Path, name: &str) -> Result<(PathBuf, String)> {
    let private = Command::new("wg").arg("genkey").output()?.stdout;
    let file = folder.join(name);
    fs::write(&file, &private)?;
    let mut public = Command::new("wg").arg("pubkey").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    public.stdin.take().context("its input")?.write_all(&private)?;
    let public = String::from_utf8(public.wait_with_output()?.stdout)?.trim().to_owned();
    Ok((file, public))
}

/// Both sides.
pub(crate) fn tunnel(bed: &Bed, program: Program) -> Result<Tunnel> {
    let folder = TempDir::with_prefix("ikeep-wireguard-")?;
    let (gateway, laptop) = (key(folder.path(), "gateway")?, key(folder.path(), "laptop")?);
    let near = Side::start(program, &bed.laptop, 1)?;
    let far = Side::start(program, &bed.gateway, 0)?;
    far.configure(&bed.gateway, &gateway.0, &laptop.1, &[])?;
    near.configure(&bed.laptop, &laptop.0, &gateway.1, &["endpoint", &format!("{FRONT}:{PORT}")])?;
    let (agent, gateway) = (pid(near.process.0.id())?, pid(far.process.0.id())?);
    Ok(Tunnel {
        target: INSIDE[0],
        agent: Some(agent),
        gateway: Some(gateway),
        proxy: None,
        _parts: Box::new((near, far, folder)),
    })
}
