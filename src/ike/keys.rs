//! Key derivation (RFC 7296 2.13 to 2.18).

use super::message::Spi;
use super::proposal::{EspSuite, IkeSuite};
use crate::crypto::{Integ, Prf, Secret};
use crate::esp::{SaParams, TrafficSelector};

#[cfg(test)]
mod tests;

/// The seven keys of an IKE SA. `Debug` prints tags.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct SaKeys {
    pub sk_d: Secret,
    pub sk_ai: Secret,
    pub sk_ar: Secret,
    pub sk_ei: Secret,
    pub sk_er: Secret,
    pub sk_pi: Secret,
    pub sk_pr: Secret,
}

/// SKEYSEED of a new IKE SA: prf(Ni | Nr, g^ir) (RFC 7296 2.14).
pub fn skeyseed(prf: Prf, ni: &[u8], nr: &[u8], shared: &Secret) -> Secret {
    prf.compute(&[ni, nr].concat(), &[shared.expose()])
}

/// SKEYSEED of a rekeyed IKE SA: prf(SK_d (old), g^ir (new) | Ni | Nr), `prf` being the old SA's (RFC 7296 2.18).
pub fn rekey_skeyseed(prf: Prf, sk_d: &Secret, ni: &[u8], nr: &[u8], shared: &Secret) -> Secret {
    prf.compute(sk_d.expose(), &[shared.expose(), ni, nr])
}

/// SKEYSEED of a resumed IKE SA: prf(SK_d (old), "Resumption" | Ni | Nr), `prf` being the old SA's (RFC 5723 5.1).
pub fn resume_skeyseed(prf: Prf, sk_d: &Secret, ni: &[u8], nr: &[u8]) -> Secret {
    prf.compute(sk_d.expose(), &[b"Resumption", ni, nr])
}

impl SaKeys {
    /// Of a resumed IKE SA, which has the suite of the old one (RFC 5723 5.1).
    pub fn derive_resumed(
        suite: &IkeSuite,
        old_sk_d: &Secret,
        ni: &[u8],
        nr: &[u8],
        spi_i: &Spi,
        spi_r: &Spi,
    ) -> Self {
        Self::expand(suite, &resume_skeyseed(suite.prf, old_sk_d, ni, nr), ni, nr, spi_i, spi_r)
    }

    /// SKEYSEED = prf(Ni | Nr, g^ir), then prf+ (RFC 7296 2.14).
    pub fn derive(suite: &IkeSuite, ni: &[u8], nr: &[u8], shared: &Secret, spi_i: &Spi, spi_r: &Spi) -> Self {
        Self::expand(suite, &skeyseed(suite.prf, ni, nr, shared), ni, nr, spi_i, spi_r)
    }

    /// SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the OLD suite's PRF, then prf+ with the new one's (2.18).
    #[allow(clippy::too_many_arguments)]
    pub fn derive_rekey(
        old_prf: Prf,
        old_sk_d: &Secret,
        suite: &IkeSuite,
        ni: &[u8],
        nr: &[u8],
        shared: &Secret,
        spi_i: &Spi,
        spi_r: &Spi,
    ) -> Self {
        Self::expand(suite, &rekey_skeyseed(old_prf, old_sk_d, ni, nr, shared), ni, nr, spi_i, spi_r)
    }

    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr). With AEAD SK_a is
    /// empty and SK_e ends with the salt (RFC 5282 7).
    fn expand(suite: &IkeSuite, skeyseed: &Secret, ni: &[u8], nr: &[u8], spi_i: &Spi, spi_r: &Spi) -> Self {
        let (prf_len, integ_len) = (suite.prf.len(), suite.integ.map_or(0, Integ::key_len));
        let encr_len = suite.encr.key_len();
        let keymat = suite.prf.plus(
            skeyseed.expose(),
            &[ni, nr, spi_i, spi_r],
            3 * prf_len + 2 * (integ_len + encr_len),
        );
        let mut cut = Cut(keymat.expose());
        Self {
            sk_d: cut.next(prf_len),
            sk_ai: cut.next(integ_len),
            sk_ar: cut.next(integ_len),
            sk_ei: cut.next(encr_len),
            sk_er: cut.next(encr_len),
            sk_pi: cut.next(prf_len),
            sk_pr: cut.next(prf_len),
        }
    }
}

/// Key material, cut from the front.
struct Cut<'a>(&'a [u8]);

impl Cut<'_> {
    fn next(&mut self, len: usize) -> Secret {
        let (key, rest) = self.0.split_at(len);
        self.0 = rest;
        Secret::from(key)
    }
}

/// Everything a Child SA's keys depend on (RFC 7296 2.17).
#[derive(Clone, Copy, Debug)]
pub struct ChildKeying<'a> {
    /// The IKE SA's PRF.
    pub prf: Prf,
    /// The IKE SA's SK_d.
    pub sk_d: &'a Secret,
    /// Nonce of the initiator of this exchange.
    pub ni: &'a [u8],
    /// Nonce of the responder of this exchange.
    pub nr: &'a [u8],
    /// g^ir of this exchange, with PFS.
    pub shared: Option<&'a Secret>,
}

impl ChildKeying<'_> {
    /// KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr).
    pub fn keymat(&self, len: usize) -> Secret {
        let shared = self.shared.map_or(&[] as &[u8], Secret::expose);
        self.prf.plus(self.sk_d.expose(), &[shared, self.ni, self.nr], len)
    }

    /// KEYMAT cut into the parameters of an SA pair. `initiator`: we started THIS exchange.
    pub fn derive(
        &self,
        suite: &EspSuite,
        initiator: bool,
        spi_in: u32,
        spi_out: u32,
        local: Vec<TrafficSelector>,
        remote: Vec<TrafficSelector>,
    ) -> SaParams {
        let (encr_len, integ_len) = (suite.encr.key_len(), suite.integ.map_or(0, Integ::key_len));
        let keymat = self.keymat(2 * (encr_len + integ_len));
        let mut cut = Cut(keymat.expose());
        // The initiator's outbound SA comes first, in each SA the encryption key (RFC 7296 2.17).
        let from_initiator = (cut.next(encr_len), cut.next(integ_len));
        let from_responder = (cut.next(encr_len), cut.next(integ_len));
        let (outbound, inbound) =
            if initiator { (from_initiator, from_responder) } else { (from_responder, from_initiator) };
        SaParams {
            spi_in,
            spi_out,
            encr: suite.encr,
            integ: suite.integ,
            esn: suite.esn,
            encr_in: inbound.0,
            integ_in: inbound.1,
            encr_out: outbound.0,
            integ_out: outbound.1,
            local,
            remote,
        }
    }
}
