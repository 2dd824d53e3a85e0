//! Which transitions were seen, and how often.

use super::table::ALLOWED;
use ikeep::client::Event;
use ikeep::ike::eap::EapError;
use ikeep::ike::initiator::Failure;
use ikeep::reconnect::Cause;
use std::collections::BTreeMap;

/// What the client was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    Connect,
    Disconnect,
    Reconnect,
    Answer,
    Path,
    NoPath,
    Addresses,
    Portal,
    Open,
    Trusted,
    Left,
    Suspend,
    Resume,
    Datagram,
    Time,
    Start,
}

/// What of it mattered: an input, told apart by what the client said to it.
#[derive(Default)]
pub(crate) struct Told {
    cue: Option<&'static str>,
}

impl Told {
    /// The first telling event counts.
    pub(crate) fn hear(&mut self, event: &Event) {
        let cue = match event {
            Event::Established { .. } => "up",
            Event::DeletedByGateway => "gateway deleted",
            Event::Trouble(Cause::ChildDelete) => "child deleted",
            Event::Trouble(Cause::Outage) => "outage",
            Event::Trouble(Cause::Renewal) => "renewal",
            Event::Failed(Failure::NoAnswer { .. } | Failure::Protocol(_)) => "no answer",
            // A gateway that has another method than the profile's will not have us, either.
            Event::Failed(
                Failure::Refused { .. } | Failure::Ticket | Failure::Eap(EapError::NotOffered { .. }),
            ) => "refused",
            Event::Failed(Failure::Certificate(_) | Failure::GatewayAuth | Failure::Ppk(_)) => "untrusted",
            Event::Failed(Failure::Child(_)) => "no child",
            Event::Failed(Failure::Eap(_)) => "login refused",
            Event::EraseSession => "session over",
            _ => return,
        };
        self.cue.get_or_insert(cue);
    }

    pub(crate) fn cue(&self, input: Input) -> &'static str {
        match (input, self.cue) {
            (Input::Datagram | Input::Time | Input::Answer, Some(cue)) => cue,
            (Input::Datagram, None) => "datagram",
            (Input::Time, None) => "time",
            (Input::Answer, None) => "answer",
            (Input::Connect, _) => "connect",
            (Input::Disconnect, _) => "disconnect",
            (Input::Reconnect, _) => "reconnect",
            (Input::Path, _) => "path",
            (Input::NoPath, _) => "no path",
            (Input::Addresses, _) => "addresses",
            (Input::Portal, _) => "portal",
            (Input::Open, _) => "portal open",
            (Input::Trusted, _) => "trusted",
            (Input::Left, _) => "left trusted",
            (Input::Suspend, _) => "suspend",
            (Input::Resume, _) => "resume",
            (Input::Start, _) => "start",
        }
    }
}

/// Counts of state, cue and the state after.
#[derive(Default, Clone)]
pub(crate) struct Coverage {
    seen: BTreeMap<(&'static str, &'static str, &'static str), u64>,
}

impl Coverage {
    /// Counts one. Fails where the model does not allow it.
    pub(crate) fn note(&mut self, before: &'static str, cue: &'static str, after: &'static str) {
        // A ticket that is over while its IKE SA serves changes what is stored and nothing else.
        let in_use = before == "connected" && after == before;
        let cue = if cue == "session over" && in_use { "datagram" } else { cue };
        assert!(
            ALLOWED.contains(&(before, cue, after)),
            "the model knows no way from {before} by '{cue}' to {after}"
        );
        *self.seen.entry((before, cue, after)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (key, count) in &other.seen {
            *self.seen.entry(*key).or_default() += count;
        }
    }

    /// What the model allows and nothing has shown.
    pub(crate) fn unseen(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        ALLOWED.iter().filter(|triple| !self.seen.contains_key(triple)).copied().collect()
    }

    /// A table for people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<20} {:<16} {:<20} {:>12}\n", "state", "trigger", "then", "times");
        for (before, cue, after) in ALLOWED {
            let count = self.seen.get(&(*before, *cue, *after)).copied().unwrap_or(0);
            text.push_str(&format!("{before:<20} {cue:<16} {after:<20} {count:>12}\n"));
        }
        let mut states: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, _, after), count) in &self.seen {
            *states.entry(after).or_default() += count;
        }
        text.push_str("\nstates entered or kept:");
        for (state, count) in states {
            text.push_str(&format!(" {state} {count}"));
        }
        let seen = ALLOWED.len() - self.unseen().len();
        text.push_str(&format!(
            "\n{seen} of {} transitions that the model allows were seen\n",
            ALLOWED.len()
        ));
        text
    }
}
