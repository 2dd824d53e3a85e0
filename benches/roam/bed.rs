//! Hosts, a strongSwan gateway with an echo service behind it, and the way between.

use crate::client::{Kind, SUITE};
use crate::inside::TARGET;
use crate::interop::agent::TOKEN;
use crate::interop::{BEHIND_GATEWAY, Charon, CharonOptions, GatewayConfig, Netns, Pki};
use crate::pings::{Echo, Pings};
use crate::relay::{Relay, Way};
use crate::track::Track;
use anyhow::Result;
use std::net::Ipv4Addr;

/// Where clients find the gateway, or the relay in its place.
pub(crate) const FRONT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const BACK: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);

/// See the module. The parts end in this order.
pub(crate) struct Bed {
    /// Where there is one.
    pub(crate) relay: Option<Relay>,
    /// Pings past the tunnel: what they miss is the link's own outage. Where there is no relay.
    pub(crate) plain: Option<Track>,
    _pings: Option<Pings>,
    _echoes: Vec<Echo>,
    pub(crate) gateway: Charon,
    /// 10.9.0.2 on `eth0`.
    pub(crate) laptop: Netns,
    _hosts: Vec<Netns>,
}

impl Bed {
    /// For a client of this kind. `way`: as the relay makes it; `None`: a plain link, under a millisecond.
    pub(crate) fn make(kind: Kind, way: Option<Way>, pki: &Pki) -> Result<Self> {
        let (laptop, gateway) = (Netns::new("laptop")?, Netns::new("gw")?);
        let mut hosts = Vec::new();
        let (relay, address) = match way {
            None => {
                laptop.link(("eth0", &["10.9.0.2/24"]), &gateway, ("eth0", &["10.9.0.1/24"]))?;
                (None, FRONT)
            }
            Some(way) => {
                let middle = Netns::new("middle")?;
                laptop.link(("eth0", &["10.9.0.2/24"]), &middle, ("lan", &["10.9.0.1/24"]))?;
                middle.link(("wan", &["10.8.0.2/24"]), &gateway, ("eth0", &["10.8.0.1/24"]))?;
                let relay = Relay::start(&middle, FRONT, BACK, way, 1)?;
                hosts.push(middle);
                (Some(relay), BACK)
            }
        };
        gateway.add_address("lo", &format!("{BEHIND_GATEWAY}/24"))?;
        gateway.add_address("lo", "fd10::1/64")?;
        let config = GatewayConfig { mobike: kind.mobike(), ..GatewayConfig::new(SUITE, TOKEN) }.render();
        let config = config.replace("10.9.0.1,fd09::1", &address.to_string());
        let options = CharonOptions { ike_log_level: 1, ..CharonOptions::default() };
        let charon = Charon::start(&gateway, options, pki, true, &config)?;
        let mut echoes = vec![Echo::start(&gateway, TARGET)?];
        let (mut plain, mut pings) = (None, None);
        if way.is_none() {
            // Past the tunnel, whatever that takes.
            let rule = format!("rule add priority 100 to {FRONT} ipproto udp dport {} lookup main", TARGET.1);
            laptop.ip(&rule.split(' ').collect::<Vec<_>>())?;
            echoes.push(Echo::start(&gateway, (FRONT, TARGET.1))?);
            let track = Track::default();
            pings = Some(Pings::start(&laptop, Ipv4Addr::UNSPECIFIED, (FRONT, TARGET.1), &track)?);
            plain = Some(track);
        }
        hosts.push(gateway);
        Ok(Self { relay, plain, _pings: pings, _echoes: echoes, gateway: charon, laptop, _hosts: hosts })
    }

    /// Nothing passes while it is cut.
    pub(crate) fn cut(&self, cut: bool) {
        if let Some(relay) = &self.relay {
            relay.cut(cut);
        }
    }
}
