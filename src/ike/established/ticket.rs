//! Tickets for an IKE SA that stands (RFC 5723 4.1): the client asks with an INFORMATIONAL request, the answer has one, or says
//! why there is none.

use super::super::message::{Exchange, Notify, Payload, TicketGrant, find_notify, notify};
use super::{Established, Pending, SaEvent, Which};
use crate::crypto::Random;
use crate::time::Instant;

/// What a gateway says to the request for a ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TicketAnswer {
    /// A ticket for the IKE SA in use.
    Granted(TicketGrant),
    /// TICKET_ACK: not now.
    Later,
    /// TICKET_NACK, or a ticket that cannot be kept.
    Refused,
    /// No word of tickets.
    Silent,
}

impl TicketAnswer {
    /// Of the payloads of an answer.
    pub fn read(payloads: &[Payload]) -> Self {
        match TicketGrant::find(payloads) {
            Some(grant) => Self::Granted(grant),
            None if find_notify(payloads, notify::TICKET_ACK).is_some() => Self::Later,
            None if [notify::TICKET_NACK, notify::TICKET_LT_OPAQUE]
                .iter()
                .any(|kind| find_notify(payloads, *kind).is_some()) =>
            {
                Self::Refused
            }
            None => Self::Silent,
        }
    }
}

/// A request for a ticket that has to be answered.
pub(super) struct Asked {
    id: u32,
    answer: Vec<Payload>,
}

impl Established {
    /// The client's side: asks for a ticket for the IKE SA in use; [`SaEvent::TicketAnswered`] follows, unless the IKE SA is
    /// rekeyed or ends before. Nothing where that is asked already. False where too many requests wait.
    pub fn request_ticket(&mut self, now: Instant, random: &mut dyn Random) -> bool {
        if self.closed || self.current.pending.iter().any(|p| matches!(p, Pending::Ticket)) {
            return true;
        }
        let request = vec![Payload::Notify(Notify::status(notify::TICKET_REQUEST, Vec::new()))];
        let taken = self.current.sa.request(now, Exchange::Informational, request, random);
        if taken {
            self.current.pending.push_back(Pending::Ticket);
        }
        taken
    }

    /// The gateway's side: requests for tickets are [`SaEvent::TicketWanted`] from here on, and each has to be answered with
    /// [`Self::answer_ticket`] at once. Without this nothing is said to them.
    pub fn give_tickets(&mut self) {
        self.gives_tickets = true;
    }

    /// The gateway's side: the answer to the request for a ticket.
    pub fn answer_ticket(&mut self, payload: Payload, random: &mut dyn Random) {
        if let Some(Asked { id, mut answer }) = self.ticket_asked.take() {
            answer.push(payload);
            self.respond(Which::Current, id, Exchange::Informational, &answer, random);
        }
    }

    /// True where this request is one for a ticket, whose answer waits for it: the gateway's side, and only for the IKE SA in use.
    /// On another one the answer is TICKET_ACK.
    pub(super) fn wants_ticket(
        &mut self,
        which: Which,
        id: u32,
        payloads: &[Payload],
        answer: &[Payload],
        random: &mut dyn Random,
    ) -> bool {
        let wants = self.gives_tickets && find_notify(payloads, notify::TICKET_REQUEST).is_some();
        if !wants || self.closed {
            return false;
        }
        if which == Which::Current {
            self.ticket_asked = Some(Asked { id, answer: answer.to_vec() });
            self.events.push_back(SaEvent::TicketWanted);
        } else {
            // It is on its way out, or not known yet to stay.
            let later = Payload::Notify(Notify::status(notify::TICKET_ACK, Vec::new()));
            let answer = [answer, &[later]].concat();
            self.respond(which, id, Exchange::Informational, &answer, random);
        }
        true
    }
}
