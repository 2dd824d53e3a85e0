//! The PPK of an attempt: offered in IKE_SA_INIT, named with the AUTH payload, taken or not by the answer (RFC 8784 3).

use super::super::keys::SaKeys;
use super::super::message::{Notify, Payload, find_notify, notify};
use super::super::ppk::Ppk;
use super::auth::{Auth, Stop};
use super::init::Keyed;
use super::{Failure, InitiatorConfig};
use crate::crypto::Random;
use crate::time::Instant;

/// What becomes of the PPK.
pub(super) enum Mixing {
    /// There is none, or the gateway does not know RFC 8784.
    No,
    /// The gateway may take it: the keys with it.
    Offered(Ppk, Box<SaKeys>),
    /// It is in the keys.
    Done,
}

impl Mixing {
    /// # Errors
    /// It is required, and the gateway does not know RFC 8784.
    pub(super) fn begin(ppk: Option<&Ppk>, keyed: &Keyed) -> Result<Self, Failure> {
        match ppk {
            Some(ppk) if keyed.peer_ppk => {
                let mixed = Box::new(ppk.mix(keyed.suite.prf, &keyed.keys));
                Ok(Self::Offered(ppk.clone(), mixed))
            }
            Some(ppk) if ppk.required => {
                Err(Failure::Ppk("does not offer PPKs (RFC 8784), and ppk_required is set"))
            }
            _ => Ok(Self::No),
        }
    }

    /// Our AUTH is with it, and the gateway has not said yet what it makes of it.
    pub(super) fn is_offered(&self) -> bool {
        matches!(self, Self::Offered(..))
    }

    pub(super) fn is_mixed(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl Auth {
    /// AUTH as `make` does it with these keys; where a PPK is offered, made with it, its name, and unless it is required the AUTH
    /// data without it, for a gateway that has another.
    pub(super) fn prove<E>(&self, make: impl Fn(&SaKeys) -> Result<Payload, E>) -> Result<Vec<Payload>, E> {
        let Mixing::Offered(ppk, mixed) = &self.ppk else { return Ok(vec![make(&self.keyed.keys)?]) };
        let mut payloads = vec![make(mixed)?, ppk.identity()];
        if !ppk.required
            && let Payload::Auth { data, .. } = &make(&self.keyed.keys)?
        {
            payloads.push(Payload::Notify(Notify::status(notify::NO_PPK_AUTH, data.as_slice())));
        }
        Ok(payloads)
    }

    /// The answer to our AUTH says whether the gateway took the PPK: its own AUTH and everything after is with it then.
    pub(super) fn ppk_answered(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let taken = find_notify(payloads, notify::PPK_IDENTITY).is_some();
        match std::mem::replace(&mut self.ppk, Mixing::No) {
            Mixing::Offered(ppk, mixed) if taken => {
                self.keyed.keys = *mixed;
                if let Some(sa) = self.sa.as_mut() {
                    sa.mix_in(&ppk);
                }
                self.ppk = Mixing::Done;
            }
            Mixing::Offered(ppk, _) if ppk.required => {
                // A gateway that never says DELETE ends the session would keep a half of an SA.
                if config.credentials.is_login() {
                    self.turn_away(now, random);
                }
                return Err(
                    Failure::Ppk("does not know the one that was named, and ppk_required is set").into()
                );
            }
            Mixing::Offered(..) | Mixing::No => {}
            Mixing::Done => self.ppk = Mixing::Done,
        }
        Ok(())
    }
}
