//! IKE_AUTH: the gateway proves itself, then the login or the token, then the Child SA and the configuration.

use super::super::cert::Verified;
use super::super::eap::{Answers, EapError, Peer, Step};
use super::super::established::esp_spi;
use super::super::keys::SaKeys;
use super::super::message::{
    Configuration, Delete, Exchange, Identity, Notify, Payload, Redirect, find_notify, notify,
};
use super::super::sa::{Dropped, IkeSa, Received};
use super::asked::asked;
use super::heard::Heard;
use super::init::{Keyed, describe};
use super::ppk::Mixing;
use super::resume;
use super::sign::{Signatures, Unsigned};
use super::{Credentials, Failure, InitiatorConfig, InitiatorEvent};
use crate::crypto::{KemKey, Random};
use crate::esp::TrafficSelector;
use crate::time::{Instant, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// X.509 certificate, signature (RFC 7296 3.6).
pub(super) const CERT_X509: u8 = 4;

/// Where the exchange stands.
pub(super) enum Phase {
    /// The answer to IKE_INTERMEDIATE has the additional key exchange.
    Intermediate(Box<KemKey>),
    /// The first answer must carry the gateway's proof.
    Proof,
    /// The gateway is proved, EAP goes on.
    Eap,
    /// Our final AUTH is out.
    Final,
}

/// The IKE_AUTH exchanges under way.
pub(super) struct Auth {
    /// Taken by the owner at the end.
    pub(super) sa: Option<IkeSa>,
    pub(super) keyed: Keyed,
    pub(super) id: Identity,
    /// What becomes of the PPK.
    pub(super) ppk: Mixing,
    pub(super) child_spi: u32,
    pub(super) eap: Option<Peer>,
    pub(super) step: Phase,
    asking: bool,
    scanning: bool,
    pub(super) signatures: Signatures,
    pub(super) gateway: Option<(Verified, Identity)>,
    /// IDr of a resumed IKE SA whose gateway has proved itself.
    pub(super) resumed: Option<Identity>,
    exchange_timeout: Duration,
    deadline: Instant,
    pub(super) round_trips: u32,
    pub(super) round_trip: Option<Duration>,
}

/// Why a datagram did not move the exchange.
pub(super) enum Stop {
    /// Thrown away, nothing changed.
    Dropped(Dropped),
    /// The attempt is over.
    Failed(Failure),
}

impl From<Dropped> for Stop {
    fn from(dropped: Dropped) -> Self {
        Self::Dropped(dropped)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<EapError> for Stop {
    fn from(error: EapError) -> Self {
        Self::Failed(error.into())
    }
}

impl Auth {
    pub(super) fn new(
        now: Now,
        config: &InitiatorConfig,
        keyed: Keyed,
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<Self, Failure> {
        let sa = IkeSa::new(
            true,
            keyed.spi_i,
            keyed.spi_r,
            keyed.suite,
            keyed.keys.clone(),
            (1, 0),
            keyed.fragmentation,
            config.retransmission,
        );
        let named = |identity: &str| Identity::new(config.dialect.initial_id_type, identity);
        let (id, eap) = match &config.credentials {
            Credentials::AnyConnect { identity, params } => {
                (named(identity), Some(Peer::any_connect(params.clone())))
            }
            Credentials::Eap { identity, method } => (identity.clone(), Some(Peer::standard(*method))),
            Credentials::EapTls { identity, login } => {
                (identity.clone(), Some(Peer::tls(login.as_ref().clone(), now.wall)))
            }
            Credentials::Certificate { identity, .. } => (identity.clone(), None),
            Credentials::Token { id, .. } => {
                (Identity { kind: config.dialect.reconnect_id_type, data: id.clone() }, None)
            }
            Credentials::Ticket(ticket) => (resume::identity(&ticket.id), None),
        };
        let mut auth = Self {
            ppk: Mixing::No,
            sa: Some(sa),
            id,
            child_spi: esp_spi(random),
            eap,
            step: Phase::Proof,
            asking: false,
            scanning: false,
            signatures: Signatures::default(),
            gateway: None,
            resumed: None,
            exchange_timeout: config.exchange_timeout,
            deadline: now.at + config.exchange_timeout,
            round_trips: keyed.round_trips,
            round_trip: keyed.round_trip,
            keyed,
        };
        if auth.keyed.suite.additional.is_some() {
            auth.exchange_keys(now.at, random);
        } else {
            auth.authenticate(now.at, config, events, random)?;
        }
        Ok(auth)
    }

    pub(super) fn first_request(&self, config: &InitiatorConfig) -> Result<Vec<Payload>, Unsigned> {
        let mut payloads = vec![Payload::IdI(self.id.clone())];
        if let Credentials::Certificate { own, .. } = &config.credentials {
            let certificate = |der: &Vec<u8>| Payload::Cert { encoding: CERT_X509, data: der.clone() };
            payloads.extend(own.chain().iter().map(certificate));
        }
        if !matches!(config.credentials, Credentials::Ticket(_)) {
            payloads.push(Payload::CertReq {
                encoding: CERT_X509,
                authorities: config.trust.certreq(config.last_root),
            });
        }
        match &config.credentials {
            Credentials::Token { token, .. } => {
                payloads.extend(self.prove(|keys| Ok::<_, Unsigned>(self.auth_payload(keys, token)))?);
            }
            Credentials::Certificate { own, .. } => {
                let auth = |(method, data)| Payload::Auth { method, data };
                payloads.extend(self.prove(|keys| self.signature(keys, own).map(auth))?);
            }
            Credentials::Ticket(_) => payloads.push(self.resumed_auth_payload()),
            Credentials::AnyConnect { .. } | Credentials::Eap { .. } | Credentials::EapTls { .. } => {}
        }
        let mut selectors = Vec::new();
        if config.ipv4 {
            selectors.push(TrafficSelector::any_v4());
        }
        if config.ipv6 {
            selectors.push(TrafficSelector::any_v6());
        }
        payloads.extend([
            Payload::Cp(Configuration { kind: 1, attributes: asked(config) }),
            Payload::Sa(config.esp.esp_proposals(self.child_spi, false)),
            Payload::TsI(selectors.clone()),
            Payload::TsR(selectors),
        ]);
        if config.mobike {
            payloads.push(Payload::Notify(Notify::status(notify::MOBIKE_SUPPORTED, Vec::new())));
        }
        if config.ticket {
            payloads.push(Payload::Notify(Notify::status(notify::TICKET_REQUEST, Vec::new())));
        }
        Ok(payloads)
    }

    /// IDi as sent.
    pub(super) fn id(&self) -> &Identity {
        &self.id
    }

    pub(super) fn request(&mut self, now: Instant, payloads: Vec<Payload>, random: &mut dyn Random) {
        self.request_in(now, Exchange::IkeAuth, payloads, random);
    }

    pub(super) fn request_in(
        &mut self,
        now: Instant,
        exchange: Exchange,
        payloads: Vec<Payload>,
        random: &mut dyn Random,
    ) {
        self.deadline = now + self.exchange_timeout;
        if let Some(sa) = self.sa.as_mut() {
            sa.request(now, exchange, payloads, random);
        }
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asking || self.scanning || self.signatures.is_waited_for()
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Now,
        config: &InitiatorConfig,
        datagram: &[u8],
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let Some(sa) = self.sa.as_mut() else { return Ok(()) };
        match sa.handle(now.at, datagram, random)? {
            Received::Response { payloads, round_trip, .. } => {
                self.round_trips += 1;
                self.round_trip = round_trip.or(self.round_trip);
                if config.learn {
                    events.push_back(InitiatorEvent::Heard(Box::new(Heard::of(&payloads))));
                }
                self.handle_answer(now, config, &payloads, events, random)
            }
            Received::Request { .. } => {
                // It has overtaken the answer that makes the SA. Whoever answered now would have agreed to what is done to a
                // Child SA that is not there yet; it comes again.
                sa.put_off();
                Ok(())
            }
            Received::Fragment | Received::Slice | Received::Retransmission => Ok(()),
        }
    }

    fn handle_answer(
        &mut self,
        now: Now,
        config: &InitiatorConfig,
        payloads: &[Payload],
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let error = payloads.iter().find_map(|p| match p {
            Payload::Notify(n) if n.kind < 16384 => Some(n),
            _ => None,
        });
        let has_auth = payloads.iter().any(|p| matches!(p, Payload::Auth { .. }));
        if let Some(n) = error
            && !has_auth
        {
            let what = match &config.credentials {
                Credentials::Token { .. } => "session token",
                Credentials::Ticket(_) => "ticket",
                Credentials::Certificate { .. } if self.ppk.is_offered() => {
                    "login, whose proof has the certificate and the PPK in it"
                }
                _ => "login",
            };
            let said = self.eap.as_mut().and_then(Peer::refusal);
            return Err(match (n.kind, said) {
                (notify::AUTHENTICATION_FAILED, Some(said)) => Failure::Eap(said),
                // EAP has succeeded: what is refused is our AUTH, and of what is in it only the PPK can be another one.
                (notify::AUTHENTICATION_FAILED, None)
                    if self.ppk.is_offered() && matches!(self.step, Phase::Final) =>
                {
                    Failure::Ppk(
                        "took the login and refuses the PPK: it has another one under that name, or none",
                    )
                }
                (notify::AUTHENTICATION_FAILED, None) => {
                    Failure::Refused { what, verified: self.gateway.is_some() }
                }
                _ => Failure::Child(describe(n)),
            }
            .into());
        }
        if matches!(self.step, Phase::Intermediate(_)) {
            return self.keys_exchanged(now.at, config, payloads, events, random);
        }
        if let Credentials::Ticket(ticket) = &config.credentials {
            if let Err(failure) = self.check_resumed(ticket, payloads) {
                self.turn_away(now.at, random);
                return Err(failure.into());
            }
            return self.finish_or_delete(now, config, payloads, events, random);
        }
        if self.eap.is_none() || matches!(self.step, Phase::Final) {
            self.ppk_answered(now.at, config, payloads, random)?;
        }
        if matches!(self.step, Phase::Proof) {
            let verified = match self.check_gateway(now, config, payloads) {
                Ok(verified) => verified,
                Err(failure) => {
                    // The attempt is over whether it hears that or not.
                    self.turn_away(now.at, random);
                    return Err(failure.into());
                }
            };
            events.push_back(InitiatorEvent::GatewayVerified(Box::new(verified)));
            if config.proof_only {
                self.turn_away(now.at, random);
                return Ok(());
            }
            let has_eap = payloads.iter().any(|p| matches!(p, Payload::Eap(_)));
            if !has_eap {
                self.follow_redirect(now.at, config, payloads, random)?;
            }
            if self.eap.is_none() {
                return self.finish_or_delete(now, config, payloads, events, random);
            }
            self.step = Phase::Eap;
        }
        match self.step {
            Phase::Final => {
                self.check_final(payloads)?;
                self.follow_redirect(now.at, config, payloads, random)?;
                self.finish_or_delete(now, config, payloads, events, random)
            }
            _ => {
                let packet = payloads.iter().find_map(|p| match p {
                    Payload::Eap(packet) => Some(packet),
                    _ => None,
                });
                let packet =
                    packet.ok_or(Failure::Protocol("IKE_AUTH without EAP in the middle of a login"))?;
                self.handle_eap(now.at, packet, events, random)
            }
        }
    }

    /// Tells the gateway why nothing follows (RFC 7296 2.21.2).
    pub(super) fn turn_away(&mut self, now: Instant, random: &mut dyn Random) {
        if let Some(sa) = self.sa.as_mut() {
            let why = Notify::status(notify::AUTHENTICATION_FAILED, Vec::new());
            sa.request(now, Exchange::Informational, vec![Payload::Notify(why)], random);
        }
    }

    /// Both AUTH checks are done where they are due. A gateway that wants us elsewhere gives no Child SA: the IKE SA is of no
    /// use (RFC 5685 6).
    fn follow_redirect(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Result<(), Failure> {
        let redirect = find_notify(payloads, notify::REDIRECT).filter(|_| config.redirect);
        let Some(redirect) = redirect.and_then(|n| Redirect::decode(&n.data)) else { return Ok(()) };
        if let Some(sa) = self.sa.as_mut() {
            sa.request(now, Exchange::Informational, vec![Payload::Delete(Delete::ike())], random);
        }
        Err(Failure::Elsewhere(redirect.to))
    }

    fn handle_eap(
        &mut self,
        now: Instant,
        packet: &[u8],
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let Some(eap) = self.eap.as_mut() else { return Ok(()) };
        let step = eap.handle(packet, random);
        events.extend(eap.notices().into_iter().map(InitiatorEvent::Notice));
        self.take_step(now, step?, events, random)
    }

    /// What came of [`InitiatorEvent::Scan`].
    pub(super) fn scanned(
        &mut self,
        now: Instant,
        token: Result<String, String>,
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let Some(eap) = self.eap.as_mut().filter(|_| self.scanning) else { return Ok(()) };
        self.scanning = false;
        let step = eap.scanned(token);
        events.extend(eap.notices().into_iter().map(InitiatorEvent::Notice));
        self.take_step(now, step?, events, random)
    }

    pub(super) fn take_step(
        &mut self,
        now: Instant,
        step: Step,
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        match step {
            Step::Reply(packet) => self.request(now, vec![Payload::Eap(packet)], random),
            Step::Ask(form) => {
                self.asking = true;
                events.push_back(InitiatorEvent::Ask(form));
            }
            Step::Scan(scan) => {
                self.scanning = true;
                events.push_back(InitiatorEvent::Scan(scan));
            }
            Step::Sign(own) => self.show(now, own, events, random)?,
            Step::Success => {
                let made = |keys: &SaKeys| Ok(self.auth_payload(keys, self.eap_key(&keys.sk_pi)));
                let auth = self.prove::<Failure>(made)?;
                self.step = Phase::Final;
                self.request(now, auth, random);
            }
        }
        Ok(())
    }

    pub(super) fn answer(
        &mut self,
        now: Instant,
        answers: &Answers,
        random: &mut dyn Random,
    ) -> Result<(), EapError> {
        if !self.asking {
            return Ok(());
        }
        let Some(eap) = self.eap.as_mut() else { return Ok(()) };
        let packet = eap.answer(answers, random)?;
        self.asking = false;
        self.request(now, vec![Payload::Eap(packet)], random);
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Failure> {
        if self.is_asking() {
            return None;
        }
        let dead = self.sa.as_mut().is_some_and(|sa| sa.handle_timeout(now));
        (dead || now >= self.deadline).then_some(Failure::NoAnswer { hint: None })
    }

    pub(super) fn due(&self) -> Option<Instant> {
        if self.is_asking() {
            return None;
        }
        let sa = self.sa.as_ref()?;
        Some(sa.poll_timeout().map_or(self.deadline, |at| at.min(self.deadline)))
    }
}
