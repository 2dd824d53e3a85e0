//! A laptop: the client, its store, its links, and the person in front of it.

use super::coverage::Told;
use super::lab::{INSIDE, PASSWORD};
use super::model::Model;
use super::network::{Bad, Link};
use super::random::Seeded;
use ikeep::client::{Client, Event, PathId, Paths, Settings};
use ikeep::crypto::{Random, Secret};
use ikeep::esp::{HEADROOM, inner};
use ikeep::session::Session;
use ikeep::time::{Instant, Now};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// In every inner packet; on no wire.
pub(crate) const PLAINTEXT: &[u8] = b"inner plaintext";
const FIRST: u32 = 0x6440_0000; // 100.64.0.0
const ADDRESSES: u32 = 64;

/// ESP of the present client, counted where it comes and goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Packets {
    /// Arrived at the client.
    pub(crate) arrived: u64,
    /// Given out by it, opened.
    pub(crate) opened: u64,
    /// Arrived, and counted among its drops.
    pub(crate) dropped: u64,
    /// Sealed by it.
    pub(crate) sealed: u64,
}

/// See the module.
pub(crate) struct Laptop {
    pub(crate) index: usize,
    /// Its gateway, and the place where it is.
    pub(crate) site: usize,
    pub(crate) place: usize,
    pub(crate) settings: Settings,
    pub(crate) client: Option<Client>,
    /// What the disk holds: the session, and whether the user wants a connection.
    pub(crate) stored: Option<Session>,
    pub(crate) intent: bool,
    /// Milliseconds that its civil clock is ahead.
    pub(crate) wall: i64,
    /// Its sockets: IPv4, IPv6.
    pub(crate) ways: [Option<(PathId, SocketAddr)>; 2],
    next_path: u32,
    pub(crate) link: Link,
    pub(crate) troubles: Vec<(Instant, Bad)>,
    /// Whatever was done to it is over since then.
    pub(crate) disturbed: Instant,
    /// By then it has noticed what its gateway has lost without a word.
    pub(crate) deceived: Instant,
    pub(crate) asleep_until: Option<Instant>,
    pub(crate) revive_at: Option<Instant>,
    /// Sleep was announced and does not come: when it says that it is awake.
    pub(crate) resume_at: Option<Instant>,
    /// It was carried to another place in its sleep.
    pub(crate) moved: bool,
    pub(crate) plug_at: Option<Instant>,
    /// When it looks for a portal, and what it found.
    pub(crate) probe_at: Option<Instant>,
    pub(crate) captive: bool,
    pub(crate) trusted_until: Option<Instant>,
    /// Dies after so many more outputs, for so long.
    pub(crate) crash_after: Option<(u32, Duration)>,
    pub(crate) told: Told,
    /// An echo leaves this often.
    pub(crate) echo_every: Option<Duration>,
    pub(crate) next_echo: Instant,
    echo: u16,
    pub(crate) echoes_sent: u64,
    pub(crate) echoes_back: u64,
    pub(crate) last_echo_back: Option<Instant>,
    pub(crate) packets: Packets,
    pub(crate) events: Vec<(Instant, Event)>,
    /// Events are not kept: there are too many laptops.
    pub(crate) forgetful: bool,
    second_factor: bool,
    answers: VecDeque<(&'static str, &'static str)>,
    pub(crate) answer_delay: Duration,
    pub(crate) pending_answer: Option<Instant>,
    pub(crate) model: Model,
    /// A CPU clock, where a benchmark wants to know what the client costs.
    pub(crate) cpu: Option<fn() -> Duration>,
    pub(crate) client_cpu: Duration,
}

impl Laptop {
    pub(crate) fn new(index: usize, now: Now, settings: Settings, second_factor: bool, random: u64) -> Self {
        let client = Client::new(now, settings.clone(), Box::new(Seeded::new(random)));
        Self {
            index,
            site: 0,
            place: 0,
            model: Model::new(now.at, &settings),
            settings,
            client: Some(client),
            stored: None,
            intent: false,
            wall: 0,
            ways: [None; 2],
            next_path: 1,
            link: Link::default(),
            troubles: Vec::new(),
            disturbed: now.at,
            deceived: now.at,
            asleep_until: None,
            revive_at: None,
            resume_at: None,
            moved: false,
            plug_at: None,
            probe_at: None,
            captive: false,
            trusted_until: None,
            crash_after: None,
            told: Told::default(),
            echo_every: None,
            next_echo: now.at,
            echo: 0,
            echoes_sent: 0,
            echoes_back: 0,
            last_echo_back: None,
            packets: Packets::default(),
            events: Vec::new(),
            forgetful: false,
            second_factor,
            answers: VecDeque::new(),
            answer_delay: Duration::from_millis(500),
            pending_answer: None,
            cpu: None,
            client_cpu: Duration::ZERO,
        }
    }

    /// The same with a back-off that has no jitter; only before it is used.
    pub(crate) fn without_jitter(&mut self, now: Now, seed: u64) {
        let client = Client::new(now, self.settings.clone(), Box::new(Seeded::steady(seed)));
        self.client = Some(client);
    }

    /// What its own clocks show.
    pub(crate) fn clock(&self, now: Now) -> Now {
        let wall = now.wall.as_millis().saturating_add_signed(self.wall);
        Now { at: now.at, wall: ikeep::time::UnixTime::from_millis(wall) }
    }

    pub(crate) fn is_awake(&self) -> bool {
        self.asleep_until.is_none()
    }

    /// Something was done to it, and is over then.
    pub(crate) fn disturb(&mut self, until: Instant) {
        self.disturbed = self.disturbed.max(until);
    }

    pub(crate) fn trouble(&mut self, now: Instant, bad: Bad, time: Duration) {
        self.troubles.retain(|(until, _)| *until > now);
        self.troubles.push((now + time, bad));
        self.disturb(now + time);
    }

    /// Its link at present, in one direction.
    pub(crate) fn link_now(&self, now: Instant, outward: bool) -> Link {
        let mut link = self.link;
        for (_, bad) in self.troubles.iter().filter(|(until, _)| *until > now) {
            bad.spoil(&mut link, outward);
        }
        link
    }

    /// New sockets for the families of a place.
    pub(crate) fn open_ways(&mut self, ipv4: bool, ipv6: bool) -> Paths {
        let mut open = |family: bool, six: bool| {
            family.then(|| {
                let id = PathId(self.next_path);
                self.next_path += 1;
                (id, SocketAddr::new(address(self.index, id, six), 20_000 + (id.0 % 40_000) as u16))
            })
        };
        self.ways = [open(ipv4, false), open(ipv6, true)];
        self.paths()
    }

    pub(crate) fn paths(&self) -> Paths {
        let id = |way: Option<(PathId, SocketAddr)>| way.map(|(id, _)| id);
        Paths { ipv4: id(self.ways[0]), ipv6: id(self.ways[1]) }
    }

    pub(crate) fn local(&self, path: PathId) -> Option<SocketAddr> {
        self.ways.iter().flatten().find(|(id, _)| *id == path).map(|(_, local)| *local)
    }

    pub(crate) fn path_of(&self, local: SocketAddr) -> Option<PathId> {
        self.ways.iter().flatten().find(|(_, address)| *address == local).map(|(id, _)| *id)
    }

    pub(crate) fn state(&self) -> &'static str {
        self.client.as_ref().map_or("stopped", |client| client.state().name())
    }

    /// The running client.
    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().expect("the client runs")
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state() == "connected"
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| wanted(event)).count()
    }

    /// When it wants to act next.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.asleep_until.is_some() {
            return self.asleep_until;
        }
        let mut due = [
            self.revive_at,
            self.plug_at,
            None,
            None,
            None,
            self.probe_at,
            self.trusted_until,
            self.resume_at,
        ];
        if let Some(client) = &self.client {
            due[2] = client.poll_timeout().map(|(at, _)| at);
            due[3] = self.echo_every.map(|_| self.next_echo);
            due[4] = self.pending_answer;
        }
        due.into_iter().flatten().min()
    }

    /// The next inner packet, sealed: what the client sends for it.
    pub(crate) fn echo(&mut self, now: Now) -> Option<ikeep::client::Transmit> {
        self.echoes_sent += 1;
        self.echo = self.echo.wrapping_add(1);
        let client = self.client.as_mut()?;
        let source = IpAddr::from(client.plan()?.address4?);
        let mut frame = vec![0; HEADROOM];
        frame.extend(inner::echo_request(source, INSIDE.into(), 1, self.echo, PLAINTEXT));
        let sealed = client.send_packet(now, &mut frame).ok()?;
        self.packets.sealed += 1;
        let sealed = sealed?;
        let payload = frame.get(sealed.range)?.to_vec();
        self.model.traffic_sent(now.at);
        Some(ikeep::client::Transmit { path: sealed.path, to: sealed.to, payload })
    }

    /// An inner packet came back.
    pub(crate) fn take_inner(&mut self, now: Instant, packet: &[u8]) {
        self.model.heard(now);
        if inner::parse_echo_reply(packet).is_some() {
            self.echoes_back += 1;
            self.last_echo_back = Some(now);
        }
    }

    /// What the shell does with an event.
    pub(crate) fn take_event(&mut self, now: Now, event: Event) {
        self.told.hear(&event);
        self.model.event(now, &event);
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
                self.pending_answer = Some(now.at + self.answer_delay);
            }
            _ => {}
        }
        if !self.forgetful {
            self.events.push((now.at, event));
        }
    }

    /// What the person types.
    pub(crate) fn typed(&mut self) -> ikeep::ike::eap::Answers {
        self.answers.drain(..).map(|(k, v)| (k.to_owned(), Secret::from(v.as_bytes()))).collect()
    }

    /// A new client on the same disk; true where it took the session.
    pub(crate) fn start(&mut self, now: Now, random: &mut Seeded) -> bool {
        let seed = random.u64();
        let mut client = Client::new(now, self.settings.clone(), Box::new(Seeded::new(seed)));
        let restored = self.stored.clone().is_some_and(|session| client.restore(now, session));
        self.client = Some(client);
        self.packets = Packets::default();
        restored
    }
}

/// The address of a laptop's socket; the laptop can be told from it.
fn address(index: usize, path: PathId, six: bool) -> IpAddr {
    let low = 1 + path.0 % (ADDRESSES - 2);
    if six {
        let [_, high, mid, end] = (index as u32).to_be_bytes();
        let laptop = u16::from_be_bytes([mid, end]);
        return Ipv6Addr::new(0xfd64, u16::from(high), laptop, 0, 0, 0, 0, low as u16).into();
    }
    Ipv4Addr::from(FIRST + index as u32 * ADDRESSES + low).into()
}

/// Whose address it is.
pub(crate) fn owner(address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(v4) => Some((u32::from(v4).checked_sub(FIRST)? / ADDRESSES) as usize),
        IpAddr::V6(v6) => {
            let parts = v6.segments();
            (parts[0] == 0xfd64).then(|| (usize::from(parts[1]) << 16) + usize::from(parts[2]))
        }
    }
}
