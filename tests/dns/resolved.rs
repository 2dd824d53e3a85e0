//! A real systemd-resolved: whom it asks before, during and after a tunnel.

use crate::dbus::{Bus, Process};
use crate::enabled;
use crate::interop::{Netns, PATIENCE};
use crate::name_server::{NameServer, ask};
use anyhow::{Context as _, Result, bail, ensure};
use ikeep::netd::dns::{Places, Resolver};
use ikeep::netd::net::Device;
use ikeep::plan::Dns;
use ikeep::sense::{Files, Networks, Signal, Sources};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

const NAME: &str = "org.freedesktop.resolve1";
const PATH: &str = "/org/freedesktop/resolve1";
const MANAGER: &str = "org.freedesktop.resolve1.Manager";

/// The name server of the network outside, and the tunnel's.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 53);
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 53);
const STUB: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), 53);

/// `IKEEP_RESOLVED`, or where Debian has it.
fn program() -> Option<PathBuf> {
    let own = std::env::var_os("IKEEP_RESOLVED").map(PathBuf::from);
    own.into_iter().chain([PathBuf::from("/lib/systemd/systemd-resolved")]).find(|path| path.exists())
}

/// A laptop with a network, and a device for the tunnel; a resolved of its own on a bus of its own.
struct World {
    // In this order: who uses the bus goes before it, the folder last.
    _resolved: Process,
    bus: Bus,
    outside: NameServer,
    inside: NameServer,
    laptop: Netns,
    _servers: Netns,
    folder: TempDir,
}

impl World {
    /// On a thread that is in the laptop's network namespace.
    fn tell(story: impl AsyncFnOnce(&World) -> Result<()> + Send) -> Result<()> {
        let program = program().context("no systemd-resolved")?;
        let (laptop, servers) = (Netns::new("laptop")?, Netns::new("dns")?);
        laptop.link(("eth0", &["10.0.0.2/24"]), &servers, ("eth0", &["10.0.0.53/24"]))?;
        laptop.link(("ikeep0", &["10.1.0.2/24"]), &servers, ("eth1", &["10.1.0.53/24"]))?;
        let outside = NameServer::start(&servers, OUTSIDE)?;
        let inside = NameServer::start(&servers, INSIDE)?;
        let name = laptop.name().to_owned();
        crate::interop::inside(&name, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let folder = TempDir::with_prefix("ikeep-resolved-")?;
                let at = |name: &str| folder.path().join(name);
                for name in ["etc", "run/systemd/resolve", "state"] {
                    fs::create_dir_all(at(name))?;
                }
                // It wants a user of its own; nobody else lives in this namespace. Its own settings are the usual ones.
                for (name, user) in
                    [("passwd", "systemd-resolve:x:0:0::/:/bin/false\n"), ("group", "systemd-resolve:x:0:\n")]
                {
                    let users = fs::read_to_string(format!("/etc/{name}"))?;
                    let others = users.lines().filter(|line| !line.starts_with("systemd-resolve:"));
                    fs::write(
                        at(&format!("etc/{name}")),
                        others.map(|line| format!("{line}\n")).collect::<String>() + user,
                    )?;
                }
                fs::write(at("etc/foreign.conf"), "nameserver 127.0.0.53\n")?;
                symlink(at("run/systemd/resolve/stub-resolv.conf"), at("etc/resolv.conf"))?;
                let bus = Bus::start(&folder.path().join("bus"))?;
                let mut command = laptop.command("unshare");
                let script = "for file in passwd group; do mount --bind \"$0/etc/$file\" /etc/$file; done
                    mount --bind \"$0/etc/foreign.conf\" /etc/resolv.conf
                    mount --bind \"$0/run\" /run
                    exec \"$1\"";
                command.args(["--mount", "--propagation", "private", "sh", "-ec", script]);
                command.arg(folder.path()).arg(program).stdout(Stdio::null()).stderr(Stdio::null());
                let resolved = bus.start_named(command, NAME).await?;
                let world =
                    World { _resolved: resolved, bus, outside, inside, laptop, _servers: servers, folder };
                let index = i32::try_from(world.device("eth0")?.index)?;
                let servers = vec![(2, OUTSIDE.octets().to_vec())];
                world.call("SetLinkDNS", &(index, servers)).await?;
                world.call("SetLinkDomains", &(index, vec![("home.example", false)])).await?;
                story(&world).await
            })
        })?
    }

    async fn call(
        &self,
        method: &str,
        arguments: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> Result<()> {
        let connection = self.bus.connect().await?;
        connection.call_method(Some(NAME), PATH, Some(MANAGER), method, arguments).await?;
        Ok(())
    }

    fn device(&self, name: &str) -> Result<Device> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        let index = rustix::net::netdevice::name_to_index(socket, name)?;
        Ok(Device { name: name.to_owned(), index })
    }

    fn resolver(&self) -> Resolver {
        let at = |name: &str| self.folder.path().join(name);
        Resolver::new(Places {
            state: at("state"),
            etc: at("etc/resolv.conf"),
            nsswitch: at("etc/nsswitch.conf"),
            bus: Some(self.bus.address().to_owned()),
            resolved: at("run/systemd/resolve"),
            network_manager: at("run/NetworkManager"),
            resolvconf: at("run/resolvconf"),
        })
    }

    /// Asks for names nobody has asked for before, and says who was asked.
    async fn who_answers(&self, names: &[(&str, Ipv4Addr)]) -> Result<()> {
        self.outside.asked();
        self.inside.asked();
        for (name, expected) in names {
            let name = (*name).to_owned();
            // This thread's runtime serves nobody else meanwhile.
            let found = ask(STUB, &name)?;
            ensure!(found == *expected, "{name}: {found} has answered");
            let (outside, inside) = (self.outside.asked(), self.inside.asked());
            let (asked, other) = if *expected == OUTSIDE { (outside, inside) } else { (inside, outside) };
            ensure!(asked.contains(&name) && !other.contains(&name), "{name}: {asked:?}, {other:?}");
        }
        Ok(())
    }

    /// What the agent thinks of the networks.
    async fn networks(&self) -> Result<Networks> {
        let at = |name: &str| self.folder.path().join(name);
        let resolver = Files {
            resolv_conf: at("etc/resolv.conf"),
            behind_the_stub: at("run/systemd/resolve/resolv.conf"),
        };
        let sources = Sources { bus: Some(self.bus.address().to_owned()), resolver };
        let mut senses = sources.listen(|| Duration::ZERO);
        loop {
            match timeout(PATIENCE, senses.signals.recv()).await?.context("the senses have ended")? {
                Signal::Networks(networks) => return Ok(networks),
                Signal::Ways(_) => {}
                other => bail!("{other:?}"),
            }
        }
    }

    /// What resolved lists for programs that go past it.
    fn listed(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("run/systemd/resolve/resolv.conf"))?)
    }

    fn is_clean(&self) -> Result<()> {
        let left: Vec<_> = fs::read_dir(self.folder.path().join("state"))?.collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    }
}

fn dns(only: &[&str]) -> Dns {
    Dns {
        servers: vec![INSIDE.into()],
        search: vec!["office.example".to_owned()],
        only: only.iter().map(ToString::to_string).collect(),
    }
}

fn story(test: &str, told: impl AsyncFnOnce(&World) -> Result<()> + Send) -> Result<()> {
    let missing = program().is_none().then_some("needs systemd-resolved: IKEEP_RESOLVED=PROGRAM");
    if enabled(test, missing) { World::tell(told) } else { Ok(()) }
}

#[test]
fn resolved_asks_the_tunnel_for_what_is_its_own_and_for_nothing_afterwards() -> Result<()> {
    story("resolved_asks_the_tunnel_for_what_is_its_own_and_for_nothing_afterwards", async |world| {
        let device = world.device("ikeep0")?;
        let mut resolver = world.resolver();
        let before = world.networks().await?;
        ensure!(
            before.dns_servers == [IpAddr::V4(OUTSIDE)] && before.domains == ["home.example"],
            "{before:?}"
        );
        world.who_answers(&[("a.corp.example", OUTSIDE), ("a.elsewhere.example", OUTSIDE)]).await?;

        let applied = resolver.apply(&device, &dns(&["corp.example"])).await?;
        ensure!(applied.resolver.as_deref() == Some("systemd-resolved"), "{applied:?}");
        ensure!(applied.split && applied.outside == [IpAddr::V4(OUTSIDE)], "{applied:?}");
        ensure!(applied.notes.is_empty(), "{applied:?}");
        world
            .who_answers(&[
                ("b.corp.example", INSIDE),
                ("b.office.example", INSIDE),
                ("b.elsewhere.example", OUTSIDE),
                ("b.notcorp.example", OUTSIDE),
            ])
            .await?;
        // The agent is not taken in by the tunnel's own settings, although resolved lists them among the others.
        ensure!(world.listed()?.contains("office.example"), "{}", world.listed()?);
        ensure!(world.networks().await? == before, "{:?}", world.networks().await?);

        let applied = resolver.apply(&device, &dns(&[])).await?;
        ensure!(!applied.split && applied.outside == [IpAddr::V4(OUTSIDE)], "{applied:?}");
        world.who_answers(&[("c.corp.example", INSIDE), ("c.elsewhere.example", INSIDE)]).await?;
        ensure!(world.listed()?.contains(&INSIDE.to_string()), "{}", world.listed()?);
        ensure!(world.networks().await? == before, "{:?}", world.networks().await?);

        let problems = resolver.revert().await;
        ensure!(problems.is_empty(), "{problems:?}");
        world.is_clean()?;
        world.who_answers(&[("d.corp.example", OUTSIDE), ("d.office.example", OUTSIDE)]).await?;
        ensure!(world.networks().await? == before, "{:?}", world.networks().await?);
        Ok(())
    })
}

#[test]
fn what_a_dead_helper_told_resolved_is_taken_back() -> Result<()> {
    story("what_a_dead_helper_told_resolved_is_taken_back", async |world| {
        let device = world.device("ikeep0")?;
        world.resolver().apply(&device, &dns(&[])).await?;
        world.who_answers(&[("a.corp.example", INSIDE)]).await?;
        let problems = world.resolver().revert().await;
        ensure!(problems.is_empty(), "{problems:?}");
        world.is_clean()?;
        world.who_answers(&[("b.corp.example", OUTSIDE)]).await?;
        // A device that is gone has taken its settings with it.
        world.resolver().apply(&device, &dns(&[])).await?;
        world.laptop.ip(&["link", "del", "ikeep0"])?;
        let problems = world.resolver().revert().await;
        ensure!(problems.is_empty(), "{problems:?}");
        world.is_clean()?;
        world.who_answers(&[("c.corp.example", OUTSIDE)]).await?;
        let error = world.resolver().apply(&device, &dns(&[])).await.unwrap_err().to_string();
        ensure!(error.contains("systemd-resolved does not take"), "{error}");
        Ok(())
    })
}
