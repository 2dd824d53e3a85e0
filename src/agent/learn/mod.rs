//! One login that learns how a gateway speaks: `ikeep gateway learn HOST` (PROTOCOL section 3, at its end).
//!
//! It asks for every private attribute, notes what the answers are made of, and tries which two attributes bring the session
//! back: with one as IKE ID and the other as PSK, as a reconnect does. What is reported has no value, name or address of
//! anybody's; the session is ended in the end.

mod guess;
mod report;

pub use guess::Pair;
pub use report::{Attribute, Report, Tried};

use super::clock::Clock;
use super::probe::{Halt, Probe, Seen};
use super::questions::{self, Step};
use super::target::Target;
use super::walk::{Reached, Walk, login, walk_there};
use crate::crypto::Secret;
use crate::ike::eap::{EapError, Notice};
use crate::ike::initiator::{Credentials, Failure, InitiatorConfig};
use crate::ipc::{Answer, Connect, FailureKind, Question};
use std::net::IpAddr;
use std::time::Duration;

/// Pairs of attributes that are tried at most: each refusal stands in the gateway's log.
const PAIRS: usize = 4;
/// A person who answers wrongly so often does not know the password.
const FORMS: u64 = 12;
/// A login that a second server asks about takes that long at most for one exchange.
const EXCHANGE: Duration = Duration::from_secs(30);

/// What was learnt.
#[derive(Debug)]
pub struct Learnt {
    /// The way to the gateway, for the person at the keyboard: it names hosts and addresses.
    pub walk: Walk,
    /// For anybody.
    pub report: Report,
    /// Why there was no login, or what came of it; `None`: it worked.
    pub failure: Option<(FailureKind, String)>,
    /// The session's attributes, best guess; proved where [`Report::proved`] says so.
    pub pair: Option<Pair>,
}

/// Who answers the gateway's questions.
pub trait Person: Send + 'static {
    /// Why there is no answer.
    type Error: Send;

    /// Asks; blocks while the person types.
    ///
    /// # Errors
    /// Nobody can be asked, or does not want to answer.
    fn ask(&mut self, question: &Question) -> Result<Answer, Self::Error>;

    /// Shows what the gateway wants to say.
    fn tell(&mut self, text: &str);
}

/// Walks to the gateway that `wishes` mean, logs in, and tries what came back where `try_pairs` allows that. `inner`: as for
/// [`super::walk::walk`]. When `stop` is ready it ends early. However it ends, the gateway is told goodbye.
///
/// # Errors
/// The person does not answer, or `stop` was ready: what it gave.
pub async fn learn<P: Person>(
    wishes: &Connect,
    inner: &[IpAddr],
    clock: &Clock,
    try_pairs: bool,
    person: P,
    stop: impl Future<Output = P::Error>,
) -> Result<Learnt, P::Error> {
    // The login, and the reconnect that is tried.
    let mut open = (None, None);
    let learnt = tokio::select! {
        learnt = visit(wishes, inner, clock, try_pairs, person, &mut open) => learnt,
        why = stop => Err(why),
    };
    let (login, reconnect) = open;
    for probe in [reconnect, login].into_iter().flatten() {
        probe.goodbye().await;
    }
    learnt
}

/// What is to be said goodbye to in the end: the login, and the reconnect under way.
type Open<'a> = (Option<Probe<'a>>, Option<Probe<'a>>);

/// Why the login that is wanted cannot be made: another kind of login is none instead.
fn no_certificate(target: &Target) -> Option<String> {
    if target.token.is_some() {
        return Some("a key on a token signs for `ikeep connect` alone: name another certificate".to_owned());
    }
    if let Some(locked) = &target.locked {
        let file = locked.file.display();
        return Some(format!(
            "the key in {file} is protected by a passphrase, which is not asked for here: openssl pkey -in {file} -out OTHER makes \
             one without, for --key OTHER"
        ));
    }
    let lacking = target.settings.credentials().is_none();
    lacking.then(|| "this login takes a certificate: name it with --certificate FILE --key FILE".to_owned())
}

async fn visit<'a, P: Person>(
    wishes: &Connect,
    inner: &[IpAddr],
    clock: &'a Clock,
    try_pairs: bool,
    mut person: P,
    open: &mut Open<'a>,
) -> Result<Learnt, P::Error> {
    let (walk, reached) = walk_there(wishes, inner, clock).await;
    let mut report = Report::of_walk(&walk);
    let Some(reached) = reached else {
        let stop = walk.stop.as_ref().map(|stop| (stop.kind, format!("the way stops at: {}", stop.at)));
        return Ok(Learnt { walk, report, failure: stop, pair: None });
    };
    if let Some(stop) = no_certificate(&reached.target) {
        return Ok(Learnt { walk, report, failure: Some((FailureKind::Other, stop)), pair: None });
    }
    let config = InitiatorConfig {
        learn: true,
        exchange_timeout: login(&reached.target, None).exchange_timeout.max(EXCHANGE),
        ..login(&reached.target, reached.from)
    };
    let probe = match Probe::begin(config, reached.way, clock) {
        Ok(probe) => open.0.insert(probe),
        Err(error) => {
            let failure = Some((FailureKind::Other, format!("no socket can be opened: {error}")));
            return Ok(Learnt { walk, report, failure, pair: None });
        }
    };
    let mut asked = 0;
    let established = loop {
        let halt = probe.until_halt(&mut |notice| person.tell(text(&notice))).await;
        let form = match halt {
            Halt::Asked(form) => form,
            Halt::Scan(scan) => {
                let Some(scanner) = &reached.target.host_scan else { break None };
                probe.scanned(scanner.run(&reached.target.settings.host_address, &scan).await);
                continue;
            }
            Halt::Established(outcome) => break Some(outcome),
            Halt::Over => break None,
        };
        asked += 1;
        if asked > FORMS {
            probe.seen.failure = Some(Failure::Refused { what: "login", verified: true });
            break None;
        }
        let mut answers = match questions::ask(asked, &form, wishes) {
            Step::Answer(answers) => Ok(answers),
            Step::Ask(form, question) => Err((form, question)),
        };
        loop {
            let ready = match answers {
                Ok(ready) => ready,
                Err((ref mut form, ref mut question)) => {
                    question.gateway.clone_from(&reached.target.settings.host_address);
                    let (back, answer) = ask(person, (**question).clone()).await;
                    person = back;
                    form.take(&answer?).unwrap_or_default()
                }
            };
            match probe.answer(&ready) {
                Ok(()) => break,
                // What cannot be sent is asked for again, with what is wrong with it.
                Err(error) => {
                    let nothing = Connect::default();
                    let Step::Ask(form, mut question) = questions::ask(asked, &form, &nothing) else { break };
                    question.error = error.to_string();
                    answers = Err((form, question));
                }
            }
        }
    };
    report.login(&probe.seen, clock.now().wall);
    let Some(outcome) = established else {
        let failure = probe.seen.failure.as_ref().map(|failure| (kind(failure), failure.to_string()));
        return Ok(Learnt { walk, report, failure, pair: None });
    };
    report.round_trips = Some(outcome.round_trips);
    let attributes = attributes(&probe.seen);
    let pairs = guess::pairs(&attributes, &reached.target.settings.dialect);
    let mut pair = pairs.first().copied();
    if try_pairs {
        for candidate in pairs.into_iter().take(PAIRS) {
            let addresses = outcome.plan.addresses();
            let tried = comes_back(candidate, &attributes, &addresses, &reached, clock, &mut open.1).await;
            let proved = tried.is_none();
            report.tried.push(Tried { pair: candidate, refused: tried });
            if proved {
                report.proved = true;
                pair = Some(candidate);
                break;
            }
        }
    }
    report.pair = pair;
    Ok(Learnt { walk, report, failure: None, pair })
}

/// A person who types blocks a thread of their own.
async fn ask<P: Person>(person: P, question: Question) -> (P, Result<Answer, P::Error>) {
    let mut person = person;
    let typing = tokio::task::spawn_blocking(move || {
        let answer = person.ask(&question);
        (person, answer)
    });
    match typing.await {
        Ok(typed) => typed,
        // It cannot be cancelled, so it has panicked.
        Err(died) => std::panic::resume_unwind(died.into_panic()),
    }
}

fn text(notice: &Notice) -> &str {
    match notice {
        Notice::Banner(text) | Notice::Message(text) | Notice::Error(text) => text,
    }
}

/// The attributes of the last CFG_REPLY.
fn attributes(seen: &Seen) -> Vec<(u16, Secret)> {
    let replies = seen.heard.iter().rev().map(|(_, heard)| &heard.attributes);
    replies.into_iter().find(|attributes| !attributes.is_empty()).cloned().unwrap_or_default()
}

/// A new IKE SA by `pair`; it is in `open` where it comes to stand. `Some`: why it does not.
async fn comes_back<'a>(
    pair: Pair,
    attributes: &[(u16, Secret)],
    addresses: &[IpAddr],
    reached: &Reached,
    clock: &'a Clock,
    open: &mut Option<Probe<'a>>,
) -> Option<String> {
    let value = |kind| attributes.iter().find(|(k, _)| *k == kind).map(|(_, value)| value.clone());
    let (Some(id), Some(token)) = (value(pair.id), value(pair.token)) else { return Some("no value".into()) };
    let mut config = login(&reached.target, None);
    config.dialect.session_id_attribute = pair.id;
    config.dialect.session_token_attribute = pair.token;
    config.credentials = Credentials::Token { id: id.expose().to_vec(), token };
    config.addresses = addresses.to_vec();
    let probe = match Probe::begin(config, reached.way, clock) {
        Ok(probe) => open.insert(probe),
        Err(error) => return Some(error.to_string()),
    };
    match probe.until_halt(&mut |_| {}).await {
        Halt::Established(_) => None,
        Halt::Asked(_) | Halt::Scan(_) | Halt::Over => {
            let why = probe.seen.failure.as_ref().map(report::failure);
            *open = None;
            Some(why.unwrap_or("it did not come to stand").to_owned())
        }
    }
}

/// The exit code's kind.
fn kind(failure: &Failure) -> FailureKind {
    match failure {
        Failure::NoAnswer { .. } => FailureKind::NoAnswer,
        Failure::Certificate(_) | Failure::GatewayAuth | Failure::Eap(EapError::Server(_)) => {
            FailureKind::Certificate
        }
        Failure::Refused { .. } | Failure::Eap(_) => FailureKind::Authentication,
        _ => FailureKind::Other,
    }
}
