//! The sessions as `show` wants them.

use super::Gateway;
use super::live::{Connection, Live};
use super::sessions::Session;
use super::show::{ChildView, SessionView, identity_text};
use crate::esp::SaPair;
use crate::ike::proposal::EspSuite;
use crate::time::Now;

/// The router counts its CE ids from here (`seed`: CE id 1016 for session 16).
const FIRST_CE_ID: u64 = 1000;

impl Gateway {
    /// Every session with an IKE SA, oldest first.
    pub(super) fn views(&self, now: Now) -> Vec<SessionView> {
        let up = self.live.iter().filter(|(_, live)| !live.is_closing());
        up.filter_map(|(number, live)| Some(self.view(now, *number, live, self.sessions.get(live.session)?)))
            .collect()
    }

    fn view(&self, now: Now, number: Connection, live: &Live, session: &Session) -> SessionView {
        let config = &self.config;
        let sa = live.established.sa();
        let (spi_i, spi_r) = sa.spis();
        SessionView {
            interface: number,
            profile: config.profile.clone(),
            uptime: now.at.since(live.since),
            local: self.local_address(live.path.port),
            peer: live.path.peer,
            local_id: identity_text(config.identity.kind, &config.identity.data),
            remote_id: identity_text(live.id.kind, &live.id.data),
            eap_user: (!live.reconnect).then(|| session.user.clone()),
            number,
            ce_id: FIRST_CE_ID + number,
            connid: live.connid,
            nat: live.nat,
            fragmentation: sa.fragmentation(),
            ike: *sa.suite(),
            spis: if sa.is_initiator() { (spi_i, spi_r) } else { (spi_r, spi_i) },
            lifetime: config.ike_lifetime,
            message_ids: live.message_ids,
            dpd: (config.dpd.interval, config.dpd.retry),
            address: session.address4.into(),
            child: live.children.current().map(|pair| self.child_view(now, live, pair)),
        }
    }

    fn child_view(&self, now: Now, live: &Live, pair: &SaPair) -> ChildView {
        let (params, stats) = (pair.params(), pair.stats());
        let since = live.child_since.get(&params.spi_in).copied().unwrap_or(live.since);
        ChildView {
            local: params.local.clone(),
            remote: params.remote.clone(),
            spis: (params.spi_in, params.spi_out),
            esp: EspSuite { encr: params.encr, integ: params.integ, group: None, esn: params.esn },
            stats: live.children.stats(),
            octets: (stats.bytes_in, stats.bytes_out),
            volume_kb: self.config.child_volume_kb,
            left: self.config.child_lifetime.saturating_sub(now.at.since(since)),
        }
    }
}
