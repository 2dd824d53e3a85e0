//! The event log of one connection: what the client tells, in the seed's words (PROTOCOL section 7).

use crate::client::{Event, Reconnected};
use crate::ike::eap::{EapError, Form, Notice};
use crate::ike::initiator::Failure;
use crate::journal::{Entry, Kind, Limiter, Place, Reason, Recorder, Source, Verdict};
use crate::reconnect::{Cause, Pause, State, Why};
use crate::time::Now;
use std::time::Duration;

/// Of failures and thrown-away datagrams so many are told one by one ..
const MOST: u32 = 10;
/// .. in this time.
const INTERVAL: Duration = Duration::from_secs(60);

/// What may come in numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Often {
    Failure,
    Dropped,
}

impl Often {
    fn what(self) -> &'static str {
        match self {
            Self::Failure => "A connection attempt failed",
            Self::Dropped => "Datagrams were thrown away",
        }
    }
}

/// Writes the event log of one connection.
#[derive(Debug)]
pub struct Reporter {
    log: Recorder,
    host: String,
    limiter: Limiter<Often>,
    last_failure: Option<Failure>,
}

impl Reporter {
    /// For connections to the host of this HostName.
    pub fn new(log: Recorder, host: &str) -> Self {
        Self { log, host: host.to_owned(), limiter: Limiter::new(MOST, INTERVAL), last_failure: None }
    }

    /// The settings that count, at the start.
    pub fn preferences(&mut self, now: Now, settings: &[(&'static str, String)]) {
        self.log.write(Entry::preferences(now.wall, settings));
    }

    /// A line of the agent's own.
    pub fn say(&mut self, now: Now, kind: Kind, text: &str) {
        self.tell(now, kind, text);
    }

    /// A reason, with its code.
    pub fn explain(&mut self, now: Now, reason: Reason) {
        self.log.write(Entry::reason(now.wall, reason));
    }

    /// Tells an event of the client's.
    pub fn event(&mut self, now: Now, event: &Event) {
        let wall = now.wall;
        for (often, count) in self.limiter.due(now.at) {
            self.log.write(Entry::repeated(wall, Source::Agent, often.what(), count));
        }
        match event {
            Event::State(State::Connected) => self.log.write(Entry::connected_to(wall, &self.host)),
            // Where somebody else ends it, the end itself is told.
            Event::State(State::Disconnecting { why: None, .. }) => {
                self.log.write(Entry::reason(wall, Reason::UserDisconnect))
            }
            Event::State(State::CaptivePortal(_)) => {
                let text = format!(
                    "This network wants a log-in in a web browser first (captive portal); {} is tried again after that.",
                    self.host
                );
                self.log.write(Entry::reason(wall, Reason::CaptivePortal));
                self.log.write(Entry::message_to_user(wall, &text));
            }
            Event::State(State::Suspended { pause: Pause::TrustedNetwork, .. }) => {
                let text = "In this trusted network the connection rests, as the profile wants; it comes back when the \
                            network is left.";
                self.log.write(Entry::message_to_user(wall, text));
            }
            Event::State(state) => self.tell(now, Kind::Information, &format!("State: {}.", state.name())),
            Event::Trouble(cause) => self.trouble(now, *cause),
            Event::Ask(form) => self.log.write(Entry::message_to_user(wall, &question(form))),
            Event::Notice(Notice::Banner(text)) => self.log.write(Entry::banner(wall, text)),
            Event::Notice(Notice::Message(text) | Notice::Error(text)) => {
                self.log.write(Entry::message_to_user(wall, text));
            }
            Event::UsingIkeId(id) => {
                let place = Place { function: "Reporter::event", file: file!(), line: line!() };
                self.log.write(Entry::using_ike_id(wall, place, id));
            }
            Event::UsingTicket => self.tell(now, Kind::Information, "Using a ticket for reconnect."),
            Event::GatewayVerified(subject) => {
                let text = format!("The certificate of the secure gateway was verified: {subject}");
                self.tell(now, Kind::Information, &text);
            }
            Event::Established { .. } => {
                self.last_failure = None;
                self.log.write(Entry::established(wall));
            }
            Event::Reconnected(reconnected) => self.tell(now, Kind::Information, &sentence(reconnected)),
            Event::Plan { changed, .. } if !changed.is_empty() => {
                self.log.write(Entry::reason(wall, Reason::NewPlan));
                self.tell(now, Kind::Information, &format!("Changed: {}.", changed.join(", ")));
            }
            Event::NoToken => {
                let text = "The secure gateway gave neither a usable session token nor a ticket: there will be no reconnect without a login.";
                self.tell(now, Kind::Warning, text);
            }
            Event::EraseSession => self.tell(now, Kind::Information, "The stored session was erased."),
            Event::Failed(failure) => self.failed(now, failure),
            Event::Redirected { to } => {
                let text = format!("The secure gateway sends the login to another one: {to}.");
                self.tell(now, Kind::Information, &text);
            }
            Event::WantedElsewhere { to } => {
                let text = format!(
                    "The secure gateway wants this client at another one, {to}, and may end the connection. It goes on until \
                     then; the other one needs a new login: `ikeep disconnect`, then `ikeep connect`."
                );
                self.tell(now, Kind::Warning, &text);
            }
            Event::ChildDoubted => {
                let text = "The secure gateway answers, but nothing comes back through the tunnel: its keys are renewed, to see \
                            whether the gateway still has them.";
                self.tell(now, Kind::Information, text);
            }
            Event::LoginWanted { within } => {
                let text = format!(
                    "The secure gateway ends this connection in {} s unless you log in again: `ikeep disconnect`, then \
                     `ikeep connect`. There is neither a session token nor a ticket to do it without you.",
                    within.as_secs()
                );
                self.log.write(Entry::message_to_user(wall, &text));
            }
            Event::Moved => self.log.write(Entry::reason(wall, Reason::Moved)),
            Event::NotMoved { why } => {
                let text = format!("The secure gateway did not take the new address of this machine: {why}.");
                self.tell(now, Kind::Warning, &text);
            }
            Event::IkeRekeyed | Event::ChildRekeyed => self.log.write(Entry::reason(wall, Reason::Rekeyed)),
            Event::Ended(why) => self.log.write(Entry::reason(wall, self.reason(*why))),
            Event::Dropped { count, reason }
                if self.limiter.check(now.at, &Often::Dropped) == Verdict::Pass =>
            {
                let text = format!("{count} datagram(s) were thrown away, the latest because: {reason}");
                self.tell(now, Kind::Warning, &text);
            }
            // Never told: keys are written where the user wants them and nowhere else.
            Event::IkeKeys(_) | Event::EspKeys(_) => {}
            // A question to the shell.
            Event::LookUp(_) | Event::Scan { .. } | Event::Sign { .. } => {}
            // Told by others: a plan that did not change, the session in the store, the DELETE (a trouble follows), what a
            // silence turns out to be.
            Event::Silent
            | Event::Unanswered
            | Event::Plan { .. }
            | Event::StoreSession(_)
            | Event::DeletedByGateway
            | Event::Dropped { .. } => {}
        }
    }

    fn trouble(&mut self, now: Now, cause: Cause) {
        if cause == Cause::Resume {
            self.log.write(Entry::resumed(now.wall));
        }
        self.log.write(Entry::reason(now.wall, cause.into()));
        self.log.write(Entry::reconnecting_to(now.wall, &self.host));
    }

    fn failed(&mut self, now: Now, failure: &Failure) {
        self.last_failure = Some(failure.clone());
        if self.limiter.check(now.at, &Often::Failure) == Verdict::Pass {
            self.tell(now, Kind::Warning, &format!("{}: {failure}", Often::Failure.what()));
        }
    }

    /// A login fails for reasons that the person must tell apart.
    fn reason(&self, why: Why) -> Reason {
        match (why, &self.last_failure) {
            (
                Why::LoginFailed,
                Some(Failure::Certificate(_) | Failure::GatewayAuth | Failure::Eap(EapError::Server(_))),
            ) => Reason::CertificateRefused,
            (Why::LoginFailed, Some(Failure::NoAnswer { .. })) => Reason::NoAnswer,
            _ => why.into(),
        }
    }

    fn tell(&mut self, now: Now, kind: Kind, text: &str) {
        self.log.write(Entry::new(now.wall, kind, Source::Agent, text));
    }
}

/// The form without its inputs' values: there are none yet.
fn question(form: &Form) -> String {
    let texts = [&form.title, &form.banner, &form.message, &form.error];
    let texts: Vec<&str> =
        texts.into_iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    if texts.is_empty() { "Please answer the gateway's questions.".to_owned() } else { texts.join("\n") }
}

fn sentence(r: &Reconnected) -> String {
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let how = if r.old_sa {
        "the old SA went on".to_owned()
    } else {
        format!("a new SA in {} round trips, {}", r.round_trips, seconds(r.handshake))
    };
    format!(
        "The connection is back after {} (noticed after {}): {how}.",
        seconds(r.outage),
        seconds(r.detect)
    )
}

#[cfg(test)]
mod tests;
