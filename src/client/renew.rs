//! The gateway ends the IKE SA unless we authenticate anew (AUTH_LIFETIME, RFC 4478): by token, while the old SA goes on serving.

use super::serving::Serving;
use super::{Client, Event};
use crate::reconnect::{State, Trigger};
use crate::time::{Instant, Now};
use std::time::Duration;

/// We begin so long before the end, but not before half of the time is over.
const AHEAD: Duration = Duration::from_secs(120);
/// No renewal so soon after the SA came up; an authentication that is good for less is not renewed at all.
const FLOOR: Duration = Duration::from_secs(60);
/// A renewal that found no moment, or brought no new SA, is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// What a gateway told of the end of an authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Authentication {
    told: Instant,
    ends: Instant,
    /// When there is something to do about it.
    due: Option<Instant>,
    /// A new IKE SA by token is worth trying.
    renewable: bool,
}

impl Authentication {
    /// `before` is that of the IKE SA which this one, up since `up`, replaces by token. Where the end has not moved with the time
    /// since, the gateway counts from the login: another renewal would bring nothing.
    fn new(now: Instant, lifetime: Duration, up: Instant, before: Option<Self>) -> Self {
        let ends = now + lifetime;
        let extended = before.is_none_or(|before| ends.since(before.ends) >= now.since(before.told) / 2);
        let renewable = extended && lifetime > FLOOR;
        let ahead = lifetime.saturating_sub(AHEAD);
        let due = if renewable { (now + ahead.max(lifetime / 2)).max(up + FLOOR) } else { now + ahead };
        Self { told: now, ends, due: Some(due), renewable }
    }
}

impl Serving {
    /// When there is something to do about the authentication.
    pub(super) fn renew_at(&self) -> Option<Instant> {
        self.authentication?.due
    }
}

impl Client {
    /// The gateway told, in IKE_AUTH or later, how long the authentication is good for. What it told last counts.
    pub(super) fn authentication_ends(&mut self, now: Now, lifetime: Duration) {
        let Some(serving) = self.serving.as_mut() else { return };
        let said = Authentication::new(now.at, lifetime, serving.since, serving.replaced);
        serving.authentication = Some(said);
    }

    /// A new IKE SA by token before the old one's time; where that cannot help the person is told once.
    pub(super) fn renew_in_time(&mut self, now: Now) {
        let token = self.has_token(now);
        let Some(said) = self.serving.as_mut().and_then(|serving| serving.authentication.as_mut()) else {
            return;
        };
        if said.due.take_if(|at| *at <= now.at).is_none() {
            return;
        }
        if !said.renewable || !token {
            self.events.push_back(Event::LoginWanted { within: said.ends.since(now.at) });
            return;
        }
        // Only Connected hears of it, and it may come back there on the same SA.
        said.due = Some(now.at + RETRY).filter(|at| *at < said.ends);
        if matches!(self.policy.state(), State::Connected) {
            self.trigger(now, Trigger::Renew);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn told(now: u64, lifetime: u64, before: Option<Authentication>) -> Authentication {
        Authentication::new(at(now), Duration::from_secs(lifetime), at(now), before)
    }

    #[test]
    fn a_gateway_that_counts_from_the_login_sees_one_renewal() {
        let first = told(0, 600, None);
        assert_eq!((first.due, first.renewable), (Some(at(480)), true));
        let second = told(480, 120, Some(first));
        assert_eq!((second.due, second.renewable), (Some(at(480)), false), "the person is told at once");
        // After a reconnect for another reason there is time until then.
        let early = told(100, 500, Some(first));
        assert_eq!((early.due, early.renewable), (Some(at(480)), false));
    }

    #[test]
    fn a_gateway_that_counts_anew_is_renewed_again_and_again() {
        let first = told(0, 600, None);
        let second = told(480, 600, Some(first));
        assert_eq!((second.due, second.renewable), (Some(at(960)), true));
        assert!(told(5, 600, Some(first)).renewable, "also after a reconnect soon after the login");
    }

    #[test]
    fn nothing_is_renewed_within_a_minute() {
        for lifetime in [0, 1, 30, 60] {
            assert!(!told(0, lifetime, None).renewable, "{lifetime}");
        }
        assert_eq!(told(0, 61, None).due, Some(at(60)));
        assert_eq!(told(0, 90, None).due, Some(at(60)));
    }
}
