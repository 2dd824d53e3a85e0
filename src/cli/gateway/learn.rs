//! `ikeep gateway learn HOST`.

use super::super::complete::hosts;
use super::super::login::Login;
use super::super::prompt::{Answers, AsItWas};
use super::super::runtime::{self, Signals};
use super::super::{Error, Exit, Global, doctor, help, output};
use super::learnt;
use crate::agent::clock::Clock;
use crate::agent::learn::{self, Learnt, Person};
use crate::ipc::{Answer, Failure, FailureKind, Question};
use clap_complete::ArgValueCandidates;
use std::time::Duration;
use tokio::time::timeout;

/// An agent that does not tell its addresses in this time is not waited for.
const ASKED: Duration = Duration::from_secs(1);

/// What `ikeep gateway learn` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::LEARN)]
pub(in crate::cli) struct Command {
    /// HostName or HostAddress, as for `ikeep connect`
    #[arg(value_name = "HOST", add = ArgValueCandidates::new(hosts))]
    host: String,
    #[command(flatten)]
    login: Login,
    /// Do not try which attributes bring the session back: guess
    #[arg(long)]
    no_reconnect: bool,
    /// The report as one JSON document
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let answers = Answers::new(self.login.sources(global)?)?;
        let wishes = self.login.wishes(Some(self.host), global)?;
        // The terminal is as it was, and a program that asks is ended, whatever ends this.
        let (_terminal, _program) = (AsItWas::remember(), answers.guard());
        let clock = Clock::system();
        let learnt = runtime::block_on(async {
            let inner = timeout(ASKED, doctor::inner()).await.ok().flatten().unwrap_or_default();
            if !inner.is_empty() {
                eprintln!(
                    "ikeep: the agent has a connection: a gateway that allows one session a user ends it now"
                );
            }
            let mut signals = Signals::new()?;
            let stop = async move { Error::Ended(signals.wait().await) };
            learn::learn(&wishes, &inner, &clock, !self.no_reconnect, Typist(answers), stop).await
        })?;
        if self.json {
            output::json(&learnt::document(&learnt.report))?;
        } else {
            output::print(&learnt::text(&learnt.report))?;
        }
        end(learnt)
    }
}

/// What the person at the keyboard has to know beyond the report, and the exit code.
fn end(learnt: Learnt) -> Result<Exit, Error> {
    if let Some((kind, why)) = learnt.failure {
        if let Some(stop) = &learnt.walk.stop {
            for finding in learnt.walk.findings.iter().filter(|finding| finding.what == stop.at) {
                eprintln!("{}: {}", finding.what, output::printable(&finding.found));
                if let Some(mend) = &finding.mend {
                    eprintln!("mend it: {}", output::printable(mend));
                }
            }
        }
        return Err(Error::Refused(Failure::new(kind, format!("nothing could be learnt: {why}"))));
    }
    let Some(pair) = learnt.pair else {
        let message = "the gateway gave no session ID and token: it may not allow reconnects (`reconnect` in its IKEv2 \
                       profile); ask its administrator, with the report";
        return Err(Error::Refused(Failure::new(FailureKind::Other, message)));
    };
    eprint!("{}", learnt::config(&learnt.walk.host_address, pair, learnt.report.proved));
    Ok(if learnt.report.proved { Exit::Done } else { Exit::Unproved })
}

/// The person at the keyboard.
struct Typist(Answers);

impl Person for Typist {
    type Error = Error;

    fn ask(&mut self, question: &Question) -> Result<Answer, Error> {
        self.0.ask(question)
    }

    fn tell(&mut self, text: &str) {
        eprintln!("The gateway says: {}", output::lines(text));
    }
}
