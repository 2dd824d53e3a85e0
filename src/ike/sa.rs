//! One IKE SA: message IDs, windows, retransmission, encryption (RFC 7296 2.1 to 2.3). Both roles.

mod received;
mod retransmission;

use super::intermediate::IntAuth;
use super::keys::SaKeys;
use super::message::{
    Exchange, HEADER_LEN, Header, Notify, Payload, Spi, encode_payloads, notify, payload_type,
};
use super::ppk::Ppk;
use super::proposal::IkeSuite;
use super::sk::{Assembler, Fragmentation, Opened, Opener, Outgoing, Sealer, SkError, slice};
use crate::crypto::{PacketProtection, Random, Secret};
use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;
use zeroize::Zeroizing;

pub use received::{Dropped, Received};
pub use retransmission::Retransmission;

/// Requests that may wait for the window; more are refused, since a peer that does not answer must not make us grow.
const QUEUE_LIMIT: usize = 16;

/// Our direction, and the peer's requests and answers.
fn protect(initiator: bool, suite: &IkeSuite, keys: &SaKeys) -> (Sealer, Opener, Opener) {
    let protection =
        |e: &Secret, a: &Secret| PacketProtection::new(suite.encr, suite.integ, e.expose(), a.expose());
    let (ours, theirs) = if initiator {
        ((&keys.sk_ei, &keys.sk_ai), (&keys.sk_er, &keys.sk_ar))
    } else {
        ((&keys.sk_er, &keys.sk_ar), (&keys.sk_ei, &keys.sk_ai))
    };
    let opener = || Opener::new(protection(theirs.0, theirs.1));
    (Sealer::new(protection(ours.0, ours.1)), opener(), opener())
}

/// A request of ours that is not answered yet.
struct Outstanding {
    id: u32,
    exchange: Exchange,
    datagrams: Vec<Vec<u8>>,
    sent: Instant,
    tries: u32,
    interval: Duration,
    due: Instant,
    rule: Retransmission,
}

/// The peer's last request and our answer to it.
struct Answered {
    id: u32,
    /// The datagram that completed the request: its repetition is bitwise the same (RFC 7296 2.1).
    request: Vec<u8>,
    response: Vec<Vec<u8>>,
}

/// An IKE SA. The initiator's first request has message ID 1, the responder's 0 (IKE_SA_INIT is not its business).
pub struct IkeSa {
    initiator: bool,
    spi_i: Spi,
    spi_r: Spi,
    suite: IkeSuite,
    keys: SaKeys,
    sealer: Sealer,
    opener_requests: Opener,
    opener_responses: Opener,
    int_auth: IntAuth,
    fragmentation: Fragmentation,
    /// Messages of ours so far that slices may have been made of: their fragment ID.
    sliced: u16,
    slices: Assembler,
    rule: Retransmission,
    next_id: u32,
    expected_id: u32,
    /// A request was handed out and waits for `respond`: the datagram that completed it.
    in_progress: Option<Vec<u8>>,
    answered: Option<Answered>,
    outstanding: Option<Outstanding>,
    queue: VecDeque<(Exchange, Vec<Payload>, Retransmission)>,
    outbox: VecDeque<Vec<u8>>,
}

impl IkeSa {
    /// `initiator`: we sent IKE_SA_INIT (or started the rekey that made this SA). `first_ids`: next message ID of our requests
    /// and of the peer's. `fragmentation`: what both sides announced.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        initiator: bool,
        spi_i: Spi,
        spi_r: Spi,
        suite: IkeSuite,
        keys: SaKeys,
        first_ids: (u32, u32),
        fragmentation: Fragmentation,
        retransmission: Retransmission,
    ) -> Self {
        let (sealer, opener_requests, opener_responses) = protect(initiator, &suite, &keys);
        Self {
            initiator,
            spi_i,
            spi_r,
            suite,
            sealer,
            opener_requests,
            opener_responses,
            keys,
            int_auth: IntAuth::default(),
            fragmentation,
            sliced: 0,
            slices: Assembler::default(),
            rule: retransmission,
            next_id: first_ids.0,
            expected_id: first_ids.1,
            in_progress: None,
            answered: None,
            outstanding: None,
            queue: VecDeque::new(),
            outbox: VecDeque::new(),
        }
    }

    /// We are the original initiator of this IKE SA.
    pub fn is_initiator(&self) -> bool {
        self.initiator
    }

    /// Initiator's and responder's SPI.
    pub fn spis(&self) -> (Spi, Spi) {
        (self.spi_i, self.spi_r)
    }

    /// The algorithms.
    pub fn suite(&self) -> &IkeSuite {
        &self.suite
    }

    /// The keys, for AUTH, Child SAs and rekeys.
    pub fn keys(&self) -> &SaKeys {
        &self.keys
    }

    /// Other keys from the next message on, after a further key exchange (RFC 9370 2.2.2). They must never have been used.
    pub fn change_keys(&mut self, keys: SaKeys) {
        (self.sealer, self.opener_requests, self.opener_responses) =
            protect(self.initiator, &self.suite, &keys);
        self.keys = keys;
    }

    /// What AUTH covers of the IKE_INTERMEDIATE exchanges so far; see [`IntAuth::octets`].
    pub fn int_auth(&self) -> Vec<u8> {
        self.int_auth.octets()
    }

    fn seal(&mut self, head: &Outgoing, payloads: &[Payload], random: &mut dyn Random) -> Vec<Vec<u8>> {
        let (first, chain) = encode_payloads(payloads);
        let chain = Zeroizing::new(chain);
        if head.exchange == Exchange::IkeIntermediate {
            self.int_auth.take(self.suite.prf, &self.keys, &head.header(first, 0), first, &chain);
        }
        let sealed = self.sealer.seal_chain(head, first, &chain, self.fragmentation.standard(), random);
        let Fragmentation::Legacy(most) = self.fragmentation else { return sealed };
        self.sliced = self.sliced.wrapping_add(1);
        sealed.into_iter().flat_map(|message| slice(head, self.sliced, message, most)).collect()
    }

    fn open(&mut self, header: &Header, datagram: &[u8]) -> Result<Opened, SkError> {
        let opener = if header.response { &mut self.opener_responses } else { &mut self.opener_requests };
        let Some((first, chain)) = opener.open_chain(header, datagram)? else { return Ok(Opened::Fragment) };
        let opened = Opener::decode(first, &chain)?;
        if header.exchange == Exchange::IkeIntermediate {
            self.int_auth.take(self.suite.prf, &self.keys, header, first, &chain);
        }
        Ok(opened)
    }

    /// The keys with a PPK in them (RFC 8784): what encrypts stays as it is, and goes on counting.
    pub fn mix_in(&mut self, ppk: &Ppk) {
        self.keys = ppk.mix(self.suite.prf, &self.keys);
    }

    /// How large messages are cut.
    pub fn fragmentation(&self) -> Fragmentation {
        self.fragmentation
    }

    /// How requests are repeated from now on.
    pub fn set_retransmission(&mut self, rule: Retransmission) {
        self.rule = rule;
    }

    /// True while a request of ours waits for its answer or for the window.
    pub fn is_busy(&self) -> bool {
        self.outstanding.is_some()
    }

    /// Messages that are held: requests that wait for the window, the one that waits for its answer, what is to be sent.
    pub fn weight(&self) -> usize {
        self.queue.len() + usize::from(self.outstanding.is_some()) + self.outbox.len()
    }

    /// Since when the outstanding request waits.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|o| o.sent)
    }

    /// Sends a request, or queues it while another is outstanding (window 1). Its message ID is in the `Response`.
    /// False where too many wait already.
    pub fn request(
        &mut self,
        now: Instant,
        exchange: Exchange,
        payloads: Vec<Payload>,
        random: &mut dyn Random,
    ) -> bool {
        self.request_with(now, exchange, payloads, self.rule, random)
    }

    /// The same with a retransmission rule of its own.
    pub fn request_with(
        &mut self,
        now: Instant,
        exchange: Exchange,
        payloads: Vec<Payload>,
        rule: Retransmission,
        random: &mut dyn Random,
    ) -> bool {
        if self.outstanding.is_some() {
            if self.queue.len() >= QUEUE_LIMIT {
                return false;
            }
            self.queue.push_back((exchange, payloads, rule));
            return true;
        }
        self.send(now, exchange, &payloads, rule, random);
        true
    }

    /// As [`IkeSa::request_with`], but ahead of everything that waits for the window, and never refused.
    pub fn request_first(
        &mut self,
        now: Instant,
        exchange: Exchange,
        payloads: Vec<Payload>,
        rule: Retransmission,
        random: &mut dyn Random,
    ) {
        if self.outstanding.is_some() {
            self.queue.push_front((exchange, payloads, rule));
        } else {
            self.send(now, exchange, &payloads, rule, random);
        }
    }

    /// Takes the next request that waits for the window back; it was never sent.
    pub fn withdraw_first(&mut self) {
        self.queue.pop_front();
    }

    /// Forgets the outstanding request and everything that waits: their answers would be dropped.
    pub fn forget_requests(&mut self) {
        self.outstanding = None;
        self.queue.clear();
    }

    fn send(
        &mut self,
        now: Instant,
        exchange: Exchange,
        payloads: &[Payload],
        rule: Retransmission,
        random: &mut dyn Random,
    ) {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let head = self.head(exchange, false, id);
        let datagrams = self.seal(&head, payloads, random);
        self.outbox.extend(datagrams.iter().cloned());
        self.outstanding = Some(Outstanding {
            id,
            exchange,
            datagrams,
            sent: now,
            tries: 1,
            interval: rule.first,
            due: now + rule.first,
            rule,
        });
    }

    fn head(&self, exchange: Exchange, response: bool, message_id: u32) -> Outgoing {
        Outgoing {
            spi_i: self.spi_i,
            spi_r: self.spi_r,
            exchange,
            initiator: self.initiator,
            response,
            message_id,
        }
    }

    /// Repeats the outstanding request at once, as after a change of path: the intervals start anew, message ID and octets stay.
    /// False where nothing is outstanding.
    pub fn repeat(&mut self, now: Instant) -> bool {
        let Some(out) = self.outstanding.as_mut() else { return false };
        self.outbox.extend(out.datagrams.iter().cloned());
        out.tries = 2; // a round trip can no longer be told, and a new path deserves all its tries
        out.interval = out.rule.first;
        out.due = now + out.interval;
        true
    }

    /// Answers the request with this message ID; the answer is kept for its retransmission.
    pub fn respond(&mut self, id: u32, exchange: Exchange, payloads: &[Payload], random: &mut dyn Random) {
        let Some(request) = self.in_progress.take() else { return };
        let head = self.head(exchange, true, id);
        let response = self.seal(&head, payloads, random);
        self.outbox.extend(response.iter().cloned());
        self.answered = Some(Answered { id, request, response });
        self.expected_id = id.wrapping_add(1);
    }

    /// Leaves the request that is in progress unanswered: its repetition will be a new one.
    pub fn put_off(&mut self) {
        self.in_progress = None;
    }

    /// Takes a datagram (no marker) with this SA's SPIs.
    ///
    /// An authenticated request with malformed content is answered INVALID_SYNTAX or UNSUPPORTED_CRITICAL_PAYLOAD here
    /// (RFC 7296 2.5, 2.21.3) and reported as dropped.
    pub fn handle(
        &mut self,
        now: Instant,
        datagram: &[u8],
        random: &mut dyn Random,
    ) -> Result<Received, Dropped> {
        let header = self.header(datagram)?;
        let legacy = matches!(self.fragmentation, Fragmentation::Legacy(_));
        if !legacy || header.next_payload != payload_type::LEGACY_FRAGMENT {
            return self.handle_whole(now, &header, datagram, random);
        }
        if !self.is_awaited(&header) {
            return Err(Dropped::Window(header.message_id));
        }
        match self.slices.take(&header, datagram)? {
            None => Ok(Received::Slice),
            Some(whole) => self.handle_whole(now, &self.header(&whole)?, &whole, random),
        }
    }

    /// Whether a message of this ID can be of use: of slices nobody knows who wrote them, and no others are kept.
    fn is_awaited(&self, header: &Header) -> bool {
        let id = header.message_id;
        match header.response {
            true => self.outstanding.as_ref().is_some_and(|outstanding| outstanding.id == id),
            false => {
                id == self.expected_id || self.answered.as_ref().is_some_and(|answered| answered.id == id)
            }
        }
    }

    /// The header of a message or a slice of this SA.
    fn header(&self, datagram: &[u8]) -> Result<Header, Dropped> {
        let header = Header::decode(datagram).map_err(|e| Dropped::Malformed(e.to_string()))?;
        if header.spi_i != self.spi_i || header.spi_r != self.spi_r || header.initiator == self.initiator {
            return Err(Dropped::Foreign);
        }
        if usize::try_from(header.length) != Ok(datagram.len()) || datagram.len() < HEADER_LEN {
            return Err(Dropped::Malformed("the header's length is not the datagram's".into()));
        }
        Ok(header)
    }

    fn handle_whole(
        &mut self,
        now: Instant,
        header: &Header,
        datagram: &[u8],
        random: &mut dyn Random,
    ) -> Result<Received, Dropped> {
        if header.response {
            self.handle_response(now, header, datagram, random)
        } else {
            self.handle_request(header, datagram, random)
        }
    }

    fn handle_request(
        &mut self,
        header: &Header,
        datagram: &[u8],
        random: &mut dyn Random,
    ) -> Result<Received, Dropped> {
        let id = header.message_id;
        if let Some(answered) = &self.answered
            && answered.id == id
        {
            if answered.request != datagram {
                return Err(Dropped::Window(id));
            }
            self.outbox.extend(answered.response.iter().cloned());
            return Ok(Received::Retransmission);
        }
        if id != self.expected_id {
            return Err(Dropped::Window(id));
        }
        if let Some(current) = &self.in_progress {
            // Its answer is being made (a person may be typing): the repetition changes nothing.
            return if current == datagram { Ok(Received::Retransmission) } else { Err(Dropped::Window(id)) };
        }
        match self.open(header, datagram) {
            Ok(Opened::Fragment) => Ok(Received::Fragment),
            Ok(Opened::Message(payloads)) => {
                self.in_progress = Some(datagram.to_vec());
                Ok(Received::Request { id, exchange: header.exchange, payloads })
            }
            Err(error) => {
                let complaint = match &error {
                    SkError::Content(_) => Some(Notify::status(notify::INVALID_SYNTAX, Vec::new())),
                    SkError::Critical(kind) => {
                        Some(Notify::status(notify::UNSUPPORTED_CRITICAL_PAYLOAD, vec![*kind]))
                    }
                    _ => None,
                };
                if let Some(complaint) = complaint {
                    self.in_progress = Some(datagram.to_vec());
                    self.respond(id, header.exchange, &[Payload::Notify(complaint)], random);
                }
                Err(error.into())
            }
        }
    }

    fn handle_response(
        &mut self,
        now: Instant,
        header: &Header,
        datagram: &[u8],
        random: &mut dyn Random,
    ) -> Result<Received, Dropped> {
        let id = header.message_id;
        let expected = self.outstanding.as_ref().filter(|o| o.id == id && o.exchange == header.exchange);
        let Some(out) = expected else { return Err(Dropped::Window(id)) };
        let round_trip = (out.tries == 1).then(|| now.since(out.sent));
        match self.open(header, datagram)? {
            Opened::Fragment => Ok(Received::Fragment),
            Opened::Message(payloads) => {
                self.outstanding = None;
                if let Some((exchange, payloads, rule)) = self.queue.pop_front() {
                    self.send(now, exchange, &payloads, rule, random);
                }
                Ok(Received::Response { id, exchange: header.exchange, payloads, round_trip })
            }
        }
    }

    /// Repeats what is due. True when the last try went unanswered: the peer is gone.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let Some(out) = self.outstanding.as_mut().filter(|o| o.due <= now) else { return false };
        if out.tries >= out.rule.tries {
            self.outstanding = None;
            self.queue.clear();
            return true;
        }
        out.tries += 1;
        out.interval = (out.interval * 2).min(out.rule.cap);
        out.due = now + out.interval;
        self.outbox.extend(out.datagrams.iter().cloned());
        false
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|o| o.due)
    }

    /// The next datagram to send, no marker.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }
}

#[cfg(test)]
mod tests;
