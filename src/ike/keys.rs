//! Key derivation (RFC 7296 2.13 to 2.18).

use super::message::Spi;
use super::proposal::{EspSuite, IkeSuite};
use crate::crypto::{Prf, Secret};
use crate::esp::{SaParams, TrafficSelector};

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

impl SaKeys {
    /// SKEYSEED = prf(Ni | Nr, g^ir), then prf+ (RFC 7296 2.14).
    pub fn derive(_suite: &IkeSuite, _ni: &[u8], _nr: &[u8], _shared: &Secret, _spi_i: &Spi, _spi_r: &Spi) -> Self {
        todo!()
    }
    /// SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the OLD suite's PRF, then prf+ with the new one's (2.18).
    #[allow(clippy::too_many_arguments)]
    pub fn derive_rekey(
        _old_prf: Prf,
        _old_sk_d: &Secret,
        _suite: &IkeSuite,
        _ni: &[u8],
        _nr: &[u8],
        _shared: &Secret,
        _spi_i: &Spi,
        _spi_r: &Spi,
    ) -> Self {
        todo!()
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
    /// KEYMAT cut into the parameters of an SA pair. `initiator`: we started THIS exchange.
    pub fn derive(
        &self,
        _suite: &EspSuite,
        _initiator: bool,
        _spi_in: u32,
        _spi_out: u32,
        _local: Vec<TrafficSelector>,
        _remote: Vec<TrafficSelector>,
    ) -> SaParams {
        todo!()
    }
}
