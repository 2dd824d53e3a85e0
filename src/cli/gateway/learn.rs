//! `ikeep gateway learn HOST`.

use super::super::complete::hosts;
use super::super::prompt::{Answers, AsItWas, Sources};
use super::super::runtime::{self, Signals};
use super::super::{Error, Exit, Global, doctor, help, output};
use super::learnt;
use crate::agent::clock::Clock;
use crate::agent::learn::{self, Learnt, Person};
use crate::ipc::{Answer, Connect, Failure, FailureKind, Question};
use clap::ValueHint;
use clap_complete::ArgValueCandidates;
use std::path::PathBuf;
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
    /// The profile, instead of those that are found
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
    /// Where there is no terminal: a program that is asked for each secret, with the prompt as its argument
    #[arg(long, value_name = "PROGRAM")]
    askpass: Option<PathBuf>,
    /// Trust this root for the gateway's certificate, too; may be given several times
    #[arg(long, value_name = "CA.pem", value_hint = ValueHint::FilePath)]
    trust: Vec<PathBuf>,
    /// Do not try which attributes bring the session back: guess
    #[arg(long)]
    no_reconnect: bool,
    /// The report as one JSON document
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let sources = Sources {
            password_stdin: self.password_stdin,
            askpass: self.askpass,
            desktop: false,
            remember: false,
            user: self.user.clone(),
            config: global.config.clone(),
        };
        let wishes = Connect {
            host: Some(self.host),
            profile: self.profile,
            user: self.user,
            group: self.group,
            trust: self.trust,
            config: global.config.clone(),
            ..Connect::default()
        };
        let answers = Answers::new(sources)?;
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
            tokio::select! {
                learnt = learn::learn(&wishes, &inner, &clock, !self.no_reconnect, Typist(answers)) => learnt,
                exit = signals.wait() => Err(Error::Ended(exit)),
            }
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
    Ok(Exit::Done)
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
