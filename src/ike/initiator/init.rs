//! IKE_SA_INIT: the request, COOKIE, another group, and the valid answer among the forged ones. What of IKE_SESSION_RESUME is
//! different is in `resume`.

use super::super::auth::our_hash_algorithms;
use super::super::keys::SaKeys;
use super::super::message::{
    GatewayId, Header, Notify, Payload, Redirect, Spi, decode_message, encode_message, find_notify, notify,
};
use super::super::proposal::{IkeSuite, Wish, proposals};
use super::super::sa::{Dropped, Retransmission};
use super::super::sk::{Fragmentation, Outgoing};
use super::resume;
use super::{Credentials, Failure, InitiatorConfig};
use crate::crypto::{Group, Hash, KeyExchange, Random, generate};
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// A COOKIE or another group starts the exchange anew; so often, then it is an attack or a fault.
const RESTARTS: u32 = 6;
/// RFC 7296 2.6: 1 to 64 octets.
const COOKIE_MAX: usize = 64;
/// At least half the key of every PRF, and 32 at least.
const NONCE_LEN: usize = 32;

/// The exchange under way.
pub(super) struct Init {
    spi_i: Spi,
    remote: SocketAddr,
    nonce: Vec<u8>,
    source_hash: [u8; 20],
    group: Group,
    /// `None` where a ticket stands for it.
    kex: Option<Box<dyn KeyExchange>>,
    cookie: Vec<u8>,
    request: Vec<u8>,
    restarts: u32,
    rule: Retransmission,
    tries: u32,
    interval: Duration,
    due: Instant,
    sent: Instant,
    deadline: Instant,
    patience: Duration,
    round_trips: u32,
    hint: Option<String>,
    /// The gateway that sent us here (RFC 5685).
    redirected_from: Option<IpAddr>,
    /// TICKET_NACK.
    pub(super) ticket_refused: bool,
    /// Somebody wants us elsewhere.
    pub(super) redirect: Option<GatewayId>,
    outbox: VecDeque<Vec<u8>>,
}

/// What IKE_SA_INIT leaves behind.
pub(super) struct Keyed {
    pub(super) spi_i: Spi,
    pub(super) spi_r: Spi,
    pub(super) suite: IkeSuite,
    pub(super) keys: SaKeys,
    /// The last request and its answer, as signed (RFC 7296 2.15).
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
    pub(super) ni: Vec<u8>,
    pub(super) nr: Vec<u8>,
    pub(super) fragmentation: Fragmentation,
    /// SIGNATURE_HASH_ALGORITHMS as the gateway wrote it.
    pub(super) peer_hashes: Option<Vec<u8>>,
    /// The gateway knows RFC 8784, as we have said that we do.
    pub(super) peer_ppk: bool,
    pub(super) round_trips: u32,
    pub(super) round_trip: Option<Duration>,
}

impl Init {
    pub(super) fn new(
        now: Instant,
        config: &InitiatorConfig,
        spi_i: Spi,
        remote: SocketAddr,
        random: &mut dyn Random,
    ) -> Self {
        let group = config
            .first_group
            .filter(|g| config.ike.groups.contains(g))
            .or(config.ike.groups.first().copied())
            .unwrap_or(Group::Ecp256);
        let mut nonce = vec![0; NONCE_LEN];
        random.fill(&mut nonce);
        // A source hash that cannot match: both sides put ESP into UDP (PROTOCOL section 1).
        let mut source_hash = [0; 20];
        random.fill(&mut source_hash);
        let rule = config.retransmission;
        let patience =
            config.init_timeout.map_or(config.exchange_timeout, |t| t.min(config.exchange_timeout));
        let mut init = Self {
            spi_i,
            remote,
            nonce,
            source_hash,
            group,
            kex: fresh_kex(config, group, random),
            cookie: Vec::new(),
            request: Vec::new(),
            restarts: 0,
            rule,
            tries: 0,
            interval: rule.first,
            due: now,
            sent: now,
            deadline: now + patience,
            patience,
            round_trips: 0,
            hint: None,
            redirected_from: config.redirected_from,
            ticket_refused: false,
            redirect: None,
            outbox: VecDeque::new(),
        };
        init.send(now, config);
        init
    }

    /// Builds the request anew and sends it.
    fn send(&mut self, now: Instant, config: &InitiatorConfig) {
        let mut payloads = Vec::new();
        if !self.cookie.is_empty() {
            payloads.push(Payload::Notify(Notify::status(notify::COOKIE, self.cookie.clone())));
        }
        match (&config.credentials, &self.kex) {
            (Credentials::Ticket(ticket), _) => payloads.extend(resume::request(ticket, &self.nonce)),
            (_, None) => {}
            (_, Some(kex)) => payloads.extend([
                Payload::Sa(config.ike.ike_proposals(&[], Some(self.group))),
                Payload::Ke { group: self.group.id(), data: kex.public_value().to_vec() },
                Payload::Nonce(self.nonce.clone()),
            ]),
        }
        payloads.extend([
            Payload::Notify(Notify::status(notify::NAT_DETECTION_SOURCE_IP, self.source_hash.to_vec())),
            Payload::Notify(Notify::status(
                notify::NAT_DETECTION_DESTINATION_IP,
                nat_detection_hash(&self.spi_i, &[0; 8], self.remote),
            )),
            Payload::Notify(Notify::status(notify::IKEV2_FRAGMENTATION_SUPPORTED, Vec::new())),
            Payload::Notify(Notify::status(notify::SIGNATURE_HASH_ALGORITHMS, our_hash_algorithms())),
        ]);
        if config.ike.ml_kem != Wish::No {
            let supported = notify::INTERMEDIATE_EXCHANGE_SUPPORTED;
            payloads.push(Payload::Notify(Notify::status(supported, Vec::new())));
        }
        if config.ppk.is_some() {
            payloads.push(Payload::Notify(Notify::status(notify::USE_PPK, Vec::new())));
        }
        if config.redirect {
            payloads.push(Payload::Notify(Notify::status(notify::REDIRECT_SUPPORTED, Vec::new())));
            payloads.extend(self.redirected_from.map(|from| {
                let from = GatewayId::Address(from).encode();
                Payload::Notify(Notify::status(notify::REDIRECTED_FROM, from))
            }));
        }
        payloads.extend(config.dialect.announced().map(Payload::VendorId));
        let head = Outgoing {
            spi_i: self.spi_i,
            spi_r: [0; 8],
            exchange: resume::exchange(&config.credentials),
            initiator: true,
            response: false,
            message_id: 0,
        };
        self.request = encode_message(&head, &payloads);
        self.tries = 1;
        self.interval = self.rule.first;
        self.due = now + self.interval;
        self.sent = now;
        self.outbox.push_back(self.request.clone());
    }

    /// `Ok(Some)`: the valid answer. `Ok(None)`: understood, the exchange goes on.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        datagram: &[u8],
        random: &mut dyn Random,
    ) -> Result<Option<Box<Keyed>>, Dropped> {
        let (header, payloads) = decode_message(datagram).map_err(|e| Dropped::Malformed(e.to_string()))?;
        if header.spi_i != self.spi_i
            || header.exchange != resume::exchange(&config.credentials)
            || !header.response
            || header.initiator
            || header.message_id != 0
        {
            return Err(Dropped::Foreign);
        }
        let notifies = || {
            payloads.iter().filter_map(|p| match p {
                Payload::Notify(n) => Some(n),
                _ => None,
            })
        };
        if let Some(n) = notifies().find(|n| n.kind == notify::REDIRECT) {
            let redirect = Redirect::decode(&n.data).filter(|r| config.redirect && r.nonce == self.nonce);
            let to = redirect.map(|redirect| redirect.to).ok_or_else(|| {
                Dropped::Malformed("a redirect that was not asked for, or not in answer to this".into())
            })?;
            self.hint = Some(format!("it redirects to {to}"));
            self.redirect = Some(to);
            return Ok(None);
        }
        if let Some(cookie) = notifies().find(|n| n.kind == notify::COOKIE) {
            if cookie.data.is_empty() || cookie.data.len() > COOKIE_MAX || cookie.data == self.cookie {
                return Err(Dropped::Malformed("a cookie of wrong length, or the same again".into()));
            }
            self.restart()?;
            self.cookie = cookie.data.clone();
            self.send(now, config);
            return Ok(None);
        }
        let resuming = matches!(config.credentials, Credentials::Ticket(_));
        if resuming && notifies().any(|n| n.kind == notify::TICKET_NACK) {
            self.ticket_refused = true;
            return Ok(None);
        }
        if let Some(error) = notifies().find(|n| n.kind < 16384) {
            if error.kind == notify::INVALID_KE_PAYLOAD
                && !resuming
                && let Some(group) =
                    error.data.as_slice().try_into().ok().map(u16::from_be_bytes).and_then(Group::from_id)
                && group != self.group
                && config.ike.groups.contains(&group)
            {
                self.restart()?;
                self.group = group;
                self.kex = fresh_kex(config, group, random);
                self.send(now, config);
                return Ok(None);
            }
            // Nobody has proved anything yet: remember it for people, and go on listening (RFC 7296 2.21.1).
            let told = describe(error);
            let insists = !resuming && config.ike.ml_kem == Wish::Require;
            self.hint = Some(match error.kind {
                notify::NO_PROPOSAL_CHOSEN if insists => {
                    format!(
                        "{told}; nothing without ML-KEM-768 was offered: ml_kem = \"require\" in the config file"
                    )
                }
                _ => told,
            });
            return Ok(None);
        }
        self.accept(now, config, &header, &payloads, datagram).map(|keyed| Some(Box::new(keyed)))
    }

    fn restart(&mut self) -> Result<(), Dropped> {
        if self.restarts >= RESTARTS {
            return Err(Dropped::Malformed("cookies or groups without end".into()));
        }
        self.restarts += 1;
        self.round_trips += 1;
        Ok(())
    }

    fn accept(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        header: &Header,
        payloads: &[Payload],
        datagram: &[u8],
    ) -> Result<Keyed, Dropped> {
        let wrong = |what: &str| Dropped::Malformed(format!("IKE_SA_INIT answer: {what}"));
        if header.spi_r == [0; 8] {
            return Err(wrong("no responder SPI"));
        }
        let (mut ke, mut nr) = (None, None);
        for payload in payloads {
            match payload {
                Payload::Ke { group, data } => ke = Some((*group, data)),
                Payload::Nonce(nonce) => nr = Some(nonce),
                _ => {}
            }
        }
        let nr = nr.ok_or_else(|| wrong("no nonce"))?;
        let (suite, keys) = match (&config.credentials, &self.kex) {
            (Credentials::Ticket(ticket), _) => {
                resume::keys(ticket, (&self.nonce, nr), (&self.spi_i, &header.spi_r))
                    .ok_or_else(|| wrong("a nonce of wrong length"))?
            }
            (_, kex) => {
                let (suite, _) = proposals(payloads)
                    .and_then(|p| config.ike.accept_ike(p))
                    .ok_or_else(|| wrong("a proposal that was not offered"))?;
                if suite.additional.is_some()
                    && find_notify(payloads, notify::INTERMEDIATE_EXCHANGE_SUPPORTED).is_none()
                {
                    return Err(wrong("an additional key exchange without IKE_INTERMEDIATE"));
                }
                let (group, public) = ke.ok_or_else(|| wrong("no KE payload"))?;
                if suite.group != self.group || group != self.group.id() {
                    return Err(wrong("another group than the one sent"));
                }
                let kex = kex.as_ref().ok_or_else(|| wrong("no key exchange of ours"))?;
                let shared = kex.agree(public).map_err(|e| wrong(&e.to_string()))?;
                let keys = SaKeys::derive(&suite, &self.nonce, nr, &shared, &self.spi_i, &header.spi_r);
                (suite, keys)
            }
        };
        Ok(Keyed {
            spi_i: self.spi_i,
            spi_r: header.spi_r,
            suite,
            keys,
            request: self.request.clone(),
            response: datagram.to_vec(),
            ni: self.nonce.clone(),
            nr: nr.clone(),
            fragmentation: Fragmentation::agreed(
                payloads,
                true,
                config.dialect.legacy_fragmentation,
                config.fragment,
            ),
            peer_hashes: find_notify(payloads, notify::SIGNATURE_HASH_ALGORITHMS).map(|n| n.data.clone()),
            peer_ppk: config.ppk.is_some() && find_notify(payloads, notify::USE_PPK).is_some(),
            round_trips: self.round_trips + 1,
            round_trip: (self.tries == 1).then(|| now.since(self.sent)),
        })
    }

    /// Begins anew at another gateway, with another SPI: a late answer of the one before belongs to nothing any more.
    pub(super) fn go_to(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        (spi_i, remote): (Spi, SocketAddr),
        random: &mut dyn Random,
    ) {
        self.redirected_from = Some(self.remote.ip());
        (self.spi_i, self.remote) = (spi_i, remote);
        random.fill(&mut self.nonce);
        self.kex = fresh_kex(config, self.group, random);
        self.cookie.clear();
        self.restarts = 0;
        self.round_trips += 1;
        self.deadline = now + self.patience;
        self.outbox.clear();
        self.send(now, config);
    }

    /// The same octets again, with all their tries.
    pub(super) fn repeat(&mut self, now: Instant) {
        self.outbox.push_back(self.request.clone());
        self.deadline = now + self.patience;
        self.tries = 2;
        self.interval = self.rule.first;
        self.due = now + self.interval;
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Failure> {
        if now >= self.deadline || (now >= self.due && self.tries >= self.rule.tries) {
            return Some(Failure::NoAnswer { hint: self.hint.take() });
        }
        if now >= self.due {
            self.tries += 1;
            self.interval = (self.interval * 2).min(self.rule.cap);
            self.due = now + self.interval;
            self.outbox.push_back(self.request.clone());
        }
        None
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    pub(super) fn answered_by(&mut self, remote: SocketAddr) {
        self.remote = remote;
    }

    pub(super) fn due(&self) -> Instant {
        self.due.min(self.deadline)
    }

    pub(super) fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }
}

/// None for whoever resumes: that takes no key exchange.
fn fresh_kex(
    config: &InitiatorConfig,
    group: Group,
    random: &mut dyn Random,
) -> Option<Box<dyn KeyExchange>> {
    (!matches!(config.credentials, Credentials::Ticket(_))).then(|| generate(group, random))
}

/// SHA-1(SPIi | SPIr | address | port), RFC 7296 2.23.
pub fn nat_detection_hash(spi_i: &Spi, spi_r: &Spi, address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => Hash::Sha1.digest(&[spi_i, spi_r, &ip.octets(), &port]),
        IpAddr::V6(ip) => Hash::Sha1.digest(&[spi_i, spi_r, &ip.octets(), &port]),
    }
}

/// An error notify in words.
pub(super) fn describe(error: &Notify) -> String {
    let name = match error.kind {
        notify::INVALID_SYNTAX => "INVALID_SYNTAX",
        notify::NO_PROPOSAL_CHOSEN => "NO_PROPOSAL_CHOSEN: no algorithms in common",
        notify::INVALID_KE_PAYLOAD => "INVALID_KE_PAYLOAD: it wants a group that is not configured",
        notify::AUTHENTICATION_FAILED => "AUTHENTICATION_FAILED",
        notify::SINGLE_PAIR_REQUIRED => "SINGLE_PAIR_REQUIRED",
        notify::NO_ADDITIONAL_SAS => "NO_ADDITIONAL_SAS",
        notify::INTERNAL_ADDRESS_FAILURE => "INTERNAL_ADDRESS_FAILURE: its address pool is empty",
        notify::FAILED_CP_REQUIRED => "FAILED_CP_REQUIRED",
        notify::TS_UNACCEPTABLE => "TS_UNACCEPTABLE: it refuses the traffic selectors",
        notify::TEMPORARY_FAILURE => "TEMPORARY_FAILURE",
        kind => return format!("error notify {kind}"),
    };
    name.into()
}
