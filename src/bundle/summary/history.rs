//! What a log says of a connection: phases one after the other, and reconnects.

use crate::journal::{Entry, Reason};

/// What a connection was doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    Off,
    Connecting,
    Connected,
    /// The path was dead and nobody had noticed yet.
    Outage,
    Reconnecting,
    NoNetwork,
    Asleep,
    /// A login, or a captive portal.
    WaitsForUser,
}

impl Phase {
    pub(super) const ALL: [Self; 8] = [
        Self::Connected,
        Self::Outage,
        Self::Reconnecting,
        Self::NoNetwork,
        Self::Asleep,
        Self::WaitsForUser,
        Self::Connecting,
        Self::Off,
    ];

    /// For people.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Off => "disconnected",
            Self::Connecting => "logging in",
            Self::Connected => "connected",
            Self::Outage => "outage, not noticed yet",
            Self::Reconnecting => "reconnecting",
            Self::NoNetwork => "no network",
            Self::Asleep => "asleep",
            Self::WaitsForUser => "waiting for you",
        }
    }

    /// Its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Outage => "outage",
            Self::Reconnecting => "reconnecting",
            Self::NoNetwork => "network",
            Self::Asleep => "asleep",
            Self::WaitsForUser => "user",
        }
    }

    /// By the state that an event names.
    fn of_state(name: &str) -> Option<Self> {
        Some(match name {
            "disconnected" | "disconnecting" => Self::Off,
            "connecting" => Self::Connecting,
            "connected" => Self::Connected,
            "reconnecting" => Self::Reconnecting,
            "waiting-for-network" => Self::NoNetwork,
            "suspended" => Self::Asleep,
            "captive-portal" | "auth-required" => Self::WaitsForUser,
            _ => return None,
        })
    }
}

/// A phase with its times, milliseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) phase: Phase,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A reconnect that came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reconnect {
    /// When traffic went again, milliseconds since 1970.
    pub(super) at: u64,
    /// How long it did not, milliseconds.
    pub(super) outage: u64,
    /// How much of that was not noticed, milliseconds.
    pub(super) unnoticed: u64,
}

/// A log, understood.
#[derive(Default, Debug)]
pub(super) struct History {
    /// Without gaps, in their order.
    pub(super) spans: Vec<Span>,
    /// The oldest first.
    pub(super) reconnects: Vec<Reconnect>,
}

impl History {
    /// Understands the log; its last phase lasts until `now`.
    pub(super) fn new(events: &[Entry], now: u64) -> Self {
        let mut points: Vec<(u64, Phase)> = Vec::new();
        let mut reconnects = Vec::new();
        for event in events {
            let at = event.wall().as_millis();
            if let Some(reconnect) = reconnect(event) {
                points.push((at.saturating_sub(reconnect.outage), Phase::Outage));
                points.push((at.saturating_sub(reconnect.outage - reconnect.unnoticed), Phase::Reconnecting));
                points.push((at, Phase::Connected));
                reconnects.push(reconnect);
            } else if let Some(phase) = phase(event) {
                points.push((at, phase));
            }
        }
        points.sort_by_key(|(at, _)| *at);
        let mut spans: Vec<Span> = Vec::new();
        for (from, phase) in points {
            match spans.last_mut() {
                Some(last) if last.phase == phase => continue,
                Some(last) => last.to = from,
                None => {}
            }
            spans.push(Span { phase, from, to: from });
        }
        if let Some(last) = spans.last_mut() {
            last.to = now.max(last.from);
        }
        spans.retain(|span| span.to > span.from);
        Self { spans, reconnects }
    }

    /// How long each phase lasted, milliseconds.
    pub(super) fn total(&self, phase: Phase) -> u64 {
        self.spans.iter().filter(|span| span.phase == phase).map(|span| span.to - span.from).sum()
    }

    /// The spans since this time, cut to it.
    pub(super) fn since(&self, from: u64) -> Vec<Span> {
        let late = self.spans.iter().filter(|span| span.to > from);
        late.map(|span| Span { from: span.from.max(from), ..*span }).collect()
    }
}

/// The text without the head that says in which function it arose.
fn words(event: &Entry) -> &str {
    let text = event.description();
    text.strip_prefix("Message type information sent to the user:\n").unwrap_or(text)
}

fn phase(event: &Entry) -> Option<Phase> {
    let text = words(event);
    if let Some(state) = text.strip_prefix("State: ").and_then(|rest| rest.strip_suffix('.')) {
        return Phase::of_state(state);
    }
    let begins = [
        ("Connected to ", Phase::Connected),
        ("Reconnecting to ", Phase::Reconnecting),
        ("This network wants a log-in", Phase::WaitsForUser),
        ("In this trusted network the connection rests", Phase::Asleep),
    ];
    let known = begins.iter().find(|(begin, _)| text.starts_with(begin)).map(|(_, phase)| *phase);
    known.or_else(|| match reason(event)? {
        Reason::UserDisconnect | Reason::Shutdown | Reason::Suspend | Reason::TrustedNetwork => {
            Some(Phase::Off)
        }
        Reason::NoAutoReconnect | Reason::NoAnswer | Reason::CertificateRefused => Some(Phase::Off),
        Reason::WindowOver | Reason::TokenRefused | Reason::NoToken => Some(Phase::WaitsForUser),
        _ => None,
    })
}

/// The reason that an event gives by its class and code.
pub(super) fn reason(event: &Entry) -> Option<Reason> {
    let first = event.description().lines().next()?;
    let (class, code) = first.strip_suffix(':')?.split_once(" reason code ")?;
    let code: u16 = code.parse().ok()?;
    let fits = |reason: &&Reason| reason.class().as_str() == class && reason.code() == code;
    Reason::ALL.iter().find(fits).copied()
}

/// `The connection is back after 1.200 s (noticed after 0.300 s): ..`
fn reconnect(event: &Entry) -> Option<Reconnect> {
    let rest = words(event).strip_prefix("The connection is back after ")?;
    let (outage, rest) = rest.split_once(" s (noticed after ")?;
    let (unnoticed, _) = rest.split_once(" s)")?;
    let (outage, unnoticed) = (millis(outage)?, millis(unnoticed)?);
    Some(Reconnect { at: event.wall().as_millis(), outage, unnoticed: unnoticed.min(outage) })
}

/// Seconds with three places, as milliseconds.
fn millis(text: &str) -> Option<u64> {
    let (seconds, part) = text.split_once('.')?;
    let part: u64 = part.parse().ok().filter(|_| part.len() == 3)?;
    seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)
}
