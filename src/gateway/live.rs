//! Authenticated IKE SAs: their Child SAs, their path, liveness on demand, and how they end.

mod index;

use super::Gateway;
use super::child::{Agreed, ChildRequest};
use super::event::{DownReason, DropReason, GatewayEvent, Refusal};
use super::login::HalfOpen;
use super::modecfg;
use super::outbox::Path;
use super::sessions::{Session, SessionKey, State};
use super::untried::Untried;
use crate::esp::{SaPair, SaParams, SaSet, spi_of};
use crate::ike::established::{Authentic, Established, SaEvent, SaPolicy, esp_spi};
use crate::ike::keys::ChildKeying;
use crate::ike::message::{AuthLifetime, Exchange, Header, Identity, Notify, Payload, Spi, notify};
use crate::ike::sa::Retransmission;
use crate::time::{Instant, Now};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// A Child SA that was replaced by a reconnect or deleted goes on receiving this long: packets may be under way.
const RETIRED: Duration = Duration::from_secs(5);

/// A connection number: one IKE SA and what its rekeys make of it.
pub(super) type Connection = u64;

/// An IKE SA about to come up.
pub(super) struct Arrival {
    pub(super) connection: Connection,
    pub(super) session: SessionKey,
    pub(super) id: Identity,
    pub(super) reconnect: bool,
    pub(super) child: SettledChild,
}

/// A Child SA both sides agreed on.
pub(super) struct SettledChild {
    spi_in: u32,
    agreed: Agreed,
    mobike: bool,
    /// When the client has to have authenticated anew.
    pub(super) expires: Option<Instant>,
}

/// One IKE SA with its Child SAs.
pub(super) struct Live {
    pub(super) session: SessionKey,
    pub(super) established: Established,
    pub(super) children: SaSet,
    /// When each pair came up, by inbound SPI.
    pub(super) child_since: BTreeMap<u32, Instant>,
    pub(super) path: Path,
    pub(super) nat: bool,
    pub(super) id: Identity,
    pub(super) reconnect: bool,
    pub(super) connid: u64,
    pub(super) since: Instant,
    /// Next message ID of our requests, and of the client's.
    pub(super) message_ids: (u32, u32),
    /// SPIs under which this connection is found.
    ike_spis: Vec<(Spi, Spi)>,
    /// These receive only.
    untried: Untried,
    /// The last authenticated packet of the client.
    heard: Instant,
    /// A DPD of ours is under way.
    asked: bool,
    /// When the client has to have authenticated anew.
    pub(super) expires: Option<Instant>,
    /// When it was given another ticket last, since the last rekey.
    pub(super) ticket_given: Option<Instant>,
    /// The pair whose rekey for volume was started.
    volume_rekey: Option<u32>,
    /// Deleted: only repeats its last answer until then.
    closing: Option<Instant>,
    /// Another session has its address: it only waits for the answer to our DELETE.
    replaced: bool,
}

impl Live {
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.asked = false;
    }

    fn install(&mut self, now: Instant, child: SaParams, send: bool) {
        let spi_in = child.spi_in;
        self.child_since.insert(spi_in, now);
        if send {
            self.children.install(SaPair::new(child));
        } else {
            self.children.install_inbound(SaPair::new(child));
            self.untried.add(spi_in);
        }
    }

    fn send_on(&mut self, spi_in: Option<u32>) {
        if let Some(spi_in) = spi_in {
            self.children.promote(spi_in);
        }
    }

    fn dpd_at(&self, interval: Duration) -> Option<Instant> {
        (!self.asked).then(|| self.heard + interval)
    }
}

impl Gateway {
    /// A number for the next connection.
    pub(super) fn next_connection(&mut self) -> Connection {
        self.last_connection += 1;
        self.last_connection
    }

    /// The end of an authentication of now, where it has one (AUTH_LIFETIME).
    pub(super) fn authenticated_until(&self, now: Now) -> Option<Instant> {
        self.config.auth_lifetime.map(|lifetime| now.at + lifetime)
    }

    /// Agrees on the Child SA and the configuration of a session, which may be a draft yet: the whole answer, `proof` first.
    /// `expires`: see [`SettledChild`].
    pub(super) fn settle_child(
        &mut self,
        now: Now,
        expires: Option<Instant>,
        session: &Session,
        request: &ChildRequest,
        mut proof: Vec<Payload>,
    ) -> Result<(Vec<Payload>, SettledChild), (Refusal, u16)> {
        let spi_in = loop {
            let spi = esp_spi(&mut *self.random);
            if !self.by_esp.contains_key(&spi) {
                break spi;
            }
        };
        let agreed = request.agree(&self.config.esp, spi_in, session)?;
        proof.extend([
            Payload::Cp(modecfg::reply(&self.config, &request.cp, session)),
            Payload::Sa(vec![agreed.answer.clone()]),
            Payload::TsI(agreed.ts_i.clone()),
            Payload::TsR(agreed.ts_r.clone()),
        ]);
        let mobike = self.config.mobike && request.mobike;
        if mobike {
            proof.push(Payload::Notify(Notify::status(notify::MOBIKE_SUPPORTED, Vec::new())));
        }
        proof.extend(expires.map(|at| AuthLifetime(at.since(now.at)).payload()));
        Ok((proof, SettledChild { spi_in, agreed, mobike, expires }))
    }

    /// The IKE SA is up: it takes over its session and, in a reconnect, what is left of the old SA.
    pub(super) fn arrive(&mut self, now: Now, half: HalfOpen, arrival: Arrival) {
        let Arrival { connection, session, id, reconnect, child } = arrival;
        let SettledChild { spi_in, agreed, mobike, expires } = child;
        let keying = ChildKeying {
            prf: half.sa.suite().prf,
            sk_d: &half.sa.keys().sk_d,
            ni: &half.ni,
            nr: &half.nr,
            shared: None,
        };
        let params = keying.derive(&agreed.suite, false, spi_in, agreed.spi_out, agreed.ts_r, agreed.ts_i);

        let replaced = match self.sessions.get(session).map(|s| s.state) {
            Some(State::Active(old)) if old != connection => self.replace(old),
            _ => None,
        };
        self.sessions.activate(session, connection);
        let (mut children, child_since) = replaced.unwrap_or_default();
        for spi in children.spis() {
            children.retire(spi, now.at + RETIRED);
            self.by_esp.insert(spi, connection);
        }
        let mut established = Established::new(now.at, half.sa, Some(&params), self.policy());
        if mobike {
            established.set_mobike(Vec::new());
        }
        if self.ticket_lifetime().is_some() {
            established.give_tickets();
        }
        let ike_spis = vec![established.spis()];
        let mut live = Live {
            session,
            established,
            children,
            child_since,
            path: half.path,
            nat: half.nat,
            id,
            reconnect,
            connid: self.free_connid(),
            since: now.at,
            message_ids: (0, 0),
            ike_spis,
            untried: Untried::default(),
            heard: now.at,
            asked: false,
            expires,
            ticket_given: None,
            volume_rekey: None,
            closing: None,
            replaced: false,
        };
        live.install(now.at, params, true);
        self.by_esp.insert(spi_in, connection);
        if let Some(session) = self.sessions.get(session) {
            let addresses = session.addresses();
            self.by_address.extend(addresses.iter().map(|a| (*a, connection)));
            self.out.tell(GatewayEvent::SaUp {
                number: connection,
                id: session.id(),
                user: session.user.clone(),
                peer: live.path.peer,
                addresses,
                reconnect,
            });
        }
        self.by_ike.extend(live.ike_spis.iter().map(|spis| (*spis, connection)));
        self.live.insert(connection, live);
        self.settle(now, connection, None);
    }

    fn policy(&self) -> SaPolicy {
        // The lifetimes are hard ones: the rekey starts while a tenth is left.
        let soft = |hard: Duration| Some(hard * 9 / 10);
        SaPolicy {
            ike: self.config.ike.without_ml_kem(),
            esp: self.config.esp.clone(),
            ike_lifetime: soft(self.config.ike_lifetime),
            child_lifetime: soft(self.config.child_lifetime),
        }
    }

    fn free_connid(&self) -> u64 {
        // Of n connections one of the first n + 1 numbers is free.
        let mut taken = vec![false; self.live.len() + 1];
        for live in self.live.values() {
            let at = usize::try_from(live.connid).ok().and_then(|connid| connid.checked_sub(1));
            if let Some(slot) = at.and_then(|at| taken.get_mut(at)) {
                *slot = true;
            }
        }
        (1..).zip(taken).find_map(|(connid, taken)| (!taken).then_some(connid)).unwrap_or(0)
    }

    /// Takes the old connection of a session away without a word; its Child SAs move to the new one.
    fn replace(&mut self, old: Connection) -> Option<(SaSet, BTreeMap<u32, Instant>)> {
        let live = self.live.remove(&old)?;
        self.unlist(old, &live);
        let id = self.sessions.get(live.session).and_then(|s| s.id());
        self.out.tell(GatewayEvent::SaDown { number: old, id, why: DownReason::Replaced, kept: true });
        Some((live.children, live.child_since))
    }

    /// Takes an IKE message of an authenticated SA.
    pub(super) fn handle_live(&mut self, now: Now, path: Path, connection: Connection, message: &[u8]) {
        let local = self.local_address(path.port);
        let Some(live) = self.live.get_mut(&connection) else { return };
        live.established.set_ends(local, path.peer);
        live.established.refuse_updates(self.faults.unacceptable);
        match live.established.handle_datagram(now.at, message, &mut *self.random) {
            Err(_) => self.out.dropped(DropReason::Unauthenticated),
            // It may be a replay: the answer goes out again, and nothing is learned from it.
            Ok(Authentic::Repeated | Authentic::Unproven) => {}
            Ok(_) => {
                live.hear(now.at);
                let header = Header::decode(message).ok().filter(|h| !h.response);
                if let Some(header) = header.filter(|h| (h.spi_i, h.spi_r) == live.established.spis()) {
                    live.message_ids.1 = header.message_id.wrapping_add(1);
                    if header.exchange == Exchange::Informational {
                        self.sessions.note_dpd(live.session);
                    }
                }
                self.follow(connection, path);
            }
        }
        self.settle(now, connection, Some(path));
    }

    /// The client behind a NAT is where its last authenticated packet came from (RFC 7296 2.23), unless it has MOBIKE to tell
    /// where it is.
    fn follow(&mut self, connection: Connection, path: Path) {
        let Some(live) = self.live.get_mut(&connection) else { return };
        let told = live.established.has_mobike();
        if live.nat && !told && live.path != path && !live.is_closing() && !self.faults.pinned {
            live.path = path;
            self.out.tell(GatewayEvent::Moved { number: connection, peer: path.peer });
        }
    }

    /// Takes an ESP packet; what is inside goes to the hosts behind us, or to the owner.
    pub(super) fn handle_esp(&mut self, now: Now, path: Path, packet: &mut [u8]) {
        let Some(inner) = self.open_esp(now, path, packet).and_then(|range| packet.get(range)) else {
            return;
        };
        match self.behind.handle(inner) {
            Some(answer) => self.send_packet(now, &answer),
            None => self.out.tell(GatewayEvent::Inner(inner.to_vec())),
        }
    }

    /// Opens an ESP packet in place; where the inner packet is.
    pub(super) fn open_esp(&mut self, now: Now, path: Path, packet: &mut [u8]) -> Option<Range<usize>> {
        let Some(spi) = spi_of(packet) else {
            self.out.dropped(DropReason::Malformed);
            return None;
        };
        let Some(&connection) = self.by_esp.get(&spi) else {
            self.out.dropped(DropReason::UnknownSpi);
            return None;
        };
        let live = self.live.get_mut(&connection)?;
        let inner = match live.children.open(packet) {
            Ok((_, inner)) => Some(inner),
            // A dummy (RFC 4303 2.6) or not for us: a sign of life all the same.
            Err(error) if error.is_authentic() => None,
            Err(_) => {
                self.out.dropped(DropReason::Esp);
                return None;
            }
        };
        live.hear(now.at);
        let newer = live.untried.used(spi);
        live.send_on(newer);
        // Late packets of a replaced pair do not pull the path back.
        if live.children.current().is_some_and(|pair| pair.spi_in() == spi) {
            self.follow(connection, path);
        }
        self.check_volume(now, connection);
        if inner.is_none() {
            self.out.dropped(DropReason::Esp);
        }
        inner
    }

    /// Starts the rekey of a Child SA whose volume is nearly used up.
    pub(super) fn check_volume(&mut self, now: Now, connection: Connection) {
        let soft = self.config.child_volume_kb.saturating_mul(1024) / 10 * 9;
        let Some(live) = self.live.get_mut(&connection) else { return };
        let Some(pair) = live.children.current() else { return };
        let (spi_in, stats) = (pair.spi_in(), pair.stats());
        if stats.bytes_in.max(stats.bytes_out) < soft || live.volume_rekey == Some(spi_in) {
            return;
        }
        live.volume_rekey = Some(spi_in);
        live.established.rekey_child(now.at, spi_in, &mut *self.random);
        self.settle(now, connection, None);
    }

    /// What is due for a connection.
    pub(super) fn live_timeout(&mut self, now: Now, connection: Connection) {
        let Some(live) = self.live.get_mut(&connection) else { return };
        if live.closing.is_some_and(|until| until <= now.at) {
            if let Some(live) = self.live.remove(&connection) {
                self.unlist(connection, &live);
            }
            return;
        }
        live.children.handle_timeout(now.at);
        if live.expires.take_if(|at| *at <= now.at).is_some() {
            live.established.delete(now.at, &mut *self.random);
        }
        live.established.handle_timeout(now.at, &mut *self.random);
        let dpd = &self.config.dpd;
        let on_demand = self.sessions.get(live.session).is_some_and(|s| s.dpd_heard);
        if on_demand && live.dpd_at(dpd.interval).is_some_and(|at| at <= now.at) {
            live.asked = true;
            let rule = Retransmission { first: dpd.retry, cap: dpd.retry * 4, tries: dpd.tries };
            live.established.check_liveness_with(now.at, rule, &mut *self.random);
        }
        self.settle(now, connection, None);
    }

    /// After anything was done to a connection: events, datagrams, indexes, the next deadline. Answers go to `reply` where it
    /// is given: to where the request came from (RFC 7296 2.11).
    pub(super) fn settle(&mut self, now: Now, connection: Connection, reply: Option<Path>) {
        let Some(mut live) = self.live.remove(&connection) else { return };
        let mut end = None;
        while let Some(event) = live.established.poll_event() {
            match event {
                SaEvent::ChildUp { .. } if live.replaced => {}
                SaEvent::ChildUp { child, send, .. } => {
                    self.by_esp.insert(child.spi_in, connection);
                    live.install(now.at, *child, send);
                }
                SaEvent::ChildDown { spi_in } => {
                    let newer = live.untried.gone(spi_in);
                    live.send_on(newer);
                    live.children.retire(spi_in, now.at + RETIRED);
                }
                SaEvent::Rekeyed => {
                    live.message_ids = (0, 0);
                    live.ticket_given = None;
                    self.end_ticket(now, live.session);
                }
                SaEvent::TicketWanted => self.give_ticket(now, &mut live),
                SaEvent::Answered { .. } => live.hear(now.at),
                SaEvent::PeerMoved => {
                    if let Some(path) = reply.filter(|path| live.path != *path && !self.faults.pinned) {
                        live.path = path;
                        self.out.tell(GatewayEvent::Moved { number: connection, peer: path.peer });
                    }
                }
                // Only a client sends updates, only a gateway redirects.
                SaEvent::UpdateRefused(_)
                | SaEvent::WantedElsewhere(_)
                | SaEvent::AuthLifetime(_)
                | SaEvent::TicketAnswered(_) => {}
                SaEvent::UnknownToPeer { spi_in } => {
                    live.established.rekey_child(now.at, spi_in, &mut *self.random);
                }
                // The client keeps it to its end, or comes anew.
                SaEvent::RekeyRefused { .. } => {}
                SaEvent::DeletedByPeer => end = Some(DownReason::Deleted),
                SaEvent::Disbelieved => end = Some(DownReason::Disbelieved),
                SaEvent::Deleted => {
                    self.end_ticket(now, live.session);
                    end = Some(DownReason::Dead);
                }
                SaEvent::Dead => end = Some(DownReason::Dead),
            }
        }
        let path = reply.unwrap_or(live.path);
        while let Some(message) = live.established.poll_datagram() {
            if let Ok(header) = Header::decode(&message)
                && !header.response
                && (header.spi_i, header.spi_r) == live.established.spis()
            {
                live.message_ids.0 = live.message_ids.0.max(header.message_id.wrapping_add(1));
            }
            self.out.send_ike(path, &message);
        }
        match end {
            Some(why) if !live.is_closing() => self.end(now, connection, live, why),
            _ => self.relist(connection, live),
        }
    }
}
