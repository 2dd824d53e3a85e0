//! A second opinion on the gateway: a client written by hand from codec, SK payload, key derivation and AUTH. It shares
//! nothing with `ike::initiator`, `ike::sa`, `ike::established` and `ike::eap`: message IDs, EAP framing and XML are made here.

#![allow(dead_code, unreachable_pub)] // every test file uses its own part

pub mod eap;
pub mod world;

use ikeep::crypto::{Group, Hash, PacketProtection, Random, Secret, generate};
use ikeep::esp::inner::{echo_request, parse_echo_reply};
use ikeep::esp::{HEADROOM, SaPair, TrafficSelector};
use ikeep::gateway::{GatewayTransmit, Port};
use ikeep::ike::auth::{method, shared_key_auth, signed_octets, verify_signature};
use ikeep::ike::keys::{ChildKeying, SaKeys};
use ikeep::ike::message::{
    ConfigAttribute, Configuration, Delete, Exchange, Header, Identity, Notify, Outgoing, Payload, Spi,
    decode_message, encode_message, find_notify, first_error_notify, notify,
};
use ikeep::ike::proposal::{Algorithms, IkeSuite, Wish, proposals};
use ikeep::ike::sk::{Opened, Opener, Sealer};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use world::{Dice, World};

/// What the seed's client asks for.
pub const ASKED: [u16; 8] = [1, 2, 3, 28_672, 28_674, 28_676, 28_728, 28_729];
/// The IDi of every login.
pub const ANYCONNECT: &[u8] = b"*$AnyConnectClient$*";
/// Type and value of an IDi.
pub fn id(kind: u8, data: &[u8]) -> Identity {
    Identity { kind, data: data.to_vec() }
}

/// What IKE_SA_INIT offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub group: Group,
    pub algorithms: Algorithms,
    /// Announce RFC 7427.
    pub hashes: bool,
    /// Pretend to be behind a NAT, as our client always does.
    pub nat: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self { group: Group::Ecp256, algorithms: Algorithms::ike(), hashes: true, nat: true }
    }
}

/// Keys and nonces of one IKE SA, and where its messages stand.
pub struct Peer {
    pub from: SocketAddr,
    pub spi_i: Spi,
    pub spi_r: Spi,
    pub suite: IkeSuite,
    /// Round trips so far.
    pub round_trips: u32,
    /// The last request, sealed.
    pub last: Vec<u8>,
    /// IKE_SA_INIT, as sent last and as answered.
    pub request: Vec<u8>,
    pub response: Vec<u8>,
    dice: Dice,
    keys: SaKeys,
    sealer: Sealer,
    opener: Opener,
    next_id: u32,
    ni: Vec<u8>,
    nr: Vec<u8>,
    id: Identity,
    spi_in: u32,
    /// What it offers as its own side.
    pub own_side: TrafficSelector,
    pub child: Option<SaPair>,
    pub address: Option<IpAddr>,
}

/// What a finished IKE_AUTH gave.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub address: Option<Ipv4Addr>,
    pub session_id: Option<Vec<u8>>,
    pub token: Option<Secret>,
    pub reply: Vec<(u16, Vec<u8>)>,
}

impl Given {
    pub fn attribute(&self, kind: u16) -> Option<&[u8]> {
        self.reply.iter().find(|(k, _)| *k == kind).map(|(_, v)| v.as_slice())
    }
}

/// The octets of an IKE_SA_INIT request.
pub fn init_request(
    spi_i: &Spi,
    offer: &Offer,
    public: &[u8],
    ni: &[u8],
    cookie: Option<&[u8]>,
    from: SocketAddr,
    to: SocketAddr,
) -> Vec<u8> {
    let hash = |address: SocketAddr| {
        let (IpAddr::V4(ip), port) = (address.ip(), address.port().to_be_bytes()) else {
            panic!("IPv4 only")
        };
        Hash::Sha1.digest(&[spi_i, &[0; 8], &ip.octets(), &port])
    };
    let status = |kind, data: Vec<u8>| Payload::Notify(Notify::status(kind, data));
    let mut payloads: Vec<Payload> = cookie.iter().map(|c| status(notify::COOKIE, c.to_vec())).collect();
    payloads.extend([
        Payload::Sa(offer.algorithms.ike_proposals(&[], Some(offer.group))),
        Payload::Ke { group: offer.group.id(), data: public.to_vec() },
        Payload::Nonce(ni.to_vec()),
        status(notify::NAT_DETECTION_SOURCE_IP, if offer.nat { vec![0x5a; 20] } else { hash(from) }),
        status(notify::NAT_DETECTION_DESTINATION_IP, hash(to)),
        status(notify::IKEV2_FRAGMENTATION_SUPPORTED, vec![]),
    ]);
    if offer.hashes {
        payloads.push(status(notify::SIGNATURE_HASH_ALGORITHMS, vec![0, 2, 0, 3, 0, 4]));
    }
    if offer.algorithms.ml_kem != Wish::No {
        payloads.push(status(notify::INTERMEDIATE_EXCHANGE_SUPPORTED, vec![]));
    }
    let head = Outgoing {
        spi_i: *spi_i,
        spi_r: [0; 8],
        exchange: Exchange::IkeSaInit,
        initiator: true,
        response: false,
        message_id: 0,
    };
    encode_message(&head, &payloads)
}

impl Peer {
    /// IKE_SA_INIT with whatever the gateway wants first (COOKIE, another group).
    pub fn init(world: &mut World, from: SocketAddr, mut offer: Offer, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let spi_i = dice.u64().to_be_bytes();
        let mut ni = vec![0; 32];
        dice.fill(&mut ni);
        let mut cookie: Option<Vec<u8>> = None;
        let mut round_trips = 0;
        loop {
            round_trips += 1;
            assert!(round_trips < 5, "the gateway is never content");
            let kex = generate(offer.group, &mut dice);
            let to = world.address(Port::Nat);
            let request = init_request(&spi_i, &offer, kex.public_value(), &ni, cookie.as_deref(), from, to);
            let response = world.one_answer(from, &request);
            let (header, payloads) = decode_message(&response).expect("IKE_SA_INIT response");
            assert!(header.response && !header.initiator && header.message_id == 0, "{header:?}");
            assert_eq!(header.spi_i, spi_i);
            if let Some(wanted) = find_notify(&payloads, notify::COOKIE) {
                assert_eq!(header.spi_r, [0; 8]);
                cookie = Some(wanted.data.clone());
                continue;
            }
            if let Some(wanted) = find_notify(&payloads, notify::INVALID_KE_PAYLOAD) {
                let number = u16::from_be_bytes(wanted.data[..2].try_into().expect("a group number"));
                offer.group = Group::from_id(number).expect("a group we know");
                continue;
            }
            assert_eq!(first_error_notify(&payloads), None);
            let answered = find_notify(&payloads, notify::SIGNATURE_HASH_ALGORITHMS);
            assert_eq!(answered.is_some(), offer.hashes, "RFC 7427 is answered where asked");
            let chosen = proposals(&payloads).expect("SA");
            let (suite, _) = offer.algorithms.accept_ike(chosen).expect("what we offered");
            let public = payloads.iter().find_map(|p| match p {
                Payload::Ke { data, .. } => Some(data.clone()),
                _ => None,
            });
            let nr = payloads.iter().find_map(|p| match p {
                Payload::Nonce(nonce) => Some(nonce.clone()),
                _ => None,
            });
            let nr = nr.expect("Nr");
            assert!(nr.len() >= suite.prf.len() / 2);
            let shared = kex.agree(&public.expect("KEr")).expect("a member of the group");
            let keys = SaKeys::derive(&suite, &ni, &nr, &shared, &spi_i, &header.spi_r);
            let protection = |e: &Secret, a: &Secret| {
                PacketProtection::new(suite.encr, suite.integ, e.expose(), a.expose())
            };
            return Self {
                from,
                spi_i,
                spi_r: header.spi_r,
                suite,
                round_trips,
                last: Vec::new(),
                request,
                response,
                sealer: Sealer::new(protection(&keys.sk_ei, &keys.sk_ai)),
                opener: Opener::new(protection(&keys.sk_er, &keys.sk_ar)),
                keys,
                next_id: 1,
                spi_in: 0x1000_0000 | seed as u32,
                own_side: TrafficSelector::any_v4(),
                dice,
                ni,
                nr,
                id: id(0, b""),
                child: None,
                address: None,
            };
        }
    }

    /// Seals a request without sending it.
    pub fn seal(&mut self, exchange: Exchange, payloads: &[Payload]) -> Vec<u8> {
        let head = Outgoing {
            spi_i: self.spi_i,
            spi_r: self.spi_r,
            exchange,
            initiator: true,
            response: false,
            message_id: self.next_id,
        };
        let mut sealed = self.sealer.seal(&head, payloads, None, &mut self.dice);
        self.next_id += 1;
        self.last = sealed.remove(0);
        self.last.clone()
    }

    /// Opens an answer to the last request.
    pub fn open(&mut self, exchange: Exchange, response: &[u8]) -> Vec<Payload> {
        let header = Header::decode(response).expect("a header");
        assert_eq!((header.spi_i, header.spi_r), (self.spi_i, self.spi_r));
        assert!(header.response && !header.initiator, "{header:?}");
        assert_eq!((header.exchange, header.message_id), (exchange, self.next_id - 1));
        match self.opener.open(&header, response).expect("it opens") {
            Opened::Message(payloads) => payloads,
            Opened::Fragment => panic!("a fragment, and fragmentation is not configured"),
        }
    }

    /// A request and its answer.
    pub fn ask(&mut self, world: &mut World, exchange: Exchange, payloads: &[Payload]) -> Vec<Payload> {
        let request = self.seal(exchange, payloads);
        let response = world.one_answer(self.from, &request);
        self.round_trips += 1;
        self.open(exchange, &response)
    }

    /// The first IKE_AUTH request: without AUTH for EAP, else with the token.
    pub fn first_auth(
        &mut self,
        world: &mut World,
        id: Identity,
        token: Option<&Secret>,
        asked: &[(u16, &[u8])],
    ) -> Vec<Payload> {
        self.id = id.clone();
        let mut payloads = vec![Payload::IdI(id), Payload::CertReq { encoding: 4, authorities: vec![7; 20] }];
        if let Some(token) = token {
            payloads.push(self.auth(token));
        }
        let attributes = asked
            .iter()
            .map(|(kind, value)| ConfigAttribute { kind: *kind, value: value.to_vec() })
            .collect();
        payloads.extend([
            Payload::Cp(Configuration { kind: 1, attributes }),
            Payload::Sa(Algorithms::esp().esp_proposals(self.spi_in, false)),
            Payload::TsI(vec![self.own_side]),
            Payload::TsR(vec![TrafficSelector::any_v4()]),
        ]);
        self.ask(world, Exchange::IkeAuth, &payloads)
    }

    /// What the client's AUTH covers, and a signature inside EAP-AnyConnect.
    pub fn octets(&self) -> Vec<u8> {
        signed_octets(self.suite.prf, &self.keys.sk_pi, &self.request, &self.nr, &self.id)
    }

    fn auth(&self, key: &Secret) -> Payload {
        let octets = self.octets();
        let data = shared_key_auth(self.suite.prf, key.expose(), &octets).expose().to_vec();
        Payload::Auth { method: method::SHARED_KEY, data }
    }

    /// IDr, CERT and AUTH of the gateway; the AUTH method.
    pub fn verify_gateway(&self, world: &World, payloads: &[Payload]) -> u8 {
        let [Payload::IdR(id), Payload::Cert { encoding: 4, data }, ..] = payloads else {
            panic!("no IDr and CERT first: {payloads:?}")
        };
        assert_eq!(data, &world.certificate);
        assert_eq!((id.kind, id.data.as_slice()), (1, &[10, 9, 0, 1][..]));
        let octets = signed_octets(self.suite.prf, &self.keys.sk_pr, &self.response, &self.ni, id);
        let auth = payloads.iter().find_map(|p| match p {
            Payload::Auth { method, data } => Some((*method, data)),
            _ => None,
        });
        let (method, data) = auth.expect("AUTH");
        verify_signature(method, data, &octets, &world.spki, false).expect("the gateway's signature");
        method
    }

    /// The final AUTH of an EAP login that comes to nothing; what is said.
    pub fn final_auth_refused(&mut self, world: &mut World) -> Vec<Payload> {
        let auth = self.auth(&self.keys.sk_pi.clone());
        self.ask(world, Exchange::IkeAuth, &[auth])
    }

    /// The final AUTH of an EAP login: the answer, and what the gateway sends to others.
    pub fn final_auth_and_more(&mut self, world: &mut World) -> (Vec<Payload>, Vec<GatewayTransmit>) {
        let auth = self.auth(&self.keys.sk_pi.clone());
        let request = self.seal(Exchange::IkeAuth, &[auth]);
        let sent = world.ike(self.from, &request);
        let (own, others): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sent| sent.to == self.from);
        let [answer] = own.as_slice() else { panic!("{} answers", own.len()) };
        (self.open(Exchange::IkeAuth, &answer.payload[4..]), others)
    }

    /// The final AUTH of an EAP login, and what it gives.
    pub fn final_auth(&mut self, world: &mut World) -> Given {
        let auth = self.auth(&self.keys.sk_pi.clone());
        let payloads = self.ask(world, Exchange::IkeAuth, &[auth]);
        let id = id(1, &[10, 9, 0, 1]);
        let octets = signed_octets(self.suite.prf, &self.keys.sk_pr, &self.response, &self.ni, &id);
        let expected = shared_key_auth(self.suite.prf, self.keys.sk_pr.expose(), &octets);
        let [Payload::Auth { method: method::SHARED_KEY, data }, ..] = payloads.as_slice() else {
            panic!("no AUTH: {payloads:?}")
        };
        assert_eq!(data, expected.expose());
        self.take(&payloads)
    }

    /// CP, SA, TSi, TSr: the Child SA is up.
    pub fn take(&mut self, payloads: &[Payload]) -> Given {
        let mut given = Given::default();
        let (mut ts_i, mut ts_r) = (Vec::new(), Vec::new());
        for payload in payloads {
            match payload {
                Payload::Cp(reply) => {
                    assert_eq!(reply.kind, 2);
                    given.reply = reply.attributes.iter().map(|a| (a.kind, a.value.clone())).collect();
                }
                Payload::TsI(ts) => ts_i = ts.clone(),
                Payload::TsR(ts) => ts_r = ts.clone(),
                _ => {}
            }
        }
        let address = given.attribute(1).map(|v| Ipv4Addr::from(<[u8; 4]>::try_from(v).expect("4 octets")));
        given.session_id = given.attribute(28_728).map(<[u8]>::to_vec);
        given.token = given.attribute(28_729).map(Secret::from);
        given.address = address;
        self.address = address.map(IpAddr::from);
        assert_eq!(ts_i, [TrafficSelector::host(self.address.expect("an address"))]);
        assert_eq!(ts_r, [TrafficSelector::any_v4()]);
        let chosen = proposals(payloads).expect("SA");
        let (suite, spi_out) = Algorithms::esp().accept_esp(chosen, false).expect("what we offered");
        let keying = ChildKeying {
            prf: self.suite.prf,
            sk_d: &self.keys.sk_d,
            ni: &self.ni,
            nr: &self.nr,
            shared: None,
        };
        self.child = Some(SaPair::new(keying.derive(&suite, true, self.spi_in, spi_out, ts_i, ts_r)));
        given
    }

    /// A rekey of the Child SA without PFS; the old pair is handed back.
    pub fn rekey_child(&mut self, world: &mut World) -> SaPair {
        let old = self.child.take().expect("a Child SA");
        self.spi_in += 0x0100_0000;
        let mut ni = vec![0; 32];
        self.dice.fill(&mut ni);
        let (ts_i, ts_r) = (old.params().local.clone(), old.params().remote.clone());
        let request = [
            Payload::Notify(Notify::about_esp(notify::REKEY_SA, old.spi_in())),
            Payload::Sa(Algorithms::esp().esp_proposals(self.spi_in, false)),
            Payload::Nonce(ni.clone()),
            Payload::TsI(ts_i.clone()),
            Payload::TsR(ts_r.clone()),
        ];
        let answer = self.ask(world, Exchange::CreateChildSa, &request);
        let nr = answer.iter().find_map(|p| if let Payload::Nonce(n) = p { Some(n.clone()) } else { None });
        let chosen = proposals(&answer).expect("SA");
        let (suite, spi_out) = Algorithms::esp().accept_esp(chosen, false).expect("what we offered");
        let (prf, sk_d) = (self.suite.prf, &self.keys.sk_d);
        let keying = ChildKeying { prf, sk_d, ni: &ni, nr: &nr.expect("Nr"), shared: None };
        self.child = Some(SaPair::new(keying.derive(&suite, true, self.spi_in, spi_out, ts_i, ts_r)));
        old
    }

    /// An ESP packet with a ping to an address behind the gateway.
    pub fn seal_ping(&mut self, to: [u8; 4], sequence: u16) -> Vec<u8> {
        let source = self.address.expect("an address");
        let inner = echo_request(source, to.into(), 77, sequence, b"is anybody there?");
        let mut frame = vec![0; HEADROOM];
        frame.extend_from_slice(&inner);
        let child = self.child.as_mut().expect("a Child SA");
        let range = child.seal(&mut frame, &mut self.dice).expect("it can be sent");
        frame[range].to_vec()
    }

    /// The sequence number of the ping that this ESP packet answers.
    pub fn open_pong(&mut self, packet: &[u8]) -> Option<u16> {
        let mut packet = packet.to_vec();
        let inner = self.child.as_mut()?.open(&mut packet).ok()?;
        let echo = parse_echo_reply(&packet[inner])?;
        assert_eq!((echo.id, echo.payload), (77, &b"is anybody there?"[..]));
        assert_eq!(Some(echo.destination), self.address);
        Some(echo.sequence)
    }

    /// A ping through the tunnel; whether the answer came, and to where.
    pub fn ping(&mut self, world: &mut World, sequence: u16) -> Option<SocketAddr> {
        let packet = self.seal_ping([192, 168, 10, 1], sequence);
        let answers = world.esp(self.from, packet);
        let [answer] = answers.as_slice() else { return None };
        assert_eq!(answer.from, Port::Nat);
        (self.open_pong(&answer.payload)? == sequence).then_some(answer.to)
    }

    /// An empty INFORMATIONAL, answered by another.
    pub fn dpd(&mut self, world: &mut World) {
        assert_eq!(self.ask(world, Exchange::Informational, &[]), []);
    }

    /// DELETE of the IKE SA.
    pub fn delete(&mut self, world: &mut World) {
        let delete = Payload::Delete(Delete { protocol: 1, spis: vec![] });
        assert_eq!(self.ask(world, Exchange::Informational, &[delete]), []);
    }

    /// Opens a request of the gateway and answers it with nothing.
    pub fn answer_request(&mut self, world: &mut World, request: &[u8]) -> Vec<Payload> {
        let header = Header::decode(request).expect("a header");
        assert!(!header.response && !header.initiator, "{header:?}");
        let Ok(Opened::Message(payloads)) = self.opener.open(&header, request) else { panic!("it opens") };
        let head = Outgoing {
            spi_i: self.spi_i,
            spi_r: self.spi_r,
            exchange: header.exchange,
            initiator: true,
            response: true,
            message_id: header.message_id,
        };
        let answer = self.sealer.seal(&head, &[], None, &mut self.dice).remove(0);
        world.ike(self.from, &answer);
        payloads
    }
}
