//! A real NetworkManager on the laptop, on a bus and with folders of its own, and what it does with the tunnel's device.

use crate::dbus::{Bus, Process};
use crate::interop::PATIENCE;
use crate::world::{BEHIND_GATEWAY6, Kind, Options, TUN, World, against};
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use zbus::Connection;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

const NAME: &str = "org.freedesktop.NetworkManager";
const PATH: &str = "/org/freedesktop/NetworkManager";
const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";

/// NMDeviceState.
const UNMANAGED: u32 = 10;
const ACTIVATED: u32 = 100;
/// NMActivationStateFlags: somebody else has made it so.
const EXTERNAL: u32 = 0x80;

/// It keeps away from names, and makes no connections of its own.
const CONFIG: &str = "[main]\ndns=none\nrc-manager=unmanaged\nno-auto-default=*\nauth-polkit=false\nplugins=keyfile\n\
                      [keyfile]\npath=FOLDER/connections\n[connectivity]\nenabled=false\n";

/// `IKEEP_NETWORK_MANAGER`, or where Debian has it.
fn program() -> Option<PathBuf> {
    let own = std::env::var_os("IKEEP_NETWORK_MANAGER").map(PathBuf::from);
    own.into_iter().chain([PathBuf::from("/usr/sbin/NetworkManager")]).find(|path| path.exists())
}

/// Where the libraries lie that were unpacked with it.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let folder = program.parent().and_then(Path::parent).map(|usr| usr.join("lib"));
    let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with("-linux-gnu")).collect()
}

/// NetworkManager, in the laptop's namespace.
struct Manager {
    process: Option<Process>,
    connection: Connection,
    bus: Bus,
    folder: TempDir,
    /// Where it looks for what packages say.
    packages: PathBuf,
}

impl Manager {
    /// `packages`: the files that packages have put there.
    async fn start(world: &World, packages: &Path) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-nm-")?;
        for name in ["connections", "etc", "run", "lib/NetworkManager"] {
            fs::create_dir_all(folder.path().join(name))?;
        }
        let config = CONFIG.replace("FOLDER", &folder.path().display().to_string());
        fs::write(folder.path().join("NetworkManager.conf"), config)?;
        let bus = Bus::start(&folder.path().join("bus"))?;
        let connection = bus.connect().await?;
        let mut manager = Self { process: None, connection, bus, folder, packages: packages.to_owned() };
        manager.restart(world).await?;
        Ok(manager)
    }

    /// It is there, whether it was before or not, and has looked at every device.
    async fn restart(&mut self, world: &World) -> Result<()> {
        self.process = None;
        let program = program().context("no NetworkManager")?;
        // Without a writable /sys it does not wait for a udev that is not there.
        let script = "mount -o remount,bind,ro /sys
            mount --bind \"$0/run\" /run
            mount --bind \"$0/lib\" /var/lib
            program=$1 packages=$2
            exec \"$program\" --debug --config=\"$0/NetworkManager.conf\" --config-dir=\"$0/etc\" \
                --system-config-dir=\"$packages\" --state-file=\"$0/lib/state\" --intern-config=\"$0/lib/intern.conf\" \
                --pid-file=\"$0/run/nm.pid\"";
        let mut command = world.net.laptop.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec", script]).arg(self.folder.path());
        command.arg(&program).arg(&self.packages).stdout(Stdio::null());
        command.stderr(fs::File::create(self.folder.path().join("log"))?);
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries(&program))?);
        self.process = Some(self.bus.start_named(command, NAME).await.with_context(|| self.log())?);
        self.until("its start", async || Ok(!self.get::<bool>(PATH, NAME, "Startup").await?)).await
    }

    async fn get<T>(&self, path: &str, interface: &str, property: &str) -> Result<T>
    where
        T: TryFrom<OwnedValue>,
        T::Error: Into<zbus::Error>,
    {
        let properties = Some("org.freedesktop.DBus.Properties");
        let what = (interface, property);
        let answer = self.connection.call_method(Some(NAME), path, properties, "Get", &what).await?;
        let value: OwnedValue = answer.body().deserialize()?;
        Ok(T::try_from(value).map_err(Into::into)?)
    }

    /// Asks again and again; what cannot be asked is not so yet.
    async fn until(&self, what: &str, is: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let mut last = Ok(false);
        let asking = async {
            while !matches!(last, Ok(true)) {
                last = is().await;
                tokio::task::yield_now().await;
            }
        };
        if timeout(PATIENCE, asking).await.is_ok() {
            return Ok(());
        }
        bail!("{what} did not come: {last:?}\n{}", self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn device(&self) -> Result<OwnedObjectPath> {
        let answer =
            self.connection.call_method(Some(NAME), PATH, Some(NAME), "GetDeviceByIpIface", &TUN).await?;
        Ok(answer.body().deserialize()?)
    }

    /// Waits until it sees the device, and sees it so.
    async fn until_state(&self, wanted: u32) -> Result<()> {
        let seen = async || {
            let device = self.device().await?;
            Ok(self.get::<u32>(device.as_str(), DEVICE, "State").await? == wanted)
        };
        self.until(&format!("{TUN} in state {wanted}"), seen).await
    }

    /// Waits until it calls the device "connected (externally)".
    async fn until_external(&self) -> Result<()> {
        self.until_state(ACTIVATED).await?;
        let device = self.device().await?;
        let active: OwnedObjectPath = self.get(device.as_str(), DEVICE, "ActiveConnection").await?;
        let flags: u32 = self.get(active.as_str(), ACTIVE, "StateFlags").await?;
        ensure!(flags & EXTERNAL != 0, "{flags:#x}");
        Ok(())
    }

    async fn reload(&self) -> Result<()> {
        self.connection.call_method(Some(NAME), PATH, Some(NAME), "Reload", &0_u32).await?;
        Ok(())
    }

    async fn enable(&self, on: bool) -> Result<()> {
        self.connection.call_method(Some(NAME), PATH, Some(NAME), "Enable", &on).await?;
        // 10: asleep.
        self.until("networking", async || {
            let state = self.get::<u32>(PATH, NAME, "State").await?;
            Ok((state == 10) != on)
        })
        .await
    }
}

/// A story on a laptop, with what waits for NetworkManager there.
fn story(test: &str, told: fn(&mut World) -> Result<()>) -> Result<()> {
    if program().is_none() {
        let why = "needs NetworkManager: IKEEP_NETWORK_MANAGER=PROGRAM";
        let _ = writeln!(std::io::stderr(), "left out: {test} ({why})");
        return Ok(());
    }
    against(&[Kind::Embedded], test, Options::default(), told)
}

/// What waits for NetworkManager; the rest of a story waits for others.
fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn is_as_it_was(world: &World, tunnel: &str, after: &str) -> Result<()> {
    let now = world.tunnel()?;
    ensure!(now == tunnel, "after {after}:\n{now}\nbefore:\n{tunnel}");
    Ok(())
}

#[test]
fn network_manager_leaves_the_device_of_a_package_alone() -> Result<()> {
    story("network_manager_leaves_the_device_of_a_package_alone", |world| {
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/networkmanager");
        let runtime = runtime()?;
        let mut manager = runtime.block_on(Manager::start(world, &packages))?;
        world.connect()?;
        let tunnel = world.tunnel()?;
        runtime.block_on(manager.until_state(UNMANAGED))?;
        // `nmcli networking off`, and on.
        for on in [false, true] {
            runtime.block_on(manager.enable(on))?;
            runtime.block_on(manager.until_state(UNMANAGED))?;
            is_as_it_was(world, &tunnel, "turning networking off or on")?;
        }
        runtime.block_on(manager.reload())?;
        is_as_it_was(world, &tunnel, "its reload")?;
        runtime.block_on(manager.restart(world))?;
        runtime.block_on(manager.until_state(UNMANAGED))?;
        is_as_it_was(world, &tunnel, "its restart")?;
        world.disconnect()
    })
}

#[test]
fn network_manager_sees_the_device_without_a_package_as_external() -> Result<()> {
    story("network_manager_sees_the_device_without_a_package_as_external", |world| {
        let none = TempDir::with_prefix("ikeep-nm-")?;
        let runtime = runtime()?;
        let mut manager = runtime.block_on(Manager::start(world, none.path()))?;
        world.connect()?;
        let tunnel = world.tunnel()?;
        for after in ["its look at it", "its restart"] {
            runtime.block_on(manager.until_external())?;
            is_as_it_was(world, &tunnel, after)?;
            world.ping(BEHIND_GATEWAY6, 100)?;
            runtime.block_on(manager.restart(world))?;
        }
        world.disconnect()
    })
}
