//! A session that comes back by token (PROTOCOL section 5): no AAA, the same address, two round trips.

use super::Gateway;
use super::child::ChildRequest;
use super::event::{GatewayEvent, Refusal};
use super::live::Arrival;
use super::login::{HalfOpen, Outcome};
use super::ppk::Mixed;
use super::sessions::State;
use crate::crypto::Secret;
use crate::ike::auth::shared_key_auth;
use crate::ike::message::{Identity, notify};
use crate::time::Now;

impl Gateway {
    /// IKE_AUTH with a shared key: `id` names the session, `mixed` has the MAC with its token.
    ///
    /// A session in the inactive database is taken back; one that is thought alive too where the gateway is lenient: its old
    /// IKE SA goes without a word. Whatever does not fit gives AUTHENTICATION_FAILED after the same work.
    pub(super) fn reconnect(
        &mut self,
        now: Now,
        half: &HalfOpen,
        id: Identity,
        child: ChildRequest,
        mixed: Result<Mixed<'_>, Refusal>,
    ) -> Outcome {
        self.out.counters.reconnects += 1;
        let mixed = match mixed {
            Ok(mixed) => mixed,
            Err(why) => return self.refuse_reconnect(now, half, why, notify::AUTHENTICATION_FAILED),
        };
        let known = self
            .sessions
            .find(&id.data)
            .and_then(|(key, session)| Some((key, session.state, session.credentials.clone()?.token)));
        let nobody = Secret::new(vec![0; 48]);
        let token = known.as_ref().map_or(&nobody, |(.., token)| token);
        let prf = half.sa.suite().prf;
        let expected = shared_key_auth(prf, token.expose(), &half.client_octets(&id));
        let matches =
            expected == Secret::from(mixed.auth) && id.kind == self.config.dialect.reconnect_id_type;
        let fault = self.faults.refuse_token();
        let found = match known {
            Some((key, State::Inactive(_), _)) if matches && !fault => Some((key, None)),
            Some((key, State::Active(old), _)) if matches && !fault && self.config.lenient => {
                Some((key, Some(old)))
            }
            _ => None,
        };
        let found = found.and_then(|(key, old)| Some((key, old, self.sessions.get(key)?.clone())));
        let Some((key, replaced, session)) = found else {
            return self.refuse_reconnect(now, half, Refusal::Token, notify::AUTHENTICATION_FAILED);
        };
        let Some(mut proof) = self.prove(half) else {
            return self.refuse_reconnect(now, half, Refusal::Signing, notify::AUTHENTICATION_FAILED);
        };
        proof.extend(mixed.answer);
        let connection = self.next_connection();
        match self.settle_child(now, self.authenticated_until(now), &session, &child, proof) {
            Err((why, kind)) => self.refuse_reconnect(now, half, why, kind),
            Ok((mut answer, settled)) => {
                if child.ticket {
                    answer.extend(self.ticket(now, settled.expires, &half.sa, &id, (key, false)));
                }
                self.out.counters.reconnects_ok += 1;
                let (user, peer) = (session.user.clone(), half.path.peer);
                let (name, replaced) = (session.id().unwrap_or_default(), replaced.is_some());
                self.out.tell(GatewayEvent::Reconnect { id: name, user, peer, replaced });
                Outcome::Up(
                    answer,
                    Box::new(Arrival { connection, session: key, id, reconnect: true, child: settled }),
                )
            }
        }
    }

    fn refuse_reconnect(&mut self, now: Now, half: &HalfOpen, why: Refusal, kind: u16) -> Outcome {
        self.out.counters.reconnects_failed += 1;
        self.refuse(now, half, why, kind)
    }
}
