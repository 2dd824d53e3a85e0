//! A further key exchange between IKE_SA_INIT and IKE_AUTH (RFC 9370 2.2.2, in IKE_INTERMEDIATE, RFC 9242).

use super::Gateway;
use super::event::Refusal;
use super::login::{HalfOpen, Outcome, Stage};
use crate::crypto::encapsulate;
use crate::ike::keys::SaKeys;
use crate::ike::message::{Payload, notify};
use crate::time::Now;

impl Gateway {
    /// IKE_INTERMEDIATE: one, with the key exchange that was agreed on.
    pub(super) fn exchange_keys(&mut self, now: Now, half: &mut HalfOpen, payloads: &[Payload]) -> Outcome {
        let Stage::Intermediate(kem) = std::mem::replace(&mut half.stage, Stage::Closed) else {
            return self.refuse(now, half, Refusal::Syntax, notify::INVALID_SYNTAX);
        };
        let public = payloads.iter().find_map(|payload| match payload {
            Payload::Ke { group, data } if *group == kem.id() => Some(data),
            _ => None,
        });
        let exchanged = public.and_then(|public| encapsulate(public, &mut *self.random).ok());
        let Some((ciphertext, shared)) = exchanged else {
            return self.refuse(now, half, Refusal::Syntax, notify::INVALID_SYNTAX);
        };
        let (suite, (spi_i, spi_r)) = (half.sa.suite(), half.sa.spis());
        let sk_d = &half.sa.keys().sk_d;
        let keys = SaKeys::derive_rekey(suite.prf, sk_d, suite, &half.ni, &half.nr, &shared, &spi_i, &spi_r);
        half.stage = Stage::First;
        Outcome::Keys(vec![Payload::Ke { group: kem.id(), data: ciphertext }], Box::new(keys))
    }
}
