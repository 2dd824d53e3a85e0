//! Programs that ask a person for a secret: an askpass program, and what every such program has in common.
//!
//! They are started without a shell, have a time limit, and are ended when the command ends before them. What they say on
//! standard output is the secret: it goes through zeroized buffers only.

use super::prompt::line;
use crate::crypto::Secret;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A person who has not typed within this time has gone.
pub(super) const LIMIT: Duration = Duration::from_secs(180);
/// Names the program, as SSH_ASKPASS does for ssh.
pub(super) const VARIABLE: &str = "IKEEP_ASKPASS";

/// Why a program gave no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It cannot be started.
    #[error(
        "the program {program}, which was to ask for {label}, cannot be started ({source}): name another one with --askpass, \
         {VARIABLE} or [agent] askpass, by its absolute path"
    )]
    Start {
        /// The program.
        program: String,
        /// What it was to ask for.
        label: String,
        /// Why; told in the text.
        #[source]
        source: io::Error,
    },
    /// It ended without a secret, as it does when a person presses Cancel.
    #[error("no {label} was given: {program} ended with {how}")]
    Ended {
        /// The program.
        program: String,
        /// What it asked for.
        label: String,
        /// Its exit status.
        how: ExitStatus,
    },
    /// The person pressed Cancel.
    #[error("no {label} was given: the question was cancelled")]
    Cancelled {
        /// What was asked for.
        label: String,
    },
    /// Nobody typed.
    #[error("no {label} was given: {program} did not answer within {} s", .limit.as_secs())]
    Late {
        /// The program.
        program: String,
        /// What it asked for.
        label: String,
        /// Its time.
        limit: Duration,
    },
    /// It said something that is not an answer.
    #[error("{program} cannot ask for {label}: {why}")]
    Refused {
        /// The program.
        program: String,
        /// What it was to ask for.
        label: String,
        /// What it said.
        why: String,
    },
}

/// The programs of a command that run now: one at a time. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<Option<Child>>>);

impl Running {
    /// Ends the program that runs when it is dropped, if one does.
    pub(super) fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<Child>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&self) {
        self.with(|child| {
            if let Some(group) = child.as_ref().and_then(pid) {
                // It is not waited for yet, so the number is still its own.
                let _ = kill_process_group(group, Signal::TERM);
            }
        });
    }
}

/// See [`Running::guard`].
pub(super) struct Guard(Running);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// A program with its arguments, and what it asks for.
pub(super) struct Asker<'a> {
    pub(super) words: &'a [String],
    pub(super) label: &'a str,
    pub(super) limit: Duration,
}

impl Asker<'_> {
    pub(super) fn program(&self) -> String {
        self.words.first().cloned().unwrap_or_default()
    }

    /// Starts the program with `more` as its last arguments, and talks with it; its exit status is given too.
    pub(super) fn converse<T: Send + 'static>(
        &self,
        running: &Running,
        more: &[&str],
        talk: impl FnOnce(ChildStdin, ChildStdout) -> io::Result<T> + Send + 'static,
    ) -> Result<(T, ExitStatus), AskError> {
        let (program, label) = (self.program(), self.label.to_owned());
        let start = |source| AskError::Start { program: program.clone(), label: label.clone(), source };
        let mut command = Command::new(&program);
        // A group of its own, so that what it starts ends with it.
        command.args(self.words.iter().skip(1)).args(more).process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(start)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(start(io::ErrorKind::BrokenPipe.into()));
        };
        let group = pid(&child);
        running.with(|slot| *slot = Some(child));
        let (tell, heard) = channel();
        let slot = running.clone();
        std::thread::spawn(move || {
            let said = talk(stdin, stdout);
            if let Some(pid) = group {
                // Its number stays taken until it is taken out of the slot, so nobody ends a stranger.
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            }
            let status = slot.with(Option::take).map(|mut child| child.wait());
            let _ = tell.send((said, status));
        });
        let refused = |why: String| AskError::Refused { program: program.clone(), label: label.clone(), why };
        match heard.recv_timeout(self.limit) {
            Ok((Ok(said), Some(Ok(status)))) => Ok((said, status)),
            Ok((Err(error), Some(Ok(status)))) if status.success() => Err(refused(error.to_string())),
            Ok((Err(_), Some(Ok(how)))) => Err(AskError::Ended { program, label, how }),
            Ok((_, Some(Err(error)))) => Err(refused(error.to_string())),
            Err(RecvTimeoutError::Timeout) => {
                running.end();
                Err(AskError::Late { program, label, limit: self.limit })
            }
            Ok((_, None)) | Err(RecvTimeoutError::Disconnected) => Err(refused("it is gone".to_owned())),
        }
    }

    /// Asks by an askpass program: `prompt` is its last argument, and its first line of output is the secret.
    pub(super) fn ask(&self, running: &Running, prompt: &str) -> Result<Secret, AskError> {
        let talk = |stdin: ChildStdin, mut stdout: ChildStdout| {
            drop(stdin);
            let first = line(&mut stdout)?;
            // A program that cannot write to its end would seem to have failed.
            while line(&mut stdout)?.is_some() {}
            Ok(first)
        };
        let (program, label) = (self.program(), self.label.to_owned());
        match self.converse(running, &[prompt], talk)? {
            (Some(secret), how) if how.success() => Ok(secret),
            (None, how) if how.success() => {
                let why = "it ended without a line on its standard output".to_owned();
                Err(AskError::Refused { program, label, why })
            }
            (_, how) => Err(AskError::Ended { program, label, how }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt as _;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script, "askpass"].map(str::to_owned).to_vec()
    }

    fn ask(words: &[String], limit: Duration) -> Result<Secret, AskError> {
        Asker { words, label: "Password", limit }.ask(&Running::default(), "Password for $(me): ")
    }

    #[test]
    fn the_first_line_is_the_secret_and_the_prompt_is_an_argument() {
        let secret = ask(&shell("printf '%s\\r\\nmore\\n' \"$1\""), LIMIT).unwrap();
        assert_eq!(secret.expose(), b"Password for $(me): ");
    }

    #[test]
    fn what_goes_wrong_is_told_without_what_was_said() {
        for (script, expected) in [
            ("echo hunter2; exit 1", "no Password was given: sh ended with exit status: 1"),
            ("exit 0", "without a line"),
            ("printf 'hunter2\\377\\n'", "not UTF-8"),
        ] {
            let text = ask(&shell(script), LIMIT).unwrap_err().to_string();
            assert!(text.contains(expected) && !text.contains("hunter"), "{text}");
        }
        let text = ask(&["/nonexistent/askpass".into()], LIMIT).unwrap_err().to_string();
        assert!(text.contains("/nonexistent/askpass") && text.contains("--askpass"), "{text}");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        let temp = tempfile::tempdir().unwrap();
        let fifo = temp.path().join("alive");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        // Whoever holds the pipe open for writing is alive; both do.
        let script = format!("exec 3<>'{}'; sleep 100 & sleep 100", fifo.display());
        let reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        let error = ask(&shell(&script), Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, AskError::Late { .. }), "{error}");
        drop(reader);
        // Opening a pipe that nobody writes to would wait for ever. Its end comes when the last writer has gone.
        // This hangs if one stays.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut pipe = std::fs::OpenOptions::new().read(true).custom_flags(nonblock).open(&fifo).unwrap();
        let mut rest = Vec::new();
        rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::empty()).unwrap();
        io::Read::read_to_end(&mut pipe, &mut rest).unwrap();
    }
}
