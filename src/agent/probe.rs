//! One attempt of the product's own initiator on a socket of its own, and what was seen on the way: up to the gateway's proof
//! (`ikeep doctor HOST`), or through a whole login (`ikeep gateway learn HOST`).

use super::clock::{Clock, OsRandom};
use super::socket::{Inbox, Udp};
use crate::ike::cert::Verified;
use crate::ike::eap::{Answers, EapError, Form, HostScan, Notice};
use crate::ike::initiator::{
    Failure, Heard, Initiator, InitiatorConfig, InitiatorEvent, Leg, Outcome, nat_detection_hash,
};
use crate::ike::message::{Delete, Exchange, GatewayId, Payload, decode_message, find_notify, notify};
use crate::ike::proposal::IkeSuite;
use crate::ike::sa::Received;
use crate::ike::sk::LEGACY_VENDOR_ID;
use crate::time::Instant;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::timeout;

/// Four zeros tell IKE from ESP on the NAT-T port (RFC 3948 2.2).
const MARKER: [u8; 4] = [0; 4];
/// What a silent attempt may take beyond its own deadlines.
const GRACE: Duration = Duration::from_secs(5);
/// A gateway that does not hear a goodbye in this time is left to notice by itself.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where an attempt goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Way {
    /// This machine's address on the way.
    pub(in crate::agent) local: IpAddr,
    /// IKE_SA_INIT goes here.
    pub(in crate::agent) first: SocketAddr,
    /// With the marker of the NAT-T port.
    pub(in crate::agent) marker: bool,
    /// Everything after goes here; `None`: nothing follows.
    pub(in crate::agent) nat: Option<SocketAddr>,
}

/// The answer to IKE_SA_INIT.
#[derive(Clone, Debug, Default)]
pub(in crate::agent) struct Answer {
    /// After how long, cookies and other groups included.
    pub(in crate::agent) after: Duration,
    /// So often it wanted a cookie or another group first.
    pub(in crate::agent) restarts: u32,
    /// The algorithms of the IKE SA, for people.
    pub(in crate::agent) suite: String,
    /// Names of its notifies.
    pub(in crate::agent) notifies: Vec<String>,
    /// Its vendor IDs: as text where they are, else in hexadecimal digits.
    pub(in crate::agent) vendor_ids: Vec<String>,
    /// It knows IKE fragmentation (RFC 7383).
    pub(in crate::agent) fragments: bool,
    /// It knows the fragmentation of before.
    pub(in crate::agent) legacy_fragments: bool,
    /// Somebody on the way gives this machine another address or port; `None`: it does not say.
    pub(in crate::agent) nat_here: Option<bool>,
    /// The gateway itself is behind such a one.
    pub(in crate::agent) nat_there: Option<bool>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(in crate::agent) struct Seen {
    pub(in crate::agent) answer: Option<Answer>,
    /// The gateway has proved itself.
    pub(in crate::agent) verified: Option<Box<Verified>>,
    pub(in crate::agent) failure: Option<Failure>,
    pub(in crate::agent) redirect: Option<GatewayId>,
    /// What the machine's kernel told: no route, nobody listens.
    pub(in crate::agent) kernel: Option<String>,
    /// What the protected answers held, and after how long each came; where the attempt is to learn.
    pub(in crate::agent) heard: Vec<(Duration, Box<Heard>)>,
    /// Octets of the largest datagrams.
    pub(in crate::agent) sent: usize,
    pub(in crate::agent) received: usize,
}

/// Why an attempt stands still.
pub(in crate::agent) enum Halt {
    /// Nothing is to follow: it is proved, led elsewhere or over, or was to be answered only. [`Seen`] tells.
    Over,
    /// The gateway asks something.
    Asked(Form),
    /// The gateway wants this machine scanned.
    Scan(HostScan),
    /// It stands.
    Established(Box<Outcome>),
}

/// Makes one attempt, until the gateway has proved itself (or, where nothing is to follow, has answered), or it is over.
///
/// # Errors
/// No socket can be opened.
pub(in crate::agent) async fn attempt(config: InitiatorConfig, way: Way, clock: &Clock) -> io::Result<Seen> {
    let mut probe = Probe::begin(config, way, clock)?;
    probe.until_halt(&mut |_| {}).await;
    Ok(probe.seen)
}

/// An attempt under way.
pub(in crate::agent) struct Probe<'a> {
    udp: Udp,
    initiator: Initiator,
    way: Way,
    clock: &'a Clock,
    random: OsRandom,
    /// What was seen until now.
    pub(in crate::agent) seen: Seen,
    begun: Instant,
    limit: Duration,
    restarts: u32,
    halt: Option<Halt>,
}

impl<'a> Probe<'a> {
    /// The first datagram is ready to be sent.
    ///
    /// # Errors
    /// No socket can be opened.
    pub(in crate::agent) fn begin(config: InitiatorConfig, way: Way, clock: &'a Clock) -> io::Result<Self> {
        let limit = config.exchange_timeout * 2 + GRACE;
        let udp = Udp::open(SocketAddr::new(way.local, 0), None)?;
        let mut random = OsRandom::new();
        let start = clock.now();
        let initiator = Initiator::new(start, config, way.first, &mut random);
        Ok(Self {
            udp,
            initiator,
            way,
            clock,
            random,
            seen: Seen::default(),
            begun: start.at,
            limit,
            restarts: 0,
            halt: None,
        })
    }

    /// Goes on until it stands still. `tell` hears what the gateway wants the user to know.
    pub(in crate::agent) async fn until_halt(&mut self, tell: &mut dyn FnMut(Notice)) -> Halt {
        // Its own deadlines end it; this one is for a clock that stands still.
        if let Ok(halt) = timeout(self.limit, self.run(tell)).await {
            return halt;
        }
        self.seen.failure.get_or_insert(Failure::NoAnswer { hint: None });
        Halt::Over
    }

    /// The user's answers to what was asked.
    ///
    /// # Errors
    /// Those that cannot be sent: ask again.
    pub(in crate::agent) fn answer(&mut self, answers: &Answers) -> Result<(), EapError> {
        self.initiator.answer(self.clock.now(), answers, &mut self.random)
    }

    /// What came of the scan that was wanted.
    pub(in crate::agent) fn scanned(&mut self, token: Result<String, String>) {
        self.initiator.scanned(self.clock.now(), token, &mut self.random);
    }

    /// Ends an IKE SA that stands, and waits for the gateway to say so.
    pub(in crate::agent) async fn goodbye(mut self) {
        let Some(mut sa) = self.initiator.finish() else { return };
        let (Some(nat), begun) = (self.way.nat, self.clock.now().at) else { return };
        let delete = vec![Payload::Delete(Delete::ike())];
        sa.request(begun, Exchange::Informational, delete, &mut self.random);
        let mut inbox = Inbox::default();
        loop {
            while let Some(datagram) = sa.poll_datagram() {
                if self.udp.send(&[&MARKER[..], &datagram].concat(), nat).is_err() {
                    return;
                }
            }
            let now = self.clock.now().at;
            let Some(left) = GOODBYE.checked_sub(now.since(begun)) else { return };
            let due = sa.poll_timeout().map_or(left, |at| at.since(now).min(left));
            if timeout(due, poll_fn(|context| self.udp.poll_readable(context))).await.is_err() {
                if sa.handle_timeout(self.clock.now().at) {
                    return;
                }
                continue;
            }
            if self.udp.receive(&mut inbox).is_err() {
                continue;
            }
            for (_, place, _) in &inbox.datagrams {
                let datagram = inbox.buffer.get(place.clone()).unwrap_or_default();
                let Some(message) = datagram.strip_prefix(&MARKER) else { continue };
                let answered = sa.handle(self.clock.now().at, message, &mut self.random);
                // What was under way before is answered first.
                if matches!(answered, Ok(Received::Response { exchange: Exchange::Informational, .. })) {
                    return;
                }
            }
        }
    }

    async fn run(&mut self, tell: &mut dyn FnMut(Notice)) -> Halt {
        let mut inbox = Inbox::default();
        loop {
            self.take_events(tell);
            self.send();
            if let Some(halt) = self.halt.take() {
                return halt;
            }
            let now = self.clock.now().at;
            let Some(left) = self.initiator.poll_timeout().map(|(at, _)| at.since(now)) else {
                return Halt::Over;
            };
            if timeout(left, poll_fn(|context| self.udp.poll_readable(context))).await.is_err() {
                self.initiator.handle_timeout(self.clock.now().at);
                continue;
            }
            match self.udp.receive(&mut inbox) {
                Ok(_) => {
                    for (from, place, _) in &inbox.datagrams {
                        let datagram = inbox.buffer.get(place.clone()).unwrap_or_default();
                        self.receive(*from, datagram);
                    }
                }
                Err(error) => self.seen.kernel = Some(error.to_string()),
            }
        }
    }

    fn send(&mut self) {
        while let Some((leg, datagram)) = self.initiator.poll_datagram() {
            let (to, marker) = match (leg, self.way.nat) {
                (Leg::Init, _) => (self.way.first, self.way.marker),
                (Leg::Auth, Some(nat)) => (nat, true),
                (Leg::Auth, None) => continue,
            };
            let octets = if marker { [&MARKER[..], &datagram].concat() } else { datagram };
            match self.udp.send(&octets, to) {
                Ok(()) => self.seen.sent = self.seen.sent.max(octets.len()),
                Err(error) => self.seen.kernel = Some(error.to_string()),
            }
        }
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        if from.ip() != self.way.first.ip() {
            return;
        }
        let message = datagram.strip_prefix(&MARKER).unwrap_or(datagram);
        let now = self.clock.now();
        let asked = self.initiator.init_request().map(<[u8]>::to_vec);
        if let Err(dropped) = self.initiator.handle_datagram(now, message, &mut self.random) {
            tracing::debug!(?dropped, %from, "a datagram that is no answer");
            return;
        }
        self.seen.received = self.seen.received.max(datagram.len());
        let asks = self.initiator.init_request();
        self.restarts += u32::from(asks.is_some() && asks != asked.as_deref());
        if asked.is_some() && asks.is_none() {
            let local = self.udp.local_addr().ok();
            let mut answer = read(message, local, from).unwrap_or_default();
            answer.after = now.at.since(self.begun);
            answer.suite = self.initiator.sa().map(|sa| suite(sa.suite())).unwrap_or_default();
            answer.restarts = self.restarts;
            self.seen.answer = Some(answer);
        }
    }

    fn take_events(&mut self, tell: &mut dyn FnMut(Notice)) {
        while let Some(event) = self.initiator.poll_event() {
            match event {
                InitiatorEvent::InitAnswered => {
                    if self.way.nat.is_none() {
                        self.halt = Some(Halt::Over);
                    }
                }
                InitiatorEvent::Keyed => {}
                InitiatorEvent::Redirected(to) => {
                    self.seen.redirect = Some(to);
                    self.halt = Some(Halt::Over);
                }
                InitiatorEvent::GatewayVerified(verified) => {
                    self.seen.verified = Some(verified);
                    if self.initiator.is_proof_only() {
                        self.halt = Some(Halt::Over);
                    }
                }
                InitiatorEvent::Failed(failure) => {
                    self.seen.failure = Some(failure);
                    self.halt = Some(Halt::Over);
                }
                InitiatorEvent::Heard(heard) => {
                    self.seen.heard.push((self.clock.now().at.since(self.begun), heard));
                }
                InitiatorEvent::Notice(notice) => tell(notice),
                InitiatorEvent::Ask(form) => self.halt = Some(Halt::Asked(form)),
                InitiatorEvent::Sign(_) => {
                    let why = "a key on a token signs for `ikeep connect` alone".to_owned();
                    self.seen.failure = Some(Failure::OwnKey(why));
                    self.halt = Some(Halt::Over);
                }
                InitiatorEvent::Scan(scan) => self.halt = Some(Halt::Scan(scan)),
                InitiatorEvent::Established(outcome) => self.halt = Some(Halt::Established(outcome)),
            }
        }
    }
}

/// What an answer to IKE_SA_INIT says to everybody. `local`: where this machine thinks that it is.
fn read(message: &[u8], local: Option<SocketAddr>, remote: SocketAddr) -> Option<Answer> {
    let (header, payloads) = decode_message(message).ok()?;
    let differs = |kind: u16, address: SocketAddr| {
        let told = find_notify(&payloads, kind)?;
        Some(told.data != nat_detection_hash(&header.spi_i, &header.spi_r, address))
    };
    let mut answer = Answer {
        fragments: find_notify(&payloads, notify::IKEV2_FRAGMENTATION_SUPPORTED).is_some(),
        nat_here: local.and_then(|local| differs(notify::NAT_DETECTION_DESTINATION_IP, local)),
        nat_there: differs(notify::NAT_DETECTION_SOURCE_IP, remote),
        ..Answer::default()
    };
    for payload in &payloads {
        match payload {
            Payload::Notify(told) => answer.notifies.push(match notify::name(told.kind) {
                Some(name) => name.to_owned(),
                None => format!("notify {}", told.kind),
            }),
            Payload::VendorId(id) => {
                answer.legacy_fragments |= id.starts_with(&LEGACY_VENDOR_ID);
                answer.vendor_ids.push(vendor_id(id));
            }
            _ => {}
        }
    }
    Some(answer)
}

fn suite(suite: &IkeSuite) -> String {
    let integ = suite.integ.map(|integ| format!("{integ:?}, ")).unwrap_or_default();
    format!("{:?}, {integ}{:?}, group {}", suite.encr, suite.prf, suite.group.id())
}

/// Longest text of a vendor ID that is shown, octets.
const VENDOR_ID: usize = 80;

pub(in crate::agent) fn vendor_id(id: &[u8]) -> String {
    let shown = id.get(..VENDOR_ID).unwrap_or(id);
    match std::str::from_utf8(shown) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            text.to_owned()
        }
        _ => shown.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}
