//! How fast ESP is: one core, packets of 1,400 octets sealed and opened in place, for every suite.
//! `cargo bench --bench esp`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads a clock")]

use ikeep::crypto::{Encr, Integ, Random, Secret};
use ikeep::esp::inner::udp;
use ikeep::esp::{HEADROOM, SaPair, SaParams, TAILROOM, TrafficSelector};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// Octets of the inner packet.
const INNER: usize = 1400;
/// Octets of IPv4 and UDP header.
const HEADERS: usize = 28;
/// How long each suite is measured.
const MEASURED: Duration = Duration::from_millis(500);
/// Packets between two looks at the clock.
const BATCH: u32 = 256;

const SUITES: [(Encr, Option<Integ>); 8] = [
    (Encr::AesGcm128, None),
    (Encr::AesGcm256, None),
    (Encr::AesCbc128, Some(Integ::HmacSha256_128)),
    (Encr::AesCbc128, Some(Integ::HmacSha384_192)),
    (Encr::AesCbc128, Some(Integ::HmacSha512_256)),
    (Encr::AesCbc256, Some(Integ::HmacSha256_128)),
    (Encr::AesCbc256, Some(Integ::HmacSha384_192)),
    (Encr::AesCbc256, Some(Integ::HmacSha512_256)),
];

struct Seeded(ChaCha20Rng);

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// The two ends of a Child SA.
fn ends((encr, integ): (Encr, Option<Integ>), random: &mut Seeded) -> (SaPair, SaPair) {
    let mut key = |len| {
        let mut octets = vec![0; len];
        random.fill(&mut octets);
        Secret::new(octets)
    };
    let integ_len = integ.map_or(0, Integ::key_len);
    let any = vec![TrafficSelector::any_v4()];
    let ours = SaParams {
        spi_in: 1,
        spi_out: 2,
        encr,
        integ,
        esn: true,
        encr_in: key(encr.key_len()),
        integ_in: key(integ_len),
        encr_out: key(encr.key_len()),
        integ_out: key(integ_len),
        local: any.clone(),
        remote: any,
    };
    let theirs = SaParams {
        spi_in: 2,
        spi_out: 1,
        encr_in: ours.encr_out.clone(),
        integ_in: ours.integ_out.clone(),
        encr_out: ours.encr_in.clone(),
        integ_out: ours.integ_in.clone(),
        ..ours.clone()
    };
    (SaPair::new(ours), SaPair::new(theirs))
}

/// Time spent sealing and opening, and packets.
fn measure(suite: (Encr, Option<Integ>)) -> (Duration, Duration, u32) {
    let mut random = Seeded(ChaCha20Rng::seed_from_u64(1));
    let (mut sender, mut receiver) = ends(suite, &mut random);
    let [from, to] = ["192.168.20.5", "192.168.10.1"].map(|ip| ip.parse().expect("an address"));
    let packet = udp(from, 40_000, to, 7, &[0x5a; INNER - HEADERS]);
    let mut frames: Vec<Vec<u8>> =
        (0..BATCH).map(|_| Vec::with_capacity(HEADROOM + INNER + TAILROOM)).collect();
    let mut ranges = Vec::with_capacity(frames.len());
    let (mut sealing, mut opening, mut packets) = (Duration::ZERO, Duration::ZERO, 0);
    while sealing + opening < MEASURED {
        for frame in &mut frames {
            frame.clear();
            frame.resize(HEADROOM, 0);
            frame.extend_from_slice(&packet);
        }
        ranges.clear();
        let start = Instant::now();
        ranges.extend(frames.iter_mut().map(|frame| sender.seal(frame, &mut random).expect("sealed")));
        sealing += start.elapsed();
        let start = Instant::now();
        for (frame, range) in frames.iter_mut().zip(&ranges) {
            receiver.open(&mut frame[range.clone()]).expect("opened");
        }
        opening += start.elapsed();
        packets += BATCH;
    }
    (sealing, opening, packets)
}

fn main() {
    println!("ESP, one core, inner packets of {INNER} octets, Mbit/s");
    println!("{:<28} {:>8} {:>8} {:>8}", "suite", "seal", "open", "both");
    for suite @ (encr, integ) in SUITES {
        let (sealing, opening, packets) = measure(suite);
        let rate = |time: Duration| f64::from(packets) * INNER as f64 * 8.0 / time.as_secs_f64() / 1e6;
        let name = match integ {
            Some(integ) => format!("{encr:?} {integ:?}"),
            None => format!("{encr:?}"),
        };
        println!("{name:<28} {:>8.0} {:>8.0} {:>8.0}", rate(sealing), rate(opening), rate(sealing + opening));
    }
}
