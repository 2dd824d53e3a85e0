//! What the client tells the shell, and the picture of its state.

use super::PathId;
use crate::esp::{SaParams, SaStats};
use crate::ike::eap::{EapMethod, Form, HostScan, Notice};
use crate::ike::initiator::{Failure, ToSign};
use crate::ike::keys::SaKeys;
use crate::ike::proposal::{EspSuite, IkeSuite};
use crate::ike::sa::IkeSa;
use crate::plan::{Plan, PlanNote};
use crate::reconnect::{Cause, State, Why};
use crate::session::Session;
use crate::time::{Instant, UnixTime};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A datagram to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Through which socket.
    pub path: PathId,
    /// To whom.
    pub to: SocketAddr,
    /// UDP payload, marker included.
    pub payload: Vec<u8>,
}

/// How the serving SA was authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthKind {
    /// EAP-AnyConnect.
    AnyConnect,
    /// A method of the standards.
    Eap(EapMethod),
    /// The user's certificate.
    Certificate,
    /// The session token as PSK.
    Token,
    /// A ticket of the IKE SA before (RFC 5723).
    Ticket,
}

impl AuthKind {
    /// True where a person has logged in.
    pub fn is_login(self) -> bool {
        !matches!(self, Self::Token | Self::Ticket)
    }
}

/// How the tunnel came back, with its times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reconnected {
    /// When it was back.
    pub at: UnixTime,
    /// Why it was gone.
    pub cause: Cause,
    /// From the first sign of trouble to the new SA.
    pub outage: Duration,
    /// From the first sign of trouble to the decision.
    pub detect: Duration,
    /// From the first octet of the successful attempt to the new SA; zero where the old one went on.
    pub handshake: Duration,
    /// Round trips of the handshake; zero where the old SA went on.
    pub round_trips: u32,
    /// The old SA went on serving (law 3).
    pub old_sa: bool,
}

/// What happened, in order. `StoreSession` comes before the `Connected` that depends on it: write it first.
#[derive(Clone, Debug)]
pub enum Event {
    /// The policy moved.
    State(State),
    /// A trigger was taken: the reason in the log.
    Trouble(Cause),
    /// A question to the user; answer with `Order::Answer`.
    Ask(Form),
    /// The gateway of a login wants this machine scanned: answer with [`super::Signal::Scanned`] and this number.
    Scan {
        /// Of this scan.
        id: u64,
        /// What the gateway says of it.
        scan: HostScan,
    },
    /// The token with the key of the user's certificate has to sign: answer with [`super::Signal::Signed`] and this number.
    Sign {
        /// Of this question.
        id: u64,
        /// What to sign.
        to_sign: ToSign,
    },
    /// Something to tell the user.
    Notice(Notice),
    /// Keep this session.
    StoreSession(Box<Session>),
    /// Forget the session.
    EraseSession,
    /// The gateway gave neither a usable token nor a ticket: no reconnect without the user.
    NoToken,
    /// A reconnect begins with this IKE ID.
    UsingIkeId(String),
    /// A reconnect begins with a ticket (RFC 5723).
    UsingTicket,
    /// The gateway proved itself: subject of its certificate.
    GatewayVerified(String),
    /// A new IKE SA serves.
    Established {
        /// How it was authenticated.
        auth: AuthKind,
        /// Round trips of the handshake.
        round_trips: u32,
    },
    /// The tunnel is back.
    Reconnected(Reconnected),
    /// What the gateway assigned, and what of it differs from before (empty at the first time, or where nothing changed).
    Plan {
        /// The plan.
        plan: Box<Plan>,
        /// Names of what changed.
        changed: Vec<&'static str>,
        /// What was left out of it.
        notes: Vec<PlanNote>,
    },
    /// An attempt failed. In a reconnect the next one is planned already.
    Failed(Failure),
    /// A login has ended, and none of the gateway's addresses has answered a word; [`Event::Failed`] follows.
    Unanswered,
    /// An attempt was repeated without any answer, as behind a captive portal. Once for each attempt.
    Silent,
    /// The gateway deleted the IKE SA.
    DeletedByGateway,
    /// The gateway of a login sends us to another one, in its words (RFC 5685).
    Redirected {
        /// Host name or address.
        to: String,
    },
    /// The addresses of this host name are wanted: answer with [`super::Signal::LookedUp`] within 5 s.
    LookUp(String),
    /// The gateway wants this client at another one, which needs a new login; the SA stays until the gateway ends it.
    WantedElsewhere {
        /// Host name or address.
        to: String,
    },
    /// The gateway sends everything to our new address, on the same SAs (MOBIKE).
    Moved,
    /// The gateway did not take our new address (MOBIKE): why, in words.
    NotMoved {
        /// Its answer.
        why: String,
    },
    /// The IKE SA was rekeyed.
    IkeRekeyed,
    /// The Child SA was rekeyed.
    ChildRekeyed,
    /// The gateway answers, but nothing comes back through the Child SA: it is rekeyed, to see whether the gateway still has it.
    ChildDoubted,
    /// The gateway ends the connection after this time unless the person logs in again, and there is no token to do it with
    /// (RFC 4478).
    LoginWanted {
        /// From now on.
        within: Duration,
    },
    /// There is no connection and none will come by itself.
    Ended(Why),
    /// Where [`super::Settings::key_log`] is set: keys of an IKE SA, before the first message that they protect is sent.
    IkeKeys(Box<IkeKeys>),
    /// Where [`super::Settings::key_log`] is set: keys of a pair of ESP SAs.
    EspKeys(Box<SaParams>),
    /// Datagrams were thrown away: how many since the last such event, and the latest reason.
    Dropped {
        /// How many.
        count: u64,
        /// Why the latest one was.
        reason: String,
    },
}

/// An IKE SA and its keys. `Debug` shows tags only.
#[derive(Clone, Debug)]
pub struct IkeKeys {
    /// Initiator's and responder's SPI.
    pub spis: ([u8; 8], [u8; 8]),
    /// Algorithms.
    pub suite: IkeSuite,
    /// Keys.
    pub keys: SaKeys,
}

impl IkeKeys {
    pub(super) fn of(sa: &IkeSa) -> Box<Self> {
        Box::new(Self { spis: sa.spis(), suite: *sa.suite(), keys: sa.keys().clone() })
    }
}

/// What will happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next {
    /// What is waited for.
    pub what: &'static str,
    /// Until when at the latest.
    pub at: Instant,
}

/// A picture of the connection.
#[derive(Clone, Debug)]
pub struct Status {
    /// State.
    pub state: State,
    /// False where "connected" is not proved at present (law 7).
    pub confirmed: bool,
    /// The gateway's address.
    pub gateway: Option<SocketAddr>,
    /// How the serving SA was authenticated.
    pub auth: Option<AuthKind>,
    /// Since when the session exists.
    pub since: Option<Instant>,
    /// Session ID as text.
    pub session_id: Option<String>,
    /// Until when the token is worth trying.
    pub token_until: Option<Instant>,
    /// The user who logged in.
    pub user: Option<String>,
    /// Successful reconnects.
    pub reconnects: u32,
    /// The last one.
    pub last_reconnect: Option<Reconnected>,
    /// IKE SA: SPIs, algorithms, age.
    pub ike: Option<IkeStatus>,
    /// Child SA.
    pub child: Option<ChildStatus>,
    /// The gateway's assignments.
    pub plan: Option<Plan>,
    /// What is waited for.
    pub next: Option<Next>,
    /// The last failure, until a success.
    pub error: Option<Failure>,
    /// Datagrams and packets thrown away.
    pub drops: u64,
    /// Assigned addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a connection holds that could grow: a test keeps an eye on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weight {
    /// Pairs of ESP SAs, retiring ones included.
    pub esp_sas: usize,
    /// Answers of the person that are kept until the login is over.
    pub answers: usize,
    /// Datagrams and events that the shell has not taken yet.
    pub waiting: usize,
    /// ESP SAs that nothing has come through yet.
    pub unproved: usize,
    /// IKE messages that wait: for the window, for an answer, to be repeated.
    pub requests: usize,
}

/// The serving IKE SA.
#[derive(Clone, Copy, Debug)]
pub struct IkeStatus {
    /// SPIs.
    pub spis: ([u8; 8], [u8; 8]),
    /// Algorithms.
    pub suite: IkeSuite,
    /// Since when.
    pub since: Instant,
    /// Large messages are cut (RFC 7383, or the way of before).
    pub fragments: bool,
    /// RFC 4555 is in use.
    pub mobike: bool,
    /// A PPK is in its keys (RFC 8784).
    pub ppk: bool,
}

/// The serving Child SA.
#[derive(Clone, Copy, Debug)]
pub struct ChildStatus {
    /// Our inbound SPI.
    pub spi_in: u32,
    /// Our outbound SPI.
    pub spi_out: u32,
    /// Algorithms of the first Child SA of this IKE SA.
    pub suite: EspSuite,
    /// Sums over all pairs of this connection.
    pub stats: SaStats,
}
