//! `ikeep tray`: what a panel sees of it, and what a click does.

use crate::dbus::{Bus, Process, address};
use crate::notifications::{Agent, crash};
use crate::person::{Company, PATIENCE, Person, Stopwatch, said};
use crate::{PYTHON, story};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;
use zbus::export::futures_core::Stream as _;
use zbus::zvariant::{OwnedValue, Value};
use zbus::{Connection, MatchRule, MessageStream, message};

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const TRAY: &str = "io.github.ikeep.Tray";
const ITEM: &str = "org.kde.StatusNotifierItem";
const MENU: &str = "com.canonical.dbusmenu";

/// What keeps a panel's icons, as python-dbusmock wants it.
const TEMPLATE: &str = r#"
BUS_NAME = "org.kde.StatusNotifierWatcher"
MAIN_OBJ = "/StatusNotifierWatcher"
MAIN_IFACE = BUS_NAME
SYSTEM_BUS = False
def load(mock, parameters):
    mock.AddMethod(MAIN_IFACE, "RegisterStatusNotifierItem", "s", "", "")
"#;

/// Whoever keeps the icons.
struct Watcher {
    _process: Process,
    calls: MessageStream,
}

impl Watcher {
    async fn start(bus: &Bus, folder: &Path) -> Result<Self> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .interface("org.freedesktop.DBus.Mock")?
            .member("MethodCalled")?
            .path("/StatusNotifierWatcher")?
            .build();
        let calls = MessageStream::for_match_rule(rule, &bus.connect().await?, Some(64)).await?;
        let template = folder.join("watcher.py");
        fs::write(&template, TEMPLATE)?;
        let mut command = Command::new(PYTHON);
        command.args(["-m", "dbusmock", "--session", "--template"]).arg(template);
        command.env("DBUS_SESSION_BUS_ADDRESS", bus.address()).stdout(Stdio::null());
        let process = bus.start_named(command, WATCHER).await?;
        Ok(Self { _process: process, calls })
    }

    /// The next icon that comes.
    async fn registered(&mut self) -> Result<String> {
        let next = poll_fn(|context| Pin::new(&mut self.calls).poll_next(context));
        let message = timeout(PATIENCE, next).await.context("nobody registers")?.context("no bus")??;
        let (method, arguments): (String, Vec<OwnedValue>) = message.body().deserialize()?;
        ensure!(method == "RegisterStatusNotifierItem", "{method}");
        Ok(String::try_from(arguments[0].try_clone()?)?)
    }
}

/// A tray, and a panel's way to it.
struct Tray {
    process: Process,
    name: String,
    connection: Connection,
    signals: MessageStream,
}

impl Tray {
    async fn start(person: &Person, bus: &Bus, more: &[&str]) -> Result<Self> {
        let connection = bus.connect().await?;
        let rule =
            MatchRule::builder().msg_type(message::Type::Signal).path_namespace("/StatusNotifierItem")?;
        let signals = MessageStream::for_match_rule(rule.build(), &connection, Some(256)).await?;
        let command = person.command(&[&["tray"], more].concat());
        let process = bus.start_named(command, TRAY).await?;
        let name = format!("org.kde.StatusNotifierItem-{}-1", process.0.id());
        Ok(Self { process, name, connection, signals })
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.process.0.id()).ok().and_then(Pid::from_raw).context("a process")
    }

    async fn property(&self, name: &str) -> Result<OwnedValue> {
        let (to, interface) = (Some(self.name.as_str()), Some("org.freedesktop.DBus.Properties"));
        let asked = (ITEM, name);
        let answer = self.connection.call_method(to, "/StatusNotifierItem", interface, "Get", &asked).await?;
        Ok(answer.body().deserialize()?)
    }

    async fn text(&self, name: &str) -> Result<String> {
        Ok(String::try_from(self.property(name).await?)?)
    }

    async fn on_menu<B: serde::Serialize + zbus::zvariant::DynamicType>(
        &self,
        method: &str,
        arguments: &B,
    ) -> Result<zbus::Message> {
        let path = self.property("Menu").await?;
        let path = zbus::zvariant::ObjectPath::try_from(path)?;
        Ok(self.connection.call_method(Some(self.name.as_str()), path, Some(MENU), method, arguments).await?)
    }

    /// Number, label, and whether it can be picked.
    async fn menu(&self) -> Result<Vec<(i32, String, bool)>> {
        let none: [&str; 0] = [];
        let answer = self.on_menu("GetLayout", &(0, -1, none.as_slice())).await?;
        type Layout = (i32, std::collections::BTreeMap<String, OwnedValue>, Vec<OwnedValue>);
        let (_, (_, root, children)): (u32, Layout) = answer.body().deserialize()?;
        ensure!(root.contains_key("children-display"), "{root:?}");
        let mut lines = Vec::new();
        for child in &children {
            let Value::Structure(child) = &**child else { bail!("{child:?}") };
            let [Value::I32(id), Value::Dict(properties), Value::Array(_)] = child.fields() else {
                bail!("{child:?}")
            };
            let label: Option<String> = properties.get(&"label")?;
            let enabled: Option<bool> = properties.get(&"enabled")?;
            if let Some(label) = label {
                lines.push((*id, label, enabled.unwrap_or(true)));
            }
        }
        Ok(lines)
    }

    /// What can be picked.
    async fn offers(&self) -> Result<Vec<String>> {
        let menu = self.menu().await?;
        Ok(menu.into_iter().filter(|(.., enabled)| *enabled).map(|(_, label, _)| label).collect())
    }

    async fn click(&self, label: &str) -> Result<()> {
        let menu = self.menu().await?;
        let line = menu.iter().find(|(_, text, _)| text == label);
        let (id, ..) = line.with_context(|| format!("no {label:?} in {menu:?}"))?;
        self.on_menu("Event", &(*id, "clicked", Value::from(0), 0_u32)).await?;
        Ok(())
    }

    /// Waits until it is titled so, however often it says that it has changed.
    async fn is_titled(&mut self, wanted: &str) -> Result<()> {
        loop {
            let title = self.text("Title").await?;
            if title == wanted {
                return Ok(());
            }
            let next = poll_fn(|context| Pin::new(&mut self.signals).poll_next(context));
            let changed = timeout(PATIENCE, next).await;
            changed.with_context(|| format!("{title:?} instead of {wanted:?}"))?.context("no bus")??;
        }
    }

    async fn is(&self, status: &str, icon: &str, offers: &[&str]) -> Result<()> {
        let (is, has) = (self.text("Status").await?, self.text("IconName").await?);
        ensure!((is.as_str(), has.as_str()) == (status, icon), "{is} {has}, not {status} {icon}");
        let offered = self.offers().await?;
        ensure!(offered == [offers, &["Quit tray"]].concat(), "{offered:?}");
        Ok(())
    }
}

const CONNECTED: &str = "ikeep: connected, IKEv2_Gateway";

fn folder() -> Result<TempDir> {
    Ok(TempDir::with_prefix("ikeep-tray-")?)
}

#[test]
fn the_icon_follows_the_connection_and_clicks_are_obeyed() -> Result<()> {
    story("the_icon_follows_the_connection_and_clicks_are_obeyed", async || {
        let folder = folder()?;
        let bus = Bus::start(&folder.path().join("bus"))?;
        let mut watcher = Watcher::start(&bus, folder.path()).await?;
        let mut company = Company::open(&[])?;
        let mut person = Person::new(company.ports)?;
        person.configure(company.ports, "refusal_retry = [\"100ms\"]\nnotifications = false")?;
        person.set("DBUS_SESSION_BUS_ADDRESS", bus.address());
        let askpass = folder.path().join("askpass");
        fs::write(&askpass, "#!/bin/sh\necho cisco\n")?;
        fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700))?;
        person.set("IKEEP_ASKPASS", &askpass.display().to_string());

        let config = folder.path().join("other.toml");
        fs::copy(person.path("config/ikeep/config.toml"), &config)?;
        let mut tray = Tray::start(&person, &bus, &["--config", &config.display().to_string()]).await?;
        ensure!(watcher.registered().await? == tray.name);
        tray.is_titled("ikeep: no agent").await?;
        tray.is("Active", "network-vpn-disconnected", &[]).await?;
        let Value::Array(pixmaps) = Value::from(tray.property("IconPixmap").await?) else {
            bail!("no array")
        };
        ensure!(pixmaps.len() == 2, "{}", pixmaps.len());
        // Another one is not needed.
        let second = person.run(&["tray"])?;
        ensure!(second.status.code() == Some(1), "{}", said(&second));
        ensure!(said(&second).contains("runs already"), "{}", said(&second));

        let output = person.log_in(&company.ca())?;
        ensure!(output.status.success(), "{}", said(&output));
        let connected = CONNECTED;
        tray.is_titled(connected).await?;
        tray.is("Active", "network-vpn", &["Reconnect", "Disconnect"]).await?;
        tray.click("Reconnect").await?;
        let watch = Stopwatch::start();
        while person.status()?["reconnects"] != 1 {
            ensure!(watch.elapsed() < PATIENCE, "no reconnect: {}", person.status()?);
        }

        // The agent is killed, and another one takes up the session.
        crash(&person)?;
        tray.is_titled("ikeep: no agent").await?;
        let agent = Agent::start(&person)?;
        tray.is_titled(connected).await?;

        // The panel is restarted.
        drop(watcher);
        let mut watcher = Watcher::start(&bus, folder.path()).await?;
        ensure!(watcher.registered().await? == tray.name);

        // The gateway forgets the session: only a person can go on.
        company.ask("restart forget", "lost")?;
        tray.click("Reconnect").await?;
        tray.is_titled("ikeep: auth-required, IKEv2_Gateway").await?;
        tray.is("NeedsAttention", "network-error", &["Log in to IKEv2__Gateway", "Disconnect"]).await?;
        // What the tray starts takes the tray's config file.
        fs::write(person.path("config/ikeep/config.toml"), "no config file")?;
        tray.click("Log in to IKEv2__Gateway").await?;
        tray.is_titled(connected).await?;
        ensure!(person.status()?["auth"] == "anyconnect-eap", "{}", person.status()?);

        tray.click("Disconnect").await?;
        tray.is_titled("ikeep: disconnected, IKEv2_Gateway").await?;
        ensure!(person.status()?["state"] == "disconnected", "{}", person.status()?);
        tray.is("Active", "network-vpn-disconnected", &["Connect to IKEv2__Gateway"]).await?;
        tray.click("Connect to IKEv2__Gateway").await?;
        tray.is_titled(connected).await?;

        // And where no agent runs, connecting starts one.
        tray.click("Disconnect").await?;
        tray.is_titled("ikeep: disconnected, IKEv2_Gateway").await?;
        drop(agent);
        tray.is_titled("ikeep: no agent").await?;
        tray.click("Connect to IKEv2__Gateway").await?;
        tray.is_titled(connected).await?;

        let memory = fs::read_to_string(format!("/proc/{}/status", tray.process.0.id()))?;
        let memory: Vec<&str> =
            memory.lines().filter(|line| line.contains("Rss") || line.contains("VmRSS")).collect();
        eprintln!("the tray's memory: {}", memory.join(", "));
        kill_process(tray.pid()?, Signal::TERM)?;
        ensure!(tray.process.0.wait()?.code() == Some(143), "its end");
        ensure!(person.status()?["state"] == "connected", "the connection goes on");
        Ok(())
    })
}

/// How often it was woken up.
fn wake_ups(process: &Process) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id()))?;
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    Ok(count.context("a count")?.trim().parse()?)
}

#[test]
fn without_a_panel_it_waits_for_one_and_it_ends_with_the_session() -> Result<()> {
    story("without_a_panel_it_waits_for_one_and_it_ends_with_the_session", async || {
        let folder = folder()?;
        let mut person = Person::new(("127.0.0.1:9".parse()?, "127.0.0.1:9".parse()?))?;
        let output = person.run(&["tray"])?;
        ensure!(output.status.code() == Some(1), "{}", said(&output));
        ensure!(said(&output).contains("session bus cannot be reached"), "{}", said(&output));

        let bus = Bus::start(&folder.path().join("bus"))?;
        person.set("DBUS_SESSION_BUS_ADDRESS", &address(&folder.path().join("bus")));
        let mut tray = Tray::start(&person, &bus, &[]).await?;
        tray.is_titled("ikeep: no agent").await?;
        let before = wake_ups(&tray.process)?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let woken = wake_ups(&tray.process)? - before;
        // Once a second it looks for an agent.
        ensure!(woken < 50, "woken up {woken} times in 5 s");
        let mut watcher = Watcher::start(&bus, folder.path()).await?;
        ensure!(watcher.registered().await? == tray.name);
        tray.click("Quit tray").await?;
        ensure!(tray.process.0.wait()?.success(), "its end");

        let mut tray = Tray::start(&person, &bus, &[]).await?;
        ensure!(watcher.registered().await? == tray.name);
        drop(bus);
        let watch = Stopwatch::start();
        loop {
            if let Some(status) = tray.process.0.try_wait()? {
                ensure!(status.success(), "{status}");
                return Ok(());
            }
            ensure!(watch.elapsed() < PATIENCE, "it goes on without a bus");
        }
    })
}
