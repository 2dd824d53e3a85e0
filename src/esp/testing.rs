//! What the tests of this room share: suites, and the two ends of one Child SA.

use super::inner::udp;
use super::{HEADROOM, SaPair, SaParams, TAILROOM, TrafficSelector};
use crate::crypto::{Encr, Integ, Random, Secret};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::net::IpAddr;

/// Every suite of ESP.
pub(super) const SUITES: [(Encr, Option<Integ>); 9] = [
    (Encr::AesCbc128, Some(Integ::HmacSha256_128)),
    (Encr::AesCbc128, Some(Integ::HmacSha384_192)),
    (Encr::AesCbc128, Some(Integ::HmacSha512_256)),
    (Encr::AesCbc256, Some(Integ::HmacSha256_128)),
    (Encr::AesCbc256, Some(Integ::HmacSha384_192)),
    (Encr::AesCbc256, Some(Integ::HmacSha512_256)),
    (Encr::AesGcm128, None),
    (Encr::AesGcm256, None),
    (Encr::ChaCha20Poly1305, None),
];
/// The seed's, for tests in which the suite does not matter.
pub(super) const SUITE: (Encr, Option<Integ>) = SUITES[4];

/// A seeded generator.
pub(super) struct Seeded(ChaCha20Rng);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }
}

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// What one end negotiated: inbound SPI `spi`, outbound `spi + 1`, everything into the tunnel.
pub(super) fn params((encr, integ): (Encr, Option<Integ>), esn: bool, spi: u32) -> SaParams {
    let mut random = Seeded::new(spi.into());
    let mut key = |len| {
        let mut octets = vec![0; len];
        random.fill(&mut octets);
        Secret::new(octets)
    };
    let integ_len = integ.map_or(0, Integ::key_len);
    let any = vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    SaParams {
        spi_in: spi,
        spi_out: spi + 1,
        encr,
        integ,
        esn,
        encr_in: key(encr.key_len()),
        integ_in: key(integ_len),
        encr_out: key(encr.key_len()),
        integ_out: key(integ_len),
        local: any.clone(),
        remote: any,
    }
}

/// The same Child SA as the other end sees it.
pub(super) fn mirrored(params: SaParams) -> SaParams {
    SaParams {
        spi_in: params.spi_out,
        spi_out: params.spi_in,
        encr_in: params.encr_out,
        integ_in: params.integ_out,
        encr_out: params.encr_in,
        integ_out: params.integ_in,
        local: params.remote,
        remote: params.local,
        ..params
    }
}

/// Both ends of a Child SA.
pub(super) fn ends(params: SaParams) -> (SaPair, SaPair) {
    (SaPair::new(params.clone()), SaPair::new(mirrored(params)))
}

/// A UDP datagram in a tunnel of the given family.
pub(super) fn datagram(four: bool, payload: &[u8]) -> Vec<u8> {
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let (from, to) = if four { ("192.168.20.5", "192.168.10.1") } else { ("fd20::5", "fd10::1") };
    udp(ip(from), 40_000, ip(to), 7, payload)
}

/// A packet with room for `seal` in front and behind.
pub(super) fn frame(packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADROOM + packet.len() + TAILROOM);
    frame.resize(HEADROOM, 0xaa);
    frame.extend(packet);
    frame
}

/// Seals a packet; the ESP packet.
pub(super) fn sealed(pair: &mut SaPair, packet: &[u8]) -> Vec<u8> {
    let mut frame = frame(packet);
    let range = pair.seal(&mut frame, &mut Seeded::new(pair.packets())).expect("sealed");
    frame[range].to_vec()
}
