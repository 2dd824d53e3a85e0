//! Attempts: which address, which credentials, and what their end means.

mod again;
mod established;
mod known;

use super::race::Race;
use super::{AuthKind, Client, Event, IkeKeys};
use crate::crypto::{Group, Random};
use crate::ike::eap::{Answers, EapError, Form, InputKind, Notice};
use crate::ike::initiator::{Credentials, Failure, Initiator, InitiatorConfig, InitiatorEvent, Leg};
use crate::ike::sa::Retransmission;
use crate::reconnect::{Failed, Resumption, State, Trigger};
use crate::time::{Instant, Now};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Logins in one `connect`: a refused password is asked for again so often.
const LOGINS: u32 = 3;
/// After a person took this long, a login that died meanwhile is begun again with the same answers (PROTOCOL section 1).
const SLOW_PERSON: Duration = Duration::from_secs(10);

/// So many datagrams without an answer are told: 0.5 s to 1.5 s after the first.
const SILENT_AFTER: u32 = 3;

/// An attempt under way.
pub(super) struct Attempt {
    pub(super) initiator: Initiator,
    pub(super) auth: AuthKind,
    /// IKE_SA_INIT goes here; with the marker where it is the NAT port.
    pub(super) first: SocketAddr,
    pub(super) marker: bool,
    /// The other port of the same address, tried now and then where `first` does not answer.
    other: Option<SocketAddr>,
    init_sent: u32,
    /// The other addresses that it goes to.
    pub(super) race: Race,
    /// A redirect led here: nobody else is asked.
    pub(super) led: bool,
    /// Everything after goes here.
    nat: SocketAddr,
    form: Option<(Form, Instant)>,
    asked: bool,
    slow: bool,
    begun: Instant,
    /// It begins anew elsewhere then: not at once after its own beginning.
    anew_at: Option<Instant>,
    /// The path changed after IKE_SA_INIT: which IKE_AUTH the gateway took, and from where, is not known.
    moved: bool,
    /// There was a valid answer to IKE_SA_INIT.
    answered: bool,
    /// The gateway has proved itself.
    verified: bool,
}

impl Attempt {
    /// The address it is made to.
    pub(super) fn remote(&self) -> IpAddr {
        self.nat.ip()
    }

    /// The same octets go to another address of the gateway from now on.
    pub(super) fn retarget(&mut self, first: SocketAddr, nat_port: u16) {
        self.nat = SocketAddr::new(first.ip(), nat_port);
        self.other = self.other.map(|other| SocketAddr::new(first.ip(), other.port()));
        self.first = SocketAddr::new(first.ip(), self.first.port());
    }

    /// Begins anew at another gateway (RFC 5685). False where IKE_SA_INIT is answered already.
    pub(super) fn go_to(
        &mut self,
        now: Instant,
        first: SocketAddr,
        nat_port: u16,
        random: &mut dyn Random,
    ) -> bool {
        let listening = self.initiator.is_in_init();
        if listening {
            self.retarget(first, nat_port);
            self.init_sent = 0;
            (self.race, self.led) = (Race::default(), true);
            self.initiator.go_to(now, first, random);
        }
        listening
    }
}

impl Client {
    pub(super) fn start_login(&mut self, now: Now) {
        let Some(first) = self.candidate(self.login_candidates()) else { return self.no_candidate(now) };
        self.logins += 1;
        self.begin_login(now, first, None);
    }

    /// `from`: the gateway that sent us there (RFC 5685).
    pub(super) fn begin_login(&mut self, now: Now, first: SocketAddr, from: Option<IpAddr>) {
        let Some(credentials) = self.settings.credentials() else {
            return self
                .fail(now, Failure::OwnCertificate("none is named (--certificate, or the config file)"));
        };
        self.begin(now, credentials, self.settings.way.kind(), first, from);
    }

    fn no_candidate(&mut self, now: Now) {
        let reached = |ip: &IpAddr| self.paths.to(*ip).is_some();
        let hint = if self.settings.addresses.is_empty() {
            "the gateway's address is not known"
        } else if self.settings.addresses.iter().any(reached) {
            "no address of the gateway is of a family that the profile allows (IPProtocolSupport)"
        } else {
            "no address of the gateway is of a family that this network carries"
        };
        self.fail(now, Failure::NoAnswer { hint: Some(hint.into()) });
    }

    pub(super) fn start_token(&mut self, now: Now) {
        if let Some(ticket) = self.ticket_to_take(now).cloned() {
            let Some(first) = self.candidate(self.token_candidates()) else { return self.no_candidate(now) };
            self.events.push_back(Event::UsingTicket);
            let credentials = Credentials::Ticket(Box::new(ticket));
            return self.begin(now, credentials, AuthKind::Ticket, first, None);
        }
        let Some(session) = self.session.as_ref().filter(|session| session.has_token()) else {
            return self.fail(now, Failure::Ticket);
        };
        let credentials = Credentials::Token { id: session.id.clone(), token: session.token.clone() };
        let name = session.id_text();
        let Some(first) = self.candidate(self.token_candidates()) else { return self.no_candidate(now) };
        self.events.push_back(Event::UsingIkeId(name));
        self.begin(now, credentials, AuthKind::Token, first, None);
    }

    fn begin(
        &mut self,
        now: Now,
        credentials: Credentials,
        auth: AuthKind,
        first: SocketAddr,
        redirected_from: Option<IpAddr>,
    ) {
        let settings = &self.settings;
        let session = self.session.as_ref().filter(|_| !auth.is_login());
        let round_trip = self.serving.as_ref().and_then(|s| s.round_trip);
        let mut retransmission = Retransmission::from_round_trip(round_trip);
        if auth.is_login() {
            // A login has as long as AuthenticationTimeout gives it; only a reconnect gives up after a count, to begin anew.
            retransmission.tries = u32::MAX;
        }
        let config = InitiatorConfig {
            ike: settings.ike.clone(),
            esp: settings.esp.clone(),
            first_group: session.and_then(|s| Group::from_id(s.group)),
            trust: settings.trust.clone(),
            host: settings.host_address.clone(),
            last_root: session.and_then(|s| s.root_key),
            dialect: settings.dialect.clone(),
            credentials,
            ppk: settings.ppk.clone(),
            addresses: session.map(|s| s.addresses.clone()).unwrap_or_default(),
            ipv4: settings.ipv4,
            ipv6: settings.ipv6,
            mobike: settings.mobike,
            ticket: settings.tickets() != Resumption::Off,
            redirect: auth.is_login() && self.redirects.may_follow(),
            redirected_from,
            proof_only: false,
            learn: false,
            fragment: settings.fragment,
            retransmission,
            exchange_timeout: settings.exchange_timeout,
            init_timeout: settings.silence_limit.filter(|_| auth.is_login()),
        };
        let marker = first.port() == settings.nat_port && settings.nat_port != settings.port;
        let other = marker.then(|| SocketAddr::new(first.ip(), settings.port));
        let nat = SocketAddr::new(first.ip(), settings.nat_port);
        let initiator = Initiator::new(now, config, first, &mut *self.random);
        self.attempt = Some(Attempt {
            initiator,
            auth,
            first,
            marker,
            other,
            init_sent: 0,
            race: Race::default(),
            led: redirected_from.is_some(),
            nat,
            form: None,
            asked: false,
            slow: false,
            begun: now.at,
            anew_at: None,
            moved: false,
            answered: false,
            verified: false,
        });
        self.begin_race(now);
        self.pump_attempt(now);
    }

    pub(super) fn attempt_timeout(&mut self, now: Now) {
        if self.asleep {
            return;
        }
        let paths = self.paths;
        let anew =
            self.attempt.as_mut().filter(|_| paths.any()).and_then(|a| a.anew_at.take_if(|at| *at <= now.at));
        if anew.is_some() {
            return self.repeat_attempt(now);
        }
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| paths.to(attempt.remote()).is_some()) {
            attempt.initiator.handle_timeout(now.at);
            self.race_timeout(now);
        }
        self.pump_attempt(now);
    }

    /// Sends what the attempt has to send, and takes its events.
    pub(super) fn pump_attempt(&mut self, now: Now) {
        loop {
            let Some(attempt) = self.attempt.as_mut() else { return };
            if let Some((leg, datagram)) = attempt.initiator.poll_datagram() {
                let (to, marker) = match leg {
                    Leg::Init => {
                        attempt.init_sent += 1;
                        if attempt.init_sent == SILENT_AFTER {
                            self.events.push_back(Event::Silent);
                        }
                        // Every third repetition tries the port of first contact: a mapping for it may be all there is.
                        match attempt.other.filter(|_| attempt.init_sent % 3 == 0) {
                            Some(other) => (other, false),
                            None => (attempt.first, attempt.marker),
                        }
                    }
                    Leg::Auth => (attempt.nat, true),
                };
                let others = match leg {
                    Leg::Init => attempt.race.asked().to_vec(),
                    Leg::Auth => Vec::new(),
                };
                for ip in std::iter::once(to.ip()).chain(others) {
                    self.send_ike(now.at, SocketAddr::new(ip, to.port()), marker, &datagram);
                }
                continue;
            }
            let Some(event) = attempt.initiator.poll_event() else { return };
            self.attempt_event(now, event);
        }
    }

    fn attempt_event(&mut self, now: Now, event: InitiatorEvent) {
        match event {
            InitiatorEvent::Redirected(to) => self.redirected(now, to),
            // Nobody asks for it here.
            InitiatorEvent::Heard(_) => {}
            InitiatorEvent::InitAnswered => {
                self.redirects.stop_waiting();
                if let Some(attempt) = self.attempt.as_mut() {
                    attempt.answered = true;
                }
                self.trigger(now, Trigger::InitAnswered);
            }
            InitiatorEvent::Keyed => {
                let sa = self.attempt.as_ref().and_then(|attempt| attempt.initiator.sa());
                if let Some(sa) = sa.filter(|_| self.settings.key_log) {
                    self.events.push_back(Event::IkeKeys(IkeKeys::of(sa)));
                }
            }
            InitiatorEvent::GatewayVerified(verified) => {
                if let Some(attempt) = self.attempt.as_mut() {
                    attempt.verified = true;
                }
                self.events.push_back(Event::GatewayVerified(verified.subject));
            }
            InitiatorEvent::Notice(notice) => self.events.push_back(Event::Notice(notice)),
            InitiatorEvent::Ask(form) => self.ask(now, form),
            InitiatorEvent::Scan(scan) => {
                self.scans += 1;
                self.events.push_back(Event::Scan { id: self.scans, scan });
            }
            InitiatorEvent::Sign(to_sign) => {
                self.scans += 1;
                self.events.push_back(Event::Sign { id: self.scans, to_sign });
            }
            InitiatorEvent::Established(outcome) => self.established(now, *outcome),
            InitiatorEvent::Failed(failure) => self.attempt_failed(now, failure),
        }
    }

    /// A question: known answers first (the gateway dropped an earlier login while the person typed), else the person.
    fn ask(&mut self, now: Now, mut form: Form) {
        let same = |known: &Form| known.same_question(&form) && known.message == form.message;
        let known = self.replay.iter().position(|(known, _)| same(known));
        if let Some(at) = known.filter(|_| form.error.is_empty()) {
            let (_, answers) = self.replay.remove(at);
            if let Some(attempt) = self.attempt.as_mut() {
                attempt.form = Some((form, now.at));
            }
            self.answer(now, answers);
            return;
        }
        if let Some(attempt) = self.attempt.as_mut() {
            attempt.asked = true;
            attempt.form = Some((form.clone(), now.at));
        }
        // A gateway that ended the login over a wrong password asks in the next one as if nothing had been.
        if form.inputs.iter().any(|input| input.kind == InputKind::Password) {
            let refusal = self.refusal.take().filter(|_| form.error.is_empty());
            form.error = refusal.unwrap_or(form.error);
        }
        self.events.push_back(Event::Ask(form));
    }

    /// A scan of an attempt before this one is none of it.
    pub(super) fn scanned(&mut self, now: Now, id: u64, token: Result<String, String>) {
        let Some(attempt) = self.attempt.as_mut().filter(|_| id == self.scans) else { return };
        attempt.initiator.scanned(now, token, &mut *self.random);
        self.pump_attempt(now);
    }

    /// The same of a signature.
    pub(super) fn signed(&mut self, now: Now, id: u64, made: Result<Vec<u8>, String>) {
        let Some(attempt) = self.attempt.as_mut().filter(|_| id == self.scans) else { return };
        attempt.initiator.signed(now, made, &mut *self.random);
        self.pump_attempt(now);
    }

    pub(super) fn answer(&mut self, now: Now, answers: Answers) {
        let Some(attempt) = self.attempt.as_mut() else { return };
        let Some((mut form, asked_at)) = attempt.form.take() else { return };
        attempt.slow |= now.at.since(asked_at) >= SLOW_PERSON;
        if let Err(error) = attempt.initiator.answer(now, &answers, &mut *self.random) {
            // The answer cannot be sent as it is; the form stays open.
            attempt.form = Some((form.clone(), asked_at));
            form.error = error.to_string();
            self.events.push_back(Event::Ask(form));
            return;
        }
        known::keep(&mut self.answers, form, answers);
        self.pump_attempt(now);
    }

    fn attempt_failed(&mut self, now: Now, failure: Failure) {
        let Some(attempt) = self.attempt.take() else { return };
        let mut initiator = attempt.initiator;
        while let Some((_, datagram)) = initiator.poll_datagram() {
            self.send_ike(now.at, attempt.nat, true, &datagram);
        }
        if let Failure::Elsewhere(to) = failure {
            return self.wanted_elsewhere(now, attempt.first, to);
        }
        if attempt.auth.is_login() && !attempt.verified && self.redirects.may_go_back() {
            let why = format!("{}: {failure}", attempt.nat.ip());
            self.events.push_back(Event::Failed(failure));
            return self.go_back(now, why);
        }
        if attempt.auth.is_login() && self.logins < LOGINS {
            match &failure {
                // Dropped while the person typed: the answers serve again.
                Failure::NoAnswer { .. } if attempt.slow => {
                    self.replay = std::mem::take(&mut self.answers);
                    return self.start_login(now);
                }
                // Refused: the person is asked again, in a new IKE SA.
                Failure::Eap(EapError::Refused(_)) | Failure::Refused { verified: true, .. }
                    if attempt.asked =>
                {
                    self.events.push_back(Event::Notice(Notice::Error(failure.to_string())));
                    self.refusal = Some(failure.to_string());
                    self.answers.clear();
                    self.replay.clear();
                    return self.start_login(now);
                }
                _ => {}
            }
        }
        let failure = self.redirects.explain(failure);
        let login = attempt.auth.is_login();
        if login && !attempt.answered && failure == (Failure::NoAnswer { hint: None }) {
            self.events.push_back(Event::Unanswered);
        }
        // Whoever never issued the session cannot tell that it is over: the one who did is asked again.
        let peer = self.session.as_ref().map(|session| session.peer.ip());
        let elsewhere = !attempt.auth.is_login()
            && peer.is_some_and(|peer| peer != attempt.nat.ip() && self.paths.to(peer).is_some());
        self.strangers |= elsewhere && matches!(failure, Failure::Refused { .. } | Failure::Ticket);
        let other = if elsewhere { None } else { self.note_refusal(now, attempt.auth, &failure) };
        self.fail_at(now, failure, elsewhere, other);
    }

    pub(super) fn fail(&mut self, now: Now, failure: Failure) {
        self.fail_at(now, failure, false, None);
    }

    /// `elsewhere`: not where the session comes from, though that can be reached.
    /// `other`: what it means, where there is another way back.
    fn fail_at(&mut self, now: Now, failure: Failure, elsewhere: bool, other: Option<Failed>) {
        let failed = match &failure {
            _ if let Some(other) = other => other,
            Failure::Refused { .. } | Failure::Ticket if elsewhere => Failed::NoAnswer,
            Failure::NoAnswer { .. } | Failure::Protocol(_) => Failed::NoAnswer,
            Failure::Refused { .. } | Failure::Ticket => Failed::Refused,
            Failure::Certificate(_) | Failure::GatewayAuth | Failure::Ppk(_) => Failed::Untrusted,
            Failure::Child(_) => Failed::NoChild,
            Failure::Eap(_)
            | Failure::OwnCertificate(_)
            | Failure::OwnKey(_)
            | Failure::Elsewhere(_)
            | Failure::Redirects(_) => Failed::Login,
        };
        if failed == Failed::NoAnswer {
            self.address = self.address.wrapping_add(1);
        }
        let connecting = matches!(self.policy.state(), State::Connecting);
        if connecting {
            self.refusal = None;
            self.answers.clear();
            self.replay.clear();
        }
        self.error = Some(failure.clone());
        self.events.push_back(Event::Failed(failure));
        self.trigger(now, Trigger::Failed(failed));
    }
}
