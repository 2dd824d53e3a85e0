//! `ikeep connect`.

use super::complete::hosts;
use super::dialogue::{self, Dialogue};
use super::prompt::{Answers, Sources};
use super::{Error, Exit, Global, help, output, runtime, spawn};
use crate::config::{Places, Tunnel};
use crate::ipc::{Connect, Request};
use clap::{ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `ikeep connect` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CONNECT)]
pub(super) struct Command {
    /// HostName or HostAddress of a profile; without it, what was connected last
    #[arg(add = ArgValueCandidates::new(hosts))]
    host: Option<String>,
    /// The AnyConnect profile; without it, the profiles of this user and of the vendor's folders are searched for HOST
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,
    /// The user's name, so that it is not asked for
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The group, so that it is not asked for
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Take each secret that is asked for from a line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Where there is no terminal: a program that is asked for each secret, with the prompt as its argument; its first line of
    /// output is the secret
    #[arg(long, value_name = "PROGRAM")]
    askpass: Option<PathBuf>,
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
    /// Trust the roots in this PEM file too; may be given several times
    #[arg(long = "trust", value_name = "CA.pem", value_hint = ValueHint::FilePath)]
    trust: Vec<PathBuf>,
    /// Your certificate, a PEM file, where the profile says IKE-RSA or IKE-ECDSA
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    certificate: Option<PathBuf>,
    /// The certificate's private key, a PEM file that nobody else can read; without it, it is in the certificate's file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "certificate")]
    key: Option<PathBuf>,
    /// How long to wait for the connection; the time in which you type does not count
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    wait: u32,
}

/// [`Tunnel`] on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Where {
    /// A network device for all programs; needs the helper `ikeep-netd`
    Tun,
    /// A local SOCKS5 proxy; needs no privilege
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
        let config = global.config.as_deref().map(absolute).transpose()?;
        let sources = Sources {
            password_stdin: self.password_stdin,
            askpass: self.askpass,
            desktop: self.desktop,
            remember: self.remember,
            user: self.user.clone(),
            config: config.clone(),
        };
        let request = Request::Connect(Connect {
            host: self.host,
            profile: self.profile.as_deref().map(absolute).transpose()?,
            user: self.user,
            group: self.group,
            tunnel,
            proxy: self.proxy,
            trust: self.trust.iter().map(|file| absolute(file)).collect::<Result<_, _>>()?,
            certificate: self.certificate.as_deref().map(absolute).transpose()?,
            key: self.key.as_deref().map(absolute).transpose()?,
            config,
            ..Connect::default()
        });
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
        output::print(&dialogue::told(&connected))?;
        Ok(Exit::Done)
    }
}

/// The agent has another working folder.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Read { file: path.to_owned(), source })
}
