//! The virtual world: one client, one gateway, the network between them, and their clock.

use crate::laws::Laws;
use crate::random::Seeded;
use ikeep::client::{Client, Event, Order, PathId, Paths, Settings, Signal, Transmit};
use ikeep::crypto::{Random, Secret, Signer};
use ikeep::esp::{HEADROOM, inner};
use ikeep::gateway::{Gateway, GatewayConfig, GatewayEvent, GatewayTransmit, Port};
use ikeep::ike::cert::Root;
use ikeep::ike::eap::Device;
use ikeep::lab::pki::Pki;
use ikeep::profile::{NotUsable, Profile};
use ikeep::reconnect::State;
use ikeep::session::Session;
use ikeep::time::{Instant, Now, UnixTime};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub(crate) const PASSWORD: &str = "cisco";
pub(crate) const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 1);
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
const START: UnixTime = UnixTime::from_secs(1_800_000_000);

/// Keys are read and certificates issued once for all worlds.
struct Lab {
    chain: Vec<Vec<u8>>,
    signer: Arc<dyn Signer>,
    roots: Vec<Root>,
    profile: Profile,
}

static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let pki = Pki::new(START).expect("the lab's keys");
    let identity = pki.gateway("flexvpn-c8kv.example.com").expect("a certificate");
    let roots = vec![Root { der: pki.ca().to_vec(), configured: true }];
    let (profile, _) =
        Profile::parse(include_bytes!("../../profiles/flexvpn-c8kv.xml")).expect("the seed's profile");
    Lab { chain: identity.chain, signer: identity.signer, roots, profile }
});

/// Link quality, both ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Lost, of a thousand.
    pub(crate) loss: u64,
    /// One way, least, milliseconds.
    pub(crate) delay: u64,
    /// On top of it, at most, milliseconds: packets overtake each other.
    pub(crate) jitter: u64,
    /// Delivered twice, of a thousand.
    pub(crate) duplicate: u64,
    /// A bit flipped, of a thousand.
    pub(crate) corrupt: u64,
    /// Nothing arrives, either way.
    pub(crate) cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self { loss: 0, delay: 10, jitter: 2, duplicate: 0, corrupt: 0, cut: false }
    }
}

/// On its way.
enum Parcel {
    ToGateway { from: SocketAddr, port: Port, octets: Vec<u8> },
    ToClient { path: PathId, from: SocketAddr, octets: Vec<u8> },
}

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) seed: u64,
    pub(crate) client: Option<Client>,
    pub(crate) gateway: Gateway,
    pub(crate) link: Link,
    pub(crate) laws: Laws,
    pub(crate) random: Seeded,
    pub(crate) settings: Settings,
    /// What the store holds.
    pub(crate) stored: Option<Session>,
    /// Local addresses by path; old ones still receive.
    paths: BTreeMap<PathId, SocketAddr>,
    pub(crate) path: Option<PathId>,
    next_path: u32,
    parcels: BTreeMap<(Instant, u64), Parcel>,
    sequence: u64,
    /// An echo leaves this often.
    pub(crate) echo_every: Option<Duration>,
    next_echo: Instant,
    echo: u16,
    pub(crate) echoes_sent: u64,
    pub(crate) echoes_back: u64,
    pub(crate) last_echo_back: Option<Instant>,
    pub(crate) events: Vec<(Instant, Event)>,
    /// The group of each login that the gateway took.
    pub(crate) login_groups: Vec<Option<String>>,
    pub(crate) asleep_until: Option<Instant>,
    second_factor: bool,
    answers: VecDeque<(&'static str, &'static str)>,
    pub(crate) answer_delay: Duration,
    pending_answer: Option<Instant>,
    /// A CPU clock, where a benchmark wants to know what the client costs.
    pub(crate) cpu: Option<fn() -> Duration>,
    pub(crate) client_cpu: Duration,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, |_| {}, |_| {})
    }

    pub(crate) fn with(
        seed: u64,
        gateway: impl FnOnce(&mut GatewayConfig),
        client: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::of(&LAB.profile, seed, gateway, client).expect("the seed's host can be used")
    }

    /// The same with another profile; its first host counts.
    pub(crate) fn of(
        profile: &Profile,
        seed: u64,
        gateway: impl FnOnce(&mut GatewayConfig),
        client: impl FnOnce(&mut Settings),
    ) -> Result<Self, NotUsable> {
        let lab = &*LAB;
        let now = Now { at: Instant::from_boot(Duration::from_secs(50_000)), wall: START };
        let mut config = GatewayConfig::seed(GATEWAY, lab.chain.clone(), Arc::clone(&lab.signer));
        gateway(&mut config);
        let second_factor = config.users.values().any(|u| u.second_factor.is_some());
        let mut random = Seeded::new(seed);
        let gateway = Gateway::new(config, now, Box::new(Seeded::new(random.u64())));
        let host = profile.hosts.first().expect("a host");
        let device = Device {
            version: "ikeep 0".into(),
            computer_name: "laptop".into(),
            device_type: "linux".into(),
            platform_version: "6".into(),
            unique_id: "00".into(),
            unique_id_global: "00".into(),
        };
        let mut settings = Settings::from_profile(profile, host, device)?;
        settings.addresses = vec![GATEWAY];
        settings.trust.roots = lab.roots.clone();
        client(&mut settings);
        let mut world = Self {
            now,
            seed,
            client: Some(Client::new(now, settings.clone(), Box::new(Seeded::new(random.u64())))),
            gateway,
            link: Link::default(),
            laws: Laws::new(),
            random,
            settings,
            stored: None,
            paths: BTreeMap::new(),
            path: None,
            next_path: 1,
            parcels: BTreeMap::new(),
            sequence: 0,
            echo_every: None,
            next_echo: now.at,
            echo: 0,
            echoes_sent: 0,
            echoes_back: 0,
            last_echo_back: None,
            events: Vec::new(),
            login_groups: Vec::new(),
            asleep_until: None,
            second_factor,
            answers: VecDeque::new(),
            answer_delay: Duration::from_millis(500),
            pending_answer: None,
            cpu: None,
            client_cpu: Duration::ZERO,
        };
        world.roam();
        Ok(world)
    }

    /// Lets the client do something, and charges it.
    fn with_client<T>(&mut self, act: impl FnOnce(&mut Client) -> T) -> Option<T> {
        let begin = self.cpu.map(|clock| clock());
        let done = act(self.client.as_mut()?);
        if let (Some(clock), Some(begin)) = (self.cpu, begin) {
            self.client_cpu += clock().saturating_sub(begin);
        }
        Some(done)
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("the client runs")
    }

    pub(crate) fn state(&self) -> &'static str {
        self.client.as_ref().map_or("crashed", |c| c.state().name())
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.laws.ordered(self.now.at, &order);
        let now = self.now;
        self.with_client(|client| client.order(now, order));
        self.drain();
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        let now = self.now;
        self.laws.signalled(now.at, &signal);
        self.with_client(|client| client.signal(now, signal));
        self.drain();
    }

    /// Another source address and port.
    pub(crate) fn roam(&mut self) {
        let id = PathId(self.next_path);
        self.next_path += 1;
        let host = 2 + (id.0 % 200) as u8;
        let port = 20_000 + (id.0 % 40_000) as u16;
        self.paths.insert(id, SocketAddr::new(Ipv4Addr::new(10, 9, 1, host).into(), port));
        self.path = Some(id);
        self.signal(Signal::Paths(Paths::of_family(GATEWAY, id)));
    }

    /// A NAT on the way gives the present path another mapping: the client does not notice.
    pub(crate) fn rebind(&mut self) {
        if let Some(from) = self.path.and_then(|path| self.paths.get_mut(&path)) {
            from.set_port(from.port().wrapping_add(20_000));
        }
    }

    /// The machine has no way to the gateway.
    pub(crate) fn unplug(&mut self) {
        self.path = None;
        self.signal(Signal::Paths(Paths::NONE));
    }

    /// Sleeps: nothing of the client runs, time goes on for everybody else.
    pub(crate) fn sleep(&mut self, time: Duration, announced: bool) {
        if announced {
            self.signal(Signal::Suspend);
        }
        let until = self.now.at + time;
        self.asleep_until = Some(until);
        self.run_until(until);
        self.asleep_until = None;
        self.signal(Signal::Resume);
    }

    /// kill -9, and a new agent with what the store holds.
    pub(crate) fn crash(&mut self, down: Duration) {
        self.client = None;
        self.laws.crashed();
        self.run_for(down);
        let seed = self.random.u64();
        let mut client = Client::new(self.now, self.settings.clone(), Box::new(Seeded::new(seed)));
        if let Some(session) = self.stored.clone() {
            client.restore(self.now, session);
        }
        self.client = Some(client);
        if self.path.is_some() {
            self.roam();
        }
        self.order(Order::Connect);
    }

    /// Logs in and expects it to work within `limit`.
    pub(crate) fn connect(&mut self, limit: Duration) {
        self.order(Order::Connect);
        self.run_until_state("connected", limit);
    }

    pub(crate) fn run_until_state(&mut self, name: &str, limit: Duration) {
        let end = self.now.at + limit;
        while self.state() != name {
            assert!(
                self.now.at < end,
                "seed {}: not {name} but {} after {limit:?}\n{}",
                self.seed,
                self.state(),
                self.history()
            );
            let step = (self.now.at + Duration::from_millis(5)).min(end);
            self.run_until(step);
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now.at + time);
    }

    /// Lets everything happen that is due until `end`.
    pub(crate) fn run_until(&mut self, end: Instant) {
        let mut spins = 0u32;
        loop {
            let due = self.next_due().filter(|at| *at <= end);
            let Some(at) = due else { break };
            if at > self.now.at {
                self.advance(at);
                spins = 0;
            } else {
                spins += 1;
                assert!(spins < 10_000, "seed {}: time stands still\n{}", self.seed, self.history());
            }
            self.step();
        }
        self.advance(end);
    }

    fn advance(&mut self, to: Instant) {
        self.now.wall = self.now.wall + to.since(self.now.at);
        self.now.at = self.now.at.max(to);
    }

    fn awake(&self) -> bool {
        self.asleep_until.is_none()
    }

    fn next_due(&self) -> Option<Instant> {
        let parcel = self.parcels.keys().next().map(|(at, _)| *at);
        let gateway = self.gateway.poll_timeout().map(|(at, _)| at);
        let client =
            self.client.as_ref().filter(|_| self.awake()).and_then(|c| c.poll_timeout()).map(|(at, _)| at);
        let echo = self.echo_every.filter(|_| self.awake() && self.client.is_some()).map(|_| self.next_echo);
        let answer = self.pending_answer.filter(|_| self.awake());
        [parcel, gateway, client, echo, answer].into_iter().flatten().min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.parcels.first_entry() {
            if entry.key().0 > now.at {
                break;
            }
            let parcel = entry.remove();
            self.deliver(parcel);
        }
        if self.gateway.poll_timeout().is_some_and(|(at, _)| at <= now.at) {
            self.gateway.handle_timeout(now);
        }
        if self.awake() {
            if self.client.as_ref().and_then(Client::poll_timeout).is_some_and(|(at, _)| at <= now.at) {
                self.with_client(|client| client.handle_timeout(now));
            }
            if self.pending_answer.is_some_and(|at| at <= now.at) {
                self.pending_answer = None;
                self.type_answer();
            }
            if let Some(every) = self.echo_every
                && self.next_echo <= now.at
            {
                self.next_echo = now.at + every;
                self.send_echo();
            }
        }
        self.drain();
    }

    fn deliver(&mut self, parcel: Parcel) {
        let now = self.now;
        match parcel {
            Parcel::ToGateway { from, port, mut octets } => {
                self.gateway.handle_datagram(now, from, port, &mut octets);
            }
            Parcel::ToClient { path, from, mut octets } => {
                if !self.awake() {
                    return;
                }
                let opened = self.with_client(|client| client.handle_datagram(now, path, from, &mut octets));
                if let Some(range) = opened.flatten() {
                    self.laws.heard(now.at);
                    if inner::parse_echo_reply(&octets[range]).is_some() {
                        self.echoes_back += 1;
                        self.last_echo_back = Some(now.at);
                    }
                }
            }
        }
        self.drain();
    }

    fn send_echo(&mut self) {
        let now = self.now;
        let Some(client) = self.client.as_mut() else { return };
        let source = client.status(now.at).addresses.into_iter().find(IpAddr::is_ipv4);
        self.echoes_sent += 1;
        let Some(source) = source else { return };
        self.echo = self.echo.wrapping_add(1);
        let mut frame = vec![0; HEADROOM];
        frame.extend(inner::echo_request(source, INSIDE.into(), 1, self.echo, b"virtual"));
        if let Ok(Some(sealed)) = client.send_packet(now, &mut frame) {
            let payload = frame[sealed.range].to_vec();
            self.laws.traffic_sent(now.at);
            self.carry(Transmit { path: sealed.path, to: sealed.to, payload });
        }
    }

    /// Takes everything the two ends have to say.
    pub(crate) fn drain(&mut self) {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.client.as_mut().and_then(Client::poll_transmit) {
                idle = false;
                self.carry(transmit);
            }
            while let Some(event) = self.client.as_mut().and_then(Client::poll_event) {
                idle = false;
                self.note(event);
            }
            while let Some(transmit) = self.gateway.poll_transmit() {
                idle = false;
                self.carry_back(transmit);
            }
            while let Some(event) = self.gateway.poll_event() {
                if let GatewayEvent::Login { group, .. } = event {
                    self.login_groups.push(group);
                }
            }
            if idle {
                break;
            }
        }
        let status = self.client.as_ref().map(|c| c.status(self.now.at));
        self.laws.look(self.seed, self.now.at, status.as_ref());
    }

    fn note(&mut self, event: Event) {
        self.laws.event(self.seed, self.now.at, &event);
        match &event {
            Event::StoreSession(session) => {
                // What the store gives back is what it was given.
                let octets = session.encode();
                self.stored = Some(Session::decode(octets.expose()).expect("what was stored can be read"));
            }
            Event::EraseSession => self.stored = None,
            Event::Ask(form) => {
                let wanted = form.inputs.iter().any(|i| i.name == "password");
                self.answers = if wanted || !self.second_factor {
                    [("username", "test"), ("password", PASSWORD)].into()
                } else {
                    [("answer", "123456")].into()
                };
                self.pending_answer = Some(self.now.at + self.answer_delay);
            }
            _ => {}
        }
        self.events.push((self.now.at, event));
    }

    fn type_answer(&mut self) {
        let answers =
            self.answers.drain(..).map(|(k, v)| (k.to_owned(), Secret::from(v.as_bytes()))).collect();
        let now = self.now;
        self.with_client(|client| client.order(now, Order::Answer(answers)));
    }

    fn carry(&mut self, transmit: Transmit) {
        self.laws.sent(self.seed, self.now.at, self.path, &transmit);
        let Some(from) = self.paths.get(&transmit.path).copied() else { return };
        let port = if transmit.to.port() == 500 { Port::Ike } else { Port::Nat };
        // Only the present path carries anything.
        if self.path != Some(transmit.path) || transmit.to.ip() != GATEWAY {
            return;
        }
        self.post(transmit.payload, |octets| Parcel::ToGateway { from, port, octets });
    }

    fn carry_back(&mut self, transmit: GatewayTransmit) {
        let port = if transmit.from == Port::Ike { 500 } else { 4500 };
        let from = SocketAddr::new(GATEWAY, port);
        let Some((path, _)) = self.paths.iter().find(|(_, a)| **a == transmit.to) else { return };
        let path = *path;
        if self.path != Some(path) {
            return;
        }
        self.post(transmit.payload, |octets| Parcel::ToClient { path, from, octets });
    }

    fn post(&mut self, octets: Vec<u8>, parcel: impl Fn(Vec<u8>) -> Parcel) {
        let link = self.link;
        let copies = 1 + u64::from(self.random.chance(link.duplicate));
        for _ in 0..copies {
            if link.cut || self.random.chance(link.loss) {
                continue;
            }
            let mut octets = octets.clone();
            if self.random.chance(link.corrupt) {
                let at = self.random.below(octets.len() as u64) as usize;
                octets[at] ^= 1 << self.random.below(8);
            }
            let delay = Duration::from_micros(link.delay * 1000 + self.random.below(link.jitter * 1000 + 1));
            self.sequence += 1;
            self.parcels.insert((self.now.at + delay, self.sequence), parcel(octets));
        }
    }

    /// What happened, for a failed case.
    pub(crate) fn history(&self) -> String {
        let mut text = String::new();
        let from = self.events.len().saturating_sub(60);
        for (at, event) in &self.events[from..] {
            text.push_str(&format!("{at:?} {event:?}\n"));
        }
        text.push_str(&format!("now {:?}, gateway {:?}\n", self.now.at, self.gateway.counters()));
        if let Some(client) = &self.client {
            text.push_str(&format!("status {:?}\n", client.status(self.now.at)));
            text.push_str(&format!("next {:?}\n", client.poll_timeout()));
        }
        text
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.as_ref().is_some_and(|c| matches!(c.state(), State::Connected))
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, e)| wanted(e)).count()
    }
}
