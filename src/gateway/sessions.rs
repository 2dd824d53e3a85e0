//! The session databases: who logged in, with which address, and whether an IKE SA serves it (active) or it waits for its
//! client (inactive). `seed`: a dead client's session waits `reconnect timeout` seconds with its attributes and address.

use super::aaa::Grant;
use super::pool::Pool;
use crate::crypto::{Random, Secret};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Letters of a session ID, as in the seed: `rIUHKccDRiUtFTATwq`. 52^18 is more than 2^102.
const ID_LEN: usize = 18;
/// Letters and digits of a token: 62^48 is more than 2^285.
const TOKEN_LEN: usize = 48;
const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A session's number in the databases.
pub(super) type SessionKey = u64;

/// What the client comes back with.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// ASCII.
    pub(super) id: String,
    /// Printable.
    pub(super) token: Secret,
}

/// In which database a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Served by the connection with this number.
    Active(u64),
    /// Waits until then.
    Inactive(Instant),
}

/// One login.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Where reconnect is configured.
    pub(super) credentials: Option<Credentials>,
    /// EAP identity.
    pub(super) user: String,
    /// INTERNAL_IP4_ADDRESS.
    pub(super) address4: Ipv4Addr,
    /// INTERNAL_IP6_ADDRESS.
    pub(super) address6: Option<std::net::Ipv6Addr>,
    /// The client sent a DPD once: from then on the gateway asks too (on demand).
    pub(super) dpd_heard: bool,
    /// RADIUS Class, as AAA outside gave it at the login.
    pub(super) class: Vec<Vec<u8>>,
    /// The numbers of the tickets that may bring it back: the one that was given last, and the one before while nobody knows
    /// whether that has arrived.
    pub(super) tickets: Vec<u64>,
    /// Active or inactive.
    pub(super) state: State,
}

impl Session {
    /// Inner addresses, IPv4 first.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        std::iter::once(self.address4.into()).chain(self.address6.map(IpAddr::from)).collect()
    }

    /// An IKE SA serves it.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, State::Active(_))
    }

    /// Session ID, where there is one.
    pub(super) fn id(&self) -> Option<String> {
        self.credentials.as_ref().map(|c| c.id.clone())
    }
}

/// What a new login asks for.
pub(super) struct Wanted {
    /// EAP identity.
    pub(super) user: String,
    /// The IPv4 address of the CFG_REQUEST.
    pub(super) address4: Option<Ipv4Addr>,
    /// An IPv6 address too, this one if possible.
    pub(super) address6: Option<Option<std::net::Ipv6Addr>>,
    /// Hand out session ID and token.
    pub(super) reconnect: bool,
    /// What AAA outside has granted.
    pub(super) grant: Grant,
}

/// Both databases and the address pools: an address belongs to a session as long as the session is known.
pub(super) struct Sessions {
    sessions: BTreeMap<SessionKey, Session>,
    by_id: BTreeMap<Vec<u8>, SessionKey>,
    waiting: BTreeSet<(Instant, SessionKey)>,
    next: SessionKey,
    pool4: Pool,
    pool6: Option<Pool>,
}

impl Sessions {
    /// Empty databases.
    pub(super) fn new(pool4: Pool, pool6: Option<Pool>) -> Self {
        Self {
            sessions: BTreeMap::new(),
            by_id: BTreeMap::new(),
            waiting: BTreeSet::new(),
            next: 1,
            pool4,
            pool6,
        }
    }

    /// A new active session for connection `connection`; `None` where no address is left.
    pub(super) fn issue(
        &mut self,
        wanted: Wanted,
        connection: u64,
        random: &mut dyn Random,
    ) -> Option<SessionKey> {
        let grant = wanted.grant;
        for framed in
            [grant.address4.map(IpAddr::from), grant.address6.map(IpAddr::from)].into_iter().flatten()
        {
            self.make_way(framed, &wanted.user);
        }
        let address4 = match grant.address4 {
            Some(framed) => self.pool4.reserve(framed.into()).then_some(framed)?,
            None => match self.pool4.take(wanted.address4.map(IpAddr::from))? {
                IpAddr::V4(address) => address,
                IpAddr::V6(_) => return None,
            },
        };
        if let Some(framed) = grant.address6 {
            let pool = self.pool6.get_or_insert_with(Pool::none6);
            if !pool.reserve(framed.into()) {
                self.pool4.free(address4.into());
                return None;
            }
        }
        let address6 = match (&mut self.pool6, wanted.address6) {
            _ if grant.address6.is_some() => grant.address6,
            (Some(pool), Some(want)) => match pool.take(want.map(IpAddr::from)) {
                Some(IpAddr::V6(a)) => Some(a),
                _ => None,
            },
            _ => None,
        };
        let credentials = wanted.reconnect.then(|| Credentials {
            id: draw(LETTERS, ID_LEN, random),
            token: Secret::new(draw(ALPHANUMERIC, TOKEN_LEN, random).into_bytes()),
        });
        let key = self.next;
        self.next += 1;
        if let Some(credentials) = &credentials {
            self.by_id.insert(credentials.id.clone().into_bytes(), key);
        }
        let state = State::Active(connection);
        let user = wanted.user;
        let class = grant.class;
        let session = Session {
            credentials,
            user,
            address4,
            address6,
            dpd_heard: false,
            class,
            tickets: Vec::new(),
            state,
        };
        self.sessions.insert(key, session);
        Some(key)
    }

    /// An address that AAA gives to one user is of no use to a session of theirs that only waits.
    fn make_way(&mut self, framed: IpAddr, user: &str) {
        let waits = |session: &Session| {
            session.user == user
                && matches!(session.state, State::Inactive(_))
                && session.addresses().contains(&framed)
        };
        let waiting: Vec<_> =
            self.sessions.iter().filter(|(_, session)| waits(session)).map(|(key, _)| *key).collect();
        for key in waiting {
            self.forget(key);
        }
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// The session with this ID, in either database.
    pub(super) fn find(&self, id: &[u8]) -> Option<(SessionKey, &Session)> {
        let key = self.by_id.get(id)?;
        Some((*key, self.sessions.get(key)?))
    }

    /// By number.
    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(&key)
    }

    /// The client sent a DPD.
    pub(super) fn note_dpd(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.dpd_heard = true;
        }
    }

    /// Notes the ticket that was given last, on the same IKE SA as the one before or on another; those that are good no more.
    pub(super) fn note_ticket(&mut self, key: SessionKey, number: u64, same_sa: bool) -> Vec<u64> {
        let Some(session) = self.sessions.get_mut(&key) else { return Vec::new() };
        let kept = session.tickets.len().saturating_sub(usize::from(same_sa));
        let over = session.tickets.drain(..kept).collect();
        session.tickets.push(number);
        over
    }

    /// Moves a session to the active database, served by this connection from now on.
    pub(super) fn activate(&mut self, key: SessionKey, connection: u64) {
        if let Some(session) = self.sessions.get_mut(&key) {
            if let State::Inactive(until) = session.state {
                self.waiting.remove(&(until, key));
            }
            session.state = State::Active(connection);
        }
    }

    /// Moves a session to the inactive database until `until`; one that cannot come back by token is forgotten. True where
    /// it is kept.
    pub(super) fn deactivate(&mut self, key: SessionKey, until: Instant) -> bool {
        let Some(session) = self.sessions.get_mut(&key) else { return false };
        if session.credentials.is_none() {
            self.forget(key);
            return false;
        }
        if let State::Inactive(old) = session.state {
            self.waiting.remove(&(old, key));
        }
        session.state = State::Inactive(until);
        self.waiting.insert((until, key));
        true
    }

    /// The session ends; its addresses are free.
    pub(super) fn forget(&mut self, key: SessionKey) -> Option<Session> {
        let session = self.sessions.remove(&key)?;
        if let State::Inactive(until) = session.state {
            self.waiting.remove(&(until, key));
        }
        if let Some(credentials) = &session.credentials {
            self.by_id.remove(credentials.id.as_bytes());
        }
        self.pool4.free(session.address4.into());
        if let (Some(pool), Some(address)) = (&mut self.pool6, session.address6) {
            pool.free(address.into());
        }
        Some(session)
    }

    /// Forgets the inactive sessions whose time is over at `now`; their IDs.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<String> {
        let over: Vec<_> =
            self.waiting.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect();
        over.into_iter().filter_map(|key| self.forget(key)?.id()).collect()
    }

    /// Forgets every inactive session; their IDs.
    pub(super) fn expire_all(&mut self) -> Vec<String> {
        let all: Vec<_> = self.waiting.iter().map(|(_, key)| *key).collect();
        all.into_iter().filter_map(|key| self.forget(key)?.id()).collect()
    }

    /// When the next inactive session expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// What every session came to be known by that can come back.
    pub(super) fn credentials(&self) -> impl Iterator<Item = &Credentials> {
        self.sessions.values().filter_map(|session| session.credentials.as_ref())
    }

    /// Sessions that can come back by token: active, inactive.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.by_id.len() - self.waiting.len(), self.waiting.len())
    }
}

fn draw(alphabet: &[u8], len: usize, random: &mut dyn Random) -> String {
    (0..len).map(|_| char::from(alphabet[random.below(alphabet.len() as u64) as usize])).collect()
}

#[cfg(test)]
mod tests;
