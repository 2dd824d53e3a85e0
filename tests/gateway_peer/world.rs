//! A gateway and its clock.

use ikeep::crypto::Random;
use ikeep::gateway::aaa::{Answer, Question};
use ikeep::gateway::{Gateway, GatewayConfig, GatewayEvent, GatewayTransmit, Port};
use ikeep::lab::pki::{Pki, TestKey};
use ikeep::time::{Instant, Now, UnixTime};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Seeded randomness.
pub struct Dice(ChaCha12Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }
}

impl Random for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// One gateway in virtual time.
pub struct World {
    pub gateway: Gateway,
    pub now: Now,
    /// SubjectPublicKeyInfo and certificate of the gateway.
    pub spki: Vec<u8>,
    pub certificate: Vec<u8>,
    /// Everything told so far.
    pub events: Vec<GatewayEvent>,
    /// What AAA outside says to the next questions; one without an answer waits.
    pub aaa: VecDeque<Answer>,
    /// What AAA outside was asked.
    pub asked: Vec<Question>,
}

/// A client's outer address.
pub fn client(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, last], 40_000 + u16::from(last)))
}

impl World {
    /// The seed's router.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The seed's router with changes.
    pub fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let wall = UnixTime::from_secs(1_800_000_000);
        let now = Now { at: Instant::from_boot(Duration::from_secs(1000)), wall };
        let pki = Pki::new(wall).expect("the lab's CA");
        let identity = pki.gateway("flexvpn-c8kv.example.com").expect("a certificate");
        let certificate = identity.chain[0].clone();
        let mut config = GatewayConfig::seed([10, 9, 0, 1].into(), identity.chain, identity.signer);
        change(&mut config);
        Self {
            gateway: Gateway::new(config, now, Box::new(Dice::new(4711))),
            now,
            spki: TestKey::Gateway.spki().expect("the gateway's key"),
            certificate,
            events: Vec::new(),
            aaa: VecDeque::new(),
            asked: Vec::new(),
        }
    }

    /// The gateway's address.
    pub fn address(&self, port: Port) -> SocketAddr {
        SocketAddr::from(([10, 9, 0, 1], if port == Port::Ike { 500 } else { 4500 }))
    }

    /// Hands a datagram to the gateway; what it sends.
    pub fn datagram(&mut self, from: SocketAddr, to: Port, mut datagram: Vec<u8>) -> Vec<GatewayTransmit> {
        self.gateway.handle_datagram(self.now, from, to, &mut datagram);
        while let Some(question) = self.gateway.poll_aaa() {
            let id = question.id;
            self.asked.push(question);
            if let Some(answer) = self.aaa.pop_front() {
                self.gateway.handle_aaa(self.now, id, answer);
            }
        }
        self.collect()
    }

    /// AAA outside answers at last; what the gateway sends.
    pub fn aaa_says(&mut self, id: u64, answer: Answer) -> Vec<GatewayTransmit> {
        self.gateway.handle_aaa(self.now, id, answer);
        self.collect()
    }

    /// An IKE message on the NAT port.
    pub fn ike(&mut self, from: SocketAddr, message: &[u8]) -> Vec<GatewayTransmit> {
        self.datagram(from, Port::Nat, [&[0; 4], message].concat())
    }

    /// The same; exactly one answer, to where it came from, without its marker.
    pub fn one_answer(&mut self, from: SocketAddr, message: &[u8]) -> Vec<u8> {
        let answers = self.ike(from, message);
        let [answer] = answers.as_slice() else { panic!("{} answers", answers.len()) };
        assert_eq!((answer.to, answer.from), (from, Port::Nat));
        assert_eq!(answer.payload[..4], [0; 4]);
        answer.payload[4..].to_vec()
    }

    /// An ESP packet.
    pub fn esp(&mut self, from: SocketAddr, packet: Vec<u8>) -> Vec<GatewayTransmit> {
        self.datagram(from, Port::Nat, packet)
    }

    fn collect(&mut self) -> Vec<GatewayTransmit> {
        self.events.extend(std::iter::from_fn(|| self.gateway.poll_event()));
        std::iter::from_fn(|| self.gateway.poll_transmit()).collect()
    }

    /// Lets time pass, with every deadline kept; what the gateway sends.
    pub fn pass(&mut self, time: Duration) -> Vec<GatewayTransmit> {
        let end = self.now.at + time;
        let mut sent = Vec::new();
        let mut steps = 0;
        while let Some((at, why)) = self.gateway.poll_timeout().filter(|(at, _)| *at <= end) {
            steps += 1;
            assert!(steps < 1000, "the gateway wakes for ever: {why}");
            self.set(at.max(self.now.at));
            self.gateway.handle_timeout(self.now);
            sent.extend(self.collect());
        }
        self.set(end);
        self.gateway.handle_timeout(self.now);
        sent.extend(self.collect());
        sent
    }

    fn set(&mut self, at: Instant) {
        self.now.wall = self.now.wall + at.since(self.now.at);
        self.now.at = at;
    }

    /// The events since the last call.
    pub fn told(&mut self) -> Vec<GatewayEvent> {
        self.collect();
        std::mem::take(&mut self.events)
    }
}
