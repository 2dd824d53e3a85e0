//! The talk with the agent from a request for a connection until there is one, or none.

use super::output::{lines, printable, tell};
use super::prompt::{Answers, AsItWas};
use super::runtime::Signals;
use super::{Error, Exit};
use crate::agent::clock::Clock;
use crate::ipc::{Client, ClientError, Connected, NoticeKind, Question, Reply, Request};
use std::io::{self, IsTerminal as _};
use std::time::Duration;

/// How long, and with whose answers.
pub(super) struct Dialogue {
    /// Answers the gateway's questions; with the thread that asks while it does.
    answers: Option<Answers>,
    /// How long a connection may take; the time in which a person types does not count.
    wait: Duration,
    /// The agent has said something.
    begun: bool,
}

/// What the agent said last.
struct Progress {
    terminal: bool,
    /// Name and text of the state.
    state: (String, String),
}

/// What a reply asks for.
enum Heard {
    /// Nothing.
    Nothing,
    /// An answer.
    Question(Question),
    /// No more.
    Connected(Connected),
}

impl Dialogue {
    pub(super) fn new(answers: Answers, wait: Duration) -> Self {
        Self { answers: Some(answers), wait, begun: false }
    }

    /// The agent went away without a word: it was just ending, and the next one may be asked the same.
    pub(super) fn was_unheard(&self, error: &Error) -> bool {
        !self.begun && matches!(error, Error::Agent(ClientError::Gone))
    }

    /// Sends `request` and goes through with it.
    ///
    /// # Errors
    /// The agent or the gateway refuses, nobody answers a question, it takes too long, or the person ends it: then the agent
    /// ends a login that is under way.
    pub(super) async fn hold(&mut self, client: &mut Client, request: &Request) -> Result<Connected, Error> {
        let result = self.talk(client, request).await;
        let failure = match &result {
            Ok(_) => None,
            Err(Error::Refused(failure)) => Some(failure.clone()),
            Err(_) => return result,
        };
        if let Some(mut answers) = self.answers.take() {
            let told = tokio::task::spawn_blocking(move || {
                match failure {
                    None => answers.connected(),
                    Some(failure) => answers.failed(&failure),
                }
                answers
            });
            self.answers = told.await.ok();
        }
        result
    }

    async fn talk(&mut self, client: &mut Client, request: &Request) -> Result<Connected, Error> {
        let wait = self.wait;
        let mut signals = Signals::new()?;
        let clock = Clock::system();
        let mut progress = Progress::new();
        let mut left = wait;
        client.send(request).await?;
        loop {
            let begun = clock.now().at;
            let heard = tokio::select! {
                reply = client.recv() => progress.hear(reply?)?,
                () = tokio::time::sleep(left) => return Err(progress.too_late(wait)),
                exit = signals.wait() => return Err(Error::Ended(exit)),
            };
            self.begun = true;
            left = left.saturating_sub(clock.now().at.since(begun));
            let mut question = match heard {
                Heard::Nothing => continue,
                Heard::Connected(connected) => return Ok(connected),
                Heard::Question(question) => question,
            };
            loop {
                // Dropped too when this ends before the person does.
                let _terminal = AsItWas::remember();
                let Some(mut answers) = self.answers.take() else { return Err(Error::Ended(Exit::Other)) };
                let _program = answers.guard();
                let mut typing = tokio::task::spawn_blocking(move || {
                    let answer = answers.ask(&question);
                    (answers, answer)
                });
                let mut newer = None;
                let (back, answer) = loop {
                    tokio::select! {
                        typed = &mut typing => break typed.map_err(|_| Error::Ended(Exit::Other))?,
                        reply = client.recv() => match progress.hear(reply?)? {
                            Heard::Nothing => {}
                            Heard::Connected(connected) => return Ok(connected),
                            Heard::Question(question) => newer = Some(question),
                        },
                        exit = signals.wait() => return Err(Error::Ended(exit)),
                    }
                };
                self.answers = Some(back);
                let answer = answer?;
                match newer {
                    // The agent does not want the answer to the older one any more.
                    Some(newer) => question = newer,
                    None => {
                        client.send(&Request::Answer(answer)).await?;
                        break;
                    }
                }
            }
        }
    }
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), state: <(String, String)>::default() }
    }

    fn hear(&mut self, reply: Reply) -> Result<Heard, Error> {
        match reply {
            Reply::State { state, text } => {
                if self.terminal {
                    tell(&printable(&text));
                }
                self.state = (state, text);
            }
            Reply::Ask(question) => return Ok(Heard::Question(question)),
            Reply::Notice { kind: NoticeKind::Banner, text } => tell(&lines(&text)),
            Reply::Notice { kind: NoticeKind::Gateway, text } => {
                tell(&format!("The gateway says: {}", lines(&text)))
            }
            Reply::Notice { kind: NoticeKind::Warning, text } => {
                tell(&format!("ikeep: warning: {}", lines(&text)))
            }
            Reply::Connected(connected) => return Ok(Heard::Connected(connected)),
            Reply::Failed(failure) => return Err(Error::Refused(failure)),
            // A newer agent may have more to say within this protocol.
            _ => {}
        }
        Ok(Heard::Nothing)
    }

    fn too_late(&self, wait: Duration) -> Error {
        let (state, text) = &self.state;
        let what = if text.is_empty() { "the agent has said nothing yet".into() } else { printable(text) };
        let login = matches!(state.as_str(), "" | "connecting");
        Error::TooLate {
            wait,
            what,
            rest: if login {
                "the login is given up: look at the network and at the gateway's name, or give more time with --wait"
            } else {
                "the agent goes on: `ikeep status` tells how far it is, `ikeep disconnect` ends it"
            },
        }
    }
}

/// One line for people.
pub(super) fn told(connected: &Connected) -> String {
    let how = match (connected.already, connected.by_token) {
        (true, _) => "Already connected",
        (false, true) => "Connected by token",
        (false, false) => "Connected",
    };
    let parts = [connected.addresses.join(", "), connected.tunnel.clone()];
    let parts: Vec<String> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| printable(part)).collect();
    let rest = if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) };
    format!("{how} to {}{rest}\n", printable(&connected.host))
}
