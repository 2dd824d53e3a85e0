//! Full jitter: ten thousand agents cut off at once must not arrive at once (law 4).

use super::Rules;
use crate::crypto::Random;
use std::time::Duration;

/// A uniform delay below `first * 2^failures`, at most `last`.
pub(super) fn delay(rules: &Rules, failures: u32, random: &mut dyn Random) -> Duration {
    let bound = rules
        .backoff_first
        .saturating_mul(1u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX))
        .min(rules.backoff_last);
    Duration::from_nanos(random.below(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)))
}
