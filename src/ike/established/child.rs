//! What is remembered of a Child SA: enough to rekey and delete it. Its keys live in `esp`.

use super::super::message::{Notify, Payload, notify};
use super::super::proposal::EspSuite;
use super::SaPolicy;
use crate::crypto::Group;
use crate::esp::{SaParams, TrafficSelector};
use crate::time::Instant;

/// A Child SA of this IKE SA.
pub(super) struct Child {
    /// Our inbound SPI.
    pub(super) spi_in: u32,
    /// The peer's inbound SPI.
    pub(super) spi_out: u32,
    /// Selectors on our side.
    pub(super) local: Vec<TrafficSelector>,
    /// Selectors on the peer's side.
    pub(super) remote: Vec<TrafficSelector>,
    /// When we start a rekey.
    pub(super) rekey_at: Option<Instant>,
    /// Our rekey of it is under way.
    pub(super) rekeying: bool,
    /// Our DELETE of it is under way.
    pub(super) deleting: bool,
    /// The group of our next rekey; `None` where no group is configured, or the peer wants no PFS.
    pub(super) group: Option<Group>,
}

impl Child {
    pub(super) fn new(now: Instant, params: &SaParams, suite: Option<&EspSuite>, policy: &SaPolicy) -> Self {
        Self {
            spi_in: params.spi_in,
            spi_out: params.spi_out,
            local: params.local.clone(),
            remote: params.remote.clone(),
            rekey_at: policy.child_lifetime.map(|after| now + after),
            rekeying: false,
            deleting: false,
            group: match suite {
                Some(suite) => suite.group,
                None => policy.esp.groups.first().copied(),
            },
        }
    }

    pub(super) fn is_rekey_due(&self, now: Instant) -> bool {
        self.rekey_at.is_some_and(|at| at <= now) && !self.rekeying && !self.deleting
    }
}

/// The parts of `offered` that `own` covers, without repetitions.
pub(super) fn narrow(offered: &[TrafficSelector], own: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut narrowed: Vec<TrafficSelector> = Vec::new();
    for selector in offered.iter().flat_map(|o| own.iter().filter_map(|s| o.intersect(s))) {
        if !narrowed.contains(&selector) {
            narrowed.push(selector);
        }
    }
    narrowed
}

/// The payloads of a CREATE_CHILD_SA exchange that both directions need.
pub(super) struct CreateChild<'a> {
    pub(super) nonce: &'a [u8],
    pub(super) ke: Option<(u16, &'a [u8])>,
    pub(super) ts_i: &'a [TrafficSelector],
    pub(super) ts_r: &'a [TrafficSelector],
}

impl<'a> CreateChild<'a> {
    /// `None` where the nonce is missing.
    pub(super) fn read(payloads: &'a [Payload]) -> Option<Self> {
        let mut found = Self { nonce: &[], ke: None, ts_i: &[], ts_r: &[] };
        for payload in payloads {
            match payload {
                Payload::Nonce(nonce) => found.nonce = nonce,
                Payload::Ke { group, data } => found.ke = Some((*group, data)),
                Payload::TsI(ts) => found.ts_i = ts,
                Payload::TsR(ts) => found.ts_r = ts,
                _ => {}
            }
        }
        (!found.nonce.is_empty()).then_some(found)
    }
}

/// The SPI that a REKEY_SA notify names: the sender's inbound one.
pub(super) fn rekeyed_spi(payloads: &[Payload]) -> Option<u32> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Notify(Notify { kind: notify::REKEY_SA, spi, .. }) => {
            spi.as_slice().try_into().ok().map(u32::from_be_bytes)
        }
        _ => None,
    })
}
