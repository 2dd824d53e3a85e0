//! Network namespaces as test hosts, joined by a veth pair.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// One test host: a named network namespace, deleted on drop.
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    /// A new namespace with its loopback up. The name begins with `IKEEP_NETNS_PREFIX` (or `ikeep-PID`), so that
    /// `tests/run` finds what a killed test left, and is unique on this machine.
    ///
    /// # Errors
    /// Where `ip netns add` fails: not root, no such kernel feature, iproute2 missing.
    pub(crate) fn new(label: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = std::env::var("IKEEP_NETNS_PREFIX").unwrap_or_else(|_| "ikeep".to_owned());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{count}-{label}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The name that `ip netns` knows.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `ip` inside this namespace.
    ///
    /// # Errors
    /// Where the command fails, with what it printed.
    pub(crate) fn ip(&self, args: &[&str]) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(args))
    }

    /// Adds `address/prefix` to `device`, without duplicate address detection (which would hold an IPv6 address back).
    ///
    /// # Errors
    /// As [`Netns::ip`].
    pub(crate) fn add_address(&self, device: &str, address: &str) -> Result<()> {
        let nodad = if address.contains(':') { &["nodad"][..] } else { &[] };
        self.ip(&[&["addr", "add", address, "dev", device], nodad].concat()).map(drop)
    }

    /// Loads an nftables script in this namespace: loss, NAT, a silent path.
    ///
    /// # Errors
    /// Where `nft` refuses the script.
    pub(crate) fn nft(&self, script: &str) -> Result<()> {
        run(Command::new("ip").args(["netns", "exec", &self.name, "nft", script])).map(drop)
    }

    /// A command that will run inside this namespace. `ip netns exec` becomes the program (it does not fork), so the
    /// child's id is the program's own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).stdin(Stdio::null());
        command
    }

    /// From here on programs of [`Netns::command`] find a `/etc/resolv.conf` of this host's own, with this text at first; the
    /// machine's is hidden from them. For a host on which nothing has been started yet.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn own_resolver(&self, text: &str) -> Result<()> {
        std::fs::create_dir_all(self.folder())?;
        Ok(std::fs::write(self.resolver(), text)?)
    }

    /// The file of [`Netns::own_resolver`].
    pub(crate) fn resolver(&self) -> PathBuf {
        self.folder().join("resolv.conf")
    }

    /// What `ip netns exec` binds over `/etc`.
    fn folder(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }

    /// Ends every program that runs here.
    pub(crate) fn end_all(&self) {
        let pids = run(Command::new("ip").args(["netns", "pids", &self.name])).unwrap_or_default();
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw) {
            // A thread of this program that looks into the host is no program of the host's.
            if pid != rustix::process::getpid() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Runs `work` on a thread of its own inside this namespace: sockets it opens belong to this host. For async work
    /// build a current-thread runtime in `work`.
    ///
    /// # Errors
    /// Where the thread cannot move into the namespace.
    ///
    /// # Panics
    /// Passes on a panic of `work`.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        inside(&self.name, work)
    }

    /// Packets that arrive here for others go on to them.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn forward(&self) -> Result<()> {
        let script = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
        run(self.command("sh").args(["-c", script])).map(drop)
    }

    /// What only the path back would forbid is let through: here ways there and back differ on purpose.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn accept_any_way(&self) -> Result<()> {
        let script = "for file in all default; do echo 0 >/proc/sys/net/ipv4/conf/$file/rp_filter; done";
        run(self.command("sh").args(["-c", script])).map(drop)
    }

    /// What leaves through `device` is held to `rate` (as tc writes it), with a queue of 100 ms.
    ///
    /// # Errors
    /// Where `tc` refuses.
    pub(crate) fn slow_down(&self, device: &str, rate: &str) -> Result<()> {
        let shape = ["root", "tbf", "rate", rate, "burst", "16kb", "latency", "100ms"];
        run(Command::new("tc").args(["-n", &self.name, "qdisc", "add", "dev", device]).args(shape)).map(drop)
    }

    /// A link to another host: `own` here, `theirs` there, both up, each with its addresses.
    ///
    /// # Errors
    /// As [`Netns::ip`].
    pub(crate) fn link(
        &self,
        (own, addresses): (&str, &[&str]),
        other: &Self,
        (theirs, others): (&str, &[&str]),
    ) -> Result<()> {
        run(Command::new("ip").args([
            "link",
            "add",
            own,
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            theirs,
            "netns",
            &other.name,
        ]))?;
        for (host, device, addresses) in [(self, own, addresses), (other, theirs, others)] {
            for address in addresses {
                host.add_address(device, address)?;
            }
            host.ip(&["link", "set", device, "up"])?;
        }
        Ok(())
    }
}

/// See [`Netns::run`]; `name`: the one that `ip netns` knows.
///
/// # Errors
/// As there.
pub(crate) fn inside<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    let path = format!("/run/netns/{name}");
    let namespace = File::open(&path).with_context(|| format!("opening {path}"))?;
    std::thread::scope(|scope| {
        let inside = scope.spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = run(Command::new("ip").args(["netns", "del", &self.name]));
        let _ = std::fs::remove_dir_all(self.folder());
    }
}

/// A gateway host and a client host with one link between them, named `eth0` on both sides.
pub(crate) struct Pair {
    /// 10.9.0.1 and fd09::1 on `eth0`; [`super::BEHIND_GATEWAY`]/24 and fd10::1/64 on its loopback.
    pub(crate) gateway: Netns,
    /// 10.9.0.2 and fd09::2 on `eth0`.
    pub(crate) client: Netns,
}

impl Pair {
    /// Both hosts and their link, up.
    ///
    /// # Errors
    /// As [`Netns::new`].
    pub(crate) fn new() -> Result<Self> {
        let pair = Self { gateway: Netns::new("gw")?, client: Netns::new("cl")? };
        let (gateway, client) = (pair.gateway.name(), pair.client.name());
        run(Command::new("ip").args([
            "link", "add", "eth0", "netns", gateway, "type", "veth", "peer", "name", "eth0", "netns", client,
        ]))?;
        for (host, own) in [(&pair.gateway, 1), (&pair.client, 2)] {
            host.add_address("eth0", &format!("10.9.0.{own}/24"))?;
            host.add_address("eth0", &format!("fd09::{own}/64"))?;
            host.ip(&["link", "set", "eth0", "up"])?;
        }
        pair.gateway.add_address("lo", &format!("{}/24", super::BEHIND_GATEWAY))?;
        pair.gateway.add_address("lo", "fd10::1/64")?;
        Ok(pair)
    }

    /// A second link, `eth1` on both sides, 10.9.1.1 and 10.9.1.2, up; nothing is routed over it yet.
    ///
    /// # Errors
    /// As [`Netns::new`].
    pub(crate) fn second_link(&self) -> Result<()> {
        let (gateway, client) = (self.gateway.name(), self.client.name());
        run(Command::new("ip").args([
            "link", "add", "eth1", "netns", gateway, "type", "veth", "peer", "name", "eth1", "netns", client,
        ]))?;
        for (host, own) in [(&self.gateway, 1), (&self.client, 2)] {
            host.add_address("eth1", &format!("10.9.1.{own}/24"))?;
            host.ip(&["link", "set", "eth1", "up"])?;
        }
        Ok(())
    }
}

/// Runs `command` to its end and returns what it printed.
///
/// # Errors
/// Where it does not start or ends with another code than 0, with both of its outputs.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(stdout)
}
