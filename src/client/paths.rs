//! Ways to the gateway: one socket of the shell's for each address family, and what another one means for the SAs in use.

use super::serving::Serving;
use super::{Client, Trigger};
use crate::reconnect::State;
use crate::time::Now;
use std::net::IpAddr;

/// A way to the gateway: one socket of the shell's. A new number whenever source address or port change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct PathId(pub u32);

/// The ways to the gateway that there are now, one for each of its address families.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Paths {
    /// To its IPv4 addresses.
    pub ipv4: Option<PathId>,
    /// To its IPv6 addresses.
    pub ipv6: Option<PathId>,
}

impl Paths {
    /// No way.
    pub const NONE: Self = Self { ipv4: None, ipv6: None };

    /// One way, which leads to `to` and all addresses of its family.
    pub fn of_family(to: IpAddr, id: PathId) -> Self {
        match to {
            IpAddr::V4(_) => Self { ipv4: Some(id), ipv6: None },
            IpAddr::V6(_) => Self { ipv4: None, ipv6: Some(id) },
        }
    }

    /// The way to an address.
    pub fn to(&self, to: IpAddr) -> Option<PathId> {
        match to {
            IpAddr::V4(_) => self.ipv4,
            IpAddr::V6(_) => self.ipv6,
        }
    }

    /// True where there is any.
    pub fn any(&self) -> bool {
        *self != Self::NONE
    }
}

/// The family that has a way now and had none: true for IPv4.
fn appeared(old: Paths, new: Paths) -> Option<bool> {
    if old.ipv4.is_none() && new.ipv4.is_some() {
        Some(true)
    } else {
        (old.ipv6.is_none() && new.ipv6.is_some()).then_some(false)
    }
}

impl Client {
    /// The ways have changed. Where the one in use is still there, nothing has happened: an IPv6 address that comes or goes
    /// says nothing about a tunnel over IPv4.
    pub(super) fn set_paths(&mut self, now: Now, paths: Paths) {
        let old = std::mem::replace(&mut self.paths, paths);
        let usable = self.is_reachable();
        if old == paths && usable == self.policy.has_path() {
            return; // told again, nothing new
        }
        if old != paths {
            self.forget_refusals(now);
        }
        let troubled = matches!(self.policy.state(), State::Reconnecting(_) | State::CaptivePortal(_));
        if troubled && let Some(ipv4) = appeared(old, paths) {
            // What was tried so far may be a black hole: the family that came is tried now.
            self.prefer_family(ipv4);
            self.trigger(now, Trigger::Path { usable });
            return;
        }
        let peers = [
            self.serving.as_ref().map(|serving| serving.remote.ip()),
            self.attempt.as_ref().map(|attempt| attempt.remote()),
        ];
        let mut in_use = peers.into_iter().flatten().peekable();
        if in_use.peek().is_some() && in_use.all(|ip| paths.to(ip).is_some() && paths.to(ip) == old.to(ip)) {
            return;
        }
        self.trigger(now, Trigger::Path { usable });
    }

    /// The gateway's addresses are known anew: one of them may be the first that can be reached from here.
    pub(super) fn set_addresses(&mut self, now: Now, addresses: Vec<IpAddr>) {
        if addresses.is_empty() {
            return;
        }
        self.settings.addresses = addresses;
        let usable = self.is_reachable();
        if usable != self.policy.has_path() {
            self.trigger(now, Trigger::Path { usable });
        }
    }

    /// True where one of the gateway's addresses is of a family that has a way.
    fn is_reachable(&self) -> bool {
        let known = self.settings.addresses.iter().copied();
        let known = known.chain(self.session.as_ref().map(|session| session.peer.ip()));
        let known = known.filter(|ip| self.settings.families.allows(*ip));
        let mut known = known.chain(self.serving.iter().flat_map(Serving::addresses)).peekable();
        // Without any address it is the look-up that fails, with a better reason.
        if known.peek().is_none() { self.paths.any() } else { known.any(|ip| self.paths.to(ip).is_some()) }
    }

    /// The way that the serving SA uses now.
    pub fn serving_path(&self) -> Option<PathId> {
        self.paths.to(self.serving.as_ref()?.remote.ip())
    }
}
