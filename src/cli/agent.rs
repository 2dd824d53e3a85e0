//! `ikeep agent`.

use super::log::{Log, WrittenToTheEnd};
use super::spawn::{READY, RUNNING};
use super::{Error, Exit, Global, help, output, runtime};
use crate::agent::clock::Clock;
use crate::agent::crash;
use crate::agent::heart::Heart;
use crate::agent::run::{self, AgentError};
use crate::config::Places;
use crate::ipc::supervisor::Supervisor;
use crate::ipc::{BindError, Client, ClientError, Listener};
use rustix::fs::Mode;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

/// What `ikeep agent` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::AGENT)]
pub(super) struct Command {
    /// For `ikeep connect`: a session of its own, log files, and a word on stdout when it listens
    #[arg(long, hide = true)]
    background: bool,
    /// For a desktop's autostart folder: as --background, but only where systemd does not run this user's services
    #[arg(long, hide = true)]
    autostart: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        if self.autostart && runs_services(&places) {
            return Ok(Exit::Done);
        }
        // Whatever it writes is for this user alone.
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
        let background = self.background || self.autostart;
        let supervisor = Supervisor::of_process();
        // A terminal is the log of an agent that somebody started there.
        let to_files = background || supervisor.is_there();
        let files = if to_files { log_files(&places) } else { None };
        let stderr = (!background).then(Log::to_stderr);
        match (&files, &stderr) {
            (Some(files), Some(stderr)) => global.log_to(files.clone().and(stderr.clone())),
            (Some(log), None) | (None, Some(log)) => global.log_to(log.clone()),
            (None, None) => {}
        }
        let _at_the_end = WrittenToTheEnd(files.into_iter().chain(stderr).collect());
        crash::leave_reports(places.logs(), Clock::system());
        if !to_files {
            runtime::block_on(async { Ok(run::run(places, || ()).await?) })?;
            return Ok(Exit::Done);
        }
        if !background {
            return runtime::block_on(supervised(&places, supervisor));
        }
        // Signals of the terminal are not for it. It is a leader already where somebody started it so.
        let _ = rustix::process::setsid();
        runtime::block_on(self::background(&places))
    }
}

/// Whether a systemd of this user runs: it has its own idea of whether there is to be an agent.
fn runs_services(places: &Places) -> bool {
    places.runtime.parent().is_some_and(|folder| folder.join("systemd/private").exists())
}

/// Runs for a supervisor. Where another agent runs (`ikeep connect` has started it), its end is waited for.
async fn supervised(places: &Places, supervisor: Supervisor) -> Result<Exit, Error> {
    loop {
        match run::run(places.clone(), || ()).await {
            Err(AgentError::Bind(BindError::Running { .. })) => {}
            other => return Ok(other.map(|()| Exit::Done)?),
        }
        tracing::info!("another agent of this user runs: this one goes on when that one has ended");
        supervisor.ready("Another agent of this user runs; this one waits for its end");
        let ended = Listener::ended(places);
        tokio::pin!(ended);
        let mut heart = Heart::new(supervisor);
        loop {
            tokio::select! {
                waited = &mut ended => {
                    waited.map_err(|source| Error::Machine { what: "wait for the end of another agent", source })?;
                    break;
                }
                () = heart.due() => heart.beat(),
            }
        }
    }
}

/// Runs, unless another agent does. One that is just ending is waited for.
async fn background(places: &Places) -> Result<Exit, Error> {
    loop {
        match run::run(places.clone(), listening).await {
            Err(AgentError::Bind(BindError::Running { .. })) => {}
            other => return Ok(other.map(|()| Exit::Done)?),
        }
        match Client::connect(places).await {
            Err(ClientError::NotRunning { .. } | ClientError::Gone) => {
                let waited = Listener::ended(places).await;
                waited
                    .map_err(|source| Error::Machine { what: "wait for the end of another agent", source })?;
            }
            // Whoever asked for an agent will see what is wrong with this one.
            _ => return output::print(RUNNING).map(|()| Exit::Done),
        }
    }
}

/// The agent's log files. Where there cannot be any, it runs without.
fn log_files(places: &Places) -> Option<Log> {
    let folder = places.logs();
    let told = |error| {
        eprintln!("ikeep: warning: the agent writes no log, {} cannot be made: {error}", folder.display());
    };
    Log::to_files(folder.clone()).map_err(told).ok()
}

/// Tells whoever started it, and lets go of their streams.
fn listening() {
    let told = io::stdout().write_all(READY.as_bytes()).and_then(|()| io::stdout().flush());
    let gone = OpenOptions::new().write(true).open("/dev/null").and_then(|null| {
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        Ok(())
    });
    for error in [told, gone].into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "whoever started the agent was not told properly");
    }
}
