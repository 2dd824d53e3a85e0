//! How fast ESP is: one core, packets of 1,400 octets sealed and opened in place, for every suite; beside it, in turns, the bare
//! primitives that it is made of, over as many octets: what of their speed is left.
//! `cargo bench --bench esp`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads a clock")]

use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use ikeep::crypto::{Encr, Integ, Random, Secret};
use ikeep::esp::inner::udp;
use ikeep::esp::{HEADROOM, SaPair, SaParams, TAILROOM, TrafficSelector};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use ring::{aead, hmac};
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

/// Time spent.
#[derive(Default)]
struct Spent {
    sealing: Duration,
    opening: Duration,
}

impl Spent {
    fn both(&self) -> Duration {
        self.sealing + self.opening
    }
}

/// ESP and the bare primitives, a batch each in turns: both see the same machine. Also the packets of each.
fn measure(suite: (Encr, Option<Integ>)) -> (Spent, Spent, u32) {
    let mut random = Seeded(ChaCha20Rng::seed_from_u64(1));
    let (mut sender, mut receiver) = ends(suite, &mut random);
    let [from, to] = ["192.168.20.5", "192.168.10.1"].map(|ip| ip.parse().expect("an address"));
    let packet = udp(from, 40_000, to, 7, &[0x5a; INNER - HEADERS]);
    let mut frames: Vec<Vec<u8>> =
        (0..BATCH).map(|_| Vec::with_capacity(HEADROOM + INNER + TAILROOM)).collect();
    let mut ranges = Vec::with_capacity(frames.len());
    let (mut ours, mut bare, mut packets) = (Spent::default(), Spent::default(), 0);
    let primitives = Bare::new(suite);
    while ours.both() < MEASURED {
        for frame in &mut frames {
            frame.clear();
            frame.resize(HEADROOM, 0);
            frame.extend_from_slice(&packet);
        }
        ranges.clear();
        let start = Instant::now();
        ranges.extend(frames.iter_mut().map(|frame| sender.seal(frame, &mut random).expect("sealed")));
        ours.sealing += start.elapsed();
        let start = Instant::now();
        for (frame, range) in frames.iter_mut().zip(&ranges) {
            receiver.open(&mut frame[range.clone()]).expect("opened");
        }
        ours.opening += start.elapsed();
        // The same frames: as much memory is touched.
        let start = Instant::now();
        for frame in &mut frames {
            primitives.seal(frame);
        }
        bare.sealing += start.elapsed();
        let start = Instant::now();
        for frame in &mut frames {
            primitives.open(frame);
        }
        bare.opening += start.elapsed();
        packets += BATCH;
    }
    (ours, bare, packets)
}

/// The primitives with nothing around them: no header, no window, no selectors, one nonce.
enum Bare {
    Aead(Box<aead::LessSafeKey>),
    Cbc(Vec<u8>, hmac::Key, usize),
}

/// Octets that ESP encrypts of an inner packet: with a trailer of 2, and padding to a block or to 4.
fn text(block: usize) -> usize {
    (INNER + 2).next_multiple_of(block)
}

impl Bare {
    fn new((encr, integ): (Encr, Option<Integ>)) -> Self {
        let key = [7; 64];
        match integ {
            None => {
                let algorithm = match encr {
                    Encr::AesGcm128 => &aead::AES_128_GCM,
                    _ => &aead::AES_256_GCM,
                };
                let key = aead::UnboundKey::new(algorithm, &key[..algorithm.key_len()]).expect("a key");
                Self::Aead(Box::new(aead::LessSafeKey::new(key)))
            }
            Some(integ) => {
                let algorithm = match integ {
                    Integ::HmacSha256_128 => hmac::HMAC_SHA256,
                    Integ::HmacSha384_192 => hmac::HMAC_SHA384,
                    Integ::HmacSha512_256 => hmac::HMAC_SHA512,
                };
                let mac = hmac::Key::new(algorithm, &key[..integ.key_len()]);
                Self::Cbc(key[..encr.key_len()].to_vec(), mac, integ.icv_len())
            }
        }
    }

    fn nonce() -> aead::Nonce {
        aead::Nonce::assume_unique_for_key([1; 12])
    }

    fn seal(&self, frame: &mut Vec<u8>) {
        match self {
            Self::Aead(key) => {
                frame.resize(text(4) + 16, 0);
                let (text, icv) = frame.split_at_mut(text(4));
                let tag = key.seal_in_place_separate_tag(Self::nonce(), aead::Aad::from([0; 12]), text);
                icv.copy_from_slice(tag.expect("sealed").as_ref());
            }
            Self::Cbc(key, mac, icv_len) => {
                frame.resize(text(16) + icv_len, 0);
                let (text, icv) = frame.split_at_mut(text(16));
                let blocks = Array::slice_as_chunks_mut(text).0;
                if key.len() == 16 {
                    cbc::Encryptor::<aes::Aes128Enc>::new_from_slices(key, &[1; 16])
                        .expect("a key")
                        .encrypt_blocks(blocks);
                } else {
                    cbc::Encryptor::<aes::Aes256Enc>::new_from_slices(key, &[1; 16])
                        .expect("a key")
                        .encrypt_blocks(blocks);
                }
                icv.copy_from_slice(&hmac::sign(mac, text).as_ref()[..*icv_len]);
            }
        }
    }

    fn open(&self, frame: &mut [u8]) {
        match self {
            Self::Aead(key) => {
                key.open_in_place(Self::nonce(), aead::Aad::from([0; 12]), frame).expect("opened");
            }
            Self::Cbc(key, mac, icv_len) => {
                let (text, icv) = frame.split_at_mut(text(16));
                assert_eq!(icv, &hmac::sign(mac, text).as_ref()[..*icv_len]);
                let blocks = Array::slice_as_chunks_mut(text).0;
                if key.len() == 16 {
                    cbc::Decryptor::<aes::Aes128Dec>::new_from_slices(key, &[1; 16])
                        .expect("a key")
                        .decrypt_blocks(blocks);
                } else {
                    cbc::Decryptor::<aes::Aes256Dec>::new_from_slices(key, &[1; 16])
                        .expect("a key")
                        .decrypt_blocks(blocks);
                }
            }
        }
    }
}

fn main() {
    println!("ESP, one core, inner packets of {INNER} octets, Mbit/s; of the bare primitives, in turns");
    println!("{:<28} {:>8} {:>8} {:>8} {:>8} {:>6}", "suite", "seal", "open", "both", "bare", "of it");
    for suite @ (encr, integ) in SUITES {
        let (ours, bare, packets) = measure(suite);
        let rate = |time: Duration| f64::from(packets) * INNER as f64 * 8.0 / time.as_secs_f64() / 1e6;
        let name = match integ {
            Some(integ) => format!("{encr:?} {integ:?}"),
            None => format!("{encr:?}"),
        };
        let (both, of) = (rate(ours.both()), rate(bare.both()));
        let (seal, open) = (rate(ours.sealing), rate(ours.opening));
        println!("{name:<28} {seal:>8.0} {open:>8.0} {both:>8.0} {of:>8.0} {:>5.0}%", both / of * 100.0);
    }
}
