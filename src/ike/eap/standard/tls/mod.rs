//! EAP-TLS (RFC 5216 with TLS 1.2, RFC 9190 with TLS 1.3): the user's certificate to the EAP server, which may stand behind
//! the gateway, and that server's to us.

mod fragments;
mod own;
mod server;
mod session;
#[cfg(test)]
mod tests;

pub use fragments::MAX_MESSAGE;

use super::super::EapError;
use crate::crypto::Secret;
use crate::ike::cert::{OwnCertificate, Trust};
use crate::time::UnixTime;
use fragments::{Inbound, Outbound, Piece};
use session::{Fed, Session};
use std::sync::Arc;

/// Requests of one login: a message of the largest size in each direction, in pieces of a thousand octets, and the rest.
pub const MAX_TLS_ROUNDS: u32 = 160;

/// What a login with EAP-TLS takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsLogin {
    /// The user's certificate and key.
    pub own: Arc<OwnCertificate>,
    /// Who the user is, for EAP-Identity (it leads the gateway to the server that is meant). Empty: a person is asked.
    pub name: String,
    /// The EAP server's name, or address: its certificate must carry it.
    pub server: String,
    /// Whom to believe about that.
    pub trust: Trust,
}

/// The method's own part of a login.
pub(super) struct Tls {
    login: TlsLogin,
    now: UnixTime,
    session: Option<Session>,
    inbound: Inbound,
    outbound: Outbound,
    /// What follows once our last piece is out.
    end: Option<Result<Secret, EapError>>,
    /// The last request and our answer: one that comes again gets the same (RFC 3748 4.1).
    last: Option<(Vec<u8>, Vec<u8>)>,
}

/// What the method answers.
pub(super) struct Turn {
    /// What follows the type in our response.
    pub(super) data: Vec<u8>,
    /// The method is over with this response: its key, or why the login will fail.
    pub(super) end: Option<Result<Secret, EapError>>,
}

impl Tls {
    pub(super) fn new(login: TlsLogin, now: UnixTime) -> Self {
        let (inbound, outbound) = (Inbound::default(), Outbound::default());
        Self { login, now, session: None, inbound, outbound, end: None, last: None }
    }

    /// The answer to a request that comes a second time, octet for octet.
    pub(super) fn again(&self, request: &[u8]) -> Option<Vec<u8>> {
        self.last.as_ref().filter(|(last, _)| last == request).map(|(_, answer)| answer.clone())
    }

    /// Keeps an answer in mind.
    pub(super) fn answered(&mut self, request: &[u8], answer: &[u8]) {
        self.last = Some((request.to_vec(), answer.to_vec()));
    }

    /// True where the server says success too early: it has not said so inside TLS 1.3.
    pub(super) fn lacks_indication(&self) -> bool {
        self.session.as_ref().is_some_and(Session::waits_for_indication)
    }

    /// Takes what follows the type in a request.
    pub(super) fn request(&mut self, data: &[u8]) -> Result<Turn, EapError> {
        let piece = Piece::parse(data)?;
        let message = match &mut self.session {
            None if piece.start && !piece.more && piece.data.is_empty() => {
                let session = self.session.insert(Session::new(&self.login, self.now)?);
                self.outbound = Outbound::new(session.begin());
                return Ok(self.turn());
            }
            None => return Err(EapError::Unexpected("EAP-TLS without its start")),
            Some(_) if piece.start => return Err(EapError::Unexpected("a second start of EAP-TLS")),
            Some(_) if !self.outbound.is_over() => {
                if !piece.is_acknowledgement() {
                    return Err(EapError::Unexpected("EAP-TLS data before all of ours was sent"));
                }
                return Ok(self.turn());
            }
            Some(_) => self.inbound.take(piece)?,
        };
        let (Some(message), Some(session)) = (message, &mut self.session) else {
            return Ok(Turn { data: Outbound::default().next(), end: None });
        };
        let (out, end) = match session.feed(&message) {
            Fed::Goes(out) => (out, None),
            Fed::Done(out, key) => (out, Some(Ok(key))),
            Fed::Failed(out, error) => (out, Some(Err(error))),
        };
        if out.len() > MAX_MESSAGE {
            return Err(EapError::TooLong);
        }
        (self.outbound, self.end) = (Outbound::new(out), end);
        Ok(self.turn())
    }

    fn turn(&mut self) -> Turn {
        let data = self.outbound.next();
        let end = if self.outbound.is_over() { self.end.take() } else { None };
        Turn { data, end }
    }
}
