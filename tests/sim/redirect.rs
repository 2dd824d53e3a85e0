//! REDIRECT (RFC 5685) in virtual time: several gateways, a bystander, and a login that finds its way or says why not.

use crate::harness::Seeded;
use ikeep::client::{AuthKind, Client, Event, Order, PathId, Paths, Settings, Signal};
use ikeep::crypto::Secret;
use ikeep::gateway::{Elsewhere, Gateway, GatewayConfig, Port};
use ikeep::ike::cert::Root;
use ikeep::ike::eap::Device;
use ikeep::ike::initiator::Failure;
use ikeep::ike::message::{
    Exchange, GatewayId, Header, Notify, Outgoing, Payload, Redirect, decode_message, encode_message,
    find_notify, notify,
};
use ikeep::lab::pki::Pki;
use ikeep::profile::Profile;
use ikeep::reconnect::{State, Why};
use ikeep::session::Session;
use ikeep::time::{Instant, Now, UnixTime};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 2));
const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 99));
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 1, 7)), 20_000);
const HOST: &str = "flexvpn-c8kv.example.com";
const SECOND: Duration = Duration::from_secs(1);

enum Parcel {
    ToGateway(SocketAddr, Vec<u8>),
    ToClient(SocketAddr, Vec<u8>),
}

/// A client, gateways, and nothing lost between them.
struct Net {
    now: Now,
    settings: Settings,
    client: Client,
    pki: Pki,
    gateways: BTreeMap<IpAddr, Gateway>,
    parcels: BTreeMap<(Instant, u64), Parcel>,
    sequence: u64,
    /// One way between client and gateways.
    delay: Duration,
    /// A bystander answers every IKE_SA_INIT at once: it is to go there. With the request's nonce, or a wrong one.
    forge: Option<(GatewayId, bool)>,
    /// What DNS knows. `None`: it does not answer.
    names: Option<BTreeMap<String, Vec<IpAddr>>>,
    /// Every IKE_SA_INIT: to whom, and who had sent us there.
    inits: Vec<(IpAddr, Option<GatewayId>)>,
    events: Vec<Event>,
    stored: Option<Session>,
}

fn elsewhere(to: IpAddr, after_login: bool) -> Option<Elsewhere> {
    Some(Elsewhere { to: GatewayId::Address(to), after_login })
}

impl Net {
    fn new() -> Self {
        let wall = UnixTime::from_secs(1_800_000_000);
        let now = Now { at: Instant::from_boot(Duration::from_secs(1_000)), wall };
        let pki = Pki::new(wall).expect("the lab's keys");
        let (profile, _) =
            Profile::parse(include_bytes!("../../profiles/flexvpn-c8kv.xml")).expect("the seed's profile");
        let device = Device {
            version: "ikeep 0".into(),
            computer_name: "laptop".into(),
            device_type: "linux".into(),
            platform_version: "6".into(),
            unique_id: "00".into(),
            unique_id_global: "00".into(),
        };
        let mut settings = Settings::from_profile(&profile, &profile.hosts[0], device).expect("usable");
        settings.addresses = vec![A];
        settings.trust.roots = vec![Root { der: pki.ca().to_vec(), configured: true }];
        let client = Client::new(now, settings.clone(), Box::new(Seeded::new(1)));
        let mut net = Self {
            now,
            settings,
            client,
            pki,
            gateways: BTreeMap::new(),
            parcels: BTreeMap::new(),
            sequence: 0,
            delay: Duration::from_millis(10),
            forge: None,
            names: Some(BTreeMap::new()),
            inits: Vec::new(),
            events: Vec::new(),
            stored: None,
        };
        net.client.signal(now, Signal::Paths(Paths::of_family(A, PathId(1))));
        net
    }

    /// A gateway at `address` whose certificate names `host`.
    fn gateway(mut self, address: IpAddr, host: &str, redirect: Option<Elsewhere>) -> Self {
        let identity = self.pki.gateway(host).expect("a certificate");
        let mut config = GatewayConfig::seed(address, identity.chain, identity.signer);
        config.redirect = redirect;
        let random = Seeded::new(self.gateways.len() as u64 + 7);
        self.gateways.insert(address, Gateway::new(config, self.now, Box::new(random)));
        self
    }

    fn post(&mut self, delay: Duration, parcel: Parcel) {
        self.sequence += 1;
        self.parcels.insert((self.now.at + delay, self.sequence), parcel);
    }

    fn drain(&mut self) {
        let now = self.now;
        while let Some(transmit) = self.client.poll_transmit() {
            self.bystander(transmit.to, &transmit.payload);
            self.post(self.delay, Parcel::ToGateway(transmit.to, transmit.payload));
        }
        if let Some(event) = self.client.poll_event() {
            match &event {
                Event::StoreSession(session) => self.stored = Some((**session).clone()),
                Event::Ask(_) => {
                    let answers = [("username", "test"), ("password", "cisco")];
                    let answers = answers.map(|(k, v)| (k.to_owned(), Secret::from(v.as_bytes())));
                    self.client.order(now, Order::Answer(answers.into_iter().collect()));
                }
                Event::LookUp(name) => {
                    if let Some(names) = &self.names {
                        let addresses = names.get(name).cloned().unwrap_or_default();
                        self.client.signal(now, Signal::LookedUp { name: name.clone(), addresses });
                    }
                }
                _ => {}
            }
            self.events.push(event);
            return self.drain();
        }
        let mut out = Vec::new();
        for (address, gateway) in &mut self.gateways {
            while let Some(transmit) = gateway.poll_transmit() {
                let port = if transmit.from == Port::Ike { 500 } else { 4500 };
                out.push(Parcel::ToClient(SocketAddr::new(*address, port), transmit.payload));
            }
            while gateway.poll_event().is_some() {}
        }
        for parcel in out {
            self.post(self.delay, parcel);
        }
    }

    /// Notes every IKE_SA_INIT request, and answers it before the gateway can where somebody forges.
    fn bystander(&mut self, to: SocketAddr, datagram: &[u8]) {
        let message = if to.port() == 500 { datagram } else { datagram.get(4..).unwrap_or_default() };
        let is_init = |h: &Header| h.exchange == Exchange::IkeSaInit && !h.response;
        let Some((header, payloads)) = decode_message(message).ok().filter(|(h, _)| is_init(h)) else {
            return;
        };
        let from = find_notify(&payloads, notify::REDIRECTED_FROM);
        let from = from.and_then(|n| Redirect::decode(&n.data)).map(|r| r.to);
        self.inits.push((to.ip(), from));
        let Some((target, right)) = self.forge.clone() else { return };
        let nonce = payloads.iter().find_map(|p| match p {
            Payload::Nonce(nonce) => Some(nonce.clone()),
            _ => None,
        });
        let nonce = nonce.filter(|_| right).unwrap_or_else(|| vec![9; 32]);
        let data = Redirect { to: target, nonce }.encode();
        let head = Outgoing {
            spi_i: header.spi_i,
            spi_r: [0; 8],
            exchange: Exchange::IkeSaInit,
            initiator: false,
            response: true,
            message_id: 0,
        };
        let mut forged = encode_message(&head, &[Payload::Notify(Notify::status(notify::REDIRECT, data))]);
        if to.port() != 500 {
            forged.splice(0..0, [0; 4]);
        }
        self.post(Duration::from_millis(1), Parcel::ToClient(to, forged));
    }

    fn next_due(&self) -> Option<Instant> {
        let parcel = self.parcels.keys().next().map(|(at, _)| *at);
        let gateways = self.gateways.values().filter_map(|g| g.poll_timeout()).map(|(at, _)| at).min();
        [parcel, gateways, self.client.poll_timeout().map(|(at, _)| at)].into_iter().flatten().min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.parcels.first_entry().filter(|entry| entry.key().0 <= now.at) {
            match entry.remove() {
                Parcel::ToGateway(to, mut octets) => {
                    let port = if to.port() == 500 { Port::Ike } else { Port::Nat };
                    if let Some(gateway) = self.gateways.get_mut(&to.ip()) {
                        gateway.handle_datagram(now, HERE, port, &mut octets);
                    }
                }
                Parcel::ToClient(from, mut octets) => {
                    self.client.handle_datagram(now, PathId(1), from, &mut octets);
                }
            }
        }
        for gateway in self.gateways.values_mut() {
            if gateway.poll_timeout().is_some_and(|(at, _)| at <= now.at) {
                gateway.handle_timeout(now);
            }
        }
        if self.client.poll_timeout().is_some_and(|(at, _)| at <= now.at) {
            self.client.handle_timeout(now);
        }
        self.drain();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.at + time;
        self.drain();
        while let Some(at) = self.next_due().filter(|at| *at <= end) {
            self.advance(at);
            self.step();
        }
        self.advance(end);
    }

    fn advance(&mut self, to: Instant) {
        self.now.wall = self.now.wall + to.since(self.now.at);
        self.now.at = self.now.at.max(to);
    }

    /// Orders a connection; how long it took to be there, or to be given up.
    fn connect(&mut self, limit: Duration) -> Duration {
        let begin = self.now.at;
        self.client.order(self.now, Order::Connect);
        while self.now.at.since(begin) < limit {
            self.run(Duration::from_millis(5));
            if matches!(self.client.state(), State::Connected | State::Disconnected { .. }) {
                break;
            }
        }
        self.now.at.since(begin)
    }

    fn connected_to(&self) -> Option<IpAddr> {
        let connected = matches!(self.client.state(), State::Connected);
        self.client.status(self.now.at).gateway.filter(|_| connected).map(|at| at.ip())
    }

    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|e| wanted(e)).count()
    }

    fn redirects(&self) -> usize {
        self.count(|e| matches!(e, Event::Redirected { .. }))
    }

    fn asked(&self) -> usize {
        self.count(|e| matches!(e, Event::Ask(_)))
    }

    fn failure(&self) -> String {
        let failure = self.client.status(self.now.at).error;
        assert!(matches!(failure, Some(Failure::Redirects(_))), "{failure:?} {:#?}", self.events);
        failure.map(|failure| failure.to_string()).unwrap_or_default()
    }
}

#[test]
fn a_login_follows_and_the_session_belongs_to_the_member() {
    let mut net = Net::new().gateway(A, HOST, elsewhere(B, false)).gateway(B, HOST, None);
    let took = net.connect(5 * SECOND);
    assert_eq!(net.connected_to(), Some(B));
    assert!(took < Duration::from_millis(300), "{took:?}");
    assert_eq!(net.inits, [(A, None), (B, Some(GatewayId::Address(A)))]);
    assert_eq!((net.redirects(), net.asked()), (1, 1));
    let session = net.stored.clone().expect("a session");
    assert_eq!(session.peer, SocketAddr::new(B, 4500));

    // After a crash: the token goes to the member, and whatever anybody says, nowhere else.
    net.forge = Some((GatewayId::Address(NOBODY), true));
    net.inits.clear();
    net.client = Client::new(net.now, net.settings.clone(), Box::new(Seeded::new(5)));
    assert!(net.client.restore(net.now, session));
    net.client.signal(net.now, Signal::Paths(Paths::of_family(A, PathId(1))));
    net.connect(5 * SECOND);
    assert_eq!(net.connected_to(), Some(B));
    assert_eq!(net.inits, [(B, None)]);
    assert_eq!(net.client.status(net.now.at).auth, Some(AuthKind::Token));
    assert_eq!((net.redirects(), net.asked()), (1, 1));
}

#[test]
fn a_login_follows_at_its_end_and_nobody_is_asked_again() {
    let mut net = Net::new().gateway(A, HOST, elsewhere(B, true)).gateway(B, HOST, None);
    net.connect(5 * SECOND);
    assert_eq!(net.connected_to(), Some(B), "{:#?}", net.events);
    assert_eq!((net.redirects(), net.asked()), (1, 1));
    assert_eq!(net.inits.last(), Some(&(B, Some(GatewayId::Address(A)))));
    assert_eq!(net.gateways[&A].counters().active, 0);
}

#[test]
fn a_host_name_is_looked_up() {
    let to = || Some(Elsewhere { to: GatewayId::Name("b.example.com".into()), after_login: false });
    let mut net = Net::new().gateway(A, HOST, to()).gateway(B, HOST, None);
    net.names = Some([("b.example.com".to_owned(), vec![B])].into());
    net.connect(5 * SECOND);
    assert_eq!(net.connected_to(), Some(B));

    // Nobody knows the name, or nobody answers: back to the first, which serves who does not follow.
    for (names, least, most) in [(Some(BTreeMap::new()), 0, 1), (None, 5, 6)] {
        let mut net = Net::new().gateway(A, HOST, to()).gateway(B, HOST, None);
        net.names = names;
        let took = net.connect(20 * SECOND);
        assert_eq!(net.connected_to(), Some(A), "{:#?}", net.events);
        assert!(took >= least * SECOND && took < most * SECOND, "{took:?}");
    }
}

#[test]
fn a_circle_is_left_after_five() {
    for (a, b) in [(B, A), (A, A)] {
        let mut net = Net::new().gateway(A, HOST, elsewhere(a, false)).gateway(B, HOST, elsewhere(b, false));
        net.connect(20 * SECOND);
        assert_eq!(net.redirects(), 5);
        assert_eq!(net.inits.len(), 7, "the first, five that followed, and back: {:?}", net.inits);
        assert_eq!(net.connected_to(), Some(A), "which serves who does not follow");
        assert_eq!(net.asked(), 1);
    }
}

#[test]
fn a_circle_of_gateways_that_proved_themselves_is_told() {
    let mut net = Net::new().gateway(A, HOST, elsewhere(B, true)).gateway(B, HOST, elsewhere(A, true));
    net.connect(20 * SECOND);
    assert!(matches!(net.client.state(), State::Disconnected { why: Some(Why::LoginFailed) }));
    assert_eq!((net.redirects(), net.asked()), (5, 1));
    assert!(net.failure().contains("5 redirects within 300 s"), "{}", net.failure());
}

#[test]
fn a_forged_redirect_costs_nothing_where_the_gateway_answers_too() {
    for right in [true, false] {
        let mut net = Net::new().gateway(A, HOST, None);
        net.forge = Some((GatewayId::Address(NOBODY), right));
        let took = net.connect(20 * SECOND);
        assert_eq!(net.connected_to(), Some(A));
        assert!(took < SECOND, "{took:?}");
        assert_eq!(net.inits.len(), 1);
        assert_eq!(net.redirects(), usize::from(right), "a wrong nonce is nobody's answer");
    }
}

#[test]
fn a_forged_redirect_costs_time_only_where_the_gateway_is_slow() {
    // To nobody, to the gateway of somebody else, and around the world.
    for target in [NOBODY, B, A] {
        let mut net = Net::new().gateway(A, HOST, None).gateway(B, "other.example.com", None);
        net.delay = Duration::from_millis(60);
        net.forge = Some((GatewayId::Address(target), true));
        let took = net.connect(60 * SECOND);
        assert_eq!(net.connected_to(), Some(A), "{target}: {:#?}", net.events);
        assert!(took < 15 * SECOND, "{target}: {took:?}");
        assert_eq!(net.asked(), 1);
        assert_eq!(net.gateways[&B].counters().aaa_requests, 0, "no password for somebody else");
    }
}

#[test]
fn a_target_that_is_not_trusted_is_left_for_the_first() {
    for after_login in [false, true] {
        let mut net =
            Net::new().gateway(A, HOST, elsewhere(B, after_login)).gateway(B, "other.example.com", None);
        let took = net.connect(60 * SECOND);
        assert_eq!(net.connected_to(), Some(A), "{:#?}", net.events);
        assert!(took < 2 * SECOND, "{took:?}");
        assert_eq!(net.count(|e| matches!(e, Event::Failed(Failure::Certificate(_)))), 1);
        assert_eq!(net.gateways[&B].counters().aaa_requests, 0);
        assert_eq!(net.asked(), 1);
    }
}

#[test]
fn a_dead_target_is_left_for_the_first_and_told_where_that_is_dead_too() {
    let mut net = Net::new().gateway(A, HOST, elsewhere(NOBODY, false));
    let took = net.connect(60 * SECOND);
    assert_eq!(net.connected_to(), Some(A));
    assert!(
        took >= net.settings.exchange_timeout && took < net.settings.exchange_timeout + SECOND,
        "{took:?}"
    );

    let mut net = Net::new().gateway(A, HOST, elsewhere(NOBODY, false));
    net.client.order(net.now, Order::Connect);
    net.run(SECOND);
    net.gateways.clear();
    net.run(60 * SECOND);
    assert!(matches!(net.client.state(), State::Disconnected { why: Some(Why::LoginFailed) }));
    assert!(net.failure().contains(&NOBODY.to_string()), "{}", net.failure());
}

#[test]
fn disconnect_ends_the_wait() {
    let to = Some(Elsewhere { to: GatewayId::Name("b.example.com".into()), after_login: true });
    let mut net = Net::new().gateway(A, HOST, to);
    net.names = None;
    net.client.order(net.now, Order::Connect);
    net.run(SECOND);
    assert_eq!(net.redirects(), 1);
    net.client.order(net.now, Order::Disconnect);
    let inits = net.inits.len();
    net.run(60 * SECOND);
    assert!(matches!(net.client.state(), State::Disconnected { why: None }));
    assert_eq!(net.inits.len(), inits);
}

#[test]
fn a_running_session_that_is_wanted_elsewhere_stays() {
    let mut net = Net::new().gateway(A, HOST, None).gateway(B, HOST, None);
    net.connect(5 * SECOND);
    let now = net.now;
    let gateway = net.gateways.get_mut(&A).expect("it is there");
    gateway.redirect_sessions(now, &GatewayId::Address(B));
    net.run(60 * SECOND);
    assert_eq!(net.count(|e| matches!(e, Event::WantedElsewhere { to } if *to == B.to_string())), 1);
    assert_eq!(net.connected_to(), Some(A));
    assert_eq!((net.inits.len(), net.asked(), net.redirects()), (1, 1, 0));
    assert!(net.stored.is_some());
}

/// The gateway that sends people on knows nothing of the member's sessions: its refusal means nothing.
#[test]
fn a_member_that_was_down_for_minutes_has_its_session_back() {
    let mut net = Net::new().gateway(A, HOST, elsewhere(B, false)).gateway(B, HOST, None);
    net.connect(5 * SECOND);
    let session = net.stored.clone().expect("a session");
    let member = net.gateways.remove(&B).expect("it is there");
    net.client = Client::new(net.now, net.settings.clone(), Box::new(Seeded::new(5)));
    assert!(net.client.restore(net.now, session));
    net.client.signal(net.now, Signal::Paths(Paths::of_family(A, PathId(1))));
    net.client.order(net.now, Order::Connect);
    net.run(240 * SECOND);
    assert!(matches!(net.client.state(), State::Reconnecting(_)), "{:?}", net.client.state());
    assert!(net.inits.iter().any(|(to, _)| *to == A), "the name's other address was tried");
    net.gateways.insert(B, member);
    net.run(60 * SECOND);
    assert_eq!((net.connected_to(), net.asked()), (Some(B), 1));
}
