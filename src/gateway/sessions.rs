//! The session databases: who logged in, with which address, and whether an IKE SA serves it (active) or it waits for its
//! client (inactive). `seed`: a dead client's session waits `reconnect timeout` seconds with its attributes and address.

mod draft;

use super::aaa::Grant;
use super::pool::Pool;
use crate::crypto::{Random, Secret};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

pub(super) use draft::{Draft, NoAddress, Wanted};

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
    /// What AAA outside has granted at the login.
    pub(super) grant: Grant,
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

/// Both databases and the address pools: an address belongs to a session as long as the session is known.
pub(super) struct Sessions {
    sessions: BTreeMap<SessionKey, Session>,
    by_id: BTreeMap<Vec<u8>, SessionKey>,
    waiting: BTreeSet<(Instant, SessionKey)>,
    next: SessionKey,
    pool4: Pool,
    pool6: Pool,
    /// Addresses of no pool that were taken or freed since [`Sessions::next_change`] has told of them last.
    changed: BTreeSet<IpAddr>,
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
            pool6: pool6.unwrap_or_else(Pool::none6),
            changed: BTreeSet::new(),
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
        for address in session.addresses() {
            self.pool(address).free(address);
            self.note_change(address);
        }
        Some(session)
    }

    /// Forgets every session.
    pub(super) fn forget_all(&mut self) {
        let all: Vec<_> = self.sessions.keys().copied().collect();
        for key in all {
            self.forget(key);
        }
    }

    /// An address of no pool that is a session's since the last time (true), or is none's any more.
    pub(super) fn next_change(&mut self) -> Option<(IpAddr, bool)> {
        let address = self.changed.pop_first()?;
        Some((address, self.pool(address).is_taken(address)))
    }

    fn pool(&mut self, address: IpAddr) -> &mut Pool {
        if address.is_ipv4() { &mut self.pool4 } else { &mut self.pool6 }
    }

    /// It was taken or freed. What was both since anybody was told has not changed.
    fn note_change(&mut self, address: IpAddr) {
        if !self.pool(address).contains(address) && !self.changed.remove(&address) {
            self.changed.insert(address);
        }
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
