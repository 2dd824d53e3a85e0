//! IKE_SA_INIT (RFC 7296 1.2, 2.6, 2.23): a half-open IKE SA, or what the client must do first.

use super::event::{DropReason, Refusal};
use super::login::{HalfOpen, Stage};
use super::outbox::Path;
use super::timers::Timer;
use super::{Gateway, Port};
use crate::crypto::{Group, Hash, generate};
use crate::ike::auth::{our_hash_algorithms, read_hash_algorithms};
use crate::ike::established::ike_spi;
use crate::ike::initiator::nat_detection_hash;
use crate::ike::keys::SaKeys;
use crate::ike::message::{
    Exchange, Notify, Outgoing, Payload, Proposal, Redirect, Spi, decode_message, encode_message,
    find_notify, notify,
};
use crate::ike::proposal::{Algorithms, IkeSuite, Wish, proposals};
use crate::ike::sa::{IkeSa, Retransmission};
use crate::ike::sk::Fragmentation;
use crate::time::Now;
use std::net::SocketAddr;

/// Octets of our nonce: half the key of the longest PRF (RFC 7296 2.10).
pub(super) const NONCE_LEN: usize = 32;
/// Largest IKE message in one datagram where fragments are agreed: IPv6's 1280 octets less IP, UDP and marker.
pub(super) const FRAGMENT: usize = 1228;

/// A request that has what IKE_SA_INIT needs.
struct Request<'a> {
    spi_i: Spi,
    payloads: &'a [Payload],
    offered: &'a [Proposal],
    group: u16,
    public: &'a [u8],
    nonce: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(spi_i: Spi, payloads: &'a [Payload]) -> Option<Self> {
        let (group, public) = payloads.iter().find_map(|p| match p {
            Payload::Ke { group, data } => Some((*group, data.as_slice())),
            _ => None,
        })?;
        let nonce = payloads.iter().find_map(|p| match p {
            Payload::Nonce(nonce) => Some(nonce.as_slice()),
            _ => None,
        })?;
        Some(Self { spi_i, payloads, offered: proposals(payloads)?, group, public, nonce })
    }

    fn has(&self, kind: u16) -> bool {
        find_notify(self.payloads, kind).is_some()
    }

    /// RFC 5685 3, 5.
    fn follows_redirects(&self) -> bool {
        self.has(notify::REDIRECT_SUPPORTED) || self.has(notify::REDIRECTED_FROM)
    }
}

/// Is there a NAT between `from` and `local`? Every address the client names counts (RFC 7296 2.23).
pub(super) fn is_nat(payloads: &[Payload], spi_i: &Spi, from: SocketAddr, local: SocketAddr) -> bool {
    let matches = |kind, address| {
        let expected = nat_detection_hash(spi_i, &[0; 8], address);
        let mut said = payloads.iter().filter_map(|p| match p {
            Payload::Notify(n) if n.kind == kind => Some(n.data == expected),
            _ => None,
        });
        let first = said.next();
        first.is_none_or(|m| m) || said.any(|m| m)
    };
    !matches(notify::NAT_DETECTION_SOURCE_IP, from) || !matches(notify::NAT_DETECTION_DESTINATION_IP, local)
}

impl Gateway {
    /// Takes an IKE_SA_INIT request.
    pub(super) fn handle_init(&mut self, now: Now, path: Path, datagram: &[u8]) {
        let digest = Hash::Sha256.digest(&[datagram]);
        if let Some(half) = self.by_request.get(&digest).and_then(|spi| self.half_open.get(spi)) {
            // The same octets, perhaps from a new path: the same answer, and no second state.
            self.out.send_ike(path, &half.response);
            return;
        }
        let decoded = decode_message(datagram).ok().filter(|(h, _)| h.initiator && h.message_id == 0);
        let Some((header, payloads)) = decoded else { return self.out.dropped(DropReason::Malformed) };
        let Some(request) = Request::read(header.spi_i, &payloads) else {
            return self.refuse_init(
                now,
                path,
                header.spi_i,
                Refusal::Syntax,
                notify::INVALID_SYNTAX,
                vec![],
            );
        };
        if let Some(cookie) = self.wanted_cookie(now, path, &payloads, request.nonce, &request.spi_i) {
            return self.refuse_init(now, path, request.spi_i, Refusal::Cookie, notify::COOKIE, cookie);
        }
        if let Some(elsewhere) = self.config.redirect.as_ref().filter(|e| !e.after_login)
            && request.follows_redirects()
        {
            let redirect = Redirect { to: elsewhere.to.clone(), nonce: request.nonce.to_vec() };
            let (why, kind) = (Refusal::Elsewhere, notify::REDIRECT);
            return self.refuse_init(now, path, request.spi_i, why, kind, redirect.encode());
        }
        if self.half_open.len() >= self.config.half_open_limit {
            return self.out.dropped(DropReason::HalfOpenLimit);
        }
        let Some((suite, answer)) = self.choose_suite(&request) else {
            let (why, kind) = (Refusal::Proposal, notify::NO_PROPOSAL_CHOSEN);
            return self.refuse_init(now, path, request.spi_i, why, kind, vec![]);
        };
        if suite.group.id() != request.group {
            let wanted = suite.group.id().to_be_bytes().to_vec();
            let (why, kind) = (Refusal::Group, notify::INVALID_KE_PAYLOAD);
            return self.refuse_init(now, path, request.spi_i, why, kind, wanted);
        }
        if request.nonce.len() < (suite.prf.len() / 2).max(16) || request.nonce.len() > 256 {
            return self.refuse_init(
                now,
                path,
                request.spi_i,
                Refusal::Syntax,
                notify::INVALID_SYNTAX,
                vec![],
            );
        }
        self.open(now, path, &request, suite, answer, datagram, digest);
    }

    /// The cookie that is missing, where one is wanted (RFC 7296 2.6).
    pub(super) fn wanted_cookie(
        &mut self,
        now: Now,
        path: Path,
        payloads: &[Payload],
        nonce: &[u8],
        spi_i: &Spi,
    ) -> Option<Vec<u8>> {
        if !self.faults.cookie && self.half_open.len() < self.config.cookie_threshold {
            return None;
        }
        self.cookies.refresh(now.at, &mut *self.random);
        let said = find_notify(payloads, notify::COOKIE);
        let ip = path.peer.ip();
        let known = said.is_some_and(|n| self.cookies.check(&n.data, nonce, ip, spi_i));
        (!known).then(|| self.cookies.make(nonce, ip, spi_i))
    }

    /// The choice, in favour of the group whose public value is already here: another one costs the client a round trip.
    fn choose_suite(&self, request: &Request<'_>) -> Option<(IkeSuite, Proposal)> {
        let mut own = self.config.ike.clone();
        if !request.has(notify::INTERMEDIATE_EXCHANGE_SUPPORTED) {
            if own.ml_kem == Wish::Require {
                return None;
            }
            own.ml_kem = Wish::No;
        }
        if let Some(only) = self.faults.group {
            own.groups = vec![only];
        }
        let sent = Group::from_id(request.group).filter(|g| own.groups.contains(g));
        let with_sent = sent
            .and_then(|group| Algorithms { groups: vec![group], ..own.clone() }.choose_ike(request.offered));
        with_sent.or_else(|| own.choose_ike(request.offered))
    }

    #[allow(clippy::too_many_arguments)]
    fn open(
        &mut self,
        now: Now,
        path: Path,
        request: &Request<'_>,
        suite: IkeSuite,
        answer: Proposal,
        datagram: &[u8],
        digest: Vec<u8>,
    ) {
        let kex = generate(suite.group, &mut *self.random);
        let Ok(shared) = kex.agree(request.public) else {
            let (why, kind) = (Refusal::Syntax, notify::INVALID_SYNTAX);
            return self.refuse_init(now, path, request.spi_i, why, kind, vec![]);
        };
        let spi_r = self.fresh_spi();
        let mut nr = vec![0; NONCE_LEN];
        self.random.fill(&mut nr);
        let keys = SaKeys::derive(&suite, request.nonce, &nr, &shared, &request.spi_i, &spi_r);
        // A public key of ML-KEM is larger than a path's MTU.
        let fragments = self.config.fragmentation || suite.additional.is_some();
        let legacy = self.config.dialect.legacy_fragmentation;
        let fragmentation = Fragmentation::agreed(request.payloads, fragments, legacy, FRAGMENT);
        let client_hashes = find_notify(request.payloads, notify::SIGNATURE_HASH_ALGORITHMS)
            .filter(|_| self.config.signature_hashes)
            .map(|n| read_hash_algorithms(&n.data));

        let local = self.local_address(path.port);
        let status = |kind, data: Vec<u8>| Payload::Notify(Notify::status(kind, data));
        let hash = |address| nat_detection_hash(&request.spi_i, &spi_r, address);
        let mut payloads = vec![
            Payload::Sa(vec![answer]),
            Payload::Ke { group: suite.group.id(), data: kex.public_value().to_vec() },
            Payload::Nonce(nr.clone()),
            status(notify::NAT_DETECTION_SOURCE_IP, hash(local)),
            status(notify::NAT_DETECTION_DESTINATION_IP, hash(path.peer)),
        ];
        if fragmentation.standard().is_some() {
            payloads.push(status(notify::IKEV2_FRAGMENTATION_SUPPORTED, vec![]));
        }
        if client_hashes.is_some() {
            payloads.push(status(notify::SIGNATURE_HASH_ALGORITHMS, our_hash_algorithms()));
        }
        if suite.additional.is_some() {
            payloads.push(status(notify::INTERMEDIATE_EXCHANGE_SUPPORTED, vec![]));
        }
        let ppk = self.offers_ppk(request.payloads);
        if ppk {
            payloads.push(status(notify::USE_PPK, vec![]));
        }
        payloads.extend(self.config.dialect.announced().map(Payload::VendorId));
        let response = encode_message(&head(Exchange::IkeSaInit, request.spi_i, spi_r), &payloads);
        self.out.send_ike(path, &response);

        let dpd = &self.config.dpd;
        let rule = Retransmission { first: dpd.retry, cap: dpd.retry * 4, tries: dpd.tries };
        let sa = IkeSa::new(false, request.spi_i, spi_r, suite, keys, (0, 1), fragmentation, rule);
        let half = HalfOpen {
            sa,
            ni: request.nonce.to_vec(),
            nr,
            request: datagram.to_vec(),
            response,
            digest,
            path,
            nat: is_nat(request.payloads, &request.spi_i, path.peer, local),
            client_hashes,
            follows_redirects: request.follows_redirects(),
            ppk,
            deadline: now.at + self.config.auth_timeout,
            stage: suite.additional.map_or(Stage::First, Stage::Intermediate),
        };
        self.begin(spi_r, half);
    }

    /// A responder SPI that no half-open login has.
    pub(super) fn fresh_spi(&mut self) -> Spi {
        loop {
            let spi = ike_spi(&mut *self.random);
            if !self.half_open.contains_key(&spi) {
                return spi;
            }
        }
    }

    /// The first exchange is answered.
    pub(super) fn begin(&mut self, spi_r: Spi, half: HalfOpen) {
        self.timers.set(Timer::HalfOpen(spi_r), Some((half.deadline, "half-open login")));
        self.by_request.insert(half.digest.clone(), spi_r);
        self.half_open.insert(spi_r, half);
        self.out.counters.inits += 1;
    }

    fn refuse_init(&mut self, now: Now, path: Path, spi_i: Spi, why: Refusal, kind: u16, data: Vec<u8>) {
        let message = encode_message(
            &head(Exchange::IkeSaInit, spi_i, [0; 8]),
            &[Payload::Notify(Notify::status(kind, data))],
        );
        self.out.send_ike(path, &message);
        self.out.refused(now.at, path.peer, why);
    }

    /// Our address and port as the client sees them.
    pub(super) fn local_address(&self, port: Port) -> SocketAddr {
        let (ike, nat) = self.config.ports;
        SocketAddr::new(self.config.address, if port == Port::Ike { ike } else { nat })
    }
}

/// Of an answer that is not encrypted.
pub(super) fn head(exchange: Exchange, spi_i: Spi, spi_r: Spi) -> Outgoing {
    Outgoing { spi_i, spi_r, exchange, initiator: false, response: true, message_id: 0 }
}
