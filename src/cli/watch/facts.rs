//! What the picture says in words: a line for each thing that is known.

use super::look::Tone;
use super::model::Model;
use super::text::{self, lasting, moment};
use crate::time::UnixTime;

/// Lines that a long message may take.
const MESSAGE: usize = 3;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fact {
    /// What it is; empty where the line goes on with the one above.
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) tone: Tone,
    /// Where not all lines have room, those with the highest number go first.
    pub(super) rank: u8,
}

/// The state: its name, how good that is, and what belongs to it.
pub(super) fn state(model: &Model) -> (String, Tone, String) {
    if let Some((since, _)) = model.is_lost() {
        return ("no agent".into(), Tone::Bad, since_text(model, since));
    }
    let Some(picture) = model.picture() else {
        return ("..".into(), Tone::Quiet, "the agent is asked".into());
    };
    let state = picture.state();
    let tone = match state.as_str() {
        "connected" => Tone::Good,
        "disconnected" | "auth-required" => Tone::Bad,
        _ => Tone::Warning,
    };
    let since = model.since().map(|since| since_text(model, since));
    let rest = [picture.text("/host"), since].into_iter().flatten().collect::<Vec<_>>().join(", ");
    (state, tone, rest)
}

/// Everything else, in the order in which it is shown; values are clean and at most so many columns wide.
pub(super) fn facts(model: &Model, columns: usize, unicode: bool) -> Vec<Fact> {
    let mut facts = Facts { facts: Vec::new(), columns, unicode };
    if let Some((_, why)) = model.is_lost() {
        facts.message("Agent", why, Tone::Bad);
        facts.line("Next", Some("the agent is called again until it answers".into()), 1);
    }
    if let Some(picture) = model.picture() {
        facts.line("Cause", cause(model), 1);
        facts.line("Next", next(model), 1);
        for (label, at, tone) in [
            ("Portal", "/portal/message", Tone::Bad),
            ("Error", "/error/message", Tone::Bad),
            ("Profile", "/profile_change/message", Tone::Warning),
        ] {
            if let Some(message) = picture.text(at) {
                facts.message(label, &message, tone);
            }
        }
        facts.line("Address", picture.all(&["/address4", "/address6"]), 3);
        facts.line("Gateway", picture.text("/gateway"), 4);
        facts.line("Login", login(model), 6);
        facts.line("Session", session(model), 4);
        facts.line("Reconnects", reconnects(model), 3);
        facts.line("Tunnel", picture.all(&["/tunnel", "/device", "/proxy"]), 5);
    }
    if let Some(note) = model.noted() {
        facts.message("Note", &note.text, if note.failed { Tone::Bad } else { Tone::Good });
    }
    facts.facts
}

struct Facts {
    facts: Vec<Fact>,
    columns: usize,
    unicode: bool,
}

impl Facts {
    fn line(&mut self, label: &'static str, value: Option<String>, rank: u8) {
        let Some(value) = value else { return };
        let value = text::cut(&text::clean(&value, self.unicode), self.columns, self.unicode);
        self.facts.push(Fact { label, value, tone: Tone::Plain, rank });
    }

    /// What a person has to read whole.
    fn message(&mut self, label: &'static str, text: &str, tone: Tone) {
        let mut lines = text::wrap(&text::clean(text, self.unicode), self.columns);
        if lines.len() > MESSAGE {
            let rest = lines.split_off(MESSAGE - 1).join(" ");
            lines.push(text::cut(&rest, self.columns, self.unicode));
        }
        for (number, value) in lines.into_iter().enumerate() {
            let (label, rank) = if number == 0 { (label, 1) } else { ("", 2) };
            self.facts.push(Fact { label, value, tone, rank });
        }
    }
}

fn since_text(model: &Model, since: UnixTime) -> String {
    let at = moment(since, model.now.wall, &model.zone);
    format!("since {at} ({})", lasting(model.now.wall.since(since)))
}

/// Why there is no connection at present, or a new one is being made.
fn cause(model: &Model) -> Option<String> {
    let picture = model.picture()?;
    let cause = picture.text("/interruption/cause")?;
    let code = picture.text("/interruption/code").map(|code| format!("reason code {code}"));
    let attempts = picture.text("/interruption/attempts").filter(|attempts| attempts != "0");
    let attempts = attempts.map(|attempts| format!("attempt {attempts}"));
    Some([Some(cause), code, attempts].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn next(model: &Model) -> Option<String> {
    let (what, until) = model.next()?;
    Some(match until {
        Some((at, left)) if !left.is_zero() => {
            // "within 0 s" would be over already.
            let left = lasting(left + std::time::Duration::from_millis(999));
            format!("{what}, until {} (within {left})", moment(at, model.now.wall, &model.zone))
        }
        Some(_) => format!("{what}, at any moment"),
        None => what,
    })
}

fn login(model: &Model) -> Option<String> {
    let picture = model.picture()?;
    let auth = picture.text("/auth").map(|auth| match auth.as_str() {
        "psk" => "by token (psk)".to_owned(),
        "ticket" => "by ticket".to_owned(),
        _ => auth,
    });
    let user = picture.text("/user").map(|user| format!("as {user}"));
    let both: Vec<String> = [auth, user].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// Until when the token is worth trying.
fn session(model: &Model) -> Option<String> {
    let expires = model.picture()?.text("/session_expires")?;
    let Some(at) = text::read_time(&expires) else { return Some(expires) };
    let left = at.since(model.now.wall);
    let until = moment(at, model.now.wall, &model.zone);
    Some(if left.is_zero() {
        format!("its time is over since {until}")
    } else {
        format!("until {until} (for {})", lasting(left))
    })
}

fn reconnects(model: &Model) -> Option<String> {
    let picture = model.picture()?;
    let count = picture.text("/reconnects").filter(|count| count != "0")?;
    let at = picture.text("/last_reconnect/at").and_then(|at| text::read_time(&at));
    let parts = [
        at.map(|at| format!("last {}", moment(at, model.now.wall, &model.zone))),
        picture.text("/last_reconnect/cause"),
        picture.text("/last_reconnect/outage_ms").map(|outage| format!("outage {outage} ms")),
        picture.text("/last_reconnect/round_trips").map(|trips| format!("{trips} round trips")),
    ];
    Some(std::iter::once(count).chain(parts.into_iter().flatten()).collect::<Vec<_>>().join(", "))
}
