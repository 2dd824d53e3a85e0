//! What finds a connection (its SPIs, its addresses, its deadline), and what stays of it at its end.

use super::super::Gateway;
use super::super::event::{DownReason, GatewayEvent};
use super::super::login::LINGER;
use super::super::timers::Timer;
use super::{Connection, Live};
use crate::esp::SaSet;
use crate::time::Now;

impl Gateway {
    /// Takes a connection out of every index.
    pub(in crate::gateway) fn unlist(&mut self, connection: Connection, live: &Live) {
        self.timers.set(Timer::Live(connection), None);
        self.unlist_traffic(connection, live);
        for spis in &live.ike_spis {
            self.by_ike.remove(spis);
        }
    }

    pub(super) fn unlist_traffic(&mut self, connection: Connection, live: &Live) {
        for spi in live.child_since.keys() {
            if self.by_esp.get(spi) == Some(&connection) {
                self.by_esp.remove(spi);
            }
        }
        for address in self.sessions.get(live.session).map(|s| s.addresses()).unwrap_or_default() {
            if self.by_address.get(&address) == Some(&connection) {
                self.by_address.remove(&address);
            }
        }
    }

    /// Puts a connection back with its indexes and its deadline in order.
    pub(super) fn relist(&mut self, connection: Connection, mut live: Live) {
        if !live.established.all_spis().eq(live.ike_spis.iter().copied()) {
            for spis in &live.ike_spis {
                self.by_ike.remove(spis);
            }
            live.ike_spis = live.established.all_spis().collect();
            self.by_ike.extend(live.ike_spis.iter().map(|spis| (*spis, connection)));
        }
        let spis = live.children.spis();
        live.child_since.retain(|spi, _| {
            let kept = spis.contains(spi);
            if !kept && self.by_esp.get(spi) == Some(&connection) {
                self.by_esp.remove(spi);
            }
            kept
        });

        let mut deadline = live.closing.map(|until| (until, "end of a deleted IKE SA"));
        if deadline.is_none() {
            let on_demand = self.sessions.get(live.session).is_some_and(|s| s.dpd_heard);
            let dpd = live.dpd_at(self.config.dpd.interval).filter(|_| on_demand).map(|at| (at, "DPD"));
            let retired = live.children.poll_timeout().map(|at| (at, "end of a retired Child SA"));
            let expires = live.expires.map(|at| (at, "end of the authentication"));
            let all = [live.established.poll_timeout(), dpd, retired, expires];
            deadline = all.into_iter().flatten().min_by_key(|(at, _)| *at);
        }
        self.timers.set(Timer::Live(connection), deadline);
        self.live.insert(connection, live);
    }

    /// The session of this connection gives way to another: no packet of it passes from now on, and its client is told.
    pub(in crate::gateway) fn send_away(&mut self, now: Now, connection: Connection) {
        let Some(mut live) = self.live.remove(&connection) else { return };
        self.unlist_traffic(connection, &live);
        live.children = SaSet::default();
        live.replaced = true;
        live.established.forget_children();
        live.established.delete(now.at, &mut *self.random);
        self.live.insert(connection, live);
        self.settle(now, connection, None);
    }

    /// The IKE SA is gone; the session waits in the inactive database, or ends.
    pub(super) fn end(&mut self, now: Now, connection: Connection, mut live: Live, why: DownReason) {
        self.unlist_traffic(connection, &live);
        let id = self.sessions.get(live.session).and_then(|s| s.id());
        let ends = why == DownReason::Deleted && self.config.dialect.delete_ends_session;
        if matches!(why, DownReason::Deleted | DownReason::Disbelieved) {
            // Tickets go with the IKE SA that is deleted (RFC 5723), also where the session waits for its token.
            self.end_ticket(now, live.session);
        }
        let kept = if ends {
            self.sessions.forget(live.session);
            false
        } else {
            let timeout = self.config.reconnect_timeout.unwrap_or_default();
            self.sessions.deactivate(live.session, now.at + timeout)
        };
        let told = if live.replaced { DownReason::Replaced } else { why };
        self.out.tell(GatewayEvent::SaDown { number: connection, id, why: told, kept });
        if matches!(why, DownReason::Deleted | DownReason::Disbelieved) {
            // The client repeats what it said where our answer was lost.
            live.closing = Some(now.at + LINGER);
            live.children = SaSet::default();
            self.relist(connection, live);
        } else {
            self.unlist(connection, &live);
        }
    }
}
