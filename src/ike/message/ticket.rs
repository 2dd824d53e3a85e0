//! TICKET_LT_OPAQUE (RFC 5723 7.1): a ticket to resume the IKE SA with, and how long it is good for.

use super::notify::{self, Notify, find_notify};
use super::payload::Payload;
use crate::crypto::Secret;
use std::time::Duration;

/// Longest ticket that is kept, octets: it has to fit a datagram, and the session store.
pub const TICKET_MAX: usize = 8_192;

/// A ticket as the gateway gives it. `Debug` shows no octet of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TicketGrant {
    /// Good for so long, whole seconds.
    pub lifetime: Duration,
    /// What only the gateway can read.
    pub opaque: Secret,
}

impl TicketGrant {
    /// Of an answer; `None` where it gives none, an empty one, one that is over at once, or one longer than [`TICKET_MAX`].
    pub fn find(payloads: &[Payload]) -> Option<Self> {
        let (seconds, opaque) = find_notify(payloads, notify::TICKET_LT_OPAQUE)?.data.split_first_chunk()?;
        let seconds = u32::from_be_bytes(*seconds);
        let kept = seconds > 0 && !opaque.is_empty() && opaque.len() <= TICKET_MAX;
        kept.then(|| Self { lifetime: Duration::from_secs(seconds.into()), opaque: Secret::from(opaque) })
    }

    /// The notify; whole seconds, 2^32 - 1 at most.
    pub fn payload(&self) -> Payload {
        let seconds = u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX);
        let data = [&seconds.to_be_bytes(), self.opaque.expose()].concat();
        Payload::Notify(Notify::status(notify::TICKET_LT_OPAQUE, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(data: Vec<u8>) -> Option<TicketGrant> {
        TicketGrant::find(&[Payload::Notify(Notify::status(notify::TICKET_LT_OPAQUE, data))])
    }

    #[test]
    fn a_ticket_that_is_of_no_use_is_none() {
        assert_eq!(TicketGrant::find(&[]), None);
        assert_eq!(said(vec![0, 0, 1]), None);
        assert_eq!(said(vec![0, 0, 0, 1]), None, "empty");
        assert_eq!(said(vec![0, 0, 0, 0, 7]), None, "over at once");
        assert!(said(vec![1; 4 + TICKET_MAX]).is_some());
        assert_eq!(said(vec![1; 5 + TICKET_MAX]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 1u32.., octets in proptest::collection::vec(any::<u8>(), 1..200)) {
            let grant = TicketGrant { lifetime: Duration::from_secs(seconds.into()), opaque: Secret::new(octets) };
            prop_assert_eq!(TicketGrant::find(&[grant.payload()]), Some(grant));
        }

        #[test]
        fn any_octets_are_survived(data in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = said(data);
        }
    }
}
