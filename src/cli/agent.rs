//! `ikeep agent`.

use super::spawn::{READY, RUNNING};
use super::{Error, Exit, Global, help, output, runtime};
use crate::agent::run::{self, AgentError};
use crate::config::Places;
use crate::ipc::{BindError, Client, ClientError, Listener};
use rustix::fs::Mode;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};

/// Log files that are kept, one a day.
const LOGS: usize = 7;

/// What `ikeep agent` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::AGENT)]
pub(super) struct Command {
    /// For `ikeep connect`: a session of its own, log files, and a word on stdout when it listens
    #[arg(long, hide = true)]
    background: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        // Whatever it writes is for this user alone.
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
        if !self.background {
            global.log_more(1);
            runtime::block_on(async { Ok(run::run(places, || ()).await?) })?;
            return Ok(Exit::Done);
        }
        // Signals of the terminal are not for it. It is a leader already where somebody started it so.
        let _ = rustix::process::setsid();
        let _written_to_the_end = match log_file(&places.logs()) {
            Ok((log, guard)) => {
                global.log_to(log);
                Some(guard)
            }
            Err(error) => {
                let folder = places.logs();
                eprintln!(
                    "ikeep: warning: the agent writes no log, {} cannot be made: {error}",
                    folder.display()
                );
                None
            }
        };
        runtime::block_on(background(&places))
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

/// The agent's log files, in a folder of this user's.
fn log_file(folder: &Path) -> io::Result<(NonBlocking, WorkerGuard)> {
    Places::make_private(folder)?;
    let builder = RollingFileAppender::builder().rotation(Rotation::DAILY).max_log_files(LOGS);
    let file = builder.filename_prefix("agent").filename_suffix("log").build(folder);
    file.map(tracing_appender::non_blocking).map_err(io::Error::other)
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
