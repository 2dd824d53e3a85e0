//! Two ways back that need no person, token and ticket (RFC 5723): which one is taken, and what a refusal of one means.

use super::{AuthKind, Client, cause_of};
use crate::ike::initiator::Failure;
use crate::reconnect::{Cause, Failed, Resumption};
use crate::session::{Session, Ticket};
use crate::time::{Instant, Now};

/// What the gateway has refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Refused {
    /// Where it goes on being tried too: a gateway that still thinks the old SA alive takes it later.
    token: bool,
    /// Not tried again until another path: whoever forges a TICKET_NACK shall not gain more than that.
    ticket: bool,
    /// A ticket was not answered: while there is a token, that is tried.
    silent: bool,
}

impl Client {
    /// The ticket, where it is what the next reconnect is made with.
    pub(super) fn ticket_to_take(&self, now: Now) -> Option<&Ticket> {
        let session = self.session.as_ref()?;
        let ticket = session.ticket.as_ref().filter(|ticket| !ticket.remaining(now.wall).is_zero())?;
        let horizon = self.settings.dialect.horizon();
        let token = !session.token_remaining(now.wall, horizon).is_zero();
        // A resumption is no new authentication.
        let renewal = cause_of(self.policy.state()) == Some(Cause::Renewal);
        let take = match self.settings.tickets() {
            Resumption::Off => false,
            _ if self.refused.ticket => false,
            _ if !token => true,
            _ if self.refused.silent => false,
            Resumption::AfterToken => self.refused.token && !renewal,
            Resumption::First => !renewal,
        };
        take.then_some(ticket)
    }

    /// False where only a ticket is left, and the gateway does not take it.
    pub(super) fn may_come_back(&self) -> bool {
        !self.refused.ticket || self.session.as_ref().is_none_or(Session::has_token)
    }

    /// Until when token or ticket are worth trying, after a sign of the gateway at `now`.
    pub(super) fn way_back_until(&self, now: Now) -> Option<Instant> {
        let session = self.session.as_ref().filter(|session| session.has_way_back())?;
        Some(now.at + session.remaining(now.wall, self.settings.dialect.horizon()))
    }

    /// There is a token for a new authentication.
    pub(super) fn has_token(&self, now: Now) -> bool {
        let horizon = self.settings.dialect.horizon();
        let Some(session) = self.session.as_ref().filter(|session| session.has_token()) else { return false };
        // With a ticket `token_until` is the end of whichever lasts longer.
        let over = session.ticket.is_some() && session.token_remaining(now.wall, horizon).is_zero();
        !over && self.token_until.is_some_and(|until| now.at < until)
    }

    /// Nothing is refused any more: a new SA, or a new path.
    pub(super) fn forget_refusals(&mut self, now: Now) {
        if std::mem::take(&mut self.refused).ticket {
            self.token_until = self.way_back_until(now);
        }
    }

    /// A reconnect of this kind has failed. Where the other way is left it is the next one, at once.
    pub(super) fn note_refusal(&mut self, now: Now, auth: AuthKind, failure: &Failure) -> Option<Failed> {
        match (auth, failure) {
            (AuthKind::Ticket, Failure::Ticket | Failure::Refused { .. } | Failure::GatewayAuth) => {
                self.refused.ticket = true;
                // From here on the token's time counts alone.
                let horizon = self.settings.dialect.horizon();
                let left = self.session.as_ref().map(|session| session.token_remaining(now.wall, horizon));
                let end = now.at + left.unwrap_or_default();
                self.token_until = self.token_until.map(|until| until.min(end));
                (self.has_token(now) && !self.refused.token).then_some(Failed::OtherWay)
            }
            // A gateway that knows no IKE_SESSION_RESUME says nothing: the next try is the token's.
            (AuthKind::Ticket, _) => {
                self.refused.silent = true;
                None
            }
            (AuthKind::Token, Failure::Refused { .. }) => {
                let before = std::mem::replace(&mut self.refused.token, true);
                (!before && self.ticket_to_take(now).is_some()).then_some(Failed::OtherWay)
            }
            _ => None,
        }
    }
}
