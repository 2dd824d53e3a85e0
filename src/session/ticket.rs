//! A ticket to resume an IKE SA with (RFC 5723), and what of the old IKE SA has to be kept beside it.

use crate::crypto::{Encr, Group, Integ, Prf, Secret};
use crate::time::UnixTime;
use std::time::Duration;

/// A ticket of the session's gateway. It serves once, and whoever has it without `sk_d` can do nothing with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// What only the gateway can read, octets.
    pub opaque: Secret,
    /// SK_d of the IKE SA that it was given in: the keys of the resumed one come from it.
    pub sk_d: Secret,
    /// Encryption of that IKE SA, and of the resumed one.
    pub encr: Encr,
    /// Integrity, `None` with AEAD.
    pub integ: Option<Integ>,
    /// PRF.
    pub prf: Prf,
    /// Key exchange group of that IKE SA: of rekeys to come.
    pub group: Group,
    /// Our IDi of that IKE SA: type and data. The resumed one has the same.
    pub id: (u8, Vec<u8>),
    /// The gateway's IDr of that IKE SA: type and data. The resumed one has the same.
    pub gateway_id: (u8, Vec<u8>),
    /// The gateway takes it until then.
    pub until: UnixTime,
    /// What its gateway was judged by ([`Settings::terms`](crate::client::Settings::terms)): nobody looks at a certificate
    /// when an IKE SA is resumed, so the verdict of then counts as long as its terms do.
    pub terms: Vec<u8>,
}

impl Ticket {
    /// How long it is still worth trying; zero once it is over.
    pub fn remaining(&self, now: UnixTime) -> Duration {
        self.until.since(now)
    }
}
