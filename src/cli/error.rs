//! How a command ends: exit codes and errors.

use super::askpass::AskError;
use super::output::lines;
use crate::agent::run::AgentError;
use crate::bundle::BundleError;
use crate::config::profiles::FileError;
use crate::config::{ConfigError, NoHome};
use crate::ipc::{ClientError, Failure, FailureKind};
use crate::lab::LabError;
use crate::profile::NotUsable;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Exit codes (DESIGN section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Anything that has no code of its own.
    Other = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A person must log in, or the gateway refused the login.
    Authentication = 3,
    /// No answer from the gateway.
    NoAnswer = 4,
    /// The gateway's certificate was refused.
    Certificate = 5,
    /// No agent runs.
    NoAgent = 6,
    /// The profile is damaged, or not for this client.
    Profile = 7,
    /// A result that was not proved.
    Unproved = 8,
    /// Ended by SIGHUP.
    HungUp = 129,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGQUIT.
    Quit = 131,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed: what happened, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The URI of a token makes no sense.
    #[error(transparent)]
    Token(crate::pkcs11::UriError),
    /// A profile cannot be read, or is damaged.
    #[error(transparent)]
    Profile(#[from] FileError),
    /// No host of a sound profile can be used.
    #[error("{}: {why}", .file.display())]
    NotUsable {
        /// The file.
        file: PathBuf,
        /// Why the first host cannot be used.
        why: NotUsable,
    },
    /// Another profile of that name is there.
    #[error(
        "{} is there already, and is another profile: --replace puts this one in its place, --name NAME keeps both",
        .file.display()
    )]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// A profile cannot be kept.
    #[error("nothing was imported: cannot write {}", .file.display())]
    Import {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The config file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The CA of users' certificates cannot be read.
    #[error("--client-ca: {what}; {mend}")]
    ClientCa {
        /// What is wrong.
        what: String,
        /// How to mend it.
        mend: &'static str,
    },
    /// The lab cannot be built.
    #[error("the lab cannot run")]
    Lab(#[from] LabError),
    /// This user has no folders.
    #[error(transparent)]
    Home(#[from] NoHome),
    /// The agent cannot be talked to.
    #[error(transparent)]
    Agent(#[from] ClientError),
    /// The agent cannot run.
    #[error("the agent cannot run")]
    Run(#[from] AgentError),
    /// The agent did not start.
    #[error("the agent did not start: {why}")]
    NotStarted {
        /// What it said, or how it ended.
        why: String,
    },
    /// The agent, or the gateway through it, refuses.
    #[error("{}", lines(&.0.message))]
    Refused(Failure),
    /// There is a question and no terminal.
    #[error(
        "{}the login asks for {asked}, and there is no terminal to ask at: give --user and --group, and the secrets on \
         standard input with --password-stdin or from a program with --askpass", if .error.is_empty() { String::new() } else { format!("{error}; ") }
    )]
    NobodyToAsk {
        /// The labels of what is asked for.
        asked: String,
        /// What the gateway said about the last answer, or empty.
        error: String,
    },
    /// A secret is asked for, and standard input has no more lines.
    #[error(
        "{}the login asks for {label}, and standard input has no line for it: give one line for each secret that is asked \
         for", if .error.is_empty() { String::new() } else { format!("{error}; ") }
    )]
    NoLine {
        /// What is asked for.
        label: String,
        /// What the gateway said about the last answer, or empty.
        error: String,
    },
    /// A program that asks for secrets gave none.
    #[error(transparent)]
    Asking(#[from] AskError),
    /// Nothing was typed, or it cannot be read.
    #[error("no answer to the gateway's question can be read")]
    Typing {
        /// Why.
        source: io::Error,
    },
    /// The connection takes too long.
    #[error("no connection within {} s: {what}; {rest}", .wait.as_secs())]
    TooLate {
        /// How long was waited.
        wait: Duration,
        /// How far it is.
        what: String,
        /// What becomes of it.
        rest: &'static str,
    },
    /// A signal ended the command.
    #[error("ended by a signal")]
    Ended(Exit),
    /// A file of secrets is too short.
    #[error(
        "{} has {found} lines before the first empty one, but {wanted} users are named: give a line for each", .file.display()
    )]
    Passwords {
        /// The file.
        file: PathBuf,
        /// How many lines are needed.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The file of `--ppk-file`.
    #[error("--ppk-file: {0}")]
    Ppk(String),
    /// The command of `ikeep connect -- COMMAND` does not start.
    #[error("connected, but cannot run {name:?}")]
    Program {
        /// As it was named.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The command of `ikeep connect -- COMMAND` would have no way into the tunnel.
    #[error(
        "with --tunnel none nothing leads a command into the tunnel: leave that out, or take --tunnel proxy"
    )]
    NoTunnel,
    /// The file with the proxy's user and password.
    #[error("connected, but the command was not run: {0}")]
    ProxyLogin(String),
    /// The machine refuses something that every program may do.
    #[error("cannot {what}")]
    Machine {
        /// What.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// What the user wants cannot be kept.
    #[error("no agent runs, but it cannot be noted that none shall connect by itself")]
    Intent(#[from] StoreError),
    /// There is no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no desktop to show anything on.
    #[error("the session bus cannot be reached ({0}): start this inside a desktop's session")]
    Bus(Box<zbus::Error>),
    /// The desktop shows the connection already.
    #[error("a tray of this session runs already: end that one by its menu (Quit tray)")]
    Tray,
    /// Nothing more can be written.
    #[error("cannot write to standard output")]
    Output {
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// What was to be typed cannot be read. Ctrl-C at a prompt without echo arrives here.
    pub(super) fn typing(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::Interrupted => Self::Ended(Exit::Interrupted),
            _ => Self::Typing { source },
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Profile(FileError::Damaged { .. })
            | Self::NotUsable { .. }
            | Self::Lab(LabError::Host(_)) => Exit::Profile,
            Self::NobodyToAsk { .. } | Self::NoLine { .. } | Self::Typing { .. } | Self::Asking(_) => {
                Exit::Authentication
            }
            Self::Agent(ClientError::NotRunning { .. } | ClientError::Gone) => Exit::NoAgent,
            Self::Refused(failure) => match failure.kind {
                FailureKind::Authentication => Exit::Authentication,
                FailureKind::NoAnswer => Exit::NoAnswer,
                FailureKind::Certificate => Exit::Certificate,
                FailureKind::Profile => Exit::Profile,
                FailureKind::Usage => Exit::Usage,
                FailureKind::Other => Exit::Other,
            },
            Self::TooLate { .. } => Exit::NoAnswer,
            Self::Passwords { .. }
            | Self::ClientCa { .. }
            | Self::Ppk(_)
            | Self::Token(_)
            | Self::NoTunnel => Exit::Usage,
            Self::Ended(exit) => *exit,
            Self::Read { .. }
            | Self::Profile(FileError::Read { .. })
            | Self::Exists { .. }
            | Self::Import { .. }
            | Self::Config(_)
            | Self::Lab(_)
            | Self::Home(_)
            | Self::Agent(_)
            | Self::Run(_)
            | Self::NotStarted { .. }
            | Self::Machine { .. }
            | Self::Program { .. }
            | Self::ProxyLogin(_)
            | Self::Intent(_)
            | Self::Bus(_)
            | Self::Tray
            | Self::Bundle(_)
            | Self::Output { .. } => Exit::Other,
        }
    }
}
