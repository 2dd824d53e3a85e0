//! IKE_AUTH of a half-open IKE SA: the gateway proves itself, then the user logs in, then the Child SA comes up.

use super::Gateway;
use super::aaa::{Answer, Question};
use super::child::ChildRequest;
use super::conversation::{Conversation, Turn};
use super::event::{DropReason, GatewayEvent, Refusal};
use super::live::Arrival;
use super::outbox::Path;
use super::sessions::Wanted;
use super::ticket::Ticket;
use super::timers::Timer;
use crate::crypto::{Hash, Kem, Secret};
use crate::ike::auth::{method, shared_key_auth, sign, signed_octets, verify_signature};
use crate::ike::cert::{pkcs7, verify_user};
use crate::ike::dialect::{ANYCONNECT_ID, ID_KEY_ID};
use crate::ike::keys::SaKeys;
use crate::ike::message::{Exchange, Identity, Notify, Payload, Redirect, Spi, notify};
use crate::ike::sa::{IkeSa, Received};
use crate::time::{Instant, Now};
use std::time::Duration;

/// X.509 certificate, signature (RFC 7296 3.6).
const CERT_X509: u8 = 4;
/// A refused or finished exchange repeats its last answer this long.
pub(super) const LINGER: Duration = Duration::from_secs(10);

/// A half-open login.
pub(super) struct HalfOpen {
    pub(super) sa: IkeSa,
    pub(super) ni: Vec<u8>,
    pub(super) nr: Vec<u8>,
    /// IKE_SA_INIT as received.
    pub(super) request: Vec<u8>,
    /// IKE_SA_INIT as answered.
    pub(super) response: Vec<u8>,
    /// SHA-256 of `request`: the key of `by_request`.
    pub(super) digest: Vec<u8>,
    pub(super) path: Path,
    pub(super) nat: bool,
    /// The client's SIGNATURE_HASH_ALGORITHMS, where we answered with ours.
    pub(super) client_hashes: Option<Vec<Hash>>,
    /// The client knows RFC 5685.
    pub(super) follows_redirects: bool,
    /// Both sides know RFC 8784.
    pub(super) ppk: bool,
    pub(super) deadline: Instant,
    pub(super) stage: Stage,
}

/// How far it has come.
pub(super) enum Stage {
    /// IKE_SA_INIT is answered, a further key exchange is awaited.
    Intermediate(Kem),
    /// IKE_AUTH is awaited.
    First,
    /// IKE_SESSION_RESUME is answered.
    Resumed(Box<Ticket>),
    /// EAP goes on.
    Eap(Box<Login>),
    /// AAA outside is asked; the request with this ID waits for its answer.
    Aaa(Box<Login>, u32),
    /// EAP-Success is out, the client's AUTH is awaited.
    Final(Box<Login>),
    /// Refused: only repeats its last answer.
    Closed,
}

/// A login by EAP-AnyConnect.
pub(super) struct Login {
    id: Identity,
    child: ChildRequest,
    conversation: Conversation,
}

impl HalfOpen {
    /// What the client's AUTH covers.
    pub(super) fn client_octets(&self, id: &Identity) -> Vec<u8> {
        let octets = signed_octets(self.sa.suite().prf, &self.sa.keys().sk_pi, &self.request, &self.nr, id);
        [octets, self.sa.int_auth()].concat()
    }

    /// What our AUTH covers.
    pub(super) fn our_octets(&self, id: &Identity) -> Vec<u8> {
        let octets = signed_octets(self.sa.suite().prf, &self.sa.keys().sk_pr, &self.response, &self.ni, id);
        [octets, self.sa.int_auth()].concat()
    }
}

/// What came of an IKE_AUTH request.
pub(super) enum Outcome {
    /// Answer with these and wait on.
    Answer(Vec<Payload>),
    /// The same, with other keys afterwards.
    Keys(Vec<Payload>, Box<SaKeys>),
    /// Answer when AAA has answered.
    Wait(Question),
    /// Answer with these; it is over.
    Close(Vec<Payload>),
    /// An IKE SA: answer with these, and hand over.
    Up(Vec<Payload>, Box<Arrival>),
}

impl Gateway {
    /// Takes a message for the half-open SA with this SPI of ours.
    pub(super) fn handle_half_open(&mut self, now: Now, path: Path, spi_r: Spi, message: &[u8]) {
        let Some(mut half) = self.half_open.remove(&spi_r) else { return };
        match half.sa.handle(now.at, message, &mut *self.random) {
            Err(_) => self.out.dropped(DropReason::Unauthenticated),
            Ok(Received::Request { id, exchange, payloads }) => {
                half.path = path;
                half.deadline = now.at + self.config.auth_timeout;
                let outcome = match exchange {
                    Exchange::IkeAuth => self.authenticate(now, &mut half, &payloads),
                    Exchange::IkeIntermediate => self.exchange_keys(now, &mut half, &payloads),
                    // The client gives up, mostly because it does not like our certificate.
                    Exchange::Informational => Outcome::Close(Vec::new()),
                    _ => Outcome::Close(error(notify::INVALID_SYNTAX)),
                };
                return self.conclude(now, spi_r, half, (id, exchange), outcome);
            }
            // Who waits for AAA may have moved meanwhile: the answer goes to where it was asked for last.
            Ok(Received::Retransmission) if matches!(half.stage, Stage::Aaa(..)) => half.path = path,
            Ok(_) => {}
        }
        // What is said again goes to where it was asked for again (RFC 7296 2.11).
        self.flush(&mut half.sa, path);
        self.keep(spi_r, half);
    }

    /// Answers the request `(id, exchange)` by what came of it.
    fn conclude(
        &mut self,
        now: Now,
        spi_r: Spi,
        mut half: HalfOpen,
        (id, exchange): (u32, Exchange),
        outcome: Outcome,
    ) {
        let mut keys = None;
        let (answer, arrival) = match outcome {
            Outcome::Answer(answer) => (answer, None),
            Outcome::Keys(answer, new) => {
                keys = Some(new);
                (answer, None)
            }
            Outcome::Up(answer, arrival) => (answer, Some(arrival)),
            Outcome::Wait(question) => {
                if let Stage::Aaa(_, request) = &mut half.stage {
                    *request = id;
                }
                self.asked.insert(question.id, spi_r);
                self.questions.push_back(question);
                return self.keep(spi_r, half);
            }
            Outcome::Close(answer) => {
                half.stage = Stage::Closed;
                half.deadline = now.at + LINGER;
                (answer, None)
            }
        };
        half.sa.respond(id, exchange, &answer, &mut *self.random);
        if let Some(keys) = keys {
            half.sa.change_keys(*keys);
        }
        let Some(arrival) = arrival else { return self.keep(spi_r, half) };
        let path = half.path;
        self.flush(&mut half.sa, path);
        self.forget_half_open(spi_r, &half.digest);
        self.arrive(now, half, *arrival);
    }

    fn keep(&mut self, spi_r: Spi, mut half: HalfOpen) {
        let path = half.path;
        self.flush(&mut half.sa, path);
        self.timers.set(Timer::HalfOpen(spi_r), Some((half.deadline, "half-open login")));
        self.half_open.insert(spi_r, half);
    }

    /// What AAA has to be asked next; [`Gateway::handle_aaa`] takes the answer. Questions whose login has ended meanwhile are
    /// not told.
    pub fn poll_aaa(&mut self) -> Option<Question> {
        loop {
            let question = self.questions.pop_front()?;
            if self.asked.contains_key(&question.id) {
                return Some(question);
            }
        }
    }

    /// AAA's answer to the question with this number; one that nobody waits for any more changes nothing.
    pub fn handle_aaa(&mut self, now: Now, id: u64, answer: Answer) {
        let Some(spi_r) = self.asked.remove(&id) else { return };
        let Some(mut half) = self.half_open.remove(&spi_r) else { return };
        match std::mem::replace(&mut half.stage, Stage::Closed) {
            Stage::Aaa(mut login, request) => {
                half.deadline = now.at + self.config.auth_timeout;
                let turn = login.conversation.verdict(&self.config, answer, &mut *self.random);
                let outcome = self.take_turn(now, &mut half, login, turn);
                self.conclude(now, spi_r, half, (request, Exchange::IkeAuth), outcome);
            }
            other => {
                half.stage = other;
                self.keep(spi_r, half);
            }
        }
    }

    fn flush(&mut self, sa: &mut IkeSa, path: Path) {
        while let Some(message) = sa.poll_datagram() {
            self.out.send_ike(path, &message);
        }
    }

    /// The deadline of a half-open login.
    pub(super) fn half_open_timeout(&mut self, now: Now, spi_r: Spi) {
        let Some(half) = self.half_open.remove(&spi_r) else { return };
        self.forget_half_open(spi_r, &half.digest);
        if !matches!(half.stage, Stage::Closed) {
            self.out.refused(now.at, half.path.peer, Refusal::Timeout);
        }
    }

    fn forget_half_open(&mut self, spi_r: Spi, digest: &[u8]) {
        self.by_request.remove(digest);
        self.asked.retain(|_, asking| *asking != spi_r);
        self.timers.set(Timer::HalfOpen(spi_r), None);
    }

    fn authenticate(&mut self, now: Now, half: &mut HalfOpen, payloads: &[Payload]) -> Outcome {
        // Whatever goes wrong below leaves the exchange closed.
        match std::mem::replace(&mut half.stage, Stage::Closed) {
            Stage::First => self.first_auth(now, half, payloads),
            Stage::Resumed(ticket) => self.resume(now, half, *ticket, payloads),
            Stage::Eap(login) => self.eap(now, half, login, payloads),
            Stage::Final(login) => self.final_auth(now, half, *login, payloads),
            // Out of turn; and while AAA is asked no other request is taken by the IKE SA.
            Stage::Intermediate(_) | Stage::Aaa(..) | Stage::Closed => {
                Outcome::Close(error(notify::AUTHENTICATION_FAILED))
            }
        }
    }

    /// The first IKE_AUTH request. INITIAL_CONTACT in it is not obeyed: the IDi of a login is the same for everybody, and a
    /// reconnect replaces the older SA of its session anyway, where it may.
    fn first_auth(&mut self, now: Now, half: &mut HalfOpen, payloads: &[Payload]) -> Outcome {
        let id = payloads.iter().find_map(|p| if let Payload::IdI(id) = p { Some(id.clone()) } else { None });
        let (Some(id), Some(child)) = (id, ChildRequest::read(payloads)) else {
            return self.refuse(now, half, Refusal::Syntax, notify::INVALID_SYNTAX);
        };
        match auth(payloads) {
            Some((method::SHARED_KEY, data)) => {
                let mixed = self.mix_ppk(half, payloads, data);
                self.reconnect(now, half, id, child, mixed)
            }
            Some(_) => self.refuse(now, half, Refusal::Identity, notify::AUTHENTICATION_FAILED),
            None => {
                let kinds = [self.config.dialect.initial_id_type, ID_KEY_ID];
                if id.data != ANYCONNECT_ID.as_bytes() || !kinds.contains(&id.kind) {
                    return self.refuse(now, half, Refusal::Identity, notify::AUTHENTICATION_FAILED);
                }
                let Some(mut answer) = self.prove(half) else {
                    return self.refuse(now, half, Refusal::Signing, notify::AUTHENTICATION_FAILED);
                };
                let Ok((conversation, hello)) = Conversation::start(&self.config, &mut *self.random) else {
                    return self.refuse(now, half, Refusal::Eap, notify::AUTHENTICATION_FAILED);
                };
                answer.push(Payload::Eap(hello));
                half.stage = Stage::Eap(Box::new(Login { id, child, conversation }));
                Outcome::Answer(answer)
            }
        }
    }

    fn eap(&mut self, now: Now, half: &mut HalfOpen, mut login: Box<Login>, payloads: &[Payload]) -> Outcome {
        let packet = payloads.iter().find_map(|p| if let Payload::Eap(eap) = p { Some(eap) } else { None });
        let Some(packet) = packet else {
            return self.refuse(now, half, Refusal::Syntax, notify::INVALID_SYNTAX);
        };
        let aaa = &mut self.out.counters.aaa_requests;
        let turn = login.conversation.turn(&self.config, aaa, packet, &mut *self.random);
        self.take_turn(now, half, login, turn)
    }

    fn take_turn(&mut self, now: Now, half: &mut HalfOpen, login: Box<Login>, turn: Turn) -> Outcome {
        let peer = half.path.peer;
        match turn {
            Turn::Check { password, state } => {
                let id = self.next_question;
                self.next_question += 1;
                let user = login.conversation.user();
                // The number of the request is known to whoever answers it.
                half.stage = Stage::Aaa(login, 0);
                Outcome::Wait(Question { id, user, password, state, peer: peer.ip() })
            }
            Turn::Prove { chain, signature } => {
                let name = self.user_of(now, half, &login.id, &chain, &signature);
                let mut login = login;
                let turn = login.conversation.certificate(&self.config, name);
                self.take_turn(now, half, login, turn)
            }
            Turn::Ask { packet, wrong } => {
                if wrong {
                    self.out.refused(now.at, peer, Refusal::Password);
                }
                half.stage = Stage::Eap(login);
                Outcome::Answer(vec![Payload::Eap(packet)])
            }
            Turn::Accepted(packet) => {
                let (user, group) = (login.conversation.user(), login.conversation.group());
                let aaa_requests = self.out.counters.aaa_requests;
                self.out.tell(GatewayEvent::Login { user, group, aaa_requests });
                half.stage = Stage::Eap(login);
                Outcome::Answer(vec![Payload::Eap(packet)])
            }
            Turn::Success(packet) => {
                half.stage = Stage::Final(login);
                Outcome::Answer(vec![Payload::Eap(packet)])
            }
            Turn::Failure { packet, why } => {
                self.out.refused(now.at, peer, why);
                Outcome::Close(vec![Payload::Eap(packet)])
            }
        }
    }

    fn final_auth(&mut self, now: Now, half: &mut HalfOpen, login: Login, payloads: &[Payload]) -> Outcome {
        let prf = half.sa.suite().prf;
        let Some((method::SHARED_KEY, data)) = auth(payloads) else {
            return self.refuse(now, half, Refusal::FinalAuth, notify::AUTHENTICATION_FAILED);
        };
        let mixed = match self.mix_ppk(half, payloads, data) {
            Ok(mixed) => mixed,
            Err(why) => return self.refuse(now, half, why, notify::AUTHENTICATION_FAILED),
        };
        let expected = shared_key_auth(prf, half.sa.keys().sk_pi.expose(), &half.client_octets(&login.id));
        if expected != Secret::from(mixed.auth) {
            return self.refuse(now, half, Refusal::FinalAuth, notify::AUTHENTICATION_FAILED);
        }
        let octets = half.our_octets(&self.config.identity);
        let data = shared_key_auth(prf, half.sa.keys().sk_pr.expose(), &octets).expose().to_vec();
        let mut proof = vec![Payload::Auth { method: method::SHARED_KEY, data }];
        proof.extend(mixed.answer);
        if let Some(elsewhere) = self.config.redirect.as_ref().filter(|e| e.after_login)
            && half.follows_redirects
        {
            let redirect = Redirect { to: elsewhere.to.clone(), nonce: Vec::new() };
            proof.push(Payload::Notify(Notify::status(notify::REDIRECT, redirect.encode())));
            self.out.refused(now.at, half.path.peer, Refusal::Elsewhere);
            return Outcome::Close(proof);
        }

        let connection = self.next_connection();
        let wanted = Wanted {
            user: login.conversation.user(),
            address4: login.child.addresses.v4.flatten(),
            address6: login.child.addresses.v6,
            reconnect: self.config.reconnect_timeout.is_some(),
            grant: login.conversation.grant().clone(),
            login: true,
        };
        let draft = match self.draft(wanted, connection) {
            Ok(draft) => draft,
            Err(why) => return self.refuse(now, half, why, notify::INTERNAL_ADDRESS_FAILURE),
        };
        let until = self.authenticated_until(now);
        match self.settle_child(now, until, draft.session(), &login.child, proof) {
            Ok((mut answer, child)) => {
                let key = self.admit(now, draft, connection);
                if login.child.ticket {
                    answer.extend(self.ticket(now, child.expires, &half.sa, &login.id, (key, false)));
                }
                let arrival = Arrival { connection, session: key, id: login.id, reconnect: false, child };
                Outcome::Up(answer, Box::new(arrival))
            }
            Err((why, kind)) => self.refuse(now, half, why, kind),
        }
    }

    /// IDr, CERT.., AUTH: the gateway's proof. `None` where its key cannot sign.
    pub(super) fn prove(&self, half: &HalfOpen) -> Option<Vec<Payload>> {
        let id = self.config.identity.clone();
        let hashes = half.client_hashes.as_deref();
        let octets = half.our_octets(&id);
        let (method, data) = sign(&*self.config.signer, &octets, hashes, half.sa.suite().prf.hash()).ok()?;
        let certs =
            self.config.chain.iter().map(|der| Payload::Cert { encoding: CERT_X509, data: der.clone() });
        Some(std::iter::once(Payload::IdR(id)).chain(certs).chain([Payload::Auth { method, data }]).collect())
    }

    /// The name in the certificate of the chain, where our roots vouch for it and its key has signed this exchange.
    fn user_of(
        &self,
        now: Now,
        half: &HalfOpen,
        id: &Identity,
        chain: &[u8],
        signature: &[u8],
    ) -> Option<String> {
        let user = pkcs7::decode(chain)
            .and_then(|chain| verify_user(&self.config.client_roots, &chain, now.wall))
            .ok()?;
        let method = if half.client_hashes.is_some() { method::DIGITAL_SIGNATURE } else { method::RSA };
        let octets = half.client_octets(id);
        verify_signature(method, signature, &octets, &user.spki, false).ok().map(|()| user.name)
    }

    /// Refuses with an error notify, counted and told.
    pub(super) fn refuse(&mut self, now: Now, half: &HalfOpen, why: Refusal, kind: u16) -> Outcome {
        self.out.refused(now.at, half.path.peer, why);
        Outcome::Close(error(kind))
    }
}

fn error(kind: u16) -> Vec<Payload> {
    vec![Payload::Notify(Notify::status(kind, Vec::new()))]
}

pub(super) fn auth(payloads: &[Payload]) -> Option<(u8, &[u8])> {
    payloads.iter().find_map(|p| match p {
        Payload::Auth { method, data } => Some((*method, data.as_slice())),
        _ => None,
    })
}
