//! Datagrams under way, and what happens to them.

use super::random::Seeded;
use ikeep::client::PathId;
use ikeep::crypto::Random;
use ikeep::gateway::Port;
use ikeep::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Quality of a laptop's link, both ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Lost, of a thousand.
    pub(crate) loss: u64,
    /// One way, least, milliseconds.
    pub(crate) delay: u64,
    /// On top of it, at most, milliseconds: packets overtake each other.
    pub(crate) jitter: u64,
    /// Delivered twice, of a thousand.
    pub(crate) duplicate: u64,
    /// A bit flipped, of a thousand.
    pub(crate) corrupt: u64,
    /// Comes half a second late, of a thousand.
    pub(crate) late: u64,
    /// Nothing arrives, either way.
    pub(crate) cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self { loss: 0, delay: 10, jitter: 2, duplicate: 0, corrupt: 0, late: 0, cut: false }
    }
}

impl Link {
    /// So good that nothing excuses a client that does not come back.
    pub(crate) fn is_good(&self) -> bool {
        !self.cut && self.loss == 0 && self.corrupt == 0 && self.late == 0 && self.delay + self.jitter <= 150
    }
}

/// What may be wrong with a link for a while, on top of what it is like anyway.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Bad {
    Loss(u64),
    Delay(u64),
    Jitter(u64),
    Duplicate(u64),
    Corrupt(u64),
    Late(u64),
    /// Nothing arrives.
    Cut,
    /// Nothing arrives at the gateway.
    CutOut,
    /// Nothing arrives at the laptop.
    CutIn,
}

impl Bad {
    pub(crate) fn spoil(self, link: &mut Link, outward: bool) {
        match self {
            Self::Loss(n) => link.loss += n,
            Self::Delay(n) => link.delay += n,
            Self::Jitter(n) => link.jitter += n,
            Self::Duplicate(n) => link.duplicate += n,
            Self::Corrupt(n) => link.corrupt += n,
            Self::Late(n) => link.late += n,
            Self::Cut => link.cut = true,
            Self::CutOut => link.cut |= outward,
            Self::CutIn => link.cut |= !outward,
        }
    }
}

/// On its way.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    ToSite { site: usize, from: SocketAddr, port: Port, octets: Vec<u8> },
    ToLaptop { laptop: usize, path: PathId, from: SocketAddr, octets: Vec<u8>, forged: bool },
}

impl Parcel {
    fn octets(&mut self) -> &mut Vec<u8> {
        match self {
            Self::ToSite { octets, .. } | Self::ToLaptop { octets, .. } => octets,
        }
    }
}

/// All parcels, by arrival.
#[derive(Default)]
pub(crate) struct Network {
    parcels: BTreeMap<(Instant, u64), Parcel>,
    sequence: u64,
}

impl Network {
    pub(crate) fn next(&self) -> Option<Instant> {
        self.parcels.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Parcel> {
        let entry = self.parcels.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Sends over a link that loses, repeats, delays and damages.
    pub(crate) fn post(&mut self, now: Instant, link: &Link, random: &mut Seeded, parcel: Parcel) {
        if link.duplicate > 0 && random.chance(link.duplicate) {
            self.carry(now, link, random, parcel.clone());
        }
        self.carry(now, link, random, parcel);
    }

    fn carry(&mut self, now: Instant, link: &Link, random: &mut Seeded, mut parcel: Parcel) {
        if link.cut || (link.loss > 0 && random.chance(link.loss)) {
            return;
        }
        if link.corrupt > 0 && random.chance(link.corrupt) {
            damage(parcel.octets(), random);
        }
        let mut delay = Duration::from_micros(link.delay * 1000 + random.below(link.jitter * 1000 + 1));
        if link.late > 0 && random.chance(link.late) {
            delay += Duration::from_millis(random.between(100, 600));
        }
        self.arrive(now + delay, parcel);
    }

    /// Arrives then, whatever the link does.
    pub(crate) fn arrive(&mut self, at: Instant, parcel: Parcel) {
        self.sequence += 1;
        self.parcels.insert((at, self.sequence), parcel);
    }
}

/// A bit flips near the front or near the end. Not anywhere: an ECDSA signature is not of the same length each time, and a
/// run must replay.
fn damage(octets: &mut [u8], random: &mut Seeded) {
    let from_end = random.chance(300);
    let (at, bit) = (random.below(72) as usize, random.below(8));
    let at = at.min(octets.len().saturating_sub(1));
    let at = if from_end { octets.len() - 1 - at } else { at };
    octets[at] ^= 1 << bit;
}
