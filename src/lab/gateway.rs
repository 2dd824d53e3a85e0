//! The embedded gateway on real UDP sockets, between a line that can fail and the network behind it.

use super::inside::Inside;
use super::line::Line;
use super::road::Road;
use crate::agent::clock::{Clock, OsRandom};
use crate::agent::pump::OCTETS;
use crate::agent::socket::{Inbox, Udp};
use crate::esp::ecn;
use crate::gateway::aaa::{Answer, Question};
use crate::gateway::{Gateway, GatewayConfig, GatewayEvent, Port};
use crate::time::{Instant, Now};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Receives of one socket in one go.
const BATCH: usize = 16;
/// Events remembered; the oldest go first.
const EVENTS: usize = 1000;
/// Timers of the gateway that may come due in one simulated sleep; more means that one of them never goes away.
const SLEEP_STEPS: usize = 10_000;

/// The gateway and its line, for those who may break them.
pub struct Site {
    /// The gateway.
    pub gateway: Gateway,
    /// The line in front of it.
    pub line: Line,
    /// The network behind it.
    pub inside: Inside,
    /// What the gateway told, and when; packets for the network behind it are not kept.
    pub events: VecDeque<(Now, GatewayEvent)>,
    /// Hears of each event as it comes.
    pub watcher: Option<Watcher>,
    /// Asks AAA outside, where the gateway's settings want that; false: it cannot.
    pub asker: Option<Asker>,
    /// Datagrams that a client sent, lost ones included.
    pub arrived: u64,
    /// Addresses of no pool that a session has (true) or has no more, for whoever makes routes to them; bounded by the sessions.
    outside: BTreeMap<IpAddr, bool>,
    clock: Clock,
    /// On their way: by arrival time, then by order of sending.
    under_way: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
    random: OsRandom,
}

/// See [`Site::watcher`].
pub type Watcher = Box<dyn FnMut(Now, &GatewayEvent) + Send>;

/// See [`Site::asker`].
pub type Asker = Box<dyn FnMut(Question) -> bool + Send>;

/// A datagram on the line.
struct Datagram {
    /// To the gateway, else to the client.
    inbound: bool,
    client: SocketAddr,
    port: Port,
    payload: Vec<u8>,
}

impl Site {
    /// The time that the gateway knows.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// `show crypto session detail` and `show crypto ikev2 session detailed`.
    pub fn shows(&self) -> (String, String) {
        let now = self.now();
        (self.gateway.show_session_detail(now), self.gateway.show_ikev2_session_detailed(now))
    }

    /// What the gateway told, one line an event; times count from the first.
    pub fn timeline(&self) -> String {
        let start = self.events.front().map(|(now, _)| now.at).unwrap_or_default();
        let line = |(now, event): &(Now, GatewayEvent)| {
            format!("{:10.3} s  {event:?}\n", now.at.since(start).as_secs_f64())
        };
        self.events.iter().map(line).collect()
    }

    /// Time passes for everybody who shares the gateway's clock. The gateway is awake meanwhile: each of its timers comes due
    /// at its time. The line should be down, since nobody is there to answer.
    pub fn pass(&mut self, time: Duration) {
        let end = self.clock.now().at + time;
        for _ in 0..SLEEP_STEPS {
            let now = self.clock.now().at;
            let Some(at) = self.poll_timeout(now).filter(|at| *at < end) else { break };
            self.clock.leap(at.since(now));
            self.gateway.handle_timeout(self.clock.now());
            self.drain();
        }
        self.clock.leap(end.since(self.clock.now().at));
    }

    /// When the gateway or somebody behind it has something to do.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let gateway = self.gateway.poll_timeout().map(|(at, _)| at);
        [gateway, self.inside.poll_timeout(now)].into_iter().flatten().min()
    }

    /// A datagram enters the line.
    fn put(&mut self, datagram: Datagram) {
        self.arrived += u64::from(datagram.inbound);
        if self.line.passes(datagram.client.ip(), &mut self.random) {
            self.sent += 1;
            self.under_way.insert((self.clock.now().at + self.line.delay, self.sent), datagram);
        }
    }

    /// What leaves the line now. What was under way when the line went down is lost.
    fn take(&mut self, now: Instant) -> Option<Datagram> {
        loop {
            let first = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
            let datagram = first.remove();
            if !self.line.down && !self.line.left.contains(&datagram.client.ip()) {
                return Some(datagram);
            }
        }
    }

    /// Takes what the gateway and the network behind it have to say.
    fn drain(&mut self) {
        let now = self.clock.now();
        while let Some(event) = self.gateway.poll_event() {
            match event {
                GatewayEvent::Inner(packet) => self.inside.receive(now.at, packet),
                event => {
                    match event {
                        GatewayEvent::OutsideTaken { address } => drop(self.outside.insert(address, true)),
                        GatewayEvent::OutsideFreed { address } => drop(self.outside.insert(address, false)),
                        _ => {}
                    }
                    self.remember(now, event);
                }
            }
        }
        while let Some(question) = self.gateway.poll_aaa() {
            let id = question.id;
            if !self.asker.as_mut().is_some_and(|ask| ask(question)) {
                self.gateway.handle_aaa(now, id, Answer::Silent);
            }
        }
        loop {
            self.inside.poll(now.at);
            let mut more = false;
            while let Some(packet) = self.inside.poll_transmit() {
                more = true;
                // Where the client's session is down the packet is lost, as on any router.
                self.gateway.send_packet(now, &packet);
            }
            while let Some(transmit) = self.gateway.poll_transmit() {
                self.put(Datagram {
                    inbound: false,
                    client: transmit.to,
                    port: transmit.from,
                    payload: transmit.payload,
                });
            }
            if !more {
                return;
            }
        }
    }

    fn remember(&mut self, now: Now, event: GatewayEvent) {
        tracing::debug!(?event, "gateway");
        if let Some(watcher) = &mut self.watcher {
            watcher(now, &event);
        }
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back((now, event));
    }
}

type Look = Box<dyn FnOnce(&mut Site) + Send>;

/// The gateway's task has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the embedded gateway has stopped")]
pub struct Stopped;

/// The control room. The gateway runs until the handle and all its clones are dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    questions: mpsc::Sender<Look>,
    /// Where clients find it: first contact, and everything after.
    pub ports: (SocketAddr, SocketAddr),
}

impl Handle {
    /// Looks at the gateway or changes it, between two datagrams.
    pub async fn ask<R: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Site) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (answer, answered) = oneshot::channel();
        let question: Look = Box::new(move |site| drop(answer.send(what(site))));
        self.questions.send(question).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

/// The gateway's task: [`Runner::run`] it.
pub struct Runner {
    site: Site,
    ike: Udp,
    nat: Udp,
    questions: mpsc::Receiver<Look>,
    inbox: Inbox,
    road: Option<Road>,
}

impl Runner {
    /// Opens both ports on `address` (ports of `config`; 0: any) and makes a gateway for them.
    ///
    /// # Errors
    /// A port cannot be opened.
    pub fn new(mut config: GatewayConfig, address: IpAddr, clock: Clock) -> io::Result<(Self, Handle)> {
        let ike = Udp::open(SocketAddr::new(address, config.ports.0), None)?;
        let nat = Udp::open(SocketAddr::new(address, config.ports.1), None)?;
        let ports = (ike.local_addr()?, nat.local_addr()?);
        config.ports = (ports.0.port(), ports.1.port());
        let inside = Inside::new(config.inside.clone(), Box::new(OsRandom::new()));
        let gateway = Gateway::new(config, clock.now(), Box::new(OsRandom::new()));
        let site = Site {
            gateway,
            line: Line::default(),
            inside,
            events: VecDeque::new(),
            watcher: None,
            asker: None,
            arrived: 0,
            outside: BTreeMap::new(),
            clock,
            under_way: BTreeMap::new(),
            sent: 0,
            random: OsRandom::new(),
        };
        let (questions_in, questions) = mpsc::channel(16);
        let runner = Self { site, ike, nat, questions, inbox: Inbox::default(), road: None };
        Ok((runner, Handle { questions: questions_in, ports }))
    }

    /// The network behind the gateway is this machine: packets enter and leave by `road`.
    pub fn with_road(self, road: Option<Road>) -> Self {
        Self { road, ..self }
    }

    /// Runs until every handle is dropped.
    pub async fn run(mut self) {
        self.serve().await;
        if let Some(road) = self.road {
            road.close().await;
        }
    }

    async fn serve(&mut self) {
        loop {
            let Self { site, ike, nat, questions, road, .. } = &mut *self;
            let now = site.clock.now().at;
            let due = [site.poll_timeout(now), site.under_way.keys().next().map(|(at, _)| *at)];
            let left = due.into_iter().flatten().min().map(|at| at.since(now));
            tokio::select! {
                biased;
                question = questions.recv() => match question {
                    Some(question) => question(site),
                    None => return,
                },
                () = async {
                    match left {
                        Some(left) => tokio::time::sleep(left).await,
                        None => std::future::pending().await,
                    }
                } => {}
                () = readable([ike, nat], road.as_ref()) => {}
            }
            self.receive();
            let site = &mut self.site;
            let now = site.clock.now();
            if site.gateway.poll_timeout().is_some_and(|(at, _)| at <= now.at) {
                site.gateway.handle_timeout(now);
            }
            if let Some(road) = self.road.as_mut()
                && let Err(error) = road.send(now, &mut self.site.gateway, &self.nat)
            {
                tracing::error!(%error, "the gateway's device is gone");
                self.road = None;
            }
            self.deliver();
            let outside = std::mem::take(&mut self.site.outside);
            if let Some(road) = self.road.as_mut().filter(|_| !outside.is_empty()) {
                road.follow(outside).await;
            }
        }
    }

    fn receive(&mut self) {
        for (port, socket) in [(Port::Ike, &self.ike), (Port::Nat, &self.nat)] {
            let mut taken = 0;
            for _ in 0..BATCH {
                if taken >= OCTETS {
                    break;
                }
                match socket.receive(&mut self.inbox) {
                    Ok(true) => {}
                    Ok(false) => break,
                    // An ICMP error about an answer to somebody who has gone.
                    Err(error) => {
                        tracing::debug!(%error, "socket error");
                        continue;
                    }
                }
                if let Some(road) = self.road.as_mut().filter(|_| port == Port::Nat) {
                    let now = self.site.clock.now();
                    let Inbox { buffer, datagrams } = &mut self.inbox;
                    for (client, place, mark) in datagrams.iter() {
                        taken += place.len();
                        let datagram = &mut buffer[place.clone()];
                        let Some(inner) = self.site.gateway.open_datagram(now, *client, datagram) else {
                            continue;
                        };
                        let inner = place.start + inner.start..place.start + inner.end;
                        if !ecn::decapsulate(*mark, &mut buffer[inner.clone()]) {
                            road.pump.lost.inward += 1;
                            continue;
                        }
                        road.pump.put(buffer, inner, road.mtu());
                    }
                    road.pump.flush(buffer);
                    continue;
                }
                for (client, place, _) in &self.inbox.datagrams {
                    let payload = self.inbox.buffer[place.clone()].to_vec();
                    self.site.put(Datagram { inbound: true, client: *client, port, payload });
                }
            }
        }
    }

    fn deliver(&mut self) {
        self.site.drain();
        let now = self.site.clock.now();
        while let Some(mut datagram) = self.site.take(now.at) {
            let Datagram { client, port, .. } = datagram;
            if datagram.inbound {
                self.site.gateway.handle_datagram(now, client, port, &mut datagram.payload);
                self.site.drain();
                continue;
            }
            let socket = match port {
                Port::Ike => &self.ike,
                Port::Nat => &self.nat,
            };
            if let Err(error) = socket.send(&datagram.payload, client) {
                tracing::debug!(%error, %client, "datagram not sent");
            }
        }
    }
}

async fn readable(sockets: [&Udp; 2], road: Option<&Road>) {
    poll_fn(|context| {
        let mut ready = sockets.iter().filter(|socket| socket.poll_readable(context).is_ready()).count();
        if let Some(road) = road {
            let [_, nat] = sockets;
            let device = match road.pump.blocked() {
                Some(_) => nat.poll_writable(context),
                None => road.pump.poll_readable(context),
            };
            ready += usize::from(device.is_ready());
        }
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
