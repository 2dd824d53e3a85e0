//! An authenticated IKE SA with its Child SA: liveness, DELETE and rekeys, both roles (RFC 7296 1.3, 1.4, 2.8).
//!
//! One Child SA at a time is kept (and while it is rekeyed its successor); additional ones are refused.
//!
//! What happens where two exchanges meet (RFC 7296 2.8 and 2.25); each row is a test in `tests/collisions` with the number of
//! the section in its name:
//!
//! | the peer wants | while we | answer, and what follows | section |
//! |---|---|---|---|
//! | rekey of the Child SA | rekey it | as usual; the SA with the lowest of the four nonces goes, its maker deletes it | 2.25.1, 2.8.1 |
//! | rekey of the Child SA | delete it | TEMPORARY_FAILURE | 2.25.1 |
//! | rekey of a Child SA | do not have it | CHILD_SA_NOT_FOUND | 2.25.1 |
//! | delete of the Child SA | rekey it | as usual, with a Delete; what our rekey is answered counts | 2.25.1 |
//! | delete of the Child SA | delete it | without a Delete | 2.25.1 |
//! | rekey of the IKE SA | rekey it | as usual; the new IKE SA with the lowest nonce goes, the other gets the Child SAs | 2.25.2, 2.8.2 |
//! | rekey of the IKE SA | have rekeyed it already | TEMPORARY_FAILURE | 2.8.2 |
//! | rekey of the IKE SA | close it, or rekey or close a Child SA | TEMPORARY_FAILURE | 2.25.2 |
//! | delete of the IKE SA | rekey it | as usual; our rekey is forgotten, and what the peer's rekey made goes on | 2.25.2, 2.8.2 |
//! | delete of the IKE SA | delete it | as usual; our own is forgotten | 2.25.2 |
//! | rekey of a Child SA | rekey or close the IKE SA | TEMPORARY_FAILURE | 2.25.2 |
//! | delete of a Child SA | rekey the IKE SA | as usual, with a Delete | 2.25.2 |
//!
//! What is answered TEMPORARY_FAILURE is tried again after 5 to 15 s. What is answered CHILD_SA_NOT_FOUND is gone.

mod child;
mod mobike;
mod rekey;
mod rekey_ike;
mod slot;
#[cfg(test)]
mod tests;
mod ticket;

use super::message::{Delete, Exchange, GatewayId, Header, Notify, Payload, Redirect, find_notify, notify};
use super::proposal::Algorithms;
use super::sa::{Dropped, IkeSa, Received, Retransmission};
use crate::crypto::Random;
use crate::esp::SaParams;
use crate::time::Instant;
use child::Child;
use mobike::Mobike;
pub use mobike::mobike_offer;
pub use rekey::{esp_spi, ike_spi};
use slot::{Pending, Rival, Slot, Which};
use std::collections::VecDeque;
use std::time::Duration;
use ticket::Asked;
pub use ticket::TicketAnswer;

/// How long a replaced IKE SA waits for the peer's DELETE.
const REPLACED_LINGER: Duration = Duration::from_secs(30);

/// Protocol numbers of proposals, notifies and deletes.
const PROTOCOL_IKE: u8 = 1;
const PROTOCOL_ESP: u8 = 3;

/// Lifetimes and what may be negotiated in a rekey.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaPolicy {
    /// For rekeys of the IKE SA.
    pub ike: Algorithms,
    /// For rekeys of the Child SA.
    pub esp: Algorithms,
    /// We start a rekey of the IKE SA after this, `None` never.
    pub ike_lifetime: Option<Duration>,
    /// We start a rekey of the Child SA after this, `None` never.
    pub child_lifetime: Option<Duration>,
}

/// What happened.
#[derive(Debug)]
pub enum SaEvent {
    /// A Child SA is up: install it. `replaces` is our inbound SPI of the one it replaces, which goes on receiving until
    /// `ChildDown`. `send`: we may send on it at once (we started the rekey); else once the peer used it or deleted the old.
    ChildUp {
        /// Keys and selectors.
        child: Box<SaParams>,
        /// The pair it replaces.
        replaces: Option<u32>,
        /// Send on it at once.
        send: bool,
    },
    /// A Child SA is gone (deleted by either side); our inbound SPI.
    ChildDown {
        /// Our inbound SPI.
        spi_in: u32,
    },
    /// The peer refuses to rekey the Child SA with this inbound SPI: it allows one Child SA for each IKE SA (NO_ADDITIONAL_SAS,
    /// RFC 7296 1.3), so that only a new IKE SA can follow it. The rekey is put off.
    RekeyRefused {
        /// Our inbound SPI.
        spi_in: u32,
    },
    /// The peer says that it does not know the SPI that we send with (INVALID_SPI inside the IKE SA, RFC 7296 1.5).
    UnknownToPeer {
        /// Our inbound SPI of that pair.
        spi_in: u32,
    },
    /// The peer ends this IKE SA after this time, counted from now, unless we authenticate anew (RFC 4478).
    AuthLifetime(Duration),
    /// The IKE SA was rekeyed: new SPIs, same Child SAs.
    Rekeyed,
    /// What the gateway says to our request for a ticket for the IKE SA in use.
    TicketAnswered(TicketAnswer),
    /// The client wants a ticket for the IKE SA in use: [`Established::answer_ticket`].
    TicketWanted,
    /// An authenticated answer to one of our requests.
    Answered {
        /// Round trip, where the request was sent once only.
        round_trip: Option<Duration>,
    },
    /// We are the gateway's side, and the client's UPDATE_SA_ADDRESSES was accepted: the client is where the datagram at hand
    /// came from (RFC 4555 3.5).
    PeerMoved,
    /// The peer refused our UPDATE_SA_ADDRESSES, or broke the rules in its answer: in words.
    UpdateRefused(String),
    /// The gateway wants us at another one (RFC 5685 4); the SA stays until it ends it.
    WantedElsewhere(GatewayId),
    /// The peer deleted the IKE SA.
    DeletedByPeer,
    /// The peer does not believe our proof, and has dropped the IKE SA (AUTHENTICATION_FAILED, RFC 7296 2.21.2): it learns whom
    /// it has met when for us all is done.
    Disbelieved,
    /// Our DELETE was answered, or given up.
    Deleted,
    /// A request of ours stayed unanswered to the end.
    Dead,
}

/// See the module.
pub struct Established {
    current: Slot,
    /// The SA that a rekey replaced, until it is deleted.
    replaced: Option<(Slot, Instant)>,
    /// The other IKE SA of two rekeys that met.
    rival: Option<Rival>,
    children: Vec<Child>,
    policy: SaPolicy,
    mobike: Mobike,
    gives_tickets: bool,
    /// Waits for [`Established::answer_ticket`].
    ticket_asked: Option<Asked>,
    ike_rekey_at: Option<Instant>,
    /// Deleted by either side, or given up.
    closed: bool,
    events: VecDeque<SaEvent>,
}

impl Established {
    /// `child`: the Child SA of IKE_AUTH (already installed by the owner).
    pub fn new(now: Instant, sa: IkeSa, child: Option<&SaParams>, policy: SaPolicy) -> Self {
        Self {
            current: Slot { sa, pending: VecDeque::new() },
            replaced: None,
            rival: None,
            children: child.map(|c| Child::new(now, c, None, &policy)).into_iter().collect(),
            ike_rekey_at: policy.ike_lifetime.map(|after| now + after),
            mobike: Mobike::default(),
            gives_tickets: false,
            ticket_asked: None,
            policy,
            closed: false,
            events: VecDeque::new(),
        }
    }

    /// The IKE SA in use.
    pub fn sa(&self) -> &IkeSa {
        &self.current.sa
    }

    /// The SPIs in use: initiator's, responder's.
    pub fn spis(&self) -> ([u8; 8], [u8; 8]) {
        self.current.sa.spis()
    }

    /// True while a request of ours is unanswered.
    pub fn is_busy(&self) -> bool {
        self.current.sa.is_busy()
    }

    /// A Child SA is left, or comes in place of one that the peer has deleted during our rekey of it.
    pub fn has_child(&self) -> bool {
        let orphan = |p: &Pending| matches!(p, Pending::RekeyChild(rekey) if rekey.is_orphan());
        !self.children.is_empty() || self.current.pending.iter().any(orphan)
    }

    /// Forgets every Child SA without a word or an event: a fault, for tests.
    pub fn forget_children(&mut self) {
        self.children.clear();
    }

    /// Deleted by either side: nothing is sent any more but answers.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How requests are repeated from now on.
    pub fn set_retransmission(&mut self, rule: Retransmission) {
        self.current.sa.set_retransmission(rule);
    }

    /// Takes a datagram. An `Ok` means that it was authenticated and new, or the exact repetition of one that
    /// was, or [`Authentic::Unproven`].
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        random: &mut dyn Random,
    ) -> Result<Authentic, Dropped> {
        let header = Header::decode(datagram).map_err(|e| Dropped::Malformed(e.to_string()))?;
        let which = self.slot_named(&header.spi_i, &header.spi_r).ok_or(Dropped::Foreign)?;
        let Some(slot) = self.slot(which) else { return Err(Dropped::Foreign) };
        match slot.sa.handle(now, datagram, random)? {
            Received::Retransmission => Ok(Authentic::Repeated),
            Received::Fragment => Ok(Authentic::Fragment),
            Received::Slice => Ok(Authentic::Unproven),
            Received::Request { id, exchange, payloads } => {
                self.handle_request(now, which, id, exchange, &payloads, random);
                self.send_due_update(now, random);
                Ok(Authentic::New)
            }
            Received::Response { payloads, round_trip, .. } => {
                let pending = self.slot(which).and_then(|slot| slot.pending.pop_front());
                self.events.push_back(SaEvent::Answered { round_trip });
                let authentic = match pending {
                    Some(Pending::Update(update)) => self.update_answered(which, &update, &payloads),
                    Some(pending) => {
                        self.handle_answer(now, which, pending, &payloads, random);
                        Authentic::Answer
                    }
                    None => Authentic::Answer,
                };
                self.send_due_update(now, random);
                Ok(authentic)
            }
        }
    }

    fn respond(
        &mut self,
        which: Which,
        id: u32,
        exchange: Exchange,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        if let Some(slot) = self.slot(which) {
            slot.sa.respond(id, exchange, payloads, random);
        }
    }

    fn handle_request(
        &mut self,
        now: Instant,
        which: Which,
        id: u32,
        exchange: Exchange,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        match exchange {
            Exchange::Informational => {
                let (mut answer, deleted) = self.answer_deletes(payloads);
                self.answer_mobike(which, payloads, &mut answer, random);
                if let Some(n) = find_notify(payloads, notify::REDIRECT)
                    && let Some(redirect) = Redirect::decode(&n.data)
                {
                    self.events.push_back(SaEvent::WantedElsewhere(redirect.to));
                }
                if deleted || !self.wants_ticket(which, id, payloads, &answer, random) {
                    self.respond(which, id, exchange, &answer, random);
                }
                if deleted {
                    self.deleted_by_peer(now, which, random);
                }
                self.take_notifies(which, payloads);
            }
            Exchange::CreateChildSa if matches!(which, Which::Current) => {
                self.answer_create_child(now, id, payloads, random);
            }
            Exchange::CreateChildSa => {
                let refusal = [Payload::Notify(Notify::status(notify::TEMPORARY_FAILURE, Vec::new()))];
                self.respond(which, id, exchange, &refusal, random);
            }
            _ => {
                let refusal = [Payload::Notify(Notify::status(notify::INVALID_SYNTAX, Vec::new()))];
                self.respond(which, id, exchange, &refusal, random);
            }
        }
    }

    /// The answer to an INFORMATIONAL request, and whether it deletes the IKE SA.
    fn answer_deletes(&mut self, payloads: &[Payload]) -> (Vec<Payload>, bool) {
        let mut ours = Vec::new();
        let mut ike = false;
        for payload in payloads {
            let Payload::Delete(delete) = payload else { continue };
            match delete.protocol {
                PROTOCOL_IKE => ike = true,
                PROTOCOL_ESP => {
                    for spi in &delete.spis {
                        let Some(at) = self.children.iter().position(|c| c.spi_out == *spi) else { continue };
                        let child = self.children.remove(at);
                        // Where our own DELETE for it is under way, its answer has nothing to name (RFC 7296 1.4.1).
                        if !child.deleting {
                            ours.push(child.spi_in);
                        }
                        if let Some(rekey) = self.rekey_of(child.spi_in) {
                            rekey.old_is_gone();
                        }
                        self.events.push_back(SaEvent::ChildDown { spi_in: child.spi_in });
                    }
                }
                _ => {}
            }
        }
        let answer = if ike || ours.is_empty() {
            Vec::new()
        } else {
            vec![Payload::Delete(Delete { protocol: PROTOCOL_ESP, spis: ours })]
        };
        (answer, ike)
    }

    fn handle_answer(
        &mut self,
        now: Instant,
        which: Which,
        pending: Pending,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        match pending {
            Pending::Liveness | Pending::Update(_) => {}
            // Of an IKE SA that was rekeyed meanwhile it is good for nothing (RFC 5723 6.2).
            Pending::Ticket if which == Which::Current && !self.closed => {
                self.events.push_back(SaEvent::TicketAnswered(TicketAnswer::read(payloads)));
            }
            Pending::Ticket => {}
            Pending::DeleteIke => match which {
                Which::Current if !self.closed => {
                    self.closed = true;
                    self.events.push_back(SaEvent::Deleted);
                }
                Which::Current => {}
                Which::Replaced => self.replaced = None,
                Which::Rival => self.rival = None,
            },
            Pending::DeleteChild { spi_in } => {
                if let Some(at) = self.children.iter().position(|c| c.spi_in == spi_in) {
                    self.children.remove(at);
                    self.events.push_back(SaEvent::ChildDown { spi_in });
                }
            }
            // The peer has ended the IKE SA in the meantime: the exchange is forgotten (RFC 7296 2.25.2).
            Pending::RekeyChild(_) | Pending::RekeyIke(_) if self.closed => {}
            Pending::RekeyChild(rekey) => self.child_rekey_answered(now, *rekey, payloads, random),
            Pending::RekeyIke(rekey) => self.ike_rekey_answered(now, &rekey, payloads, random),
        }
    }

    /// What is due: retransmissions, rekeys.
    pub fn handle_timeout(&mut self, now: Instant, random: &mut dyn Random) {
        self.slots_timeout(now, random);
        if self.closed {
            return;
        }
        if self.ike_rekey_at.is_some_and(|at| at <= now) {
            self.rekey_ike(now, random);
        }
        let due: Vec<u32> = self.children.iter().filter(|c| c.is_rekey_due(now)).map(|c| c.spi_in).collect();
        for spi_in in due {
            self.rekey_child(now, spi_in, random);
        }
    }

    /// When and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let mut due = Vec::new();
        due.extend(self.current.sa.poll_timeout().map(|at| (at, "IKE retransmission")));
        let replaced = self.replaced.as_ref().map(|(slot, until)| (slot, Some(*until)));
        let rival = self.rival.as_ref().map(|rival| (&rival.slot, rival.ends_at()));
        for (slot, until) in [replaced, rival].into_iter().flatten() {
            due.extend(until.map(|at| (at, "end of the replaced IKE SA")));
            due.extend(slot.sa.poll_timeout().map(|at| (at, "IKE retransmission")));
        }
        // What is on its way out is not renewed.
        if !self.closed && !self.current.is_closing() {
            due.extend(self.ike_rekey_at.map(|at| (at, "IKE SA lifetime")));
            due.extend(self.children.iter().filter_map(|c| c.rekey_at).map(|at| (at, "Child SA lifetime")));
        }
        due.into_iter().min_by_key(|(at, _)| *at)
    }

    /// The next datagram, no marker.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        let old = self.replaced.as_mut().and_then(|(slot, _)| slot.sa.poll_datagram());
        let rival = || self.rival.as_mut().and_then(|rival| rival.slot.sa.poll_datagram());
        old.or_else(rival).or_else(|| self.current.sa.poll_datagram())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<SaEvent> {
        self.events.pop_front()
    }

    /// An empty INFORMATIONAL now; where a request is outstanding it is repeated at once instead.
    pub fn check_liveness(&mut self, now: Instant, random: &mut dyn Random) {
        self.check_liveness_with(now, Retransmission::default(), random);
    }

    /// The same with a retransmission rule of its own.
    pub fn check_liveness_with(&mut self, now: Instant, rule: Retransmission, random: &mut dyn Random) {
        if self.closed || self.current.sa.repeat(now) {
            return;
        }
        if self.current.sa.request_with(now, Exchange::Informational, Vec::new(), rule, random) {
            self.current.pending.push_back(Pending::Liveness);
        }
    }

    /// The gateway's side: tells the client that it is wanted at another one (RFC 5685 4).
    pub fn redirect(&mut self, now: Instant, to: GatewayId, random: &mut dyn Random) {
        if self.closed {
            return;
        }
        let redirect = Redirect { to, nonce: Vec::new() };
        let payload = Payload::Notify(Notify::status(notify::REDIRECT, redirect.encode()));
        if self.current.sa.request(now, Exchange::Informational, vec![payload], random) {
            self.current.pending.push_back(Pending::Liveness);
        }
    }

    /// Starts a DELETE of the IKE SA.
    pub fn delete(&mut self, now: Instant, random: &mut dyn Random) {
        if self.closed {
            return;
        }
        self.current.delete(now, random);
        self.ike_rekey_at = None;
        for child in &mut self.children {
            child.rekey_at = None;
        }
    }

    /// Starts a DELETE of the Child SA with this inbound SPI and puts none in its place. Nothing where it is unknown.
    pub fn delete_child(&mut self, now: Instant, spi_in: u32, random: &mut dyn Random) {
        let Some(child) = self.children.iter_mut().find(|c| c.spi_in == spi_in && !c.deleting) else {
            return;
        };
        child.deleting = true;
        child.rekey_at = None;
        let payload = Payload::Delete(Delete { protocol: PROTOCOL_ESP, spis: vec![spi_in] });
        if self.current.sa.request(now, Exchange::Informational, vec![payload], random) {
            self.current.pending.push_back(Pending::DeleteChild { spi_in });
        }
    }
}

/// How a datagram proved itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authentic {
    /// A new request.
    New,
    /// A fragment of a message that is not whole yet.
    Fragment,
    /// The answer to a request of ours: the peer is alive now.
    Answer,
    /// The answer to an UPDATE_SA_ADDRESSES of ours: the peer sends everything to where that came from (RFC 4555 3.5).
    Updated {
        /// As it was given to [`Established::update_addresses`].
        label: u32,
    },
    /// The peer lives, but does not follow us to this address.
    NotFollowed,
    /// Not at all: a slice that anybody may have sent ([`Fragmentation::Legacy`](super::sk::Fragmentation::Legacy)), kept.
    Unproven,
    /// The exact repetition of an earlier request: it may be a replay and proves nothing about now or about its source.
    Repeated,
}
