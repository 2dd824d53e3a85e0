//! What an operator does to the connections: `clear crypto session`, `clear crypto sa`, a restart.

use super::Gateway;
use super::event::{DownReason, GatewayEvent};
use super::live::Connection;
use crate::esp::{SaPair, SaSet};
use crate::ike::message::GatewayId;
use crate::time::Now;

impl Gateway {
    /// Tells every client that it is wanted at another gateway (RFC 5685 4); its SA stays.
    pub fn redirect_sessions(&mut self, now: Now, to: &GatewayId) {
        let connections: Vec<Connection> = self.live.keys().copied().collect();
        for connection in connections {
            let Some(live) = self.live.get_mut(&connection).filter(|live| !live.is_closing()) else {
                continue;
            };
            live.established.redirect(now.at, to.clone(), &mut *self.random);
            self.settle(now, connection, None);
        }
    }

    /// Deletes every IKE SA with a word to its client; the sessions are kept as inactive (`clear crypto session`).
    pub(super) fn delete_all(&mut self, now: Now) {
        let connections: Vec<Connection> = self.live.keys().copied().collect();
        for connection in connections {
            let Some(live) = self.live.get_mut(&connection).filter(|live| !live.is_closing()) else {
                continue;
            };
            live.established.delete(now.at, &mut *self.random);
            self.settle(now, connection, None);
        }
    }

    /// Deletes the Child SA of every connection; the IKE SAs stay (`clear crypto sa`).
    pub(super) fn delete_children(&mut self, now: Now) {
        let connections: Vec<Connection> = self.live.keys().copied().collect();
        for connection in connections {
            let Some(live) = self.live.get_mut(&connection).filter(|live| !live.is_closing()) else {
                continue;
            };
            let Some(spi_in) = live.children.current().map(SaPair::spi_in) else { continue };
            live.established.delete_child(now.at, spi_in, &mut *self.random);
            self.settle(now, connection, None);
        }
    }

    /// Every Child SA is lost without a word, and nothing is sent to where they were; the IKE SAs stay and answer.
    pub(super) fn lose_children(&mut self, now: Now) {
        let connections: Vec<Connection> = self.live.keys().copied().collect();
        for connection in connections {
            let Some(live) = self.live.get_mut(&connection).filter(|live| !live.is_closing()) else {
                continue;
            };
            live.established.forget_children();
            live.children = SaSet::default();
            self.settle(now, connection, None);
        }
    }

    /// Every connection is gone at once: a restart.
    pub(super) fn drop_all(&mut self, now: Now, keep: bool) {
        for (connection, live) in std::mem::take(&mut self.live) {
            self.unlist(connection, &live);
            if live.is_closing() {
                continue;
            }
            let id = self.sessions.get(live.session).and_then(|s| s.id());
            let timeout = self.config.reconnect_timeout.unwrap_or_default();
            let kept = keep && self.sessions.deactivate(live.session, now.at + timeout);
            if !kept {
                self.sessions.forget(live.session);
            }
            self.out.tell(GatewayEvent::SaDown { number: connection, id, why: DownReason::Restart, kept });
        }
    }
}
