//! `ikeep pkcs11-helper`: one request to a PKCS#11 module, in a process that knows nothing else.

use super::{Error, Exit};
use crate::agent::run::keep_secrets_in;
use crate::crypto::Secret;
use crate::pkcs11::{Done, MAX_MESSAGE, MAX_PIN, Request, TokenError, serve};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use zeroize::Zeroizing;

/// It has no arguments: what it is to do comes on standard input, see [`Request`].
#[derive(Debug, clap::Args)]
pub(super) struct Command {}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let machine = |source| Error::Machine { what: "speak with a token", source };
        keep_secrets_in();
        // Nobody waits for a card whose agent is gone.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| machine(error.into()))?;
        let answer = own_output().map_err(machine)?;
        let done = ask().map_err(machine)?;
        tell(answer, &done).map_err(machine)?;
        Ok(Exit::Done)
    }
}

/// Standard output, which a module then has no way to write to.
fn own_output() -> io::Result<File> {
    let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(own.into())
}

fn ask() -> io::Result<Result<Done, TokenError>> {
    // Without a buffer of its own, so that no copy of the PIN is left.
    let input = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let mut input = BufReader::with_capacity(1, input);
    let mut line = Vec::new();
    input.by_ref().take(MAX_MESSAGE as u64).read_until(b'\n', &mut line)?;
    let request: Request = serde_json::from_slice(&line)?;
    let mut pin = Zeroizing::new(Vec::with_capacity(MAX_PIN + 1));
    if request.pin {
        input.take(MAX_PIN as u64).read_to_end(&mut pin)?;
    }
    let pin = request.pin.then(|| Secret::from(&pin[..]));
    Ok(serve(&request, pin.as_ref()))
}

fn tell(mut to: File, done: &Result<Done, TokenError>) -> io::Result<()> {
    let mut line = serde_json::to_vec(done)?;
    line.push(b'\n');
    to.write_all(&line)
}
