//! What must hold: the laws of DESIGN section 4 and their like, from what can be seen of a laptop: the wire, the events, the
//! orders. Nothing here is computed by the policy's own code.

use super::lab::PASSWORD;
use super::laptop::PLAINTEXT;
use super::wire::{Ike, Seen, read};
use ikeep::client::{Client, Event, OUTAGE_AFTER, Order, PathId, Settings, Signal, Transmit};
use ikeep::crypto::Secret;
use ikeep::ike::initiator::Failure;
use ikeep::reconnect::{OnSuspend, OnTrusted, Why};
use ikeep::session::Session;
use ikeep::time::{Instant, Now};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(1);
/// Attempts in a minute that law 4's back-off and law 5's gaps come to at most, full jitter at its shortest ..
const ATTEMPTS: usize = 14;
/// .. and the minute.
const MINUTE: Duration = Duration::from_secs(60);
/// ESP SAs that hand-overs and rekeys leave side by side at most.
const SAS: usize = 12;
/// Refusals until a token is given up (law 5: the first, and one after each of the six gaps).
const REFUSALS: u32 = 7;

/// What the world knows and the client does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The gateway can be reached: awake, a path, a good link, no portal.
    pub(crate) fine: bool,
    /// Since when nothing was done to laptop, path or gateway.
    pub(crate) since: Instant,
    /// The gateway has the session.
    pub(crate) known: bool,
    pub(crate) lenient: bool,
    pub(crate) echo: Option<Duration>,
    pub(crate) last_echo_back: Option<Instant>,
}

/// A request of the laptop's, by SPIs.
struct Request {
    spis: ([u8; 8], [u8; 8]),
    id: u32,
    /// Its fragments by number, and how many there are to be; one, where it is not in fragments.
    parts: BTreeMap<u16, Vec<u8>>,
    of: u16,
    answered: bool,
}

/// What was seen of one laptop so far.
pub(crate) struct Model {
    wanted: bool,
    disconnected_at: Option<Instant>,
    ends_with_sleep: bool,
    auto: bool,
    on_trusted: OnTrusted,
    /// In a trusted network where it rests.
    paused: bool,
    addresses: Vec<IpAddr>,
    horizon: Duration,
    exchange_timeout: Duration,
    dpd: Duration,
    /// The client has a session.
    token: bool,
    /// The store had one when it was read last.
    token_until: Option<Instant>,
    window: Duration,
    /// What it has is a ticket alone, whose end no sign of the gateway moves.
    ticket_only: bool,
    /// The IKE SA of that ticket was rekeyed, or deleted by the gateway, since: RFC 5723 6.2 ends it.
    ticket_over: bool,
    ticket: Option<Secret>,
    /// The person may be asked: a login was ordered.
    may_ask: bool,
    asks: u32,
    /// First octets of attempts: our SPI, when.
    attempts: VecDeque<(Instant, [u8; 8])>,
    last_attempt: Option<Instant>,
    pub(crate) attempts_seen: u64,
    /// Reasons for an attempt beside the back-off.
    reasons: VecDeque<Instant>,
    requests: VecDeque<Request>,
    /// The last ESP that opened, and the last IKE message or ESP that arrived at all.
    heard: Option<Instant>,
    arrived: Option<Instant>,
    unanswered: Option<Instant>,
    refusals: u32,
    /// When the state was "connected" last, and since when it is.
    connected_last: Instant,
    connected_since: Option<Instant>,
    planned: bool,
    secrets: Vec<Vec<u8>>,
    /// Look for secrets in every event's text, which costs.
    pub(crate) reads_texts: bool,
    /// Look whether the laptop comes back in time.
    pub(crate) impatient: bool,
    pub(crate) disconnect_sent: u64,
}

impl Model {
    pub(crate) fn new(now: Instant, settings: &Settings) -> Self {
        Self {
            wanted: false,
            disconnected_at: None,
            ends_with_sleep: settings.rules.on_suspend == OnSuspend::Disconnect,
            auto: settings.rules.auto_reconnect,
            on_trusted: settings.rules.on_trusted,
            paused: false,
            addresses: settings.addresses.clone(),
            horizon: settings.dialect.horizon(),
            exchange_timeout: settings.exchange_timeout,
            dpd: settings.dpd_interval,
            token: false,
            token_until: None,
            window: Duration::ZERO,
            ticket_only: false,
            ticket_over: false,
            ticket: None,
            may_ask: false,
            asks: 0,
            attempts: VecDeque::new(),
            last_attempt: None,
            attempts_seen: 0,
            reasons: VecDeque::new(),
            requests: VecDeque::new(),
            heard: None,
            arrived: None,
            unanswered: None,
            refusals: 0,
            connected_last: now,
            connected_since: None,
            planned: false,
            secrets: vec![PASSWORD.as_bytes().to_vec()],
            reads_texts: true,
            impatient: false,
            disconnect_sent: 0,
        }
    }

    pub(crate) fn ordered(&mut self, now: Instant, order: &Order, state: &str) {
        self.reasons.push_back(now);
        self.paused = false;
        match order {
            Order::Connect => {
                self.wanted = true;
                self.disconnected_at = None;
                let over = self.token_until.is_none_or(|until| until <= now);
                self.may_ask |= !self.token || over || state == "auth-required" || state == "disconnecting";
                self.asks = 0;
                self.last_attempt = None; // as often as the person likes
            }
            Order::Disconnect => {
                self.wanted = false;
                self.disconnected_at = Some(now);
                self.may_ask = false;
            }
            _ => {}
        }
    }

    /// An agent that starts with the wish to be connected: with a session nobody is asked (law 10).
    pub(crate) fn ordered_by_intent(&mut self) {
        self.wanted = true;
        self.may_ask = !self.token;
        self.asks = 0;
    }

    pub(crate) fn signalled(&mut self, now: Instant, signal: &Signal) {
        self.reasons.push_back(now);
        if matches!(signal, Signal::Suspend | Signal::Resume) {
            self.unanswered = None;
            self.wanted &= !self.ends_with_sleep;
        }
        if let Signal::Trusted(trusted) = signal {
            self.wanted &= !(*trusted && self.on_trusted == OnTrusted::Disconnect);
            self.paused = *trusted && self.on_trusted == OnTrusted::Pause;
            self.planned &= !self.paused;
        }
    }

    pub(crate) fn crashed(&mut self) {
        self.heard = None;
        self.arrived = None;
        self.unanswered = None;
        self.token = false;
        self.planned = false;
        self.paused = false;
        self.attempts.clear();
        self.last_attempt = None;
        self.requests.clear();
        self.refusals = 0;
        self.connected_since = None;
    }

    /// Law 10: a session that the store has and that is not over is taken back.
    pub(crate) fn started(&mut self, now: Now, stored: Option<&Session>, restored: bool) {
        self.reasons.push_back(now.at);
        self.connected_last = now.at;
        let left = stored.map(|session| {
            if let Some(ticket) = session.ticket.as_ref().filter(|_| !session.has_token()) {
                return ticket.remaining(now.wall);
            }
            let age = now.wall.since(session.last_contact);
            (session.window + self.horizon).saturating_sub(age)
        });
        assert_eq!(
            restored,
            left.is_some_and(|left| !left.is_zero()),
            "law 10: {stored:?} with {left:?} left"
        );
        self.token = restored;
        self.token_until = left.filter(|_| restored).map(|left| now.at + left);
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
        self.unanswered = None;
        if !self.ticket_only {
            self.token_until = Some(now + self.window + self.horizon);
        }
    }

    /// A datagram arrives, forged or not.
    pub(crate) fn delivered(&mut self, now: Instant, port: u16, octets: &[u8], forged: bool) {
        if !forged {
            self.arrived = Some(now);
        }
        if let Seen::Ike(ike) = read(port, octets) {
            if !forged {
                self.unanswered = None;
            }
            let spis = (ike.spi_i, ike.spi_r);
            let of = self.requests.iter_mut().find(|r| r.spis == spis && r.id == ike.id && ike.response);
            if let Some(request) = of {
                request.answered = true;
            }
        }
    }

    pub(crate) fn traffic_sent(&mut self, now: Instant) {
        self.unanswered.get_or_insert(now);
    }

    /// Laws 1 to 5 and 9 on the wire.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        ways: [Option<(PathId, SocketAddr)>; 2],
        awake: bool,
        transmit: &Transmit,
    ) {
        let way = ways[usize::from(transmit.to.is_ipv6())];
        assert_eq!(
            way.map(|(id, _)| id),
            Some(transmit.path),
            "law 2: sent without (or through an old) path"
        );
        assert!(awake, "law 2: sent in sleep");
        assert!(self.addresses.contains(&transmit.to.ip()), "law 5: sent to {}, a stranger", transmit.to);
        let seen = read(transmit.to.port(), &transmit.payload);
        if let Some(at) = self.disconnected_at {
            let late = now.since(at);
            assert!(late <= 2 * SECOND, "law 1: sent {late:?} after the user said disconnect");
            self.disconnect_sent += 1;
        }
        match seen {
            Seen::Ike(ike) if ike.begins() => {
                assert!(self.disconnected_at.is_none(), "law 1: an attempt after the user said disconnect");
                self.attempt(now, ike.spi_i);
            }
            Seen::Ike(ike) if !ike.response => self.request(ike, &transmit.payload),
            Seen::Ike(_) | Seen::Keepalive => {}
            Seen::Esp(_) => assert!(
                !transmit.payload.windows(PLAINTEXT.len()).any(|part| part == PLAINTEXT),
                "law 9: an inner packet in the clear"
            ),
            Seen::Nonsense => panic!("neither IKE nor ESP nor a keepalive was sent: {:?}", transmit.payload),
        }
    }

    /// Laws 2 and 4.
    fn attempt(&mut self, now: Instant, spi: [u8; 8]) {
        if self.attempts.iter().any(|(_, seen)| *seen == spi) {
            return;
        }
        if let Some(last) = self.last_attempt.replace(now) {
            let gap = now.since(last);
            assert!(gap >= Duration::from_millis(50), "law 2: two attempts within {gap:?}");
        }
        self.attempts.push_back((now, spi));
        self.attempts_seen += 1;
        while self.attempts.len() > 64 {
            self.attempts.pop_front();
        }
        self.reasons.retain(|at| now.since(*at) <= MINUTE);
        let recent = self.attempts.iter().filter(|(at, _)| now.since(*at) <= MINUTE).count();
        let allowed = ATTEMPTS + 2 * self.reasons.len();
        assert!(recent <= allowed, "law 4: {recent} attempts in a minute, {allowed} are allowed");
    }

    /// Law 3, window 1: a new request only after the answer to the one before; else the same octets again.
    fn request(&mut self, ike: Ike, payload: &[u8]) {
        let (spis, (number, of)) = ((ike.spi_i, ike.spi_r), ike.part);
        assert!((1..=of).contains(&number), "fragment {number} of {of}");
        if let Some(request) = self.requests.iter_mut().find(|r| r.spis == spis) {
            if request.id == ike.id {
                let part = request.parts.entry(number).or_insert_with(|| payload.to_vec());
                let same = part == payload && request.of == of;
                assert!(same, "law 3: a request was repeated with other octets");
                return;
            }
            assert!(
                request.answered && ike.id == request.id.wrapping_add(1),
                "law 3: request {} was sent, {} (answered: {}) was outstanding",
                ike.id,
                request.id,
                request.answered
            );
            let parts = BTreeMap::from([(number, payload.to_vec())]);
            *request = Request { spis, id: ike.id, parts, of, answered: false };
            return;
        }
        let parts = BTreeMap::from([(number, payload.to_vec())]);
        self.requests.push_back(Request { spis, id: ike.id, parts, of, answered: false });
        if self.requests.len() > 16 {
            self.requests.pop_front();
        }
    }

    /// Laws 5 and 6, and no secret in anything that is told.
    pub(crate) fn event(&mut self, now: Now, event: &Event) {
        match event {
            Event::StoreSession(session) => {
                self.token = true;
                self.window = session.window;
                self.ticket_only = !session.has_token();
                let ticket = session.ticket.as_ref().map(|ticket| ticket.opaque.clone());
                self.ticket_over &= ticket == self.ticket;
                self.ticket = ticket;
                match &session.ticket {
                    Some(ticket) if self.ticket_only => {
                        self.token_until = Some(now.at + ticket.remaining(now.wall));
                    }
                    _ => {
                        self.token_until.get_or_insert(now.at + self.window + self.horizon);
                    }
                }
                let ticket = session.ticket.iter().flat_map(|ticket| [&ticket.opaque, &ticket.sk_d]);
                for secret in std::iter::once(&session.token).chain(ticket).map(Secret::expose) {
                    if self.secrets.iter().all(|known| known != secret) {
                        self.secrets.push(secret.to_vec());
                    }
                }
            }
            Event::EraseSession => {
                // The last packets of a Child SA that is deleted come through, and do not count as a word of the gateway's.
                let over = self.token_until.is_some_and(|until| now.at + SECOND >= until)
                    || (self.ticket_only && self.ticket_over);
                assert!(
                    !self.wanted || over || !self.auto,
                    "law 5: the token was erased before {:?}",
                    self.token_until
                );
                self.token = false;
                self.token_until = None;
            }
            Event::Ask(form) => {
                self.asks += 1;
                assert!(self.wanted && self.may_ask, "law 6: the person was asked: {form:?}");
                assert!(self.asks <= 6, "law 5: the password was asked for {} times", self.asks);
            }
            Event::Established { .. } => {
                self.may_ask = false;
                self.refusals = 0;
                self.arrived = Some(now.at);
                self.unanswered = None;
                if !self.ticket_only {
                    self.token_until = self.token_until.map(|_| now.at + self.window + self.horizon);
                }
            }
            Event::Plan { .. } => self.planned = true,
            Event::DeletedByGateway => {
                self.reasons.push_back(now.at);
                self.ticket_over = true;
            }
            Event::IkeRekeyed => self.ticket_over = true,
            Event::Failed(Failure::Refused { .. } | Failure::Ticket) => self.refusals += 1,
            Event::Ended(why) => {
                let fair = *why != Why::TokenRefused || self.refusals >= REFUSALS || !self.impatient;
                assert!(fair, "law 5: given up after {} refusals", self.refusals);
                self.may_ask = false;
            }
            _ => {}
        }
        if self.reads_texts {
            let told = format!("{event:?}").into_bytes();
            for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
                let shown = told.windows(secret.len()).any(|part| part == secret.as_slice());
                assert!(!shown, "a secret stands in the text of an event");
            }
        }
    }

    /// Laws 7 to 9, bounded memory, and never stuck.
    pub(crate) fn look(&mut self, now: Instant, client: &Client, facts: &Facts) {
        let state = client.state().name();
        let connected = state == "connected";
        let weight = client.weight();
        assert!(weight.esp_sas <= SAS && weight.answers <= 16, "memory grows: {weight:?}");
        if self.planned {
            match state {
                "disconnected" | "auth-required" => self.planned = false,
                "connecting" => {}
                _ => assert!(client.plan().is_some(), "law 9: the tunnel's routes are gone while {state}"),
            }
        } else if matches!(state, "disconnected" | "auth-required") {
            assert!(client.plan().is_none(), "law 9: routes are left over while {state}");
        }
        if connected {
            self.connected_last = now;
            self.connected_since.get_or_insert(now);
            self.look_at_proof(now, client);
        } else {
            self.unanswered = None;
            self.connected_since = None;
        }
        if self.impatient && self.wanted && !self.paused && self.token && facts.known && facts.fine {
            self.look_at_progress(now, state, facts);
        }
    }

    fn look_at_proof(&mut self, now: Instant, client: &Client) {
        if !client.is_confirmed(now) {
            return;
        }
        let silence = self.arrived.map_or(Duration::MAX, |at| now.since(at));
        assert!(silence <= self.dpd + OUTAGE_AFTER + SLACK, "law 7: confirmed after {silence:?} of silence");
        if let Some(at) = self.unanswered {
            let silence = now.since(at);
            assert!(
                silence <= OUTAGE_AFTER + SLACK,
                "law 8: confirmed {silence:?} after the first unanswered packet"
            );
        }
    }

    /// With a reachable gateway that has the session, it comes back: an attempt under way may fail first, the next one is at
    /// most 30 s away (60 s after refusals), and takes 5 s at most. A strict gateway has to notice first.
    fn look_at_progress(&mut self, now: Instant, state: &str, facts: &Facts) {
        if let Some(since) = self.connected_since {
            let last = facts.last_echo_back.unwrap_or(since).max(since).max(facts.since);
            let limit = OUTAGE_AFTER + 4 * SECOND + facts.echo.unwrap_or_default() * 2;
            let silence = now.since(last);
            assert!(facts.echo.is_none() || silence <= limit, "stuck: connected, no echo for {silence:?}");
            return;
        }
        if state == "auth-required" && self.refusals >= REFUSALS {
            return; // law 5: given up fairly; the next change of network tries again
        }
        if !self.auto && state != "reconnecting" {
            return;
        }
        let limit = match (facts.lenient, self.refusals) {
            (true, 0) => 35 * SECOND + self.exchange_timeout,
            (true, _) => 65 * SECOND + self.exchange_timeout,
            (false, _) => self.horizon + 60 * SECOND,
        };
        let waited = now.since(facts.since.max(self.connected_last));
        assert!(waited <= limit, "stuck: {state} for {waited:?} although nothing is in the way");
    }
}
