//! `ikeep connect`.

use super::complete::hosts;
use super::dialogue::{self, Dialogue};
use super::login::Login;
use super::prompt::{Answers, Sources};
use super::{Error, Exit, Global, help, output, runtime, spawn};
use crate::agent::proxy_variables;
use crate::config::{Places, Tunnel};
use crate::ipc::{Connect, Request};
use clap::ValueEnum;
use clap_complete::ArgValueCandidates;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

/// What `ikeep connect` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CONNECT)]
pub(super) struct Command {
    /// HostName or HostAddress of a profile; without it, what was connected last
    #[arg(add = ArgValueCandidates::new(hosts))]
    host: Option<String>,
    #[command(flatten)]
    login: Login,
    /// Ask on the desktop, even where there is a terminal
    #[arg(long, hide = true)]
    desktop: bool,
    /// Keep the password in the desktop's keyring when the gateway has taken it; one-time codes are never kept
    #[arg(long)]
    remember: bool,
    /// Where packets enter and leave
    #[arg(long, value_enum)]
    tunnel: Option<Where>,
    /// Where the local proxy listens
    #[arg(long, value_name = "ADDR:PORT")]
    proxy: Option<SocketAddr>,
    /// How long to wait for the connection; the time in which you type does not count
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    wait: u32,
    /// A program to be run once there is a connection, with the proxy in its environment; the connection stays afterwards
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// [`Tunnel`] on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Where {
    /// A network device for all programs; needs the helper `ikeep-netd`
    Tun,
    /// A local SOCKS5 and HTTP proxy; needs no privilege
    Proxy,
    /// Nowhere: the session alone is kept
    None,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let tunnel = match self.tunnel {
            Some(Where::Tun) => Some(Tunnel::Tun),
            Some(Where::Proxy) => Some(Tunnel::Proxy),
            Some(Where::None) => Some(Tunnel::None),
            None => None,
        };
        if tunnel == Some(Tunnel::None) && !self.command.is_empty() {
            return Err(Error::NoTunnel);
        }
        let sources =
            Sources { desktop: self.desktop, remember: self.remember, ..self.login.sources(global)? };
        let wishes = self.login.wishes(self.host, global)?;
        let request = Request::Connect(Connect { tunnel, proxy: self.proxy, ..wishes });
        let places = Places::of_user()?;
        let wait = Duration::from_secs(self.wait.into());
        let mut dialogue = Dialogue::new(Answers::new(sources)?, wait);
        let connected = runtime::block_on(async {
            let mut client = spawn::connect_or_start(&places, global.verbose).await?;
            match dialogue.hold(&mut client, &request).await {
                Err(error) if dialogue.was_unheard(&error) => {
                    let mut next = spawn::connect_or_start(&places, global.verbose).await?;
                    dialogue.hold(&mut next, &request).await
                }
                other => other,
            }
        })?;
        let Some((program, arguments)) = self.command.split_first() else {
            output::print(&dialogue::told(&connected))?;
            return Ok(Exit::Done);
        };
        // What the program prints is its own.
        output::tell(dialogue::told(&connected).trim_end());
        let mut run = std::process::Command::new(program);
        run.args(arguments);
        if let Some(proxy) = connected.proxy {
            let variables = proxy_variables(proxy, connected.proxy_login.as_deref());
            run.envs(variables.map_err(Error::ProxyLogin)?);
        }
        // In our place: signals, the terminal and the exit code are the program's.
        let name = program.to_string_lossy().into_owned();
        Err(Error::Program { name, source: run.exec() })
    }
}
