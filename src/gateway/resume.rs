//! IKE_SESSION_RESUME and what follows (RFC 5723): a client comes back with a ticket of ours. No AAA, no certificate, no key
//! exchange, two round trips. The ticket serves once; a session that is still in a database goes on, one that is not begins anew
//! with its user and its addresses: those of a pool where they are free, those that AAA has named or not at all.

use super::Gateway;
use super::aaa::{Address4, Grant};
use super::child::ChildRequest;
use super::event::{DropReason, GatewayEvent, Refusal};
use super::faults::TicketFault;
use super::init::{FRAGMENT, NONCE_LEN, head, is_nat};
use super::live::{Arrival, Live};
use super::login::{HalfOpen, Outcome, Stage, auth};
use super::outbox::Path;
use super::sessions::{Draft, Session, SessionKey, Wanted};
use super::ticket::Ticket;
use crate::crypto::{Hash, Secret};
use crate::ike::auth::{method, resumed_auth};
use crate::ike::initiator::nat_detection_hash;
use crate::ike::keys::SaKeys;
use crate::ike::message::{
    Exchange, Identity, Notify, Payload, Spi, TicketGrant, decode_message, encode_message, find_notify,
    notify,
};
use crate::ike::sa::{IkeSa, Retransmission};
use crate::ike::sk::{Fragmentation, LEGACY_VENDOR_ID};
use crate::time::{Instant, Now};
use std::time::Duration;

/// A client gets another ticket for the same IKE SA after this, and again at once where that was rekeyed.
const BETWEEN: Duration = Duration::from_secs(5);

/// What a ticket brings back.
enum Back {
    /// A session of the databases, as it was.
    Known(Box<Session>),
    /// Another one.
    New(Box<Draft>),
}

impl Back {
    fn session(&self) -> &Session {
        match self {
            Self::Known(session) => session,
            Self::New(draft) => draft.session(),
        }
    }
}

impl Gateway {
    /// Takes an IKE_SESSION_RESUME request.
    pub(super) fn handle_resume(&mut self, now: Now, path: Path, datagram: &[u8]) {
        let digest = Hash::Sha256.digest(&[datagram]);
        if let Some(half) = self.by_request.get(&digest).and_then(|spi| self.half_open.get(spi)) {
            // The same octets, perhaps from a new path: the same answer, and no second state.
            return self.out.send_ike(path, &half.response);
        }
        let decoded = decode_message(datagram).ok().filter(|(h, _)| h.initiator && h.message_id == 0);
        let Some((header, payloads)) = decoded else { return self.out.dropped(DropReason::Malformed) };
        let spi_i = header.spi_i;
        let nonce =
            payloads.iter().find_map(|p| if let Payload::Nonce(n) = p { Some(n.as_slice()) } else { None });
        let opaque = find_notify(&payloads, notify::TICKET_OPAQUE).map(|n| n.data.as_slice());
        let (Some(ni), Some(opaque)) = (nonce, opaque) else {
            return self.refuse_resume(now, path, spi_i, Refusal::Syntax, notify::INVALID_SYNTAX, vec![]);
        };
        if let Some(cookie) = self.wanted_cookie(now, path, &payloads, ni, &spi_i) {
            return self.refuse_resume(now, path, spi_i, Refusal::Cookie, notify::COOKIE, cookie);
        }
        if self.half_open.len() >= self.config.half_open_limit {
            return self.out.dropped(DropReason::HalfOpenLimit);
        }
        let ticket = self.ticket_lifetime().and_then(|_| self.tickets.open(now.at, opaque));
        let Some(ticket) = ticket else {
            return self.refuse_resume(now, path, spi_i, Refusal::Ticket, notify::TICKET_NACK, vec![]);
        };
        if !(16.max(ticket.suite.prf.len() / 2)..=256).contains(&ni.len()) {
            return self.refuse_resume(now, path, spi_i, Refusal::Syntax, notify::INVALID_SYNTAX, vec![]);
        }
        let spi_r = self.fresh_spi();
        let mut nr = vec![0; NONCE_LEN];
        self.random.fill(&mut nr);
        let keys = SaKeys::derive_resumed(&ticket.suite, &ticket.sk_d, ni, &nr, &spi_i, &spi_r);
        let (standard, legacy) = (self.config.fragmentation, self.config.dialect.legacy_fragmentation);
        let fragmentation = Fragmentation::agreed(&payloads, standard, legacy, FRAGMENT);
        let local = self.local_address(path.port);
        let status = |kind, data: Vec<u8>| Payload::Notify(Notify::status(kind, data));
        let hash = |address| nat_detection_hash(&spi_i, &spi_r, address);
        let mut answer = vec![
            Payload::Nonce(nr.clone()),
            status(notify::NAT_DETECTION_SOURCE_IP, hash(local)),
            status(notify::NAT_DETECTION_DESTINATION_IP, hash(path.peer)),
        ];
        if fragmentation.standard().is_some() {
            answer.push(status(notify::IKEV2_FRAGMENTATION_SUPPORTED, vec![]));
        }
        if legacy {
            answer.push(Payload::VendorId(LEGACY_VENDOR_ID.to_vec()));
        }
        let response = encode_message(&head(Exchange::IkeSessionResume, spi_i, spi_r), &answer);
        self.out.send_ike(path, &response);

        let dpd = &self.config.dpd;
        let rule = Retransmission { first: dpd.retry, cap: dpd.retry * 4, tries: dpd.tries };
        let half = HalfOpen {
            sa: IkeSa::new(false, spi_i, spi_r, ticket.suite, keys, (0, 1), fragmentation, rule),
            ni: ni.to_vec(),
            nr,
            request: datagram.to_vec(),
            response,
            digest,
            path,
            nat: is_nat(&payloads, &spi_i, path.peer, local),
            client_hashes: None,
            ppk: false,
            follows_redirects: false,
            deadline: now.at + self.config.auth_timeout,
            stage: Stage::Resumed(Box::new(ticket)),
        };
        self.begin(spi_r, half);
    }

    fn refuse_resume(&mut self, now: Now, path: Path, spi_i: Spi, why: Refusal, kind: u16, data: Vec<u8>) {
        let notify = [Payload::Notify(Notify::status(kind, data))];
        let message = encode_message(&head(Exchange::IkeSessionResume, spi_i, [0; 8]), &notify);
        self.out.send_ike(path, &message);
        self.out.refused(now.at, path.peer, why);
    }

    /// IKE_AUTH of a resumed IKE SA: the client proves that it knows SK_d of the old one.
    pub(super) fn resume(
        &mut self,
        now: Now,
        half: &HalfOpen,
        ticket: Ticket,
        payloads: &[Payload],
    ) -> Outcome {
        let id = payloads.iter().find_map(|p| if let Payload::IdI(id) = p { Some(id.clone()) } else { None });
        let (Some(id), Some(request)) = (id, ChildRequest::read(payloads)) else {
            return self.refuse(now, half, Refusal::Syntax, notify::INVALID_SYNTAX);
        };
        let (prf, keys) = (half.sa.suite().prf, half.sa.keys());
        let expected = resumed_auth(prf, &keys.sk_pi, &half.client_octets(&id));
        let proved =
            matches!(auth(payloads), Some((method::SHARED_KEY, data)) if expected == Secret::from(data));
        // It may have served another half-open IKE SA meanwhile.
        if !proved || id != ticket.id || self.tickets.is_spent(ticket.number) {
            return self.refuse(now, half, Refusal::Ticket, notify::AUTHENTICATION_FAILED);
        }
        self.tickets.spend(ticket.number, ticket.until);
        let own = self.config.identity.clone();
        let data = resumed_auth(prf, &keys.sk_pr, &half.our_octets(&own)).expose().to_vec();
        let proof = vec![Payload::IdR(own), Payload::Auth { method: method::SHARED_KEY, data }];

        let connection = self.next_connection();
        let known = self.sessions.get(ticket.session).filter(|s| s.tickets.contains(&ticket.number));
        let back = match known {
            Some(session) => Back::Known(Box::new(session.clone())),
            None => match self.draft(self.anew(&ticket), connection) {
                Ok(draft) => Back::New(Box::new(draft)),
                // Who logs in may have the address: the client is to do that.
                Err(why @ Refusal::AddressTaken) => {
                    return self.refuse(now, half, why, notify::AUTHENTICATION_FAILED);
                }
                Err(why) => return self.refuse(now, half, why, notify::INTERNAL_ADDRESS_FAILURE),
            },
        };
        match self.settle_child(now, ticket.expires, back.session(), &request, proof) {
            // Nobody will take it up: the ticket is spent.
            Err((why, kind)) => self.refuse(now, half, why, kind),
            Ok((mut answer, child)) => {
                let session = back.session();
                let (name, user, peer) = (session.id(), session.user.clone(), half.path.peer);
                let replaced = matches!(&back, Back::Known(session) if session.is_active());
                let key = match back {
                    Back::Known(_) => ticket.session,
                    Back::New(draft) => self.admit(now, *draft, connection),
                };
                self.out.counters.resumed += 1;
                if request.ticket {
                    answer.extend(self.ticket(now, child.expires, &half.sa, &id, (key, false)));
                }
                self.out.tell(GatewayEvent::Resumed { id: name, user, peer, replaced });
                Outcome::Up(
                    answer,
                    Box::new(Arrival { connection, session: key, id, reconnect: true, child }),
                )
            }
        }
    }

    /// What the ticket of a session that is in no database any more asks for: the addresses that AAA has named, or, where they
    /// are free, those of the pool that it had.
    fn anew(&self, ticket: &Ticket) -> Wanted {
        let (framed4, framed6) = ticket.framed;
        Wanted {
            user: ticket.user.clone(),
            address4: Some(ticket.address4),
            address6: ticket.address6.map(Some),
            reconnect: self.config.reconnect_timeout.is_some(),
            grant: Grant {
                address4: if framed4 { Address4::Fixed(ticket.address4) } else { Address4::Client },
                address6: ticket.address6.filter(|_| framed6),
                class: ticket.class.clone(),
            },
            login: false,
        }
    }

    /// Tickets are given and taken: not with a PPK, which a resumed IKE SA does not show.
    pub(super) fn ticket_lifetime(&self) -> Option<Duration> {
        self.config.tickets.filter(|_| self.config.ppk.is_none())
    }

    /// A ticket for an IKE SA that comes up or stands, where tickets are given; those before it are over, but for the last one of
    /// the `same_sa`: the answer may be lost. It ends with the authentication, which a resumption does not renew (RFC 5723 5, 6.2).
    pub(super) fn ticket(
        &mut self,
        now: Now,
        expires: Option<Instant>,
        sa: &IkeSa,
        id: &Identity,
        (key, same_sa): (SessionKey, bool),
    ) -> Option<Payload> {
        let lifetime = self.ticket_lifetime()?;
        let lifetime = expires.map_or(lifetime, |at| lifetime.min(at.since(now.at)));
        let session = self.sessions.get(key)?;
        let refusal = |kind| Some(Payload::Notify(Notify::status(kind, Vec::new())));
        match self.faults.tickets {
            TicketFault::None => {}
            TicketFault::Later => return refusal(notify::TICKET_ACK),
            TicketFault::Refused => return refusal(notify::TICKET_NACK),
        }
        let Some(number) = self.tickets.number(now.at) else { return refusal(notify::TICKET_NACK) };
        let ticket = Ticket {
            number,
            until: now.at + lifetime,
            expires,
            session: key,
            suite: *sa.suite(),
            sk_d: sa.keys().sk_d.clone(),
            id: id.clone(),
            user: session.user.clone(),
            address4: session.address4,
            address6: session.address6,
            framed: (
                session.grant.address4 == Address4::Fixed(session.address4),
                session.address6.is_some() && session.grant.address6 == session.address6,
            ),
            class: session.grant.class.clone(),
        };
        for over in self.sessions.note_ticket(key, number, same_sa) {
            self.tickets.spend(over, now.at + lifetime);
        }
        self.out.counters.tickets += 1;
        Some(TicketGrant { lifetime, opaque: self.tickets.seal(&ticket) }.payload())
    }

    /// The client asks for a ticket for the IKE SA that stands.
    pub(super) fn give_ticket(&mut self, now: Now, live: &mut Live) {
        let refusal = |kind| Payload::Notify(Notify::status(kind, Vec::new()));
        let answer = if live.ticket_given.is_some_and(|at| now.at.since(at) < BETWEEN) {
            // What is given has to be remembered, and nobody needs so many.
            refusal(notify::TICKET_ACK)
        } else {
            live.ticket_given = Some(now.at);
            let of = (live.session, true);
            let ticket = self.ticket(now, live.expires, live.established.sa(), &live.id, of);
            ticket.unwrap_or_else(|| refusal(notify::TICKET_NACK))
        };
        live.established.answer_ticket(answer, &mut *self.random);
    }

    /// The ticket goes with its IKE SA, which is deleted or rekeyed, also where the session waits for its token (RFC 5723 6.2).
    pub(super) fn end_ticket(&mut self, now: Now, key: SessionKey) {
        let numbers = self.sessions.get(key).map(|session| session.tickets.clone()).unwrap_or_default();
        for number in numbers {
            self.tickets.spend(number, now.at + self.config.tickets.unwrap_or_default());
        }
    }
}
