//! What can be broken on purpose. Loss and delay are the network's business, not the gateway's.

use crate::crypto::Group;

/// How a token is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TokenFault {
    /// As it should be.
    #[default]
    None,
    /// The next so many reconnects get AUTHENTICATION_FAILED.
    Next(u32),
    /// Every reconnect gets AUTHENTICATION_FAILED.
    All,
}

/// How a request for a ticket is answered (RFC 5723 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TicketFault {
    /// As it should be.
    #[default]
    None,
    /// TICKET_ACK: later.
    Later,
    /// TICKET_NACK.
    Refused,
}

/// The faults of one gateway; everything off by default.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Hears nothing and says nothing; its clocks run on.
    pub silent: bool,
    /// What happens to tokens.
    pub tokens: TokenFault,
    /// What happens to requests for tickets.
    pub tickets: TicketFault,
    /// Every IKE_SA_INIT needs a COOKIE.
    pub cookie: bool,
    /// Only this group is taken, INVALID_KE_PAYLOAD asks for it (the client must have offered it).
    pub group: Option<Group>,
    /// A client's outer address is not followed: its packets are taken from anywhere, ESP goes where it went before (RFC 7296
    /// 2.23 asks for the update, not every gateway does it). With MOBIKE updates are answered, and ESP still does not move.
    pub pinned: bool,
    /// Every UPDATE_SA_ADDRESSES is answered UNACCEPTABLE_ADDRESSES (RFC 4555 3.5).
    pub unacceptable: bool,
    pub(super) window_over: bool,
}

impl Faults {
    /// Every inactive session expires at the next call of the gateway.
    pub fn window_over(&mut self) {
        self.window_over = true;
    }

    /// Is this reconnect to be refused? Counts down.
    pub(super) fn refuse_token(&mut self) -> bool {
        match &mut self.tokens {
            TokenFault::None | TokenFault::Next(0) => false,
            TokenFault::All => true,
            TokenFault::Next(left) => {
                *left -= 1;
                true
            }
        }
    }
}
