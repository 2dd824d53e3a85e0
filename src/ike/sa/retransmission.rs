//! How often, and how long.

use std::time::Duration;

/// How requests are repeated (law 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retransmission {
    /// First interval: the last known round trip, kept within 150 ms to 0.5 s.
    pub first: Duration,
    /// The interval doubles up to this.
    pub cap: Duration,
    /// Transmissions in all.
    pub tries: u32,
}

impl Default for Retransmission {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), cap: Duration::from_secs(2), tries: 12 }
    }
}

impl Retransmission {
    /// Starts from a known round trip: three times it leaves room for its variation, within 150 ms to 0.5 s.
    pub fn from_round_trip(round_trip: Option<Duration>) -> Self {
        let first = round_trip.map_or(Duration::from_millis(500), |r| {
            (r * 3).clamp(Duration::from_millis(150), Duration::from_millis(500))
        });
        Self { first, ..Self::default() }
    }
}
