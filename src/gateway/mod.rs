//! The embedded gateway: a sans-IO responder that behaves as the seed's router.
//!
//! It authenticates itself with a certificate and its users with EAP-AnyConnect, hands out an address, a session ID and a
//! token, keeps lost sessions in an inactive database, and takes them back by token without asking AAA.
//!
//! A datagram's way: [`Gateway::handle_datagram`] tells IKE from ESP; `init` answers IKE_SA_INIT and makes a half-open SA,
//! `login` leads it through IKE_AUTH (with `conversation` for EAP and AAA, or `reconnect` for a token), `live` serves it from
//! then on. `resume` takes tickets (RFC 5723), which `ticket` seals and opens. `sessions` holds the databases and the address pools, `show` prints what the router's commands print.

pub mod aaa;
mod admit;
mod behind;
mod child;
mod clear;
mod config;
mod conversation;
mod cookie;
mod event;
mod faults;
mod init;
mod intermediate;
mod limiter;
mod live;
mod login;
mod modecfg;
mod outbox;
mod pool;
mod ppk;
mod reconnect;
mod resume;
mod sessions;
mod show;
mod status;
#[cfg(test)]
mod testing;
mod ticket;
mod timers;
mod untried;

pub use crate::ike::proposal::{EspChoice, Wish};
pub use behind::Behind;
pub use config::{Dpd, Elsewhere, GatewayConfig, User, address_identity};
pub use event::{Counters, DownReason, DropReason, GatewayEvent, GatewayTransmit, Port, Refusal, Weight};
pub use faults::{Faults, TicketFault, TokenFault};

pub use crate::ike::message::GatewayId;

use crate::crypto::{Random, Secret, Signer};
use crate::esp::HEADROOM;
use crate::ike::message::{Exchange, Header, Spi};
use crate::ike::ppk::Ppk;
use crate::time::{Instant, Now};
use aaa::Question;
use cookie::Cookies;
use live::{Connection, Live};
use login::HalfOpen;
use outbox::{Outbox, Path};
use pool::Pool;
use sessions::Sessions;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use ticket::Tickets;
use timers::{Timer, Timers};

/// See the module.
pub struct Gateway {
    config: GatewayConfig,
    random: Box<dyn Random>,
    /// Half-open logins by our SPI, and their SPI by the digest of their IKE_SA_INIT.
    half_open: BTreeMap<Spi, HalfOpen>,
    by_request: BTreeMap<Vec<u8>, Spi>,
    /// Logins that wait for AAA outside, by the number of the question.
    asked: BTreeMap<u64, Spi>,
    /// What it has still to be asked: at most one question for each half-open login.
    questions: VecDeque<Question>,
    next_question: u64,
    live: BTreeMap<Connection, Live>,
    by_ike: BTreeMap<(Spi, Spi), Connection>,
    by_esp: BTreeMap<u32, Connection>,
    by_address: BTreeMap<IpAddr, Connection>,
    last_connection: Connection,
    sessions: Sessions,
    timers: Timers,
    cookies: Cookies,
    tickets: Tickets,
    behind: Behind,
    faults: Faults,
    out: Outbox,
}

impl Gateway {
    /// A gateway without sessions.
    pub fn new(config: GatewayConfig, now: Now, mut random: Box<dyn Random>) -> Self {
        Self {
            half_open: BTreeMap::new(),
            by_request: BTreeMap::new(),
            asked: BTreeMap::new(),
            questions: VecDeque::new(),
            next_question: 1,
            live: BTreeMap::new(),
            by_ike: BTreeMap::new(),
            by_esp: BTreeMap::new(),
            by_address: BTreeMap::new(),
            last_connection: 0,
            sessions: Sessions::new(Pool::v4(config.pool4), config.pool6.map(Pool::v6)),
            timers: Timers::default(),
            cookies: Cookies::new(now.at, &mut *random),
            tickets: Tickets::new(&mut *random),
            behind: Behind::new(config.inside.iter().copied()),
            faults: Faults::default(),
            out: Outbox::default(),
            config,
            random,
        }
    }

    /// Takes a datagram; ESP is opened in place.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, to: Port, datagram: &mut [u8]) {
        if self.faults.silent {
            return self.out.dropped(DropReason::Silent);
        }
        self.expire(now);
        let path = Path { peer: from, port: to };
        match (to, &*datagram) {
            (Port::Ike, _) => self.handle_ike(now, path, datagram),
            // A NAT keepalive (RFC 3948 2.3).
            (Port::Nat, [0xff]) => {}
            (Port::Nat, [0, 0, 0, 0, message @ ..]) => self.handle_ike(now, path, message),
            (Port::Nat, _) => self.handle_esp(now, path, datagram),
        }
    }

    /// Takes a datagram of the NAT port for an owner who is the network behind this gateway: where the inner packet is, if it
    /// is ESP and authenticated, opened in place. Everything else as [`Gateway::handle_datagram`].
    pub fn open_datagram(&mut self, now: Now, from: SocketAddr, datagram: &mut [u8]) -> Option<Range<usize>> {
        if self.faults.silent || datagram.len() < 4 || datagram.starts_with(&[0; 4]) {
            self.handle_datagram(now, from, Port::Nat, datagram);
            return None;
        }
        self.open_esp(now, Path { peer: from, port: Port::Nat }, datagram)
    }

    /// Where an inner packet of `length` octets for this address has to stand in a buffer for [`Gateway::seal_packet`], and how
    /// long the buffer has to be; `None` where no session owns the address.
    pub fn room_for(&self, destination: IpAddr, length: usize) -> Option<(usize, usize)> {
        self.live.get(self.by_address.get(&destination)?)?.children.room_for(length)
    }

    /// Seals the inner packet in `buffer` (see [`Gateway::room_for`]) for the session that owns `destination`: to whom the
    /// datagram at the front of `buffer` goes from the NAT port, and its length. `None`: it is lost.
    pub fn seal_packet(
        &mut self,
        now: Now,
        destination: IpAddr,
        buffer: &mut [u8],
        length: usize,
    ) -> Option<(SocketAddr, usize)> {
        let connection = *self.by_address.get(&destination)?;
        let live = self.live.get_mut(&connection)?;
        if live.path.port != Port::Nat || self.faults.silent {
            return None;
        }
        let sealed = live.children.seal_slice(buffer, length, &mut *self.random).ok()?;
        let peer = live.path.peer;
        self.check_volume(now, connection);
        Some((peer, sealed))
    }

    fn handle_ike(&mut self, now: Now, path: Path, message: &[u8]) {
        let Ok(header) = Header::decode(message) else { return self.out.dropped(DropReason::Malformed) };
        if header.exchange == Exchange::IkeSaInit && !header.response && header.spi_r == [0; 8] {
            self.handle_init(now, path, message);
        } else if header.exchange == Exchange::IkeSessionResume && !header.response && header.spi_r == [0; 8]
        {
            self.handle_resume(now, path, message);
        } else if let Some(&connection) = self.by_ike.get(&(header.spi_i, header.spi_r)) {
            self.handle_live(now, path, connection, message);
        } else if self.half_open.contains_key(&header.spi_r) {
            self.handle_half_open(now, path, header.spi_r, message);
        } else {
            self.out.dropped(DropReason::UnknownSa);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.expire(now);
        for timer in self.timers.due(now.at) {
            match timer {
                Timer::HalfOpen(spi) => self.half_open_timeout(now, spi),
                Timer::Live(connection) => self.live_timeout(now, connection),
            }
        }
    }

    /// Forgets the inactive sessions whose window is over.
    fn expire(&mut self, now: Now) {
        let all = std::mem::take(&mut self.faults.window_over);
        let expired = if all { self.sessions.expire_all() } else { self.sessions.expire(now.at) };
        for id in expired {
            self.out.tell(GatewayEvent::Expired { id });
        }
    }

    /// When something is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let window_over =
            self.faults.window_over.then(|| (Instant::default(), "the window is over by order"));
        let expiry = self.sessions.next_expiry().map(|at| (at, "reconnect timeout"));
        [window_over, self.timers.next(), expiry].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<GatewayTransmit> {
        if self.faults.silent {
            for _ in 0..self.out.discard_transmits() {
                self.out.dropped(DropReason::Silent);
            }
        }
        self.out.next_transmit()
    }

    /// The next event. Routes come first: who has an address is told when there is a way to it.
    pub fn poll_event(&mut self) -> Option<GatewayEvent> {
        let outside = |(address, taken)| match taken {
            true => GatewayEvent::OutsideTaken { address },
            false => GatewayEvent::OutsideFreed { address },
        };
        self.sessions.next_change().map(outside).or_else(|| self.out.next_event())
    }

    /// Sends an inner packet from behind the gateway to the session that owns its destination.
    pub fn send_packet(&mut self, now: Now, inner: &[u8]) {
        let connection = destination(inner).and_then(|address| self.by_address.get(&address).copied());
        let live = connection.and_then(|connection| Some((connection, self.live.get_mut(&connection)?)));
        let Some((connection, live)) = live.filter(|(_, live)| live.path.port == Port::Nat) else {
            return self.out.dropped(DropReason::Downlink);
        };
        // Room for padding and ICV too, so that the frame does not move.
        let mut frame = Vec::with_capacity(HEADROOM + inner.len() + 64);
        frame.resize(HEADROOM, 0);
        frame.extend_from_slice(inner);
        match live.children.seal(&mut frame, &mut *self.random) {
            Ok(range) => {
                frame.truncate(range.end);
                frame.drain(..range.start);
                self.out.send_esp(live.path.peer, frame);
                self.check_volume(now, connection);
            }
            Err(_) => self.out.dropped(DropReason::Downlink),
        }
    }

    /// The faults, to be set.
    pub fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// Another certificate chain (DER, leaf first) and the key of its leaf, from the next IKE_AUTH on.
    pub fn set_certificate(&mut self, chain: Vec<Vec<u8>>, signer: Arc<dyn Signer>) {
        self.config.chain = chain;
        self.config.signer = signer;
    }

    /// Another PPK from now on, or none (RFC 8784). IKE SAs that are up stay.
    pub fn set_ppk(&mut self, ppk: Option<Ppk>) {
        self.config.ppk = ppk;
    }

    /// All SAs are gone without a word. The sessions are kept as inactive, or lost with their addresses; tickets are still taken.
    pub fn restart(&mut self, now: Now, keep_databases: bool) {
        self.expire(now);
        self.out.discard_transmits();
        self.half_open.clear();
        self.asked.clear();
        self.questions.clear();
        self.by_request.clear();
        self.drop_all(now, keep_databases);
        if !keep_databases {
            self.sessions.forget_all();
        }
        self.timers.clear();
        self.cookies = Cookies::new(now.at, &mut *self.random);
    }

    /// `clear crypto session`: every IKE SA is deleted, the clients are told, the sessions wait in the inactive database.
    pub fn clear_sessions(&mut self, now: Now) {
        self.expire(now);
        self.delete_all(now);
    }

    /// `clear crypto sa`: every Child SA is deleted, the clients are told, the IKE SAs stay.
    pub fn clear_children(&mut self, now: Now) {
        self.delete_children(now);
    }

    /// A fault: every Child SA is forgotten, and nobody is told. The IKE SAs stay, so that liveness checks are answered.
    pub fn forget_children(&mut self, now: Now) {
        self.lose_children(now);
    }

    /// A fault: the key of the tickets is another one.
    pub fn forget_tickets(&mut self) {
        self.tickets.forget_key(&mut *self.random);
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        let (active, inactive) = self.sessions.counts();
        Counters { active, inactive, half_open: self.half_open.len(), ..self.out.counters.clone() }
    }

    /// What it holds that could grow.
    pub fn weight(&self) -> Weight {
        Weight {
            live: self.live.len(),
            ike: self.by_ike.len(),
            esp: self.by_esp.len(),
            addresses: self.by_address.len(),
            requests: self.by_request.len(),
            questions: self.questions.len() + self.asked.len(),
            timers: self.timers.len(),
        }
    }

    /// IDs and tokens of the sessions that can come back: for who looks for them where they must not be.
    pub fn tokens(&self) -> Vec<(String, Secret)> {
        self.sessions.credentials().map(|known| (known.id.clone(), known.token.clone())).collect()
    }

    /// `show crypto session detail`, in the seed's form.
    pub fn show_session_detail(&self, now: Now) -> String {
        show::session_detail(&self.views(now))
    }

    /// `show crypto ikev2 session detailed`, in the seed's form.
    pub fn show_ikev2_session_detailed(&self, now: Now) -> String {
        show::ikev2_session_detailed(&self.views(now))
    }

    /// Every session in both databases: user, addresses, and what AAA outside gave with it. The router has no such command.
    pub fn show_aaa(&self) -> String {
        let lines = self.sessions.all().map(|session| {
            let addresses: Vec<String> = session.addresses().iter().map(IpAddr::to_string).collect();
            let class = |class: &Vec<u8>| class.iter().map(|octet| format!("{octet:02x}")).collect();
            let classes: Vec<String> = session.grant.class.iter().map(class).collect();
            let classes = if classes.is_empty() { "none".to_owned() } else { classes.join(", ") };
            let state = if session.is_active() { "active" } else { "inactive" };
            format!("{}: {state}, {}, class {classes}\n", session.user, addresses.join(", "))
        });
        let lines: String = lines.collect();
        if lines.is_empty() { "no session\n".to_owned() } else { lines }
    }

    /// `show crypto ikev2 stats reconnect`, in the seed's form.
    pub fn show_stats_reconnect(&self) -> String {
        show::stats_reconnect(&self.counters())
    }
}

/// The destination of an inner packet.
fn destination(inner: &[u8]) -> Option<IpAddr> {
    match inner.first()? >> 4 {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(inner.get(16..20)?).ok()?)),
        6 => Some(IpAddr::from(<[u8; 16]>::try_from(inner.get(24..40)?).ok()?)),
        _ => None,
    }
}
