//! A message bus of a test's own: nothing can be started on it but what the test says, and everybody may do everything.

#![allow(dead_code, reason = "each test program uses a part of this")]

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::timeout;
use zbus::export::futures_core::Stream as _;
use zbus::{Connection, MatchRule, MessageStream, connection, message};

/// Longest wait for anything that passes on the bus.
const PATIENCE: Duration = Duration::from_secs(20);

/// ADDRESS and SERVICES are filled in. Whether it is somebody's system bus or session bus is told to its clients, not to itself.
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>ADDRESS</listen>
  <servicedir>SERVICES</servicedir>
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

/// The address of a bus with this socket.
pub(crate) fn address(socket: &Path) -> String {
    format!("unix:path={}", socket.display())
}

/// The bus.
pub(crate) struct Bus {
    address: String,
    _daemon: Process,
}

impl Bus {
    /// A bus with this socket, which listens; its configuration is put beside it, and so may be `NAME.service` files in a
    /// folder `services`.
    pub(crate) fn start(socket: &Path) -> Result<Self> {
        let address = address(socket);
        let config = socket.with_extension("conf");
        let services = socket.with_file_name("services").display().to_string();
        fs::write(&config, CONFIG.replace("ADDRESS", &address).replace("SERVICES", &services))?;
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting dbus-daemon")?;
        let stdout = daemon.stdout.take().context("no stdout")?;
        let daemon = Process(daemon);
        // It says where it listens once it does.
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

    /// Starts a program for which this is the system bus, and waits until it has this name on it.
    pub(crate) async fn start_named(&self, mut program: Command, name: &str) -> Result<Process> {
        let connection = self.connect().await?;
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .interface("org.freedesktop.DBus")?
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
