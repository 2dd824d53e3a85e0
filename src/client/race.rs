//! Happy eyeballs (RFC 8305): IKE_SA_INIT goes to one address of the gateway after the other until one answers.
//!
//! All get the same octets, so that the gateway has one half-open IKE SA with us whatever number of its addresses they reach
//! (law 3); whoever answers first has the rest of the attempt.

use super::attempt::Attempt;
use super::{AuthKind, Client, Paths, cause_of, nat64};
use crate::profile::IpProtocolSupport;
use crate::reconnect::Cause;
use crate::time::{Instant, Now};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// From one address to the next (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(300);

/// The addresses of an attempt beside the first one.
#[derive(Debug, Default)]
pub(super) struct Race {
    asked: Vec<IpAddr>,
    waiting: VecDeque<IpAddr>,
    next: Option<Instant>,
}

impl Race {
    /// `others` in the order to prefer them; `first` is asked now.
    pub(super) fn new(now: Instant, first: IpAddr, others: &[SocketAddr]) -> Self {
        let others = others.iter().map(SocketAddr::ip).filter(|ip| *ip != first);
        let (mut same, mut other): (VecDeque<_>, VecDeque<_>) =
            others.partition(|ip| ip.is_ipv4() == first.is_ipv4());
        let mut waiting = VecDeque::new();
        while let Some(ip) = other.pop_front().or_else(|| same.pop_front()) {
            waiting.push_back(ip);
            waiting.extend(same.pop_front());
        }
        Self { asked: Vec::new(), waiting, next: Some(now + STAGGER) }
    }

    /// The addresses that were asked beside the first one.
    pub(super) fn asked(&self) -> &[IpAddr] {
        &self.asked
    }

    /// When the next address is asked; one that no path leads to waits for that.
    pub(super) fn poll_timeout(&self, paths: Paths) -> Option<Instant> {
        self.next.filter(|_| self.waiting.iter().any(|ip| paths.to(*ip).is_some()))
    }

    /// The next address, where its time has come.
    fn take(&mut self, now: Instant, paths: Paths) -> Option<IpAddr> {
        self.poll_timeout(paths).filter(|at| *at <= now)?;
        let at = self.waiting.iter().position(|ip| paths.to(*ip).is_some())?;
        let ip = self.waiting.remove(at)?;
        self.asked.push(ip);
        self.next = Some(now + STAGGER);
        Some(ip)
    }
}

impl Attempt {
    /// Somebody answered IKE_SA_INIT: the rest of the attempt is his.
    fn answered_by(&mut self, from: SocketAddr, nat_port: u16) {
        let race = std::mem::take(&mut self.race);
        if race.asked.contains(&from.ip()) {
            self.retarget(from, nat_port);
            self.initiator.answered_by(self.first);
        }
    }
}

impl Client {
    /// A datagram for the attempt.
    pub(super) fn attempt_datagram(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        let Some(attempt) = self.attempt.as_mut() else { return };
        let request = attempt.initiator.init_request().map(<[u8]>::to_vec);
        if let Err(dropped) = attempt.initiator.handle_datagram(now, datagram, &mut *self.random) {
            self.count_drop(now.at, &dropped.to_string());
        } else if request.is_some()
            && (attempt.initiator.init_request() != request.as_deref() || attempt.initiator.is_redirected())
        {
            // Keys, a cookie, another group, a redirect. An error that proves nothing is no answer.
            attempt.answered_by(from, self.settings.nat_port);
        }
        self.pump_attempt(now);
    }

    /// The next address of the gateway is asked, too.
    pub(super) fn race_timeout(&mut self, now: Now) {
        let paths = self.paths;
        let Some(attempt) = self.attempt.as_mut().filter(|_| !self.asleep) else { return };
        let Some(request) = attempt.initiator.init_request().map(<[u8]>::to_vec) else { return };
        let Some(ip) = attempt.race.take(now.at, paths) else { return };
        let (to, marker) = (SocketAddr::new(ip, attempt.first.port()), attempt.marker);
        self.send_ike(now.at, to, marker, &request);
    }

    /// Whom a login may ask, in the order of the profile's wish; of one family whoever answered last comes first.
    pub(super) fn login_candidates(&self) -> Vec<SocketAddr> {
        let families = self.settings.families;
        let mut known: Vec<IpAddr> = self.settings.addresses.clone();
        known.retain(|ip| families.allows(*ip));
        known.sort_by_key(|ip| (families.rank(*ip), Some(*ip) != self.answered_last));
        known.into_iter().map(|ip| SocketAddr::new(ip, self.settings.port)).collect()
    }

    /// First the address and port that answered last, then that name's other addresses of either family (law 5).
    pub(super) fn token_candidates(&self) -> Vec<SocketAddr> {
        let Some(session) = &self.session else { return Vec::new() };
        let others = self.settings.addresses.iter().filter(|ip| **ip != session.peer.ip());
        let others: Vec<_> = others.map(|ip| SocketAddr::new(*ip, self.settings.nat_port)).collect();
        // Another network's NAT64 leads nowhere; the same one's is among the others.
        let foreign = others.iter().any(|other| match (session.peer.ip(), other.ip()) {
            (IpAddr::V6(peer), IpAddr::V4(other)) => nat64::is_mapped(peer, other),
            _ => false,
        });
        let families = self.settings.families;
        let known = self.settings.addresses.contains(&session.peer.ip());
        let last = Some(session.peer).filter(|peer| (known || !foreign) && families.allows(peer.ip()));
        last.into_iter().chain(in_order(families, others)).collect()
    }

    /// Addresses of this family are tried first from here on, by the attempt under way too.
    pub(super) fn prefer_family(&mut self, ipv4: bool) {
        let token = self.attempt.as_ref().map_or(self.session.is_some(), |a| !a.auth.is_login());
        let mut candidates = if token { self.token_candidates() } else { self.login_candidates() };
        candidates.retain(|to| self.paths.to(to.ip()).is_some());
        let Some(at) = candidates.iter().position(|to| to.is_ipv4() == ipv4) else { return };
        let (to, nat_port) = (candidates[at], self.settings.nat_port);
        match self.attempt.as_mut() {
            Some(attempt) if !attempt.initiator.is_in_init() && attempt.remote().is_ipv4() != ipv4 => {
                self.address = at.wrapping_sub(1); // where its failure goes on from
            }
            attempt => {
                self.address = at;
                if let Some(attempt) = attempt.filter(|attempt| attempt.initiator.is_in_init()) {
                    attempt.retarget(to, nat_port);
                }
            }
        }
    }

    /// The one whose turn it is, of those that can be reached; without any network of all: the attempt waits for it.
    pub(super) fn candidate(&self, mut candidates: Vec<SocketAddr>) -> Option<SocketAddr> {
        candidates.retain(|to| !self.paths.any() || self.paths.to(to.ip()).is_some());
        candidates.get(self.address % candidates.len().max(1)).copied()
    }

    /// The attempt begins to ask, here or from another place: the gateway's other addresses are asked in their turn.
    pub(super) fn begin_race(&mut self, now: Now) {
        let Some((auth, first)) = self.attempt.as_ref().filter(|a| !a.led).map(|a| (a.auth, a.first)) else {
            return;
        };
        let rivals = self.rivals(auth, first);
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.initiator.is_in_init()) {
            attempt.race = Race::new(now.at, first.ip(), &rivals);
        }
    }

    /// Whom the attempt may ask beside the address that it begins with: nobody, where that is proved on the present path, or
    /// where others have refused what only the first one has issued.
    pub(super) fn rivals(&self, auth: AuthKind, first: SocketAddr) -> Vec<SocketAddr> {
        let silent = cause_of(self.policy.state()) == Some(Cause::Outage);
        let proved = self.answered_last == Some(first.ip())
            && self.proved_path.is_some()
            && self.proved_path == self.paths.to(first.ip());
        match auth {
            AuthKind::AnyConnect | AuthKind::Eap(_) | AuthKind::Certificate => self.login_candidates(),
            AuthKind::Token if self.strangers || (proved && !silent) => Vec::new(),
            AuthKind::Token => self.token_candidates(),
            // A ticket is shown to one after the other.
            AuthKind::Ticket => Vec::new(),
        }
    }
}

/// Sorts what is of a wanted family before the rest, and leaves what is of none.
fn in_order(families: IpProtocolSupport, mut candidates: Vec<SocketAddr>) -> Vec<SocketAddr> {
    candidates.retain(|to| families.allows(to.ip()));
    candidates.sort_by_key(|to| families.rank(to.ip()));
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::PathId;

    #[test]
    fn the_other_family_comes_next_and_then_in_turns() {
        let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 500);
        let others: Vec<_> = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"]
            .iter()
            .map(address)
            .collect();
        let now = Instant::from_boot(Duration::from_secs(1));
        let both = Paths { ipv4: Some(PathId(1)), ipv6: Some(PathId(2)) };
        for (paths, wanted) in [
            (both, &["2001:db8::1", "192.0.2.2", "2001:db8::2", "192.0.2.3"][..]),
            (Paths { ipv6: None, ..both }, &["192.0.2.2", "192.0.2.3"]),
        ] {
            let mut race = Race::new(now, others[0].ip(), &others);
            assert_eq!(race.take(now, paths), None, "the first has its time");
            let (mut at, mut order) = (now, Vec::new());
            while let Some(next) = race.poll_timeout(paths) {
                assert_eq!(next.since(at), STAGGER);
                at = next;
                order.extend(race.take(at, paths).map(|ip| ip.to_string()));
            }
            assert_eq!(order, wanted);
            assert_eq!(race.asked().len(), wanted.len());
        }
    }
}
