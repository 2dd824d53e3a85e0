//! What a new SA leaves of the session: ID, token and ticket, where they came from, how long they are worth trying.

use super::{AuthKind, Client, Event};
use crate::crypto::Secret;
use crate::ike::initiator::Resumable;
use crate::session::Session;
use crate::time::Now;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

impl Client {
    /// Law 5: the token belongs to the HostAddress that issued it. A new ID or token replaces the old one.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn keep_session(
        &mut self,
        now: Now,
        auth: AuthKind,
        peer: SocketAddr,
        group: u16,
        id: Option<Vec<u8>>,
        token: Option<Secret>,
        window: Option<Duration>,
        resumable: Option<Resumable>,
        root_key: Option<[u8; 20]>,
        addresses: Vec<IpAddr>,
    ) {
        let ticket = self.serve_with_tickets(now, resumable.as_ref());
        let rotate = auth.is_login() || self.settings.dialect.token_rotation;
        if auth.is_login() {
            // A new login ends the old session (law 5).
            self.session = None;
        }
        match self.session.as_mut() {
            Some(session) => {
                if rotate {
                    session.id = id.unwrap_or_else(|| session.id.clone());
                    session.token = token.unwrap_or_else(|| session.token.clone());
                }
                session.peer = peer;
                session.group = group;
                session.root_key = root_key.or(session.root_key);
                session.addresses = addresses;
                session.window = window.unwrap_or(session.window);
                session.last_contact = now.wall;
                // The old one was for the IKE SA before, or has served.
                session.ticket = ticket;
            }
            None => {
                let given = id.filter(|id| !id.is_empty()).zip(token);
                let (id, token) = given.unwrap_or_else(|| (Vec::new(), Secret::new(Vec::new())));
                let user = self.answers.iter().find_map(|(_, answers)| answers.get("username"));
                self.session = Some(Session {
                    host_name: self.settings.host_name.clone(),
                    host_address: self.settings.host_address.clone(),
                    id,
                    token,
                    ticket,
                    user: user.map(|u| String::from_utf8_lossy(u.expose()).into_owned()).unwrap_or_default(),
                    peer,
                    addresses,
                    group,
                    root_key,
                    window: window.unwrap_or(self.settings.reconnect_window),
                    issued: now.wall,
                    last_contact: now.wall,
                });
            }
        }
        if self.session.as_ref().is_some_and(|session| !session.has_way_back()) && resumable.is_none() {
            self.session = None;
            self.stored_at = None;
            self.events.push_back(if auth.is_login() { Event::NoToken } else { Event::EraseSession });
        }
        self.token_until = self.way_back_until(now);
        self.address = 0;
        self.store_session(now);
    }
}
