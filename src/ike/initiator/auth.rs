//! IKE_AUTH: the gateway proves itself, then the login or the token, then the Child SA and the configuration.

use super::super::auth::{method, shared_key_auth, signed_octets, verify_signature};
use super::super::cert::Verified;
use super::super::eap::{Answers, AnyConnect, EapError, Step};
use super::super::established::{esp_spi, mobike_offer};
use super::super::keys::ChildKeying;
use super::super::message::{
    ConfigAttribute, Configuration, Delete, Exchange, Identity, Notify, Payload, Redirect, find_notify,
    notify,
};
use super::super::proposal::proposals;
use super::super::sa::{Dropped, IkeSa, Received};
use super::asked::asked;
use super::init::{Keyed, describe};
use super::{Credentials, Failure, InitiatorConfig, InitiatorEvent, Outcome};
use crate::crypto::{Random, Secret};
use crate::esp::TrafficSelector;
use crate::plan::Plan;
use crate::time::{Instant, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// X.509 certificate, signature (RFC 7296 3.6).
const CERT_X509: u8 = 4;

/// Where the exchange stands.
enum Phase {
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
    keyed: Keyed,
    id: Identity,
    child_spi: u32,
    eap: Option<AnyConnect>,
    step: Phase,
    asking: bool,
    gateway: Option<(Verified, Identity)>,
    exchange_timeout: Duration,
    deadline: Instant,
    round_trips: u32,
    round_trip: Option<Duration>,
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
    pub(super) fn new(now: Instant, config: &InitiatorConfig, keyed: Keyed, random: &mut dyn Random) -> Self {
        let fragment = keyed.peer_fragments.then_some(config.fragment);
        let sa = IkeSa::new(
            true,
            keyed.spi_i,
            keyed.spi_r,
            keyed.suite,
            keyed.keys.clone(),
            (1, 0),
            fragment,
            config.retransmission,
        );
        let (id, eap) = match &config.credentials {
            Credentials::AnyConnect { identity, params } => (
                Identity { kind: config.dialect.initial_id_type, data: identity.clone().into_bytes() },
                Some(AnyConnect::new(params.clone())),
            ),
            Credentials::Token { id, .. } => {
                (Identity { kind: config.dialect.reconnect_id_type, data: id.clone() }, None)
            }
        };
        let mut auth = Self {
            sa: Some(sa),
            id,
            child_spi: esp_spi(random),
            eap,
            step: Phase::Proof,
            asking: false,
            gateway: None,
            exchange_timeout: config.exchange_timeout,
            deadline: now + config.exchange_timeout,
            round_trips: keyed.round_trips,
            round_trip: keyed.round_trip,
            keyed,
        };
        let first = auth.first_request(config);
        auth.request(now, first, random);
        auth
    }

    fn first_request(&self, config: &InitiatorConfig) -> Vec<Payload> {
        let mut payloads = vec![
            Payload::IdI(self.id.clone()),
            Payload::CertReq { encoding: CERT_X509, authorities: config.trust.certreq(config.last_root) },
        ];
        if let Credentials::Token { token, .. } = &config.credentials {
            payloads.push(self.auth_payload(token));
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
        payloads
    }

    /// Our AUTH payload of method 2 with this key.
    fn auth_payload(&self, key: &Secret) -> Payload {
        let (prf, keyed) = (self.keyed.suite.prf, &self.keyed);
        let octets = signed_octets(prf, &keyed.keys.sk_pi, &keyed.request, &keyed.nr, &self.id);
        let data = shared_key_auth(prf, key.expose(), &octets).expose().to_vec();
        Payload::Auth { method: method::SHARED_KEY, data }
    }

    fn request(&mut self, now: Instant, payloads: Vec<Payload>, random: &mut dyn Random) {
        self.deadline = now + self.exchange_timeout;
        if let Some(sa) = self.sa.as_mut() {
            sa.request(now, Exchange::IkeAuth, payloads, random);
        }
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asking
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
                self.handle_answer(now, config, &payloads, events, random)
            }
            Received::Request { .. } => {
                // It has overtaken the answer that makes the SA. Whoever answered now would have agreed to what is done to a
                // Child SA that is not there yet; it comes again.
                sa.put_off();
                Ok(())
            }
            Received::Fragment | Received::Retransmission => Ok(()),
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
            let what = if self.eap.is_some() { "login" } else { "session token" };
            return Err(match n.kind {
                notify::AUTHENTICATION_FAILED => Failure::Refused { what, verified: self.gateway.is_some() },
                _ => Failure::Child(describe(n)),
            }
            .into());
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
                return self.finish_or_delete(now.at, config, payloads, events, random);
            }
            self.step = Phase::Eap;
        }
        match self.step {
            Phase::Final => {
                self.check_final(payloads)?;
                self.follow_redirect(now.at, config, payloads, random)?;
                self.finish_or_delete(now.at, config, payloads, events, random)
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
    fn turn_away(&mut self, now: Instant, random: &mut dyn Random) {
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
        let step = eap.handle(packet);
        events.extend(eap.notices().into_iter().map(InitiatorEvent::Notice));
        match step? {
            Step::Reply(packet) => self.request(now, vec![Payload::Eap(packet)], random),
            Step::Ask(form) => {
                self.asking = true;
                events.push_back(InitiatorEvent::Ask(form));
            }
            Step::Success => {
                // The method exports no key: SK_pi and SK_pr take its place (RFC 7296 2.16).
                let auth = self.auth_payload(&self.keyed.keys.sk_pi.clone());
                self.step = Phase::Final;
                self.request(now, vec![auth], random);
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
        let packet = eap.answer(answers)?;
        self.asking = false;
        self.request(now, vec![Payload::Eap(packet)], random);
        Ok(())
    }

    /// Certificate, host name, pins, IDr and signature: all of it before anything else is believed.
    fn check_gateway(
        &mut self,
        now: Now,
        config: &InitiatorConfig,
        payloads: &[Payload],
    ) -> Result<Verified, Failure> {
        let certs: Vec<Vec<u8>> = payloads
            .iter()
            .filter_map(|p| match p {
                Payload::Cert { encoding: CERT_X509, data } => Some(data.clone()),
                _ => None,
            })
            .collect();
        let id = payloads
            .iter()
            .find_map(|p| match p {
                Payload::IdR(id) => Some(id.clone()),
                _ => None,
            })
            .ok_or(Failure::Protocol("no IDr payload"))?;
        let (auth_method, data) = payloads
            .iter()
            .find_map(|p| match p {
                Payload::Auth { method, data } => Some((*method, data)),
                _ => None,
            })
            .ok_or(Failure::Protocol("the gateway did not authenticate itself"))?;
        let verified = config.trust.verify(&certs, &config.host, now.wall)?;
        if let Some(leaf) = certs.first() {
            config.trust.check_idr(leaf, &id)?;
        }
        let keyed = &self.keyed;
        let octets = signed_octets(keyed.suite.prf, &keyed.keys.sk_pr, &keyed.response, &keyed.ni, &id);
        verify_signature(auth_method, data, &octets, &verified.spki, config.dialect.rsa_auth_sha1)
            .map_err(|_| Failure::GatewayAuth)?;
        self.gateway = Some((verified.clone(), id));
        Ok(verified)
    }

    /// The gateway's AUTH after EAP: method 2 with SK_pr.
    fn check_final(&self, payloads: &[Payload]) -> Result<(), Failure> {
        let (Some((_, id)), keyed) = (&self.gateway, &self.keyed) else { return Err(Failure::GatewayAuth) };
        let data = payloads.iter().find_map(|p| match p {
            Payload::Auth { method: method::SHARED_KEY, data } => Some(data),
            _ => None,
        });
        let data = data.ok_or(Failure::Protocol("no AUTH after the login"))?;
        let octets = signed_octets(keyed.suite.prf, &keyed.keys.sk_pr, &keyed.response, &keyed.ni, id);
        let expected = shared_key_auth(keyed.suite.prf, keyed.keys.sk_pr.expose(), &octets);
        if expected == Secret::from(data.as_slice()) { Ok(()) } else { Err(Failure::GatewayAuth) }
    }

    /// Both sides are authenticated. Where no Child SA came of it the IKE SA is of no use and the gateway is told so, unless
    /// that would end the session (dialect `delete_ends_session`).
    fn finish_or_delete(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        payloads: &[Payload],
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let finished = self.finish(config, payloads, events);
        let may_delete = self.eap.is_some() || !config.dialect.delete_ends_session;
        if let (Err(Stop::Failed(Failure::Child(_))), true, Some(sa)) =
            (&finished, may_delete, self.sa.as_mut())
        {
            let delete = Delete { protocol: 1, spis: Vec::new() };
            sa.request(now, Exchange::Informational, vec![Payload::Delete(delete)], random);
        }
        finished
    }

    fn finish(
        &mut self,
        config: &InitiatorConfig,
        payloads: &[Payload],
        events: &mut VecDeque<InitiatorEvent>,
    ) -> Result<(), Stop> {
        let Some((gateway, gateway_id)) = self.gateway.clone() else {
            return Err(Failure::GatewayAuth.into());
        };
        if let Some(n) = payloads.iter().find_map(|p| match p {
            Payload::Notify(n) if n.kind < 16384 => Some(n),
            _ => None,
        }) {
            return Err(Failure::Child(describe(n)).into());
        }
        let (esp, spi_out) = proposals(payloads)
            .and_then(|p| config.esp.accept_esp(p, false))
            .ok_or_else(|| Failure::Child("no ESP proposal of ours in the answer".into()))?;
        let selectors = |initiator: bool| {
            payloads
                .iter()
                .find_map(|p| match p {
                    Payload::TsI(ts) if initiator => Some(ts.clone()),
                    Payload::TsR(ts) if !initiator => Some(ts.clone()),
                    _ => None,
                })
                .filter(|ts| !ts.is_empty())
                .ok_or_else(|| Failure::Child("no traffic selectors in the answer".into()))
        };
        let (local, remote) = (selectors(true)?, selectors(false)?);
        let keyed = &self.keyed;
        let keying = ChildKeying {
            prf: keyed.suite.prf,
            sk_d: &keyed.keys.sk_d,
            ni: &keyed.ni,
            nr: &keyed.nr,
            shared: None,
        };
        let child = keying.derive(&esp, true, self.child_spi, spi_out, local, remote);
        let attributes: &[ConfigAttribute] = payloads
            .iter()
            .find_map(|p| match p {
                Payload::Cp(c) if c.kind == 2 => Some(c.attributes.as_slice()),
                _ => None,
            })
            .unwrap_or_default();
        let dialect = &config.dialect;
        let ours = [dialect.session_id_attribute, dialect.session_token_attribute];
        let timers = [dialect.window_attribute, dialect.dpd_interval_attribute];
        let of_the_plan = |a: &&ConfigAttribute| !ours.contains(&a.kind) && !timers.contains(&Some(a.kind));
        let of_the_plan = attributes.iter().filter(of_the_plan);
        let (plan, plan_notes) = Plan::from_reply(of_the_plan.map(|a| (a.kind, a.value.as_slice())));
        if plan.addresses().is_empty() {
            return Err(Failure::Child("the gateway assigned no address".into()).into());
        }
        let value = |kind: u16| {
            attributes.iter().find(|a| a.kind == kind && !a.value.is_empty()).map(|a| a.value.as_slice())
        };
        let seconds = |kind: Option<u16>| {
            let value = value(kind?)?;
            let secs = value.iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)))?;
            Some(Duration::from_secs(secs.clamp(1, 24 * 3600)))
        };
        let token = value(dialect.session_token_attribute);
        let long_enough = |token: &&[u8]| token.len() >= dialect.token_min_length;
        let session_token = token.filter(long_enough).map(Secret::from);
        // An ID that came with a token that is not kept belongs to no token of ours.
        let session_id =
            value(dialect.session_id_attribute).filter(|_| token.is_some() == session_token.is_some());
        let outcome = Outcome {
            child,
            esp,
            plan,
            plan_notes,
            session_id: session_id.map(<[u8]>::to_vec),
            session_token,
            window: seconds(dialect.window_attribute),
            dpd_interval: seconds(dialect.dpd_interval_attribute),
            mobike: mobike_offer(payloads).filter(|_| config.mobike),
            gateway,
            gateway_id: gateway_id.to_string(),
            round_trips: self.round_trips,
            round_trip: self.round_trip,
        };
        events.push_back(InitiatorEvent::Established(Box::new(outcome)));
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Failure> {
        if self.asking {
            return None;
        }
        let dead = self.sa.as_mut().is_some_and(|sa| sa.handle_timeout(now));
        (dead || now >= self.deadline).then_some(Failure::NoAnswer { hint: None })
    }

    pub(super) fn due(&self) -> Option<Instant> {
        if self.asking {
            return None;
        }
        let sa = self.sa.as_ref()?;
        Some(sa.poll_timeout().map_or(self.deadline, |at| at.min(self.deadline)))
    }
}
