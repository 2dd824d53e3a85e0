//! A peer whose every message the test writes: of this crate it uses the codec and the sealing, not the machine under test.

use super::*;
use crate::crypto::{KeyExchange, generate};
use crate::ike::message::{Proposal, Spi, protocol};
use crate::ike::sk::Fragmentation;

/// A request of ours that the script has not answered.
pub(super) struct Asked {
    /// On which of the peer's IKE SAs.
    pub(super) on: usize,
    pub(super) id: u32,
    pub(super) exchange: Exchange,
    pub(super) payloads: Vec<Payload>,
}

/// The machine under test and the scripted peer.
pub(super) struct Script {
    pub(super) now: Instant,
    pub(super) us: End,
    /// The peer's IKE SAs, the first one first.
    pub(super) peer: Vec<IkeSa>,
    pub(super) asked: VecDeque<Asked>,
    answers: Vec<(usize, Vec<Payload>)>,
    random: Seeded,
}

/// A rekey of the IKE SA by the peer, until we have answered it.
pub(super) struct PeerRekey {
    spi: Spi,
    nonce: Vec<u8>,
    kex: Box<dyn KeyExchange>,
}

pub(super) fn notice(kind: u16) -> Vec<Payload> {
    vec![Payload::Notify(Notify::status(kind, Vec::new()))]
}

pub(super) fn delete_esp(spi: u32) -> Vec<Payload> {
    vec![Payload::Delete(Delete::esp([spi]))]
}

pub(super) fn delete_ike() -> Vec<Payload> {
    vec![Payload::Delete(Delete::ike())]
}

/// The SPIs that the Delete payloads name.
pub(super) fn deleted(payloads: &[Payload]) -> Vec<u32> {
    let of = |payload: &Payload| match payload {
        Payload::Delete(delete) => delete.spis.clone(),
        _ => Vec::new(),
    };
    payloads.iter().flat_map(of).collect()
}

pub(super) fn deletes_ike(payloads: &[Payload]) -> bool {
    payloads.contains(&Payload::Delete(Delete::ike()))
}

pub(super) fn error(payloads: &[Payload]) -> Option<u16> {
    crate::ike::message::first_error_notify(payloads).map(|n| n.kind)
}

/// What the peer takes of an IKE SA's algorithms.
fn one_group() -> Algorithms {
    Algorithms { groups: vec![Group::Curve25519], ..Algorithms::ike() }
}

fn offer(payloads: &[Payload]) -> &Proposal {
    crate::ike::proposal::proposals(payloads).and_then(|p| p.first()).expect("an SA payload")
}

pub(super) fn esp_spi_of(payloads: &[Payload]) -> u32 {
    u32::from_be_bytes(offer(payloads).spi.as_slice().try_into().expect("an ESP SPI"))
}

fn nonce_of(payloads: &[Payload]) -> Vec<u8> {
    let nonce = |p: &Payload| if let Payload::Nonce(n) = p { Some(n.clone()) } else { None };
    payloads.iter().find_map(nonce).expect("a nonce")
}

fn ke_of(payloads: &[Payload]) -> Vec<u8> {
    let ke = |p: &Payload| if let Payload::Ke { data, .. } = p { Some(data.clone()) } else { None };
    payloads.iter().find_map(ke).expect("a KE payload")
}

impl Script {
    /// `initiator`: we began the IKE SA.
    pub(super) fn new(initiator: bool) -> Self {
        let now = Instant::from_boot(Duration::from_secs(10));
        let us = End::new(now, initiator, policy(None, None));
        let (sa, _) = beginning(!initiator);
        let random = Seeded(99);
        Self { now, us, peer: vec![sa], asked: VecDeque::new(), answers: Vec::new(), random }
    }

    /// Our inbound SPI of the first Child SA, and the peer's.
    pub(super) fn first_child(&self) -> (u32, u32) {
        if self.peer[0].is_initiator() { (2000, 1000) } else { (1000, 2000) }
    }

    fn outbox(&mut self) -> Vec<Vec<u8>> {
        self.us.events(self.now);
        std::iter::from_fn(|| self.us.ike.poll_datagram()).collect()
    }

    /// The peer reads what we have sent.
    pub(super) fn hear(&mut self) {
        for datagram in self.outbox() {
            self.read(&datagram);
        }
    }

    fn read(&mut self, datagram: &[u8]) {
        let header = Header::decode(datagram).expect("a header");
        let spis = (header.spi_i, header.spi_r);
        let Some(on) = self.peer.iter().position(|sa| sa.spis() == spis) else { return };
        match self.peer[on].handle(self.now, datagram, &mut self.random) {
            Ok(Received::Request { id, exchange, payloads }) => {
                self.asked.push_back(Asked { on, id, exchange, payloads });
            }
            Ok(Received::Response { payloads, .. }) => self.answers.push((on, payloads)),
            Ok(Received::Fragment | Received::Slice | Received::Retransmission) => {}
            Err(error) => assert!(matches!(error, Dropped::Window(_)), "{error}"),
        }
    }

    fn sent_by(&mut self, on: usize) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.peer[on].poll_datagram()).collect()
    }

    /// The peer asks on one of its IKE SAs; our answer. The request comes twice, as where the first answer is lost: the second
    /// answer has the octets of the first, and nothing else happens.
    pub(super) fn ask(&mut self, on: usize, exchange: Exchange, payloads: Vec<Payload>) -> Vec<Payload> {
        self.peer[on].request(self.now, exchange, payloads, &mut self.random);
        let request = self.sent_by(on);
        for datagram in &request {
            self.us.ike.handle_datagram(self.now, datagram, &mut self.us.random).expect("authentic");
        }
        let first = self.outbox();
        let events = self.us.events.len();
        if let [datagram] = request.as_slice() {
            let again = self.us.ike.handle_datagram(self.now, datagram, &mut self.us.random);
            assert_eq!(again, Ok(Authentic::Repeated));
            let again = self.outbox();
            assert!(again.iter().all(|d| first.contains(d)), "another answer to the same request");
            assert_eq!(self.us.events.len(), events, "{:?}", self.us.events);
        }
        for datagram in &first {
            self.read(datagram);
        }
        let at = self.answers.iter().position(|(sa, _)| *sa == on).expect("an answer");
        self.answers.remove(at).1
    }

    /// Our next request.
    pub(super) fn next(&mut self) -> Asked {
        self.hear();
        self.asked.pop_front().expect("a request of ours")
    }

    /// We ask nothing.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.hear();
        self.asked.is_empty()
    }

    /// The peer answers a request of ours.
    pub(super) fn answer(&mut self, asked: &Asked, payloads: &[Payload]) {
        self.peer[asked.on].respond(asked.id, asked.exchange, payloads, &mut self.random);
        for datagram in self.sent_by(asked.on) {
            let _ = self.us.ike.handle_datagram(self.now, &datagram, &mut self.us.random);
        }
        self.hear();
    }

    /// Takes our next request, which is a DELETE of this Child SA, and answers it with the peer's own SPI.
    pub(super) fn expect_delete(&mut self, ours: u32, theirs: u32) {
        let asked = self.next();
        assert_eq!(deleted(&asked.payloads), [ours]);
        self.answer(&asked, &delete_esp(theirs));
    }

    pub(super) fn rekey_child(&mut self) {
        let (ours, _) = self.first_child();
        self.us.ike.rekey_child(self.now, ours, &mut self.us.random);
    }

    pub(super) fn rekey_ike(&mut self) {
        self.us.ike.rekey_ike(self.now, &mut self.us.random);
    }

    /// The selectors of the peer's requests: its own side, ours.
    fn selectors(&self) -> [Payload; 2] {
        let (client, net) = (vec![TrafficSelector::host(CLIENT)], vec![TrafficSelector::any_v4()]);
        let (own, other) = if self.peer[0].is_initiator() { (client, net) } else { (net, client) };
        [Payload::TsI(own), Payload::TsR(other)]
    }

    /// A request of the peer's to rekey the Child SA with this inbound SPI of its own.
    pub(super) fn child_request(&self, old: u32, new: u32, nonce: u8) -> Vec<Payload> {
        let mut payloads = vec![
            Payload::Notify(Notify::about_esp(notify::REKEY_SA, old)),
            Payload::Sa(Algorithms::esp().esp_proposals(new, false)),
            Payload::Nonce(vec![nonce; 32]),
        ];
        payloads.extend(self.selectors());
        payloads
    }

    /// The peer's answer to our rekey of a Child SA, without PFS where it can be.
    pub(super) fn child_answer(&mut self, asked: &Asked, spi: u32, nonce: u8) -> Vec<Payload> {
        let mut algorithms = Algorithms::esp();
        algorithms.groups = vec![Group::Ecp256];
        let offered = crate::ike::proposal::proposals(&asked.payloads).expect("an offer");
        let (suite, _, chosen) = algorithms.choose_esp(offered, spi, true).expect("a suite");
        let kex = generate(suite.group.expect("PFS"), &mut self.random);
        let ts = asked.payloads.iter().filter(|p| matches!(p, Payload::TsI(_) | Payload::TsR(_)));
        let mut payloads = vec![
            Payload::Sa(vec![chosen]),
            Payload::Nonce(vec![nonce; 32]),
            Payload::Ke { group: Group::Ecp256.id(), data: kex.public_value().to_vec() },
        ];
        payloads.extend(ts.cloned());
        payloads
    }

    /// The peer's request to rekey the IKE SA.
    pub(super) fn ike_request(&mut self, nonce: u8) -> (PeerRekey, Vec<Payload>) {
        let kex = generate(Group::Curve25519, &mut self.random);
        let rekey = PeerRekey { spi: [0xaa; 8], nonce: vec![nonce; 32], kex };
        let payloads = vec![
            Payload::Sa(one_group().ike_proposals(&rekey.spi, None)),
            Payload::Nonce(rekey.nonce.clone()),
            Payload::Ke { group: Group::Curve25519.id(), data: rekey.kex.public_value().to_vec() },
        ];
        (rekey, payloads)
    }

    /// The peer's new IKE SA from our answer; its number.
    pub(super) fn take_ike_answer(&mut self, rekey: &PeerRekey, answer: &[Payload]) -> usize {
        assert_eq!(error(answer), None);
        let proposals = crate::ike::proposal::proposals(answer).expect("an SA payload");
        let (suite, spi) = one_group().accept_ike(proposals).expect("a suite");
        let spi_r: Spi = spi.as_slice().try_into().expect("an IKE SPI");
        let shared = rekey.kex.agree(&ke_of(answer)).expect("a secret");
        let old = &self.peer[0];
        let keys = SaKeys::derive_rekey(
            old.suite().prf,
            &old.keys().sk_d,
            &suite,
            &rekey.nonce,
            &nonce_of(answer),
            &shared,
            &rekey.spi,
            &spi_r,
        );
        let rule = Retransmission::default();
        self.peer.push(IkeSa::new(
            true,
            rekey.spi,
            spi_r,
            suite,
            keys,
            (0, 0),
            Fragmentation::Standard(600),
            rule,
        ));
        self.peer.len() - 1
    }

    /// The peer's answer to our rekey of the IKE SA; the number of its new IKE SA.
    pub(super) fn ike_answer(&mut self, asked: &Asked, nonce: u8) -> (usize, Vec<Payload>) {
        let offered = crate::ike::proposal::proposals(&asked.payloads).expect("an offer");
        let (suite, mut chosen) = one_group().choose_ike(offered).expect("a suite");
        assert_eq!(chosen.protocol, protocol::IKE);
        let spi_i: Spi = chosen.spi.as_slice().try_into().expect("an IKE SPI");
        let (spi_r, nonce) = ([0xbb; 8], vec![nonce; 32]);
        let kex = generate(Group::Curve25519, &mut self.random);
        let shared = kex.agree(&ke_of(&asked.payloads)).expect("a secret");
        let old = &self.peer[0];
        let ni = nonce_of(&asked.payloads);
        let (prf, sk_d) = (old.suite().prf, &old.keys().sk_d);
        let keys = SaKeys::derive_rekey(prf, sk_d, &suite, &ni, &nonce, &shared, &spi_i, &spi_r);
        let rule = Retransmission::default();
        self.peer.push(IkeSa::new(
            false,
            spi_i,
            spi_r,
            suite,
            keys,
            (0, 0),
            Fragmentation::Standard(600),
            rule,
        ));
        chosen.spi = spi_r.to_vec();
        let payloads = vec![
            Payload::Sa(vec![chosen]),
            Payload::Nonce(nonce),
            Payload::Ke { group: Group::Curve25519.id(), data: kex.public_value().to_vec() },
        ];
        (self.peer.len() - 1, payloads)
    }

    /// Virtual time passes; what we send meanwhile is read.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.us.ike.poll_timeout().map(|(at, _)| at).filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.us.ike.handle_timeout(self.now, &mut self.us.random);
            self.hear();
        }
        self.now = until;
    }

    /// The IKE SA that we use is this one of the peer's, no other is left, and it works both ways.
    pub(super) fn only_ike_sa(&mut self, on: usize) {
        self.pass(Duration::from_secs(31));
        self.asked.clear();
        assert_eq!(self.us.ike.all_spis().collect::<Vec<_>>(), [self.peer[on].spis()]);
        assert_eq!(self.ask(on, Exchange::Informational, Vec::new()), []);
        self.us.ike.check_liveness(self.now, &mut self.us.random);
        let asked = self.next();
        assert_eq!(asked.on, on);
        self.answer(&asked, &[]);
        // And it has the Child SA.
        let (ours, _) = self.first_child();
        self.us.ike.rekey_child(self.now, ours, &mut self.us.random);
        let asked = self.next();
        assert_eq!((asked.on, asked.exchange), (on, Exchange::CreateChildSa));
    }

    /// Our Child SAs, by inbound SPI.
    pub(super) fn children(&mut self) -> Vec<u32> {
        self.hear();
        self.us.ike.children.iter().map(|c| c.spi_in).collect()
    }
}
