//! What a world of a random schedule is like before anything goes wrong: explicit data, so that a kept case stays the same
//! whatever becomes of the drawing.

use super::lab::{Certificate, LAB};
use super::random::Seeded;
use ikeep::client::Settings;
use ikeep::crypto::{Encr, Group, Random};
use ikeep::gateway::GatewayConfig;
use ikeep::reconnect::{OnSuspend, OnTrusted, Resumption};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which way back is taken first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Tickets {
    #[default]
    Off,
    AfterToken,
    First,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    /// Of everything random: the network's losses, nonces, back-off.
    pub(crate) seed: u64,
    /// The gateway lets a reconnect replace a live session.
    pub(crate) lenient: bool,
    /// The gateway's key is RSA, else P-256.
    pub(crate) rsa: bool,
    /// IANA number of the group offered first.
    pub(crate) group: u16,
    /// AES-GCM, else the seed's AES-CBC with HMAC.
    pub(crate) gcm: bool,
    /// Seconds that the places' NATs keep a silent mapping; 0: no NAT.
    pub(crate) nat: u64,
    /// AutoReconnect.
    pub(crate) auto: bool,
    /// The gateway hands out tokens.
    pub(crate) tokens: bool,
    /// The gateway offers MOBIKE.
    pub(crate) mobike: bool,
    /// Places and gateways have IPv6 too.
    pub(crate) ipv6: bool,
    /// One way, milliseconds.
    pub(crate) delay: u64,
    /// An echo leaves so often, milliseconds; 0: never.
    pub(crate) echo: u64,
    /// A DELETE ends the session, on both sides.
    pub(crate) delete_ends: bool,
    /// The profile ends the session with sleep.
    pub(crate) ends_with_sleep: bool,
    /// In a trusted network the session rests.
    pub(crate) pauses_in_trusted: bool,
    /// In a trusted network the session ends.
    pub(crate) ends_in_trusted: bool,
    /// Seconds until we rekey the Child SA, and the IKE SA after three times as long.
    pub(crate) rekey: u64,
    /// The gateway wants a new authentication every ten minutes (RFC 4478).
    #[serde(default)]
    pub(crate) reauthenticate: bool,
    /// The gateway gives tickets (RFC 5723), and the laptops ask for them.
    #[serde(default)]
    pub(crate) tickets: Tickets,
    /// Laptops, all with the same gateway.
    pub(crate) laptops: usize,
}

impl Setup {
    /// A fast and simple one.
    pub(crate) fn plain(seed: u64) -> Self {
        Self {
            seed,
            lenient: true,
            rsa: false,
            group: 31,
            gcm: true,
            nat: 0,
            auto: true,
            tokens: true,
            mobike: false,
            ipv6: false,
            delay: 10,
            echo: 1000,
            delete_ends: true,
            ends_with_sleep: false,
            pauses_in_trusted: false,
            ends_in_trusted: false,
            rekey: 3300,
            reauthenticate: false,
            tickets: Tickets::Off,
            laptops: 1,
        }
    }

    /// What a seed gives: mostly the cheap algorithms, all of them over the seeds.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut random = Seeded::new(seed ^ 0x5e_70_00);
        let r = &mut random;
        let group = match seed % 32 {
            8 => 14,
            16 => 21,
            24 => 20,
            4 | 12 | 20 => 19,
            _ => 31,
        };
        Self {
            seed,
            lenient: !r.chance(250),
            rsa: seed % 8 == 5,
            group,
            gcm: seed % 4 != 3,
            nat: if r.chance(700) { r.between(30, 180) } else { 0 },
            auto: !r.chance(40),
            tokens: !r.chance(60),
            mobike: seed % 5 < 2,
            ipv6: r.chance(250),
            delay: r.between(2, 60),
            echo: [1000, 1000, 2000, 500, 0][r.below(5) as usize],
            delete_ends: r.chance(800),
            ends_with_sleep: r.chance(60),
            pauses_in_trusted: r.chance(330),
            ends_in_trusted: r.chance(120),
            rekey: if r.chance(150) { r.between(20, 120) } else { 3300 },
            reauthenticate: seed % 16 == 6,
            tickets: match seed % 9 {
                4 => Tickets::AfterToken,
                5 | 7 => Tickets::First,
                _ => Tickets::Off,
            },
            laptops: if seed % 50 == 49 { 10 } else { 1 },
        }
    }

    pub(crate) fn gateway(&self, config: &mut GatewayConfig) {
        LAB.equip(config, if self.rsa { Certificate::Rsa } else { Certificate::P256 });
        config.lenient = self.lenient;
        if !self.tokens {
            config.reconnect_timeout = None;
        }
        config.mobike = self.mobike;
        // Not longer than a token is worth trying: the model counts by that.
        config.tickets = (self.tickets != Tickets::Off && self.tokens).then_some(Duration::from_secs(900));
        config.auth_lifetime = self.reauthenticate.then_some(Duration::from_secs(600));
        config.dialect.delete_ends_session = self.delete_ends;
        config.pool4 = ([192, 168, 20, 5].into(), [192, 168, 23, 250].into());
        if self.ipv6 {
            config.pool6 = Some(("fd00:20::5".parse().expect("v6"), "fd00:20::ffff".parse().expect("v6")));
        }
    }

    pub(crate) fn client(&self, settings: &mut Settings) {
        let group = Group::from_id(self.group).expect("a group we know");
        for list in [&mut settings.ike.groups, &mut settings.esp.groups] {
            list.retain(|other| *other != group);
            list.insert(0, group);
        }
        if self.gcm {
            settings.ike.encr = vec![Encr::AesGcm256];
            settings.esp.encr = vec![Encr::AesGcm128];
        }
        settings.dialect.delete_ends_session = self.delete_ends;
        settings.rules.on_suspend =
            if self.ends_with_sleep { OnSuspend::Disconnect } else { OnSuspend::Reconnect };
        settings.rules.auto_reconnect = self.auto;
        settings.resumption = match self.tickets {
            Tickets::Off => Resumption::Off,
            Tickets::AfterToken => Resumption::AfterToken,
            Tickets::First => Resumption::First,
        };
        settings.rules.on_trusted = match (self.pauses_in_trusted, self.ends_in_trusted) {
            (true, _) => OnTrusted::Pause,
            (_, true) => OnTrusted::Disconnect,
            _ => OnTrusted::Stay,
        };
        settings.child_lifetime = Duration::from_secs(self.rekey);
        settings.ike_lifetime = Duration::from_secs(self.rekey * 3);
    }
}
