//! The gateway's part of RFC 8784: which PPK a client has, and whether it does without.

use super::Gateway;
use super::event::Refusal;
use super::login::HalfOpen;
use crate::ike::message::{Notify, Payload, find_notify, notify};

/// What the client's AUTH has to be, and what the answer says of it.
pub(super) struct Mixed<'a> {
    /// The data of AUTH.
    pub(super) auth: &'a [u8],
    /// Goes into the answer, beside our own AUTH.
    pub(super) answer: Option<Payload>,
}

impl Gateway {
    /// USE_PPK is answered.
    pub(super) fn offers_ppk(&self, payloads: &[Payload]) -> bool {
        self.config.ppk.is_some() && find_notify(payloads, notify::USE_PPK).is_some()
    }

    /// Takes the message with the client's AUTH, whose data is `auth`. Where both have the PPK it is in the keys of `half` from now
    /// on; where the client has another one, its NO_PPK_AUTH counts instead of AUTH (the table of RFC 8784 3).
    ///
    /// # Errors
    /// A PPK is required that the client does not have, or the client does not do without its own.
    pub(super) fn mix_ppk<'a>(
        &self,
        half: &mut HalfOpen,
        payloads: &'a [Payload],
        auth: &'a [u8],
    ) -> Result<Mixed<'a>, Refusal> {
        let required = self.config.ppk.as_ref().is_some_and(|ppk| ppk.required);
        let plain = |auth| if required { Err(Refusal::Ppk) } else { Ok(Mixed { auth, answer: None }) };
        let Some(ppk) = self.config.ppk.as_ref().filter(|_| half.ppk) else { return plain(auth) };
        if find_notify(payloads, notify::PPK_IDENTITY).is_some_and(|named| ppk.is_named(&named.data)) {
            half.sa.mix_in(ppk);
            let answer = Notify::status(notify::PPK_IDENTITY, Vec::new());
            return Ok(Mixed { auth, answer: Some(Payload::Notify(answer)) });
        }
        plain(find_notify(payloads, notify::NO_PPK_AUTH).map(|n| n.data.as_slice()).ok_or(Refusal::Ppk)?)
    }
}
