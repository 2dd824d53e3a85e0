//! A gateway that answers what a test wants, and the initiator that it has before it.

use ikeep::crypto::{Group, Hash, PacketProtection, Random, generate};
use ikeep::ike::auth::{sign, signed_octets};
use ikeep::ike::cert::{Root, Trust};
use ikeep::ike::dialect::Dialect;
use ikeep::ike::eap::{Answers, Device, LoginParams};
use ikeep::ike::initiator::{Credentials, Failure, Initiator, InitiatorConfig, InitiatorEvent};
use ikeep::ike::keys::SaKeys;
use ikeep::ike::message::{
    Exchange, Identity, Notify, Outgoing, Payload, Spi, decode_message, encode_message, notify,
};
use ikeep::ike::proposal::{Algorithms, proposals};
use ikeep::ike::sa::{Dropped, IkeSa, Received, Retransmission};
use ikeep::ike::sk::{Fragmentation, Sealer};
use ikeep::lab::pki::{self, Pki};
use ikeep::time::{Instant, Now, UnixTime};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::time::Duration;

pub(crate) const HOST: &str = "flexvpn-c8kv.example.com";
/// What the login says of the user, and nobody may hear before the proof.
pub(crate) const SECRETS: [&[u8]; 2] = [b"this-machine", b"unguessable"];
pub(crate) const SPI_R: Spi = [9; 8];

/// Seeded randomness.
pub(crate) struct Dice(ChaCha12Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }
}

impl Random for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

fn start() -> Now {
    let wall = UnixTime::from_secs(1_800_000_000);
    Now { at: Instant::from_boot(Duration::from_secs(1_000)), wall }
}

pub(crate) fn pki() -> Pki {
    Pki::new(start().wall).expect("the lab's CA")
}

/// Our side.
pub(crate) struct Victim {
    pub(crate) initiator: Initiator,
    pub(crate) now: Now,
    dice: Dice,
    /// Datagrams sent so far.
    pub(crate) datagrams: usize,
}

impl Victim {
    /// A login with EAP-AnyConnect.
    pub(crate) fn new(change: impl FnOnce(&mut InitiatorConfig)) -> Self {
        let secret = || "this-machine".to_owned();
        let device = Device {
            version: secret(),
            computer_name: secret(),
            device_type: secret(),
            platform_version: secret(),
            unique_id: secret(),
            unique_id_global: secret(),
        };
        let params = LoginParams { device, group_access: None, own: None, scans: false };
        let dialect = Dialect::default();
        let mut config = InitiatorConfig {
            ike: Algorithms::ike(),
            esp: Algorithms::esp(),
            first_group: None,
            trust: Trust {
                roots: vec![Root { der: pki().ca().to_vec(), configured: true }],
                ..Trust::default()
            },
            host: HOST.into(),
            last_root: None,
            dialect,
            credentials: Credentials::AnyConnect { identity: "*$AnyConnectClient$*".into(), params },
            ppk: None,
            addresses: Vec::new(),
            ipv4: true,
            ipv6: false,
            mobike: false,
            ticket: false,
            redirect: false,
            redirected_from: None,
            proof_only: false,
            learn: false,
            fragment: 1_200,
            retransmission: Retransmission::default(),
            exchange_timeout: Duration::from_secs(30),
            init_timeout: None,
        };
        change(&mut config);
        let mut dice = Dice::new(5);
        let remote = "192.0.2.1:500".parse().expect("an address");
        let initiator = Initiator::new(start(), config, remote, &mut dice);
        Self { initiator, now: start(), dice, datagrams: 0 }
    }

    /// Everything that is to be sent.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let sent: Vec<_> = std::iter::from_fn(|| self.initiator.poll_datagram()).map(|(_, d)| d).collect();
        self.datagrams += sent.len();
        for datagram in &sent {
            for secret in SECRETS {
                assert!(!datagram.windows(secret.len()).any(|part| part == secret), "in plain text");
            }
        }
        sent
    }

    /// The one datagram that is to be sent.
    pub(crate) fn one(&mut self) -> Vec<u8> {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "datagrams");
        sent.remove(0)
    }

    pub(crate) fn take(&mut self, datagram: &[u8]) -> Result<(), Dropped> {
        self.initiator.handle_datagram(self.now, datagram, &mut self.dice)
    }

    pub(crate) fn events(&mut self) -> Vec<InitiatorEvent> {
        std::iter::from_fn(|| self.initiator.poll_event()).collect()
    }

    /// Types something into every field.
    pub(crate) fn answer(&mut self, answers: &Answers) {
        self.initiator.answer(self.now, answers, &mut self.dice).expect("good answers");
    }

    /// Why it ended; `None`: it has not.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.events().into_iter().find_map(|event| match event {
            InitiatorEvent::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    /// Lets time pass until the attempt is over, with all its repetitions; why it ended, and after how long.
    pub(crate) fn wait(&mut self) -> (Option<Failure>, Duration) {
        let begin = self.now.at;
        for _ in 0..10_000 {
            if let Some(failure) = self.failure() {
                return (Some(failure), self.now.at.since(begin));
            }
            let Some((due, _)) = self.initiator.poll_timeout() else { break };
            let step = due.since(self.now.at);
            self.now = Now { at: self.now.at + step, wall: self.now.wall + step };
            self.initiator.handle_timeout(self.now.at);
            self.sent();
        }
        (None, self.now.at.since(begin))
    }
}

/// The other side, after its IKE_SA_INIT.
pub(crate) struct Rogue {
    pub(crate) sa: IkeSa,
    pub(crate) ni: Vec<u8>,
    pub(crate) nr: Vec<u8>,
    /// Our answer to IKE_SA_INIT.
    pub(crate) response: Vec<u8>,
    dice: Dice,
    /// The request that waits for an answer.
    pub(crate) waiting: Option<(u32, Exchange)>,
}

pub(crate) fn status(kind: u16, data: &[u8]) -> Payload {
    Payload::Notify(Notify::status(kind, data))
}

/// An answer to this IKE_SA_INIT request, with any payloads.
pub(crate) fn init_answer(request: &[u8], spi_r: Spi, payloads: &[Payload]) -> Vec<u8> {
    let (header, _) = decode_message(request).expect("a request");
    let head = Outgoing {
        spi_i: header.spi_i,
        spi_r,
        exchange: header.exchange,
        initiator: false,
        response: true,
        message_id: 0,
    };
    encode_message(&head, payloads)
}

/// What an honest gateway answers, and what it takes to go on from there.
pub(crate) struct Honest {
    pub(crate) payloads: Vec<Payload>,
    group: Group,
    kex: Box<dyn ikeep::crypto::KeyExchange>,
    dice: Dice,
}

impl Honest {
    /// With `algorithms` as what the gateway takes.
    pub(crate) fn new(request: &[u8], algorithms: &Algorithms) -> Self {
        let mut dice = Dice::new(77);
        let (_, asked) = decode_message(request).expect("a request");
        let (suite, chosen) =
            algorithms.choose_ike(proposals(&asked).expect("proposals")).expect("one that we take");
        let kex = generate(suite.group, &mut dice);
        let mut nonce = vec![0; 32];
        dice.fill(&mut nonce);
        let payloads = vec![
            Payload::Sa(vec![chosen]),
            Payload::Ke { group: suite.group.id(), data: kex.public_value().to_vec() },
            Payload::Nonce(nonce),
            status(notify::IKEV2_FRAGMENTATION_SUPPORTED, &[]),
            status(notify::INTERMEDIATE_EXCHANGE_SUPPORTED, &[]),
        ];
        Self { payloads, group: suite.group, kex, dice }
    }
}

impl Rogue {
    /// An honest IKE_SA_INIT with this victim.
    pub(crate) fn met(victim: &mut Victim) -> Self {
        Self::met_with(victim, &Algorithms::ike())
    }

    pub(crate) fn met_with(victim: &mut Victim, algorithms: &Algorithms) -> Self {
        let request = victim.one();
        let honest = Honest::new(&request, algorithms);
        let response = init_answer(&request, SPI_R, &honest.payloads);
        let (header, asked) = decode_message(&request).expect("a request");
        let nonce = |payloads: &[Payload]| {
            payloads.iter().find_map(|p| match p {
                Payload::Nonce(nonce) => Some(nonce.clone()),
                _ => None,
            })
        };
        let (ni, nr) = (nonce(&asked).expect("a nonce"), nonce(&honest.payloads).expect("a nonce"));
        let public = asked.iter().find_map(|p| match p {
            Payload::Ke { group, data } if *group == honest.group.id() => Some(data.clone()),
            _ => None,
        });
        let shared = honest.kex.agree(&public.expect("a key exchange")).expect("a member of the group");
        let (suite, _) = algorithms.choose_ike(proposals(&asked).expect("proposals")).expect("a suite");
        let keys = SaKeys::derive(&suite, &ni, &nr, &shared, &header.spi_i, &SPI_R);
        let rule = Retransmission::default();
        let fragmentation = Fragmentation::Standard(1_200);
        let sa = IkeSa::new(false, header.spi_i, SPI_R, suite, keys, (0, 1), fragmentation, rule);
        victim.take(&response).expect("an honest answer");
        Self { sa, ni, nr, response, dice: honest.dice, waiting: None }
    }

    /// Reads the victim's next request; it waits for its answer then.
    pub(crate) fn hear(&mut self, victim: &mut Victim) -> Vec<Payload> {
        let sent = victim.sent();
        for datagram in &sent {
            match self.sa.handle(victim.now.at, datagram, &mut self.dice) {
                Ok(Received::Request { id, exchange, payloads }) => {
                    self.waiting = Some((id, exchange));
                    return payloads;
                }
                Ok(Received::Fragment) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("no request in {} datagrams", sent.len());
    }

    /// Everything that the victim still says, opened.
    pub(crate) fn overhear(&mut self, victim: &mut Victim) -> Vec<(Exchange, Vec<Payload>)> {
        let mut heard = Vec::new();
        for datagram in victim.sent() {
            match self.sa.handle(victim.now.at, &datagram, &mut self.dice) {
                Ok(Received::Request { exchange, payloads, .. }) => heard.push((exchange, payloads)),
                other => panic!("{other:?}"),
            }
        }
        heard
    }

    /// Our answer, sealed.
    pub(crate) fn seal(&mut self, payloads: &[Payload]) -> Vec<Vec<u8>> {
        let (id, exchange) = self.waiting.take().expect("a request");
        self.sa.respond(id, exchange, payloads, &mut self.dice);
        std::iter::from_fn(|| self.sa.poll_datagram()).collect()
    }

    /// Answers.
    pub(crate) fn say(&mut self, victim: &mut Victim, payloads: &[Payload]) {
        for datagram in self.seal(payloads) {
            victim.take(&datagram).expect("authentic");
        }
    }

    /// An answer to a request that need not have been read, or was answered before.
    pub(crate) fn forge(
        &mut self,
        request: (u32, Exchange),
        payloads: &[Payload],
        fragment: Option<usize>,
    ) -> Vec<Vec<u8>> {
        self.forge_under(&self.sa.keys().clone(), request, payloads, fragment)
    }

    /// The same under other keys.
    pub(crate) fn forge_under(
        &mut self,
        keys: &SaKeys,
        (id, exchange): (u32, Exchange),
        payloads: &[Payload],
        fragment: Option<usize>,
    ) -> Vec<Vec<u8>> {
        let head = Outgoing {
            spi_i: self.sa.spis().0,
            spi_r: SPI_R,
            exchange,
            initiator: false,
            response: true,
            message_id: id,
        };
        let suite = *self.sa.suite();
        let (encr, integ) = (keys.sk_er.expose(), keys.sk_ar.expose());
        let mut sealer = Sealer::new(PacketProtection::new(suite.encr, suite.integ, encr, integ));
        sealer.seal(&head, payloads, fragment, &mut self.dice)
    }

    /// IDr, certificates and AUTH with this key.
    pub(crate) fn proof(&self, identity: &pki::Identity) -> Vec<Payload> {
        self.proof_over(identity, &self.sa.int_auth())
    }

    /// The same, with IKE_INTERMEDIATE left out of what it covers.
    pub(crate) fn proof_without_intermediate(&self, identity: &pki::Identity) -> Vec<Payload> {
        self.proof_over(identity, &[])
    }

    fn proof_over(&self, identity: &pki::Identity, intermediate: &[u8]) -> Vec<Payload> {
        let id = Identity { kind: 2, data: HOST.as_bytes().to_vec() };
        let mut octets =
            signed_octets(self.sa.suite().prf, &self.sa.keys().sk_pr, &self.response, &self.ni, &id);
        octets.extend(intermediate);
        let (method, data) =
            sign(&*identity.signer, &octets, Some(&[Hash::Sha256]), Hash::Sha256).expect("a signature");
        let certificates = identity.chain.iter().map(|der| Payload::Cert { encoding: 4, data: der.clone() });
        let mut payloads = vec![Payload::IdR(id)];
        payloads.extend(certificates);
        payloads.push(Payload::Auth { method, data });
        payloads
    }

    /// Proves itself and begins with EAP: the packet.
    pub(crate) fn begin_eap(&mut self, victim: &mut Victim, packet: Vec<u8>) {
        self.hear(victim);
        let identity = pki().gateway(HOST).expect("a certificate");
        let mut payloads = self.proof(&identity);
        payloads.push(Payload::Eap(packet));
        self.say(victim, &payloads);
    }
}
