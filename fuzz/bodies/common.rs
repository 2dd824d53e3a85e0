//! Keys that both ends of a fuzz target share.

use ikeep::crypto::{Encr, Integ, PacketProtection, Random};
use ikeep::ike::message::{Exchange, Outgoing};
use ikeep::ike::sk::{Opener, Sealer};

pub(crate) type Suite = (Encr, Option<Integ>);
pub(crate) const CBC: Suite = (Encr::AesCbc256, Some(Integ::HmacSha256_128));
pub(crate) const GCM: Suite = (Encr::AesGcm256, None);
pub(crate) const HEAD: Outgoing = Outgoing {
    spi_i: [1; 8],
    spi_r: [2; 8],
    exchange: Exchange::IkeAuth,
    initiator: true,
    response: false,
    message_id: 1,
};

fn protection((encr, integ): Suite) -> PacketProtection {
    let integ_key = vec![7; integ.map_or(0, Integ::key_len)];
    PacketProtection::new(encr, integ, &vec![6; encr.key_len()], &integ_key)
}

pub(crate) fn sealer(suite: Suite) -> Sealer {
    Sealer::new(protection(suite))
}

pub(crate) fn opener(suite: Suite) -> Opener {
    Opener::new(protection(suite))
}

/// Predictable on purpose: a found case must repeat.
pub(crate) struct Zeroes;

impl Random for Zeroes {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
    }
}
