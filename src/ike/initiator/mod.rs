//! The initiator: IKE_SA_INIT, then IKE_AUTH with EAP, a certificate or a session token (PROTOCOL section 1); or
//! IKE_SESSION_RESUME and IKE_AUTH with a ticket (RFC 5723).
//!
//! One value is one attempt. It ends with `Established` or `Failed`; the owner moves its datagrams and decides when to
//! drop it.

mod asked;
mod auth;
mod failure;
mod heard;
mod init;
mod intermediate;
mod outcome;
mod ppk;
mod proof;
mod resume;
mod sign;

pub use failure::Failure;
pub use heard::Heard;
pub use init::nat_detection_hash;
pub use resume::Resumable;
pub use sign::ToSign;

use super::cert::{OwnCertificate, Trust, Verified};
use super::dialect::Dialect;
use super::eap::{self, Answers, EapMethod, Form, HostScan, LoginParams, Notice, TlsLogin};
use super::message::{GatewayId, Identity, Spi};
use super::ppk::Ppk;
use super::proposal::{Algorithms, EspSuite};
use super::sa::{Dropped, IkeSa, Retransmission};
use crate::crypto::{Group, Random, Secret};
use crate::esp::SaParams;
use crate::plan::{Plan, PlanNote};
use crate::session::Ticket;
use crate::time::{Instant, Now};
use auth::Auth;
use init::Init;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How the initiator proves who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A login with EAP-AnyConnect.
    AnyConnect {
        /// IDi value: the profile's IKEIdentity, else [`super::dialect::ANYCONNECT_ID`].
        identity: String,
        /// What the login says about this machine.
        params: LoginParams,
    },
    /// A login with a method of the standards.
    Eap {
        /// IDi: whoever logs in is asked for inside, once the gateway is proved.
        identity: Identity,
        /// The only method that is done.
        method: EapMethod,
    },
    /// A login with EAP-TLS.
    EapTls {
        /// IDi.
        identity: Identity,
        /// The certificate, and whom it is shown to.
        login: Box<TlsLogin>,
    },
    /// A login with the user's certificate.
    Certificate {
        /// IDi: what the certificate says.
        identity: Identity,
        /// The certificate and its key.
        own: Arc<OwnCertificate>,
    },
    /// A reconnect: the session ID as IKE ID, the token as PSK.
    Token {
        /// IDi data.
        id: Vec<u8>,
        /// The PSK.
        token: Secret,
    },
    /// A reconnect: the IKE SA of the ticket is resumed (RFC 5723). Each side proves by the new keys that it knows the old ones.
    Ticket(Box<Ticket>),
}

impl Credentials {
    /// True unless it is a session that comes back.
    pub fn is_login(&self) -> bool {
        !matches!(self, Self::Token { .. } | Self::Ticket(_))
    }
}

/// Everything one attempt needs to know.
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// IKE algorithms, best first.
    pub ike: Algorithms,
    /// ESP algorithms, best first.
    pub esp: Algorithms,
    /// The group that this gateway took last: offered first, or two round trips become three.
    pub first_group: Option<Group>,
    /// Whom to believe.
    pub trust: Trust,
    /// The profile's HostAddress: the certificate must name it.
    pub host: String,
    /// The root that verified last (named in CERTREQ).
    pub last_root: Option<[u8; 20]>,
    /// What is assumed about the gateway.
    pub dialect: Dialect,
    /// Who we are.
    pub credentials: Credentials,
    /// Mixed into the keys where the gateway has it (RFC 8784), whatever the credentials.
    pub ppk: Option<Ppk>,
    /// Addresses to ask for again (reconnect), else empty.
    pub addresses: Vec<IpAddr>,
    /// Ask for an IPv4 address.
    pub ipv4: bool,
    /// Ask for an IPv6 address.
    pub ipv6: bool,
    /// Offer MOBIKE (RFC 4555).
    pub mobike: bool,
    /// Ask for a ticket to resume this IKE SA with (RFC 5723).
    pub ticket: bool,
    /// A redirect is followed (RFC 5685): a login; a token belongs to the gateway that issued it (law 5).
    pub redirect: bool,
    /// The gateway that sent us to this one.
    pub redirected_from: Option<IpAddr>,
    /// The attempt ends once the gateway has proved itself: nothing about the user is sent (the profile's
    /// IKEIdentity and the hashes of the trusted roots come before that proof).
    /// [`InitiatorEvent::GatewayVerified`] is the last event then, and what is still to be sent tells the gateway.
    pub proof_only: bool,
    /// Ask for every private attribute, and tell what each protected answer holds ([`InitiatorEvent::Heard`]).
    pub learn: bool,
    /// Largest IKE message where the gateway knows RFC 7383, octets.
    pub fragment: usize,
    /// How requests are repeated.
    pub retransmission: Retransmission,
    /// AuthenticationTimeout: the longest that one exchange may take; a person's typing does not count.
    pub exchange_timeout: Duration,
    /// The longest that IKE_SA_INIT may take, where that is less.
    pub init_timeout: Option<Duration>,
}

/// What an attempt leaves behind when it worked.
#[derive(Debug)]
pub struct Outcome {
    /// The Child SA.
    pub child: SaParams,
    /// Its algorithms.
    pub esp: EspSuite,
    /// What the gateway assigned.
    pub plan: Plan,
    /// What of the CFG_REPLY was left out.
    pub plan_notes: Vec<PlanNote>,
    /// Session ID, where the gateway gave one.
    pub session_id: Option<Vec<u8>>,
    /// Session token, where the gateway gave one that is long enough.
    pub session_token: Option<Secret>,
    /// What it takes to resume this IKE SA, where a ticket was asked for and given, or promised (RFC 5723).
    pub resumable: Option<Resumable>,
    /// The gateway's reconnect window, where the dialect knows its attribute.
    pub window: Option<Duration>,
    /// The gateway's DPD interval, where the dialect knows its attribute.
    pub dpd_interval: Option<Duration>,
    /// The PPK is in the keys (RFC 8784).
    pub ppk: bool,
    /// Further addresses of the gateway, where both sides announced MOBIKE (RFC 4555).
    pub mobike: Option<Vec<IpAddr>>,
    /// The gateway ends the IKE SA after this time unless we authenticate anew (RFC 4478).
    pub auth_lifetime: Option<Duration>,
    /// The gateway's certificate; `None` in a resumed IKE SA, which takes none.
    pub gateway: Option<Verified>,
    /// IDr as people read it.
    pub gateway_id: String,
    /// Exchanges that got an answer: what the attempt took in round trips.
    pub round_trips: u32,
    /// The last round trip, where it is known.
    pub round_trip: Option<Duration>,
}

/// What the owner must know.
#[derive(Debug)]
pub enum InitiatorEvent {
    /// A valid IKE_SA_INIT answer arrived; IKE_AUTH is on its way, or IKE_INTERMEDIATE before it.
    InitAnswered,
    /// The keys of the IKE SA are those that IKE_AUTH is encrypted with.
    Keyed,
    /// An answer to IKE_SA_INIT wants us at another gateway. It has proved nothing: call [`Initiator::go_to`], or not. The
    /// attempt goes on meanwhile.
    Redirected(GatewayId),
    /// What a protected answer holds, before it is acted on; only where [`InitiatorConfig::learn`] is set.
    Heard(Box<Heard>),
    /// Certificate and signature of the gateway verified.
    GatewayVerified(Box<Verified>),
    /// Ask the user, then call `answer`.
    Ask(Form),
    /// The gateway wants this machine scanned: look it over, then call [`Initiator::scanned`].
    Scan(HostScan),
    /// The key of the user's certificate is not in memory: have this signed, then call [`Initiator::signed`]. No clock runs
    /// meanwhile; the owner has a limit of its own.
    Sign(ToSign),
    /// Tell the user.
    Notice(Notice),
    /// Done: take the SA with [`Initiator::finish`].
    Established(Box<Outcome>),
    /// Over.
    Failed(Failure),
}

/// Which port a datagram belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leg {
    /// IKE_SA_INIT: to the port of first contact.
    Init,
    /// Everything after: to the NAT port.
    Auth,
}

enum Stage {
    Init(Box<Init>),
    Auth(Box<Auth>),
    Over,
}

/// One attempt.
pub struct Initiator {
    config: InitiatorConfig,
    spi_i: Spi,
    stage: Stage,
    started: Instant,
    round_trips: u32,
    events: VecDeque<InitiatorEvent>,
}

impl Initiator {
    /// Begins: the IKE_SA_INIT request is ready to be sent to `remote`.
    pub fn new(now: Now, config: InitiatorConfig, remote: SocketAddr, random: &mut dyn Random) -> Self {
        let spi_i = super::established::ike_spi(random);
        let init = Init::new(now.at, &config, spi_i, remote, random);
        Self {
            config,
            spi_i,
            stage: Stage::Init(Box::new(init)),
            started: now.at,
            round_trips: 0,
            events: VecDeque::new(),
        }
    }

    /// Our SPI: what datagrams of this attempt carry.
    pub fn spi_i(&self) -> &Spi {
        &self.spi_i
    }

    /// See [`InitiatorConfig::proof_only`].
    pub fn is_proof_only(&self) -> bool {
        self.config.proof_only
    }

    /// When it began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// True until a valid IKE_SA_INIT answer came.
    pub fn is_in_init(&self) -> bool {
        matches!(self.stage, Stage::Init(_))
    }

    /// What is sent until IKE_SA_INIT is answered; `None` afterwards. Other octets than before: somebody has answered with a
    /// cookie or another group.
    pub fn init_request(&self) -> Option<&[u8]> {
        match &self.stage {
            Stage::Init(init) => Some(init.request()),
            Stage::Auth(_) | Stage::Over => None,
        }
    }

    /// True where [`InitiatorEvent::Redirected`] waits to be taken.
    pub fn is_redirected(&self) -> bool {
        self.events.iter().any(|event| matches!(event, InitiatorEvent::Redirected(_)))
    }

    /// The octets went to several addresses, and this one has answered. Nothing once IKE_SA_INIT is over.
    pub fn answered_by(&mut self, remote: SocketAddr) {
        if let Stage::Init(init) = &mut self.stage {
            init.answered_by(remote);
        }
    }

    /// True while a person is asked: no clock runs.
    pub fn is_asking(&self) -> bool {
        matches!(&self.stage, Stage::Auth(auth) if auth.is_asking())
    }

    /// The IKE SA under way, once there are keys: from `InitAnswered` on.
    pub fn sa(&self) -> Option<&IkeSa> {
        match &self.stage {
            Stage::Auth(auth) => auth.sa.as_ref(),
            Stage::Init(_) | Stage::Over => None,
        }
    }

    /// Takes a datagram (no marker) whose initiator SPI is ours.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        datagram: &[u8],
        random: &mut dyn Random,
    ) -> Result<(), Dropped> {
        match &mut self.stage {
            Stage::Init(init) => {
                let answer = init.handle_datagram(now.at, &self.config, datagram, random)?;
                if let Some(keyed) = answer {
                    self.round_trips = keyed.round_trips;
                    self.events.push_back(InitiatorEvent::InitAnswered);
                    match Auth::new(now, &self.config, *keyed, &mut self.events, random) {
                        Ok(auth) => {
                            if auth.is_keyed() {
                                self.events.push_back(InitiatorEvent::Keyed);
                            }
                            self.stage = Stage::Auth(Box::new(auth));
                        }
                        Err(failure) => {
                            self.stage = Stage::Over;
                            self.events.push_back(InitiatorEvent::Failed(failure));
                        }
                    }
                } else if init.ticket_refused {
                    self.stage = Stage::Over;
                    self.events.push_back(InitiatorEvent::Failed(Failure::Ticket));
                } else if let Some(to) = init.redirect.take() {
                    self.events.push_back(InitiatorEvent::Redirected(to));
                }
                Ok(())
            }
            Stage::Auth(auth) => {
                let result = auth.handle_datagram(now, &self.config, datagram, &mut self.events, random);
                match result {
                    Ok(()) => Ok(()),
                    Err(auth::Stop::Dropped(dropped)) => Err(dropped),
                    Err(auth::Stop::Failed(failure)) => {
                        self.events.push_back(InitiatorEvent::Failed(failure));
                        Ok(())
                    }
                }
            }
            Stage::Over => Ok(()),
        }
    }

    /// The user's answers to the last form.
    ///
    /// # Errors
    /// Where the answers cannot be sent as they are ([`eap::EapError::is_about_answers`]): the form stays open, ask again.
    /// Every other error ends the attempt and comes as an event.
    pub fn answer(
        &mut self,
        now: Now,
        answers: &Answers,
        random: &mut dyn Random,
    ) -> Result<(), eap::EapError> {
        if let Stage::Auth(auth) = &mut self.stage
            && let Err(error) = auth.answer(now.at, answers, random)
        {
            if error.is_about_answers() {
                return Err(error);
            }
            self.events.push_back(InitiatorEvent::Failed(error.into()));
        }
        Ok(())
    }

    /// What came of [`InitiatorEvent::Scan`]: the token, or why there is none. Nothing where no scan is due.
    pub fn scanned(&mut self, now: Now, token: Result<String, String>, random: &mut dyn Random) {
        if let Stage::Auth(auth) = &mut self.stage
            && let Err(auth::Stop::Failed(failure)) = auth.scanned(now.at, token, &mut self.events, random)
        {
            self.events.push_back(InitiatorEvent::Failed(failure));
        }
    }

    /// What came of [`InitiatorEvent::Sign`]: the signature, or why there is none. Nothing where none is due.
    pub fn signed(&mut self, now: Now, made: Result<Vec<u8>, String>, random: &mut dyn Random) {
        if let Stage::Auth(auth) = &mut self.stage
            && let Err(auth::Stop::Failed(failure)) =
                auth.signed(now.at, &self.config, made, &mut self.events, random)
        {
            self.events.push_back(InitiatorEvent::Failed(failure));
        }
    }

    /// Repeats what is unanswered at once, the same octets: after a change of path.
    pub fn repeat(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Init(init) => init.repeat(now),
            Stage::Auth(auth) => {
                if let Some(sa) = auth.sa.as_mut() {
                    sa.repeat(now);
                }
            }
            Stage::Over => {}
        }
    }

    /// Begins anew at `remote`, where [`InitiatorEvent::Redirected`] led to. Nothing once IKE_SA_INIT is answered.
    pub fn go_to(&mut self, now: Instant, remote: SocketAddr, random: &mut dyn Random) {
        if let Stage::Init(init) = &mut self.stage {
            self.spi_i = super::established::ike_spi(random);
            init.go_to(now, &self.config, (self.spi_i, remote), random);
        }
    }

    /// Retransmissions and the end of patience.
    pub fn handle_timeout(&mut self, now: Instant) {
        let failed = match &mut self.stage {
            Stage::Init(init) => init.handle_timeout(now),
            Stage::Auth(auth) => auth.handle_timeout(now),
            Stage::Over => None,
        };
        if let Some(failure) = failed {
            self.stage = Stage::Over;
            self.events.push_back(InitiatorEvent::Failed(failure));
        }
    }

    /// When and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match &self.stage {
            Stage::Init(init) => Some((init.due(), "IKE_SA_INIT retransmission")),
            Stage::Auth(auth) => auth.due().map(|at| (at, "IKE_AUTH retransmission")),
            Stage::Over => None,
        }
    }

    /// The next datagram (no marker) and where it belongs.
    pub fn poll_datagram(&mut self) -> Option<(Leg, Vec<u8>)> {
        match &mut self.stage {
            Stage::Init(init) => init.poll_datagram().map(|d| (Leg::Init, d)),
            Stage::Auth(auth) => auth.sa.as_mut().and_then(IkeSa::poll_datagram).map(|d| (Leg::Auth, d)),
            Stage::Over => None,
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<InitiatorEvent> {
        self.events.pop_front()
    }

    /// The IKE SA, after `Established`.
    pub fn finish(mut self) -> Option<IkeSa> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Auth(mut auth) => auth.sa.take(),
            _ => None,
        }
    }
}
