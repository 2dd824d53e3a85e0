//! One connection, composed of the rooms below as a sans-IO machine: the two SAs of law 3, the ESP hand-over, the session, and
//! what to do next. What is simulated is what ships.

mod actions;
mod attempt;
pub mod choice;
mod doubt;
mod drops;
mod event;
mod input;
mod keeping;
mod liveness;
pub mod nat64;
mod paths;
mod proof;
mod race;
mod redirect;
mod renew;
mod resume;
mod serving;
mod settings;
mod tickets;
mod traffic;

pub use event::{
    AuthKind, ChildStatus, Event, IkeKeys, IkeStatus, Next, Reconnected, Status, Transmit, Weight,
};
pub use input::{Order, Signal};
pub use liveness::{Liveness, OUTAGE_AFTER, PROBE_AFTER};
pub use paths::{PathId, Paths};
pub use settings::{EapServer, Settings, Way};

use crate::crypto::Random;
use crate::esp::SaSet;
use crate::ike::eap::{Answers, Form};
use crate::ike::initiator::Failure;
use crate::ike::message::Header;
use crate::ike::sk::Fragmentation;
use crate::plan::Plan;
use crate::reconnect::{Cause, Context, Pause, Policy, Proof, Resumption, State, Trigger};
use crate::session::Session;
use crate::time::{Instant, Now};
use attempt::Attempt;
use doubt::Doubt;
use drops::DROP_REPORT;
use redirect::Redirects;
use resume::Refused;
use serving::{Retiring, Serving};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// One byte FF after this long without sending keeps the NAT's mapping (RFC 3948 4).
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The connection.
pub struct Client {
    settings: Settings,
    random: Box<dyn Random>,
    policy: Policy,
    paths: Paths,
    serving: Option<Serving>,
    retiring: Option<Retiring>,
    attempt: Option<Attempt>,
    redirects: Redirects,
    esp: SaSet,
    /// Pairs that receive, and send once the peer used them.
    unproved: Vec<u32>,
    /// Without token and ticket only while an IKE SA serves that may bring a ticket.
    session: Option<Session>,
    /// Until when token or ticket are worth trying.
    token_until: Option<Instant>,
    /// What was refused since the last success, or change of path: the other one is tried then.
    refused: Refused,
    stored_at: Option<Instant>,
    plan: Option<Plan>,
    liveness: Option<Liveness>,
    doubt: Doubt,
    proof: Proof,
    /// The path on which ESP was last proved.
    proved_path: Option<PathId>,
    /// An ESP packet on the same path proves nothing after a resume: it may have waited in a buffer.
    distrust_esp: bool,
    last_out: Instant,
    asleep: bool,
    /// First sign of the present trouble, and the decision.
    trouble: Option<(Instant, Instant)>,
    reconnects: u32,
    last_reconnect: Option<Reconnected>,
    /// Answers given in this login.
    answers: Vec<(Form, Answers)>,
    /// Answers of a login that the gateway dropped while the person typed: each is given once more at most.
    replay: Vec<(Form, Answers)>,
    /// Why the login before this one was refused, until a form says so.
    refusal: Option<String>,
    logins: u32,
    /// Scans that were asked for.
    scans: u64,
    address: usize,
    /// Whoever answered last.
    answered_last: Option<IpAddr>,
    /// Another address of the gateway's has refused the token that this one issued.
    strangers: bool,
    since: Option<Instant>,
    error: Option<Failure>,
    drops: u64,
    drops_reported: (u64, Option<Instant>),
    last_drop: String,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Client {
    /// A connection that is not wanted yet. Give it a path, perhaps a session, and an order.
    pub fn new(now: Now, settings: Settings, random: Box<dyn Random>) -> Self {
        let mut policy = Policy::new(settings.rules.clone());
        let context = Context::default();
        let mut random = random;
        policy.handle(now.at, Trigger::Path { usable: false }, &context, &mut *random);
        Self {
            settings,
            random,
            policy,
            paths: Paths::NONE,
            serving: None,
            retiring: None,
            attempt: None,
            redirects: Redirects::default(),
            esp: SaSet::default(),
            unproved: Vec::new(),
            session: None,
            token_until: None,
            refused: Refused::default(),
            stored_at: None,
            plan: None,
            liveness: None,
            doubt: Doubt::default(),
            proof: Proof::None,
            proved_path: None,
            distrust_esp: false,
            last_out: now.at,
            asleep: false,
            trouble: None,
            reconnects: 0,
            last_reconnect: None,
            answers: Vec::new(),
            replay: Vec::new(),
            refusal: None,
            logins: 0,
            scans: 0,
            address: 0,
            answered_last: None,
            strangers: false,
            since: None,
            error: None,
            drops: 0,
            drops_reported: (0, None),
            last_drop: String::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes over a stored session (law 10). False, and nothing kept, where it belongs to another gateway (law 5), is over,
    /// or a session exists already. A ticket counts only on the terms on which it was given ([`Settings::terms`]).
    pub fn restore(&mut self, now: Now, mut session: Session) -> bool {
        let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let same = plain(&session.host_address) == plain(&self.settings.host_address);
        if !same || self.session.is_some() {
            return false;
        }
        let takes = self.settings.tickets() != Resumption::Off;
        session.ticket = session.ticket.filter(|ticket| takes && ticket.terms == self.settings.terms());
        let left = session.remaining(now.wall, self.settings.dialect.horizon());
        if left.is_zero() {
            return false;
        }
        self.token_until = Some(now.at + left);
        self.answered_last = Some(session.peer.ip());
        self.session = Some(session);
        true
    }

    /// Takes an order of the user's.
    pub fn order(&mut self, now: Now, order: Order) {
        match order {
            Order::Connect => {
                self.logins = 0;
                self.answers.clear();
                self.replay.clear();
                self.refusal = None;
                self.redirects = Redirects::default();
                self.trigger(now, Trigger::Connect);
            }
            Order::Disconnect => self.trigger(now, Trigger::Disconnect),
            Order::Reconnect => self.trigger(now, Trigger::Reconnect),
            Order::Answer(answers) => self.answer(now, answers),
        }
    }

    /// Takes a signal of the machine's.
    pub fn signal(&mut self, now: Now, signal: Signal) {
        match signal {
            Signal::Paths(paths) => self.set_paths(now, paths),
            Signal::Suspend => self.trigger(now, Trigger::Suspend),
            Signal::Resume => {
                self.distrust_esp = true;
                self.trigger(now, Trigger::Resume);
            }
            Signal::Addresses(addresses) => self.set_addresses(now, addresses),
            Signal::Scanned { id, token } => self.scanned(now, id, token),
            Signal::Signed { id, made } => self.signed(now, id, made),
            Signal::LookedUp { name, addresses } => self.looked_up(now, &name, &addresses),
            Signal::Portal { captive } => self.trigger(now, Trigger::Portal { captive }),
            Signal::Trusted(trusted) => self.trigger(now, Trigger::Trusted(trusted)),
        }
    }

    /// Takes a datagram. Where it is ESP and authenticated: the range of the inner packet, opened in place.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        path: PathId,
        from: SocketAddr,
        datagram: &mut [u8],
    ) -> Option<Range<usize>> {
        let raw = from.port() == self.settings.port && self.settings.port != self.settings.nat_port;
        if raw {
            self.handle_ike(now, path, from, datagram);
            return None;
        }
        match datagram {
            [0xff] => None, // a keepalive
            [0, 0, 0, 0, ike @ ..] => {
                let ike = ike.to_vec();
                self.handle_ike(now, path, from, &ike);
                None
            }
            _ => self.handle_esp(now, path, datagram),
        }
    }

    fn handle_ike(&mut self, now: Now, path: PathId, from: SocketAddr, datagram: &[u8]) {
        let header = match Header::decode(datagram) {
            Ok(header) => header,
            Err(error) => return self.count_drop(now.at, &error.to_string()),
        };
        let (spi_i, spi_r) = (&header.spi_i, &header.spi_r);
        if self.attempt.as_ref().is_some_and(|a| a.initiator.spi_i() == spi_i) {
            self.attempt_datagram(now, from, datagram);
        } else if self.take_hint(now, from, &header, datagram) {
            self.count_drop(now.at, "an unprotected hint that an SA is unknown");
        } else if self.serving.as_ref().is_some_and(|s| s.ike.owns(spi_i, spi_r)) {
            self.serving_datagram(now, path, datagram);
        } else if self.retiring.as_ref().is_some_and(|r| r.serving.ike.owns(spi_i, spi_r)) {
            self.retiring_datagram(now, datagram);
        } else {
            self.count_drop(now.at, "an IKE message of no SA of ours");
        }
    }

    /// Everything that is due at `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.esp.handle_timeout(now.at);
        self.attempt_timeout(now);
        self.redirect_timeout(now);
        self.serving_timeout(now);
        self.retiring_timeout(now);
        let context = self.context();
        self.policy_step(now, |policy, _| policy.handle_timeout(now.at, &context));
        self.report_drops(now.at);
    }

    /// The next deadline and its reason.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let attempt = self.attempt.as_ref().filter(|a| !self.asleep && self.paths.to(a.remote()).is_some());
        let anew =
            self.attempt.as_ref().filter(|_| !self.asleep && self.paths.any()).and_then(Attempt::poll_anew);
        let serving = self.serving.as_ref().filter(|_| !self.asleep && self.paths.any());
        let reached = serving.filter(|s| self.paths.to(s.remote.ip()).is_some());
        let retiring = self.retiring.as_ref();
        let report = self.drops_reported.1.filter(|_| self.drops > self.drops_reported.0);
        let due = [
            self.policy.poll_timeout(&self.context()),
            attempt.and_then(|attempt| attempt.initiator.poll_timeout()),
            attempt.and_then(|attempt| {
                Some((attempt.race.poll_timeout(self.paths)?, "the gateway's next address"))
            }),
            anew.map(|at| (at, "the login over the new network")),
            serving.and(self.liveness.as_ref()).and_then(Liveness::poll_timeout),
            serving.and_then(|serving| Some((serving.renew_at()?, "end of the authentication"))),
            reached
                .filter(|_| self.attempt.is_none())
                .and_then(|serving| Some((serving.ticket_at()?, "another ticket"))),
            reached.and_then(|serving| serving.ike.poll_timeout()),
            reached.map(|_| (self.last_out + KEEPALIVE, "NAT keepalive")),
            retiring.map(|retiring| (retiring.until, "end of the old SA")),
            retiring.and_then(|retiring| retiring.serving.ike.poll_timeout()),
            self.redirects.poll_timeout().filter(|_| !self.asleep),
            self.esp.poll_timeout().map(|at| (at, "end of an old ESP SA")),
            report.map(|at| (at + DROP_REPORT, "report of dropped datagrams")),
        ];
        due.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The session, for a shell that saves it at its end.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref().filter(|session| session.has_way_back())
    }

    /// The settings it runs with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The state of the policy.
    pub fn state(&self) -> &State {
        self.policy.state()
    }

    /// The plan of the tunnel, as long as its routes have to stand (law 9).
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// True where "connected" is proved at present (law 7).
    pub fn is_confirmed(&self, now: Instant) -> bool {
        let alive = || self.liveness.as_ref().is_some_and(|liveness| liveness.is_confirmed(now));
        matches!(self.policy.state(), State::Connected) && self.is_path_proved() && alive()
    }

    /// On a new path an IKE answer alone does not prove that the gateway sends ESP there too.
    fn is_path_proved(&self) -> bool {
        let path = self.serving_path();
        path.is_some() && self.proved_path == path
    }

    /// What could grow, counted.
    pub fn weight(&self) -> Weight {
        Weight {
            esp_sas: self.esp.spis().len(),
            answers: self.answers.len() + self.replay.len(),
            waiting: self.transmits.len() + self.events.len(),
            unproved: self.unproved.len(),
            requests: self.serving.as_ref().map_or(0, |serving| serving.ike.sa().weight())
                + self.retiring.as_ref().map_or(0, |retiring| retiring.serving.ike.sa().weight()),
        }
    }

    /// Datagrams and packets that were thrown away.
    pub fn drops(&self) -> u64 {
        self.drops
    }

    /// A picture for people and machines.
    pub fn status(&self, now: Instant) -> Status {
        let connected = matches!(self.policy.state(), State::Connected);
        let proved = self.is_path_proved();
        let confirmed = self.is_confirmed(now);
        let next = if connected && let Some(liveness) = &self.liveness {
            let what = if proved { "answer to the liveness check" } else { "traffic on the new path" };
            Some(Next { what, at: liveness.outage_at() })
        } else {
            self.policy.poll_timeout(&self.context()).map(|(at, what)| Next { what, at })
        };
        Status {
            state: self.policy.state().clone(),
            confirmed,
            gateway: self.serving.as_ref().map(|s| s.remote),
            auth: self.serving.as_ref().map(|s| s.auth),
            since: self.since,
            session_id: self.session.as_ref().filter(|session| session.has_token()).map(Session::id_text),
            token_until: self.token_until,
            user: self.session.as_ref().map(|s| s.user.clone()),
            reconnects: self.reconnects,
            last_reconnect: self.last_reconnect,
            ike: self.serving.as_ref().map(|s| IkeStatus {
                spis: s.ike.spis(),
                suite: *s.ike.sa().suite(),
                since: s.since,
                fragments: s.ike.sa().fragmentation() != Fragmentation::Off,
                mobike: s.ike.has_mobike(),
                ppk: s.ppk,
            }),
            child: self.serving.as_ref().and_then(|s| {
                let pair = self.esp.current()?;
                Some(ChildStatus {
                    spi_in: pair.spi_in(),
                    spi_out: pair.spi_out(),
                    suite: s.esp,
                    stats: self.esp.stats(),
                })
            }),
            addresses: self.plan.as_ref().map(Plan::addresses).unwrap_or_default(),
            plan: self.plan.clone(),
            next,
            error: self.error.clone(),
            drops: self.drops,
        }
    }

    fn context(&self) -> Context {
        let token_until = self.token_until.filter(|_| self.may_come_back());
        Context { token_until, old_sa: self.serving.is_some(), proof: self.proof }
    }

    fn trigger(&mut self, now: Now, trigger: Trigger) {
        let context = self.context();
        self.policy_step(now, |policy, random| policy.handle(now.at, trigger, &context, random));
    }

    /// Lets the policy move, does what it wants, and tells of a new state.
    fn policy_step(&mut self, now: Now, step: impl FnOnce(&mut Policy, &mut dyn Random)) {
        let before = self.policy.state().clone();
        step(&mut self.policy, &mut *self.random);
        // Whatever leads out of that state is a sign that the machine is awake.
        self.asleep = matches!(self.policy.state(), State::Suspended { pause: Pause::Sleep, .. });
        let trouble = match (cause_of(&before), cause_of(self.policy.state())) {
            (None, Some(cause)) => Some(cause),
            _ => None,
        };
        if let Some(cause) = trouble {
            self.begin_trouble(now.at, cause);
        }
        if std::mem::discriminant(&before) != std::mem::discriminant(self.policy.state()) {
            self.events.push_back(Event::State(self.policy.state().clone()));
        }
        while let Some(action) = self.policy.poll_action() {
            self.execute(now, action);
        }
        let after = self.policy.state().clone();
        match (&before, &after) {
            (State::Reconnecting(r) | State::CaptivePortal(r), State::Connected)
                if self.attempt.is_none() && self.trouble.is_some() =>
            {
                self.end_trouble(now, r.cause, None);
            }
            (_, State::AuthRequired { why }) | (_, State::Disconnected { why: Some(why) })
                if before != after =>
            {
                self.trouble = None;
                self.events.push_back(Event::Ended(*why));
            }
            _ => {}
        }
    }

    /// The moment trouble begins: what was sent into the void and when, and that nothing is proved any more.
    fn begin_trouble(&mut self, now: Instant, cause: Cause) {
        let sign = match cause {
            Cause::Outage => self.liveness.as_ref().map_or(now, Liveness::trouble_since),
            _ => now,
        };
        self.trouble.get_or_insert((sign, now));
        self.proof = Proof::None;
        self.events.push_back(Event::Trouble(cause));
    }

    fn end_trouble(&mut self, now: Now, cause: Cause, new: Option<(Duration, u32)>) {
        let Some((sign, decided)) = self.trouble.take() else { return };
        let (handshake, round_trips) = new.unwrap_or_default();
        let report = Reconnected {
            cause,
            at: now.wall,
            outage: now.at.since(sign),
            detect: decided.since(sign),
            handshake,
            round_trips,
            old_sa: new.is_none(),
        };
        self.reconnects += 1;
        self.last_reconnect = Some(report);
        self.error = None;
        self.events.push_back(Event::Reconnected(report));
    }
}

/// The cause that a state carries while a connection is being brought back.
fn cause_of(state: &State) -> Option<Cause> {
    match state {
        State::Reconnecting(r) | State::CaptivePortal(r) => Some(r.cause),
        State::WaitingForNetwork { cause, .. } => Some(*cause),
        _ => None,
    }
}
