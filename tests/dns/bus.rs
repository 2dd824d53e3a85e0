//! A bus of a test's own.

use crate::interop::PATIENCE;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use tokio::time::timeout;
use zbus::export::futures_core::Stream as _;
use zbus::{Connection, MatchRule, MessageStream, connection, message};

const BUS: &str = "org.freedesktop.DBus";

/// What the bus allows: everything. It starts nothing by itself. ADDRESS is filled in.
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A process that ends with its value.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The bus.
pub(crate) struct Bus {
    address: String,
    _daemon: Process,
}

impl Bus {
    /// A bus whose socket is in this folder.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let address = format!("unix:path={}", folder.join("bus").display());
        fs::write(folder.join("bus.conf"), CONFIG.replace("ADDRESS", &address))?;
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", folder.join("bus.conf").display()))
            .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting dbus-daemon")?;
        let stdout = daemon.stdout.take().context("no stdout")?;
        let daemon = Process(daemon);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.starts_with("unix:"), "dbus-daemon said {line:?}");
        Ok(Self { address, _daemon: daemon })
    }

    /// Its address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        Ok(connection::Builder::address(self.address())?.method_timeout(PATIENCE).build().await?)
    }

    /// Starts a program, and waits until it has this name on the bus.
    pub(crate) async fn start(&self, mut program: Command, name: &str) -> Result<Process> {
        let connection = self.connect().await?;
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .interface(BUS)?
            .member("NameOwnerChanged")?
            .add_arg(name)?
            .build();
        let mut owners = MessageStream::for_match_rule(rule, &connection, None).await?;
        let program = Process(
            program
                .env("DBUS_SYSTEM_BUS_ADDRESS", self.address())
                .stdin(Stdio::null())
                .spawn()
                .with_context(|| format!("starting what is called {name}"))?,
        );
        let next = poll_fn(|context| Pin::new(&mut owners).poll_next(context));
        timeout(PATIENCE, next)
            .await
            .with_context(|| format!("{name} did not come"))?
            .context("no bus")??;
        Ok(program)
    }
}
