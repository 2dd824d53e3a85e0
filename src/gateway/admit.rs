//! How a login gets its session, and what gives way to it.

use super::Gateway;
use super::event::{GatewayEvent, Refusal};
use super::live::Connection;
use super::sessions::{Draft, NoAddress, SessionKey, State, Wanted};
use crate::time::Now;

impl Gateway {
    /// A session to settle; nothing has changed yet.
    pub(super) fn draft(&mut self, wanted: Wanted, connection: Connection) -> Result<Draft, Refusal> {
        let user = wanted.user.clone();
        self.sessions.draft(wanted, connection, &mut *self.random).map_err(|why| match why {
            NoAddress::PoolEmpty => Refusal::PoolEmpty,
            NoAddress::Taken { address, owner } => {
                self.out.tell(GatewayEvent::AddressTaken { user, address, owner });
                Refusal::AddressTaken
            }
        })
    }

    /// The session is settled: it is in the databases from now on, and what has its address goes, with a word to its client.
    pub(super) fn admit(&mut self, now: Now, draft: Draft, connection: Connection) -> SessionKey {
        for key in draft.replaces() {
            self.end_ticket(now, *key);
            if let Some(State::Active(old)) = self.sessions.get(*key).map(|session| session.state) {
                self.send_away(now, old);
            }
        }
        let (key, replaced) = self.sessions.admit(draft);
        for session in replaced {
            let (id, addresses) = (session.id(), session.addresses());
            let number = match session.state {
                State::Active(number) => Some(number),
                State::Inactive(_) => None,
            };
            let user = session.user;
            self.out.tell(GatewayEvent::SessionReplaced { id, user, addresses, number, by: connection });
        }
        key
    }
}
