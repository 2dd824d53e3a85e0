//! One attempt of the product's own initiator on a socket of its own, up to the gateway's proof, and what was seen on the way.

use super::super::clock::{Clock, OsRandom};
use super::super::socket::{Inbox, Udp};
use crate::ike::cert::Verified;
use crate::ike::initiator::{Failure, Initiator, InitiatorConfig, InitiatorEvent, Leg, nat_detection_hash};
use crate::ike::message::{GatewayId, Payload, decode_message, find_notify, notify};
use crate::ike::proposal::IkeSuite;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::timeout;

/// Four zeros tell IKE from ESP on the NAT-T port (RFC 3948 2.2).
const MARKER: [u8; 4] = [0; 4];
/// What a silent attempt may take beyond its own deadlines.
const GRACE: Duration = Duration::from_secs(5);

/// Where an attempt goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// This machine's address on the way.
    pub(super) local: IpAddr,
    /// IKE_SA_INIT goes here.
    pub(super) first: SocketAddr,
    /// With the marker of the NAT-T port.
    pub(super) marker: bool,
    /// Everything after goes here; `None`: nothing follows.
    pub(super) nat: Option<SocketAddr>,
}

/// The answer to IKE_SA_INIT.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// After how long, cookies and other groups included.
    pub(super) after: Duration,
    /// So often it wanted a cookie or another group first.
    pub(super) restarts: u32,
    /// The algorithms of the IKE SA, for people.
    pub(super) suite: String,
    /// Names of its notifies.
    pub(super) notifies: Vec<String>,
    /// Its vendor IDs: as text where they are, else in hexadecimal digits.
    pub(super) vendor_ids: Vec<String>,
    /// It knows IKE fragmentation (RFC 7383).
    pub(super) fragments: bool,
    /// Somebody on the way gives this machine another address or port; `None`: it does not say.
    pub(super) nat_here: Option<bool>,
    /// The gateway itself is behind such a one.
    pub(super) nat_there: Option<bool>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answer: Option<Answer>,
    /// The gateway has proved itself.
    pub(super) verified: Option<Box<Verified>>,
    pub(super) failure: Option<Failure>,
    pub(super) redirect: Option<GatewayId>,
    /// What the machine's kernel told: no route, nobody listens.
    pub(super) kernel: Option<String>,
    /// Octets of the largest datagrams.
    pub(super) sent: usize,
    pub(super) received: usize,
}

/// Makes one attempt, until the gateway has proved itself (or, where nothing is to follow, has answered), or it is over.
///
/// # Errors
/// No socket can be opened.
pub(super) async fn attempt(config: InitiatorConfig, way: Way, clock: &Clock) -> io::Result<Seen> {
    let limit = config.exchange_timeout * 2 + GRACE;
    let udp = Udp::open(SocketAddr::new(way.local, 0), None)?;
    let mut random = OsRandom::new();
    let start = clock.now();
    let initiator = Initiator::new(start, config, way.first, &mut random);
    let mut probe =
        Probe { udp, initiator, way, clock, random, seen: Seen::default(), over: false, restarts: 0 };
    // Its own deadlines end it; this one is for a clock that stands still.
    if timeout(limit, probe.run()).await.is_err() {
        probe.seen.failure.get_or_insert(Failure::NoAnswer { hint: None });
    }
    if let Some(answer) = &mut probe.seen.answer {
        answer.after = answer.after.saturating_sub(start.at.since_boot());
    }
    Ok(probe.seen)
}

struct Probe<'a> {
    udp: Udp,
    initiator: Initiator,
    way: Way,
    clock: &'a Clock,
    random: OsRandom,
    seen: Seen,
    over: bool,
    restarts: u32,
}

impl Probe<'_> {
    async fn run(&mut self) {
        let mut inbox = Inbox::default();
        loop {
            self.take_events();
            self.send();
            if self.over {
                return;
            }
            let now = self.clock.now().at;
            let Some(left) = self.initiator.poll_timeout().map(|(at, _)| at.since(now)) else { return };
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
            // Since boot here; the caller knows when it began.
            answer.after = now.at.since_boot();
            answer.suite = self.initiator.sa().map(|sa| suite(sa.suite())).unwrap_or_default();
            answer.restarts = self.restarts;
            self.seen.answer = Some(answer);
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.initiator.poll_event() {
            match event {
                InitiatorEvent::InitAnswered => self.over |= self.way.nat.is_none(),
                InitiatorEvent::Redirected(to) => {
                    self.seen.redirect = Some(to);
                    self.over = true;
                }
                InitiatorEvent::GatewayVerified(verified) => {
                    self.seen.verified = Some(verified);
                    self.over = true;
                }
                InitiatorEvent::Failed(failure) => {
                    self.seen.failure = Some(failure);
                    self.over = true;
                }
                InitiatorEvent::Ask(_) | InitiatorEvent::Notice(_) | InitiatorEvent::Established(_) => {}
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
            Payload::VendorId(id) => answer.vendor_ids.push(vendor_id(id)),
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

fn vendor_id(id: &[u8]) -> String {
    let shown = id.get(..VENDOR_ID).unwrap_or(id);
    match std::str::from_utf8(shown) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            text.to_owned()
        }
        _ => shown.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}
