//! REDIRECT (RFC 5685): a gateway sends a login to another one.
//!
//! Only a login follows: a token belongs to the gateway that issued it (law 5). What a certificate must name does not change.
//! A redirect in the answer to IKE_SA_INIT has proved nothing, so it may cost time and no more: the answer of the gateway
//! itself wins if it comes within 50 ms, and where a redirect leads to nobody who can prove to be the gateway, the login goes
//! back to where it began, once, and follows no other.

use super::{Client, Event};
use crate::ike::initiator::Failure;
use crate::ike::message::GatewayId;
use crate::time::{Instant, Now};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// MAX_REDIRECTS of RFC 5685 7 ..
const MOST: usize = 5;
/// .. in REDIRECT_LOOP_DETECT_PERIOD.
const PERIOD: Duration = Duration::from_secs(300);
/// So long the gateway itself may still answer; also law 2's distance between attempts.
const PATIENCE: Duration = Duration::from_millis(50);
/// A host name must be looked up within this.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The redirects of one `connect`.
#[derive(Default)]
pub(super) struct Redirects {
    /// When each was followed.
    followed: VecDeque<Instant>,
    /// Where the login began.
    first: Option<SocketAddr>,
    /// It went back there: no other is followed.
    back: bool,
    /// What went wrong with the last one.
    trouble: Option<String>,
    waiting: Option<Waiting>,
}

/// A redirect that will be followed.
struct Waiting {
    to: GatewayId,
    from: SocketAddr,
    /// When; for a name: its addresses are not waited for longer.
    at: Instant,
}

impl Redirects {
    pub(super) fn may_follow(&self) -> bool {
        !self.back
    }

    pub(super) fn may_go_back(&self) -> bool {
        self.first.is_some() && !self.back
    }

    pub(super) fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let waiting = self.waiting.as_ref()?;
        let why = match waiting.to {
            GatewayId::Address(_) => "redirect, unless the gateway itself answers",
            GatewayId::Name(_) => "look-up of the gateway that was redirected to",
        };
        Some((waiting.at, why))
    }

    /// The end of a login: where nobody answered, the redirect before says more.
    pub(super) fn explain(&mut self, failure: Failure) -> Failure {
        match (failure, self.trouble.take()) {
            (Failure::NoAnswer { .. }, Some(why)) => Failure::Redirects(why),
            (failure, _) => failure,
        }
    }
}

impl Client {
    /// An answer to IKE_SA_INIT, from anybody, names another gateway.
    pub(super) fn redirected(&mut self, now: Now, to: GatewayId) {
        let Some(from) = self.attempt.as_ref().map(|attempt| attempt.first) else { return };
        // The same answer to a repetition of the request.
        if self.redirects.waiting.is_some() || !self.redirects.may_follow() {
            return;
        }
        if let Err(why) = self.consider(now, from, to) {
            self.go_back(now, why);
        }
    }

    /// A gateway that has proved itself wants the login elsewhere, and the IKE SA is gone: the answers given serve again.
    pub(super) fn wanted_elsewhere(&mut self, now: Now, from: SocketAddr, to: GatewayId) {
        match self.consider(now, from, to) {
            Ok(()) => self.replay = std::mem::take(&mut self.answers),
            Err(why) => self.fail(now, Failure::Redirects(why)),
        }
    }

    /// Plans to follow, unless that happened too often.
    fn consider(&mut self, now: Now, from: SocketAddr, to: GatewayId) -> Result<(), String> {
        let redirects = &mut self.redirects;
        redirects.followed.retain(|at| now.at.since(*at) < PERIOD);
        if redirects.followed.len() >= MOST {
            return Err(format!("{MOST} redirects within {} s, the last to {to}", PERIOD.as_secs()));
        }
        redirects.followed.push_back(now.at);
        redirects.first.get_or_insert(from);
        self.events.push_back(Event::Redirected { to: to.to_string() });
        let wait = match &to {
            GatewayId::Address(_) => PATIENCE,
            GatewayId::Name(name) => {
                self.events.push_back(Event::LookUp(name.clone()));
                LOOK_UP
            }
        };
        redirects.waiting = Some(Waiting { to, from, at: now.at + wait });
        Ok(())
    }

    /// The shell has looked a name up.
    pub(super) fn looked_up(&mut self, now: Now, name: &str, addresses: &[IpAddr]) {
        let Some(waiting) = self.redirects.waiting.as_mut() else { return };
        if !matches!(&waiting.to, GatewayId::Name(wanted) if wanted == name) {
            return;
        }
        let reachable = addresses.iter().find(|ip| self.paths.to(**ip).is_some());
        match reachable.or(addresses.first()) {
            Some(ip) => {
                (waiting.to, waiting.at) = (GatewayId::Address(*ip), now.at + PATIENCE);
            }
            None => self.go_back(now, format!("{name} has no address")),
        }
    }

    pub(super) fn redirect_timeout(&mut self, now: Now) {
        if self.asleep {
            return;
        }
        let Some(waiting) = self.redirects.waiting.take_if(|waiting| waiting.at <= now.at) else { return };
        match waiting.to {
            GatewayId::Address(ip) => self.follow(now, ip, waiting.from),
            GatewayId::Name(name) => self.go_back(now, format!("{name} cannot be looked up")),
        }
    }

    fn follow(&mut self, now: Now, ip: IpAddr, from: SocketAddr) {
        if self.paths.any() && self.paths.to(ip).is_none() {
            return self.go_back(now, format!("{ip} is of a family that this network does not carry"));
        }
        let first = SocketAddr::new(ip, self.settings.port);
        match self.attempt.as_mut() {
            None => self.begin_login(now, first, Some(from.ip())),
            Some(attempt) => {
                if attempt.go_to(now.at, first, self.settings.nat_port, &mut *self.random) {
                    self.pump_attempt(now);
                }
            }
        }
    }

    /// The redirect leads nowhere: the login begins anew where it began, and says no more that it follows.
    pub(super) fn go_back(&mut self, now: Now, why: String) {
        let redirects = &mut self.redirects;
        redirects.waiting = None;
        redirects.trouble = Some(why);
        redirects.back = true;
        let Some(first) = redirects.first else { return };
        self.attempt = None;
        self.replay.append(&mut self.answers);
        self.begin_login(now, first, None);
    }
}
