//! A key exchange between IKE_SA_INIT and IKE_AUTH (RFC 9370 2.2.2, in IKE_INTERMEDIATE, RFC 9242), and the beginning of IKE_AUTH.

use super::super::keys::SaKeys;
use super::super::message::{Exchange, Payload};
use super::auth::{Auth, Phase, Stop};
use super::ppk::Mixing;
use super::{Failure, InitiatorConfig, InitiatorEvent};
use crate::crypto::{KemKey, Random};
use crate::time::Instant;
use std::collections::VecDeque;

impl Auth {
    /// The keys are those of IKE_AUTH.
    pub(super) fn is_keyed(&self) -> bool {
        !matches!(self.step, Phase::Intermediate(_))
    }

    /// Sends IKE_INTERMEDIATE with our public key.
    pub(super) fn exchange_keys(&mut self, now: Instant, random: &mut dyn Random) {
        let key = KemKey::generate(random);
        let ke = Payload::Ke { group: key.kem().id(), data: key.public_value().to_vec() };
        self.step = Phase::Intermediate(Box::new(key));
        self.request_in(now, Exchange::IkeIntermediate, vec![ke], random);
    }

    /// The answer to it: other keys, and on to IKE_AUTH.
    pub(super) fn keys_exchanged(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        payloads: &[Payload],
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let Phase::Intermediate(key) = &self.step else { return Ok(()) };
        let ciphertext = payloads.iter().find_map(|payload| match payload {
            Payload::Ke { group, data } if *group == key.kem().id() => Some(data),
            _ => None,
        });
        let ciphertext = ciphertext.ok_or(Failure::Protocol("IKE_INTERMEDIATE without the key exchange"))?;
        let shared = key.decapsulate(ciphertext);
        let shared = shared.map_err(|_| Failure::Protocol("a ciphertext of the wrong length"))?;
        let keyed = &mut self.keyed;
        let (suite, ni, nr) = (&keyed.suite, &keyed.ni, &keyed.nr);
        // SKEYSEED(1) = prf(SK_d(0), SK(1) | Ni | Nr): as in a rekey, but with this SA's nonces and SPIs.
        let sk_d = &keyed.keys.sk_d;
        keyed.keys =
            SaKeys::derive_rekey(suite.prf, sk_d, suite, ni, nr, &shared, &keyed.spi_i, &keyed.spi_r);
        if let Some(sa) = self.sa.as_mut() {
            sa.change_keys(keyed.keys.clone());
        }
        events.push_back(InitiatorEvent::Keyed);
        Ok(self.authenticate(now, config, events, random)?)
    }

    /// On to IKE_AUTH, with the keys that it is encrypted with.
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Failure> {
        self.step = Phase::Proof;
        self.ppk = Mixing::begin(config.ppk.as_ref(), &self.keyed)?;
        self.begin(now, config, events, random)
    }
}
