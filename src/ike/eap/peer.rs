//! The client's side of an EAP login, whichever method it is.

use super::{Answers, AnyConnect, EapError, EapMethod, LoginParams, Notice, Standard, Step, TlsLogin};
use crate::crypto::{Random, Secret};
use crate::time::UnixTime;

/// One login.
pub enum Peer {
    /// EAP-AnyConnect.
    AnyConnect(Box<AnyConnect>),
    /// A method of the standards.
    Standard(Box<Standard>),
}

impl Peer {
    /// A login with EAP-AnyConnect that has not begun.
    pub fn any_connect(params: LoginParams) -> Self {
        Self::AnyConnect(Box::new(AnyConnect::new(params)))
    }

    /// A login with this method that has not begun.
    pub fn standard(method: EapMethod) -> Self {
        Self::Standard(Box::new(Standard::new(method)))
    }

    /// A login with EAP-TLS that has not begun. `now`: what the EAP server's certificate is checked at.
    pub fn tls(login: TlsLogin, now: UnixTime) -> Self {
        Self::Standard(Box::new(Standard::tls(login, now)))
    }

    /// Takes an EAP packet of the gateway. Call it only after the gateway's AUTH has been verified.
    ///
    /// # Errors
    /// Any error ends the login.
    pub fn handle(&mut self, packet: &[u8], random: &mut dyn Random) -> Result<Step, EapError> {
        match self {
            Self::AnyConnect(login) => login.handle(packet),
            Self::Standard(login) => login.handle(packet, random),
        }
    }

    /// The user's answers to the last form; the EAP packet to send.
    ///
    /// # Errors
    /// Where [`EapError::is_about_answers`] it can be called again with better ones; every other error ends the login.
    pub fn answer(&mut self, answers: &Answers, random: &mut dyn Random) -> Result<Vec<u8>, EapError> {
        match self {
            Self::AnyConnect(login) => login.answer(answers),
            Self::Standard(login) => login.answer(answers, random),
        }
    }

    /// The signature that [`Step::Sign`] has asked for; the EAP packet to send.
    ///
    /// # Errors
    /// As [`AnyConnect::signed`].
    pub fn signed(&mut self, signature: Vec<u8>) -> Result<Vec<u8>, EapError> {
        match self {
            Self::AnyConnect(login) => login.signed(signature),
            Self::Standard(_) => Err(EapError::Unexpected("a signature inside a standard method")),
        }
    }

    /// What came of [`Step::Scan`].
    ///
    /// # Errors
    /// As [`AnyConnect::scanned`].
    pub fn scanned(&mut self, token: Result<String, String>) -> Result<Step, EapError> {
        match self {
            Self::AnyConnect(login) => login.scanned(token),
            Self::Standard(_) => Err(EapError::Unexpected("a host scan inside a standard method")),
        }
    }

    /// What to tell the user, drained.
    pub fn notices(&mut self) -> Vec<Notice> {
        match self {
            Self::AnyConnect(login) => login.notices(),
            Self::Standard(login) => login.notices(),
        }
    }

    /// The key that a login which succeeded has made (the MSK of RFC 3748 7.10); `None` where the method makes none.
    pub fn key(&self) -> Option<&Secret> {
        match self {
            Self::AnyConnect(_) => None,
            Self::Standard(login) => login.key(),
        }
    }

    /// The gateway ends the exchange without EAP-Failure: what it said before, where that is known.
    pub fn refusal(&mut self) -> Option<EapError> {
        match self {
            Self::AnyConnect(_) => None,
            Self::Standard(login) => login.refusal(),
        }
    }
}
