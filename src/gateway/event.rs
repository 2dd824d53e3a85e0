//! What the gateway tells its owner: events and counters.

use super::aaa::Doubt;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The local port a datagram came to or leaves from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Port {
    /// UDP 500: IKE without a marker.
    Ike,
    /// UDP 4500: ESP, IKE behind four zero octets, keepalives of one octet FF (RFC 3948).
    Nat,
}

/// A datagram to send, marker included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayTransmit {
    /// The client.
    pub to: SocketAddr,
    /// Our port.
    pub from: Port,
    /// UDP payload.
    pub payload: Vec<u8>,
}

/// Why a request was refused or a login ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No offered suite fits.
    #[error("no proposal chosen")]
    Proposal,
    /// The KE payload is of another group than the one we take.
    #[error("another key exchange group is wanted")]
    Group,
    /// The login is wanted at another gateway.
    #[error("sent to another gateway")]
    Elsewhere,
    /// A COOKIE is wanted first.
    #[error("a cookie is wanted")]
    Cookie,
    /// The login is neither EAP-AnyConnect nor a reconnect by token.
    #[error("unknown identity")]
    Identity,
    /// Wrong token, unknown session, or a session that may not be replaced.
    #[error("the reconnect was refused")]
    Token,
    /// A ticket that we did not make, that is over, was shown before, or whose session was ended; or another one's.
    #[error("the ticket was refused")]
    Ticket,
    /// Wrong password, second factor or group; the form comes again.
    #[error("wrong user, password, second factor or group")]
    Password,
    /// Too many wrong passwords: EAP-Failure.
    #[error("too many wrong answers")]
    TooManyTries,
    /// No certificate, one that nobody vouches for, or a signature that does not hold: an error, and the end.
    #[error("no certificate, or one that is not taken")]
    Certificate,
    /// No token of a scan of the host, or another one: an error, and the end.
    #[error("no host scan, or one that is not taken")]
    HostScan,
    /// AAA outside does not answer: EAP-Failure.
    #[error("AAA does not answer")]
    AaaSilent,
    /// AAA outside has given no answer that counts: EAP-Failure.
    #[error("an answer of AAA does not count: {0}")]
    AaaUnbelieved(Doubt),
    /// The final AUTH of the EAP login does not verify.
    #[error("the final AUTH does not verify")]
    FinalAuth,
    /// The EAP message makes no sense here.
    #[error("malformed or misplaced EAP message")]
    Eap,
    /// The address pool is used up.
    #[error("no address is left")]
    PoolEmpty,
    /// The address that AAA names for this user is another session's: [`GatewayEvent::AddressTaken`] tells which.
    #[error("the address that AAA names is another session's")]
    AddressTaken,
    /// The offered traffic selectors cannot be narrowed to the assigned address.
    #[error("traffic selectors unacceptable")]
    Selectors,
    /// A payload that this message needs is missing or malformed.
    #[error("the message lacks a payload")]
    Syntax,
    /// The login took longer than the gateway waits.
    #[error("the login took too long")]
    Timeout,
    /// A PPK is required, and the client has another one or none (RFC 8784).
    #[error("the client lacks the PPK")]
    Ppk,
    /// The signature could not be made: wrong key in the configuration.
    #[error("the gateway cannot sign with its key")]
    Signing,
}

/// Why a datagram was thrown away; the state is as it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A fault: the gateway is silent.
    Silent,
    /// Not IKE, not ESP, or a lying header.
    Malformed,
    /// No IKE SA has these SPIs.
    UnknownSa,
    /// An IKE message that did not open or is outside the window.
    Unauthenticated,
    /// No Child SA has this SPI.
    UnknownSpi,
    /// ESP that did not open, was replayed, or is outside the selectors.
    Esp,
    /// Too many half-open logins.
    HalfOpenLimit,
    /// A packet from behind that belongs to no session, or cannot be sent.
    Downlink,
}

/// Why an IKE SA went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// The client sent DELETE.
    Deleted,
    /// The client does not believe the gateway's certificate: the session waits for a client that does.
    Disbelieved,
    /// The client answered no more.
    Dead,
    /// A reconnect took over, or a login of the same user with the address that AAA names.
    Replaced,
    /// The gateway was restarted.
    Restart,
}

/// Something happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GatewayEvent {
    /// AAA took a login.
    Login {
        /// Who.
        user: String,
        /// The chosen group, where groups are offered.
        group: Option<String>,
        /// How often AAA has been asked so far, by anybody.
        aaa_requests: u64,
    },
    /// A session came back by token.
    Reconnect {
        /// Session ID.
        id: String,
        /// Who.
        user: String,
        /// From where.
        peer: SocketAddr,
        /// The session was still thought alive (lenient).
        replaced: bool,
    },
    /// An IKE SA was resumed by ticket (RFC 5723).
    Resumed {
        /// Session ID, where reconnect is configured.
        id: Option<String>,
        /// Who.
        user: String,
        /// From where.
        peer: SocketAddr,
        /// The session was still thought alive.
        replaced: bool,
    },
    /// An IKE SA with its Child SA is up.
    SaUp {
        /// Number of the session as `show` prints it; a reconnect gets a new one.
        number: u64,
        /// Session ID, where reconnect is configured.
        id: Option<String>,
        /// Who.
        user: String,
        /// From where.
        peer: SocketAddr,
        /// Inner addresses.
        addresses: Vec<IpAddr>,
        /// Came by token or ticket.
        reconnect: bool,
    },
    /// An IKE SA is gone.
    SaDown {
        /// Number of the session.
        number: u64,
        /// Session ID.
        id: Option<String>,
        /// Why.
        why: DownReason,
        /// The session waits in the inactive database.
        kept: bool,
    },
    /// An inactive session's window is over.
    Expired {
        /// Session ID.
        id: String,
    },
    /// A login has the address that AAA names for its user, which an older session of theirs had: that one is forgotten.
    SessionReplaced {
        /// Its session ID.
        id: Option<String>,
        /// Whose it was.
        user: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// Its number, where its IKE SA was up: that is deleted.
        number: Option<u64>,
        /// Number of the session that takes its place.
        by: u64,
    },
    /// A login, or a ticket, that got no address: the one that AAA names is another session's.
    AddressTaken {
        /// Who.
        user: String,
        /// The address.
        address: IpAddr,
        /// The user who has it.
        owner: String,
    },
    /// An address that is of no pool belongs to a session from now on: what is behind the gateway needs a route to it.
    OutsideTaken {
        /// Named by AAA.
        address: IpAddr,
    },
    /// It belongs to none any more.
    OutsideFreed {
        /// See [`GatewayEvent::OutsideTaken`].
        address: IpAddr,
    },
    /// The client's outer address changed (RFC 7296 2.23, RFC 4555).
    Moved {
        /// Number of the session.
        number: u64,
        /// Where it is now.
        peer: SocketAddr,
    },
    /// Something was refused. At most a few a second and peer are told, all are counted.
    Refused {
        /// To whom.
        peer: SocketAddr,
        /// Why.
        why: Refusal,
    },
    /// An inner packet for something behind the gateway that ping and UDP echo did not answer.
    Inner(Vec<u8>),
}

/// Counters since the gateway was made; a restart keeps them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Total incoming reconnect connection.
    pub reconnects: u64,
    /// Success reconnect connection.
    pub reconnects_ok: u64,
    /// Failed reconnect connection.
    pub reconnects_failed: u64,
    /// Reconnect capable active session count.
    pub active: usize,
    /// Reconnect capable inactive session count.
    pub inactive: usize,
    /// Tickets given.
    pub tickets: u64,
    /// IKE SAs resumed by ticket.
    pub resumed: u64,
    /// How often AAA was asked (every check of a password or second factor).
    pub aaa_requests: u64,
    /// Half-open logins now.
    pub half_open: usize,
    /// IKE_SA_INIT and IKE_SESSION_RESUME requests answered with an IKE SA, repetitions not counted.
    pub inits: u64,
    /// Datagrams thrown away, by reason.
    pub drops: BTreeMap<DropReason, u64>,
    /// Refusals, by reason.
    pub refusals: BTreeMap<Refusal, u64>,
    /// Events not told because nobody took them.
    pub events_lost: u64,
}

/// What a gateway holds that could grow: a test keeps an eye on it. Each is a number of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weight {
    /// Connections with an IKE SA.
    pub live: usize,
    /// IKE SAs, those that a rekey has replaced and that linger included.
    pub ike: usize,
    /// ESP SAs by which packets find their connection.
    pub esp: usize,
    /// Inner addresses by which packets find their connection.
    pub addresses: usize,
    /// IKE_SA_INIT requests whose repetition would be known.
    pub requests: usize,
    /// Questions to AAA.
    pub questions: usize,
    /// Deadlines.
    pub timers: usize,
}
