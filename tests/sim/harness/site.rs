//! A gateway, and what the world knows about its databases.

use super::lab::{Certificate, LAB};
use super::random::Seeded;
use ikeep::gateway::{DownReason, Gateway, GatewayConfig, GatewayEvent};
use ikeep::time::{Instant, Now};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A gateway at its addresses.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    /// IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
    /// The group of each login that the gateway took.
    pub(crate) login_groups: Vec<Option<String>>,
    /// Session IDs that it would take back, now or once it thinks their client dead.
    pub(crate) sessions: BTreeSet<String>,
    pub(crate) lenient: bool,
    /// Nothing reaches it until then.
    pub(crate) down_until: Option<Instant>,
    pub(crate) second_factor: bool,
    /// When a datagram of each IKE_SA_INIT arrived, where somebody wants to know.
    pub(crate) arrivals: Option<Vec<Instant>>,
    /// Sessions that came back, and when.
    pub(crate) returns: Vec<Instant>,
}

impl Site {
    /// Gateway `number` with the lab's certificate.
    pub(crate) fn new(number: usize, now: Now, random: u64, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let low = number as u8;
        let addresses = vec![
            Ipv4Addr::new(10, 9, low, 1).into(),
            Ipv6Addr::new(0xfd09, 0, 0, number as u16, 0, 0, 0, 1).into(),
        ];
        let mut config = GatewayConfig::seed(addresses[0], Vec::new(), LAB.signer(Certificate::Rsa));
        LAB.equip(&mut config, Certificate::Rsa);
        change(&mut config);
        let second_factor = config.users.values().any(|u| u.second_factor.is_some());
        Self {
            lenient: config.lenient,
            gateway: Gateway::new(config, now, Box::new(Seeded::new(random))),
            addresses,
            login_groups: Vec::new(),
            sessions: BTreeSet::new(),
            down_until: None,
            second_factor,
            arrivals: None,
            returns: Vec::new(),
        }
    }

    pub(crate) fn is_down(&self, now: Instant) -> bool {
        self.down_until.is_some_and(|until| now < until)
    }

    pub(crate) fn go_down(&mut self, now: Instant, time: Duration) {
        self.down_until = Some(self.down_until.unwrap_or(now).max(now + time));
    }

    pub(crate) fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.gateway.poll_event() {
            match event {
                GatewayEvent::Login { group, .. } => self.login_groups.push(group),
                GatewayEvent::SaUp { id: Some(id), .. } => {
                    self.sessions.insert(id);
                }
                GatewayEvent::SaDown { id: Some(id), why, kept: false, .. }
                    if why != DownReason::Replaced =>
                {
                    self.sessions.remove(&id);
                }
                GatewayEvent::Expired { id } => {
                    self.sessions.remove(&id);
                }
                GatewayEvent::Reconnect { .. } | GatewayEvent::Resumed { .. } => self.returns.push(now),
                _ => {}
            }
        }
    }
}
