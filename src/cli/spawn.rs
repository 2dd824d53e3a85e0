//! A line to the agent, which is started where none runs.
//!
//! The agent is a child of its own session. It says on its standard output that it listens, and only then lets go of the
//! streams it was born with; what it says on standard error before that is shown to the person.

use super::{Error, Exit};
use crate::config::Places;
use crate::ipc::supervisor::ENVIRONMENT;
use crate::ipc::{Client, ClientError};
use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An agent that has not said within this time that it listens will not.
const START: Duration = Duration::from_secs(20);
/// Starts before giving up: an agent that was found may be just ending.
const TRIES: usize = 3;
/// Most that is read of what a child says, octets.
const LONGEST: u64 = 64 << 10;

/// The agent listens.
pub(super) const READY: &str = "ready\n";
/// Another one does.
pub(super) const RUNNING: &str = "running\n";

/// The agent of this user; one is started where none runs. `verbose` is handed on.
pub(super) async fn connect_or_start(places: &Places, verbose: u8) -> Result<Client, Error> {
    for _ in 0..TRIES {
        match Client::connect(places).await {
            Err(ClientError::NotRunning { .. } | ClientError::Gone) => start(verbose).await?,
            other => return Ok(other?),
        }
    }
    Ok(Client::connect(places).await?)
}

/// Starts an agent and waits until it, or another one, listens.
async fn start(verbose: u8) -> Result<(), Error> {
    let machine = |source| Error::Machine { what: "start the agent", source };
    let program = std::env::current_exe().map_err(machine)?;
    let mut command = Command::new(program);
    command.args(["agent", "--background"]).args((0..verbose).map(|_| "--verbose"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
    // Somebody else's supervisor is none of the agent's.
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    let mut child = command.spawn().map_err(machine)?;
    let streams = (child.stdout.take(), child.stderr.take());
    let birth = tokio::task::spawn_blocking(move || {
        let (mut said, mut errors) = (String::new(), String::new());
        // Both end when it is ready, or dead.
        if let Some(out) = streams.0 {
            out.take(LONGEST).read_to_string(&mut said)?;
        }
        if let Some(err) = streams.1 {
            err.take(LONGEST).read_to_string(&mut errors)?;
        }
        io::Result::Ok((said, errors))
    });
    match tokio::time::timeout(START, birth).await {
        Ok(Ok(Ok((said, errors)))) if said == READY || said == RUNNING => {
            // It goes on, but not as it should.
            eprint!("{errors}");
            Ok(())
        }
        Ok(Ok(Ok((_, errors)))) => Err(failed(child, errors)),
        Ok(Ok(Err(source))) => Err(machine(source)),
        Ok(Err(_)) => Err(Error::Ended(Exit::Other)),
        Err(_) => {
            // It may come up later, but nobody would know of it.
            let _ = child.kill();
            Err(failed(child, format!("it did not listen within {} s", START.as_secs())))
        }
    }
}

fn failed(mut child: Child, errors: String) -> Error {
    let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    let errors = errors.trim().trim_start_matches("ikeep: ").to_owned();
    Error::NotStarted { why: if errors.is_empty() { status } else { errors } }
}
