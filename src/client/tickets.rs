//! Tickets for the IKE SA that serves (RFC 5723 4.1, 6.2): another one where a rekey has ended the one before, in time before its
//! own end, and where the gateway has put it off.

use super::serving::Serving;
use super::{Client, Event};
use crate::ike::established::TicketAnswer;
use crate::ike::initiator::Resumable;
use crate::ike::message::TicketGrant;
use crate::ike::proposal::IkeSuite;
use crate::ike::sa::IkeSa;
use crate::session::Ticket;
use crate::time::{Instant, Now};
use std::time::Duration;

/// What was put off (TICKET_ACK) is asked for again after this.
const LATER: Duration = Duration::from_secs(60);

/// What the tickets of an IKE SA have in common, and when the next one is asked for.
pub(super) struct Tickets {
    /// IDi and IDr.
    parties: ((u8, Vec<u8>), (u8, Vec<u8>)),
    due: Option<Instant>,
    /// The IKE SA was rekeyed since the last one was given.
    stale: bool,
}

impl Tickets {
    /// A ticket with what of its IKE SA it takes to use it. The gateway's clock for it begins now, and half of the time later
    /// another one is asked for.
    fn take(&mut self, now: Now, sa: &IkeSa, grant: TicketGrant) -> Ticket {
        let TicketGrant { lifetime, opaque } = grant;
        (self.due, self.stale) = (Some(now.at + lifetime / 2), false);
        let IkeSuite { encr, integ, prf, group, .. } = *sa.suite();
        let (id, gateway_id) = self.parties.clone();
        Ticket {
            opaque,
            sk_d: sa.keys().sk_d.clone(),
            encr,
            integ,
            prf,
            group,
            id,
            gateway_id,
            until: now.wall + lifetime,
        }
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
        let (serving, resumable) = (self.serving.as_mut()?, resumable?.clone());
        let parties = (resumable.id, resumable.gateway_id);
        let tickets = serving.tickets.insert(Tickets { parties, due: Some(now.at + LATER), stale: true });
        Some(tickets.take(now, serving.ike.sa(), resumable.grant?))
    }

    /// The IKE SA was rekeyed: its ticket is good for nothing with a gateway that keeps to the rules, so another one is asked for
    /// at once. Until there is an answer it is kept: to show it costs a round trip, and may bring everything back.
    pub(super) fn ticket_is_stale(&mut self, now: Now) {
        if let Some(tickets) = self.serving.as_mut().and_then(|serving| serving.tickets.as_mut()) {
            (tickets.due, tickets.stale) = (Some(now.at), true);
        }
    }

    /// Asks for another ticket where it is time.
    pub(super) fn ask_for_ticket(&mut self, now: Now) {
        let Some(serving) = self.serving.as_mut() else { return };
        if let Some(tickets) = serving.tickets.as_mut()
            && tickets.due.take_if(|at| *at <= now.at).is_some()
        {
            let asked = serving.ike.request_ticket(now.at, &mut *self.random);
            tickets.due = (!asked).then(|| now.at + LATER);
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
                self.token_until = self.way_back_until(now);
                self.store_session(now);
            }
            TicketAnswer::Later => tickets.due = Some(now.at + LATER),
            // The one before is good to its end.
            TicketAnswer::Refused if !tickets.stale => {}
            TicketAnswer::Refused => {
                self.ticket_is_over(now);
                if self.session.is_none() {
                    self.events.push_back(Event::NoToken);
                }
            }
        }
    }

    /// The ticket goes with its IKE SA (RFC 5723 6.2), and a session that has nothing else goes with it.
    pub(super) fn ticket_is_over(&mut self, now: Now) {
        let Some(session) = self.session.as_mut() else { return };
        if session.ticket.take().is_none() {
            return;
        }
        if session.has_token() || self.attempt.is_some() {
            self.store_session(now);
        } else {
            self.session = None;
            self.stored_at = None;
            self.events.push_back(Event::EraseSession);
        }
        self.token_until = self.way_back_until(now);
    }
}
