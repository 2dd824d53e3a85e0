//! Tickets for the IKE SA that serves (RFC 5723 4.1, 6.2): another one where a rekey has ended the one before, in time before its
//! own end, and where the gateway has put it off.

use super::resume::Refused;
use super::serving::Serving;
use super::{Client, Event};
use crate::crypto::Secret;
use crate::ike::established::TicketAnswer;
use crate::ike::initiator::Resumable;
use crate::ike::message::TicketGrant;
use crate::ike::proposal::IkeSuite;
use crate::ike::sa::IkeSa;
use crate::session::{Session, Ticket};
use crate::time::{Instant, Now, UnixTime};
use std::time::Duration;

/// What was put off (TICKET_ACK) is asked for again after this, and after twice as long each time.
const LATER: Duration = Duration::from_secs(60);
/// No other ticket is asked for so soon after one.
const SOONEST: Duration = Duration::from_secs(10);
/// Answers without a word of tickets that are no refusal yet: after rekeys that met, the gateway may not use this IKE SA yet.
const SILENCES: u32 = 3;

/// What the tickets of an IKE SA have in common, and when the next one is asked for.
pub(super) struct Tickets {
    /// IDi and IDr.
    parties: ((u8, Vec<u8>), (u8, Vec<u8>)),
    /// [`Settings::terms`](super::settings::Settings::terms) of the login or reconnect.
    terms: Vec<u8>,
    due: Option<Instant>,
    /// The end of the last one; `None`: there was none, or the IKE SA was rekeyed since.
    until: Option<UnixTime>,
    /// How often it was put off since, and how often without a word.
    put_off: u32,
    silences: u32,
    /// The person knows that there is none.
    told: bool,
}

impl Tickets {
    /// A ticket with what of its IKE SA it takes to use it. The gateway's clock for it begins now, and half of the time later
    /// another one is asked for; not where the last one brought no more time.
    fn take(&mut self, now: Now, sa: &IkeSa, grant: TicketGrant) -> Ticket {
        let TicketGrant { lifetime, opaque } = grant;
        let until = now.wall + lifetime;
        let longer = self.until.is_none_or(|before| before < until);
        self.due = longer.then(|| now.at + (lifetime / 2).max(SOONEST));
        (self.until, self.put_off, self.silences, self.told) = (Some(until), 0, 0, false);
        let IkeSuite { encr, integ, prf, group, .. } = *sa.suite();
        let (id, gateway_id) = self.parties.clone();
        let (sk_d, terms) = (sa.keys().sk_d.clone(), self.terms.clone());
        Ticket { opaque, sk_d, encr, integ, prf, group, id, gateway_id, until, terms }
    }

    fn later(&mut self, now: Now) {
        self.due = Some(now.at + LATER * (1 << self.put_off.min(6)));
        self.put_off += 1;
    }
}

impl Serving {
    /// When another ticket is asked for.
    pub(super) fn ticket_at(&self) -> Option<Instant> {
        self.tickets.as_ref()?.due
    }
}

impl Client {
    /// A new IKE SA serves: its first ticket.
    pub(super) fn serve_with_tickets(&mut self, now: Now, resumable: Option<&Resumable>) -> Option<Ticket> {
        let terms = self.settings.terms();
        let (serving, resumable) = (self.serving.as_mut()?, resumable?.clone());
        let parties = (resumable.id, resumable.gateway_id);
        let tickets =
            Tickets { parties, terms, due: None, until: None, put_off: 0, silences: 0, told: false };
        let tickets = serving.tickets.insert(tickets);
        tickets.later(now);
        Some(tickets.take(now, serving.ike.sa(), resumable.grant?))
    }

    /// The IKE SA was rekeyed: its ticket is good for nothing with a gateway that keeps to the rules, so another one is asked for
    /// at once. Until there is an answer it is kept: to show it costs a round trip, and may bring everything back.
    pub(super) fn ticket_is_stale(&mut self, now: Now) {
        if let Some(tickets) = self.serving.as_mut().and_then(|serving| serving.tickets.as_mut()) {
            (tickets.due, tickets.until, tickets.put_off, tickets.silences) = (Some(now.at), None, 0, 0);
        }
    }

    /// Asks for another ticket where it is time; not beside an attempt, which may be showing the one that it would end.
    pub(super) fn ask_for_ticket(&mut self, now: Now) {
        let Some(serving) = self.serving.as_mut().filter(|_| self.attempt.is_none()) else { return };
        if let Some(tickets) = serving.tickets.as_mut()
            && tickets.due.take_if(|at| *at <= now.at).is_some()
            && !serving.ike.request_ticket(now.at, &mut *self.random)
        {
            tickets.later(now);
        }
    }

    /// What the gateway says to that.
    pub(super) fn ticket_answered(&mut self, now: Now, answer: TicketAnswer) {
        let Some(serving) = self.serving.as_mut() else { return };
        let Some(tickets) = serving.tickets.as_mut() else { return };
        match answer {
            TicketAnswer::Granted(grant) => {
                let ticket = tickets.take(now, serving.ike.sa(), grant);
                if let Some(session) = self.session.as_mut() {
                    session.ticket = Some(ticket);
                }
                // Nobody can have forged this word of the gateway's.
                self.refused = Refused::default();
                self.token_until = self.way_back_until(now);
                self.store_session(now);
            }
            TicketAnswer::Later => tickets.later(now),
            TicketAnswer::Silent if tickets.silences < SILENCES => {
                tickets.silences += 1;
                tickets.later(now);
            }
            // The one before is good to its end.
            TicketAnswer::Refused | TicketAnswer::Silent if tickets.until.is_some() => {}
            TicketAnswer::Refused | TicketAnswer::Silent => {
                let told = std::mem::replace(&mut tickets.told, true);
                self.ticket_is_over(now);
                if !told && !self.session.as_ref().is_some_and(Session::has_token) {
                    self.events.push_back(Event::NoToken);
                }
            }
        }
    }

    /// The ticket goes with its IKE SA (RFC 5723 6.2).
    pub(super) fn ticket_is_over(&mut self, now: Now) {
        let Some(session) = self.session.as_mut() else { return };
        if session.ticket.take().is_some() {
            self.token_until = self.way_back_until(now);
            self.store_session(now);
        }
    }

    /// Nothing of the session is kept but, where the IKE SA in use may bring another ticket, whose it is. False where there was
    /// nothing.
    pub(super) fn strip_session(&mut self) -> bool {
        let Some(mut session) = self.session.take() else { return false };
        let had = session.has_way_back();
        if self.serving.as_ref().is_some_and(|serving| serving.tickets.is_some()) {
            (session.id, session.token, session.ticket) = (Vec::new(), Secret::new(Vec::new()), None);
            self.session = Some(session);
        }
        had
    }
}
