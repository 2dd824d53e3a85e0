//! A session that is not there yet: its addresses are chosen, nothing is taken and nobody has given way. So a login can be
//! settled to its end before it changes anything.

use super::{
    ALPHANUMERIC, Credentials, ID_LEN, LETTERS, Session, SessionKey, Sessions, State, TOKEN_LEN, draw,
};
use crate::crypto::{Random, Secret};
use crate::gateway::aaa::{Address4, Grant};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a new session asks for.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Wanted {
    /// EAP identity.
    pub(in crate::gateway) user: String,
    /// The IPv4 address of the CFG_REQUEST.
    pub(in crate::gateway) address4: Option<Ipv4Addr>,
    /// An IPv6 address too, this one if possible.
    pub(in crate::gateway) address6: Option<Option<Ipv6Addr>>,
    /// Hand out session ID and token.
    pub(in crate::gateway) reconnect: bool,
    /// What AAA outside has granted.
    pub(in crate::gateway) grant: Grant,
    /// The user has logged in: a session of theirs that is served gives way, too. For a ticket only one that waits does.
    pub(in crate::gateway) login: bool,
}

/// Why there is no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::gateway) enum NoAddress {
    /// Of the pool none is left.
    PoolEmpty,
    /// The one that AAA names is a session's of this user.
    Taken { address: IpAddr, owner: String },
}

/// See the module. Good until the databases change.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Draft {
    pub(super) session: Session,
    pub(super) replaces: Vec<SessionKey>,
}

impl Draft {
    /// As it will be.
    pub(in crate::gateway) fn session(&self) -> &Session {
        &self.session
    }

    /// Sessions of the same user that have an address which AAA gives to this one: one for each family at most.
    pub(in crate::gateway) fn replaces(&self) -> &[SessionKey] {
        &self.replaces
    }
}

impl Sessions {
    /// A session for connection `connection`. The databases stay as they are.
    pub(in crate::gateway) fn draft(
        &self,
        wanted: Wanted,
        connection: u64,
        random: &mut dyn Random,
    ) -> Result<Draft, NoAddress> {
        let Wanted { user, address4, address6, reconnect, grant, login } = wanted;
        let framed4 = match grant.address4 {
            Address4::Fixed(framed) => Some(framed),
            Address4::Client | Address4::Gateway => None,
        };
        // Who asks for none gets none.
        let framed6 = grant.address6.filter(|_| address6.is_some());
        let mut replaces = Vec::new();
        let mut freed = BTreeSet::new();
        for framed in [framed4.map(IpAddr::from), framed6.map(IpAddr::from)].into_iter().flatten() {
            let Some((key, owner)) = self.owner(framed) else { continue };
            if owner.user != user || owner.is_active() && !login {
                return Err(NoAddress::Taken { address: framed, owner: owner.user.clone() });
            }
            if !replaces.contains(&key) {
                replaces.push(key);
                freed.extend(owner.addresses());
            }
        }
        let address4 = match (framed4, grant.address4) {
            (Some(framed), _) => framed,
            (None, who) => {
                let wish = address4.filter(|_| who == Address4::Client).map(IpAddr::from);
                match self.pool4.choose(wish, &freed) {
                    Some(IpAddr::V4(address)) => address,
                    _ => return Err(NoAddress::PoolEmpty),
                }
            }
        };
        let chosen6 = || match self.pool6.choose(address6?.map(IpAddr::from), &freed)? {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        };
        let address6 = framed6.or_else(chosen6);
        let credentials = reconnect.then(|| Credentials {
            id: draw(LETTERS, ID_LEN, random),
            token: Secret::new(draw(ALPHANUMERIC, TOKEN_LEN, random).into_bytes()),
        });
        let session = Session {
            credentials,
            user,
            address4,
            address6,
            dpd_heard: false,
            grant,
            tickets: Vec::new(),
            state: State::Active(connection),
        };
        Ok(Draft { session, replaces })
    }

    /// Makes it a session: those that it replaces are forgotten, and handed back.
    pub(in crate::gateway) fn admit(&mut self, draft: Draft) -> (SessionKey, Vec<Session>) {
        let Draft { session, replaces } = draft;
        let replaced = replaces.into_iter().filter_map(|key| self.forget(key)).collect();
        let key = self.next;
        self.next += 1;
        if let Some(credentials) = &session.credentials {
            self.by_id.insert(credentials.id.clone().into_bytes(), key);
        }
        for address in session.addresses() {
            let free = self.pool(address).reserve(address);
            debug_assert!(free, "{address} has two owners");
            self.note_change(address);
        }
        self.sessions.insert(key, session);
        (key, replaced)
    }

    /// Who has this address.
    fn owner(&self, address: IpAddr) -> Option<(SessionKey, &Session)> {
        let pool = if address.is_ipv4() { &self.pool4 } else { &self.pool6 };
        let owns = |session: &Session| session.addresses().contains(&address);
        let found = || self.sessions.iter().find(|(_, session)| owns(session));
        pool.is_taken(address).then(found)?.map(|(key, session)| (*key, session))
    }
}
