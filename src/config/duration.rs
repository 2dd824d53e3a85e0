//! Durations as people write them: "500ms", "30s", "15m", "1h".

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use std::fmt;
use std::time::Duration;

/// A duration from `MIN` to `MAX` milliseconds.
struct Wait<const MIN: u64, const MAX: u64>(Duration);

/// Reads a whole number with its unit; `None` for anything else.
pub fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// The shortest exact text that [`parse`] reads.
pub(super) fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}

struct WaitVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for WaitVisitor<MIN, MAX> {
    type Value = Wait<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (show(Duration::from_millis(MIN)), show(Duration::from_millis(MAX)));
        write!(f, "a duration such as \"30s\" (units ms, s, m, h), from {min} to {max}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let wait = parse(text).filter(|wait| (u128::from(MIN)..=u128::from(MAX)).contains(&wait.as_millis()));
        wait.map(Wait).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Wait<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WaitVisitor)
    }
}

/// For `deserialize_with`: one duration.
pub(super) fn one<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    Wait::<MIN, MAX>::deserialize(deserializer).map(|Wait(duration)| duration)
}

/// For `deserialize_with`: up to `MOST` durations.
pub(super) fn list<'de, const MIN: u64, const MAX: u64, const MOST: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Duration>, D::Error> {
    let list = Vec::<Wait<MIN, MAX>>::deserialize(deserializer)?;
    if list.len() > MOST {
        return Err(D::Error::custom(format!("{} durations, expected at most {MOST}", list.len())));
    }
    Ok(list.into_iter().map(|Wait(duration)| duration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_whole_numbers_with_a_unit_only() {
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("15m"), Some(Duration::from_secs(900)));
        for bad in
            ["", "30", "s", "-1s", "1.5s", "30 s", "30sec", "99999999999999999999s", "9999999999999999999h"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millis in 0u64..u64::MAX / 2) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&show(duration)), Some(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}") {
            if let Some(duration) = parse(&text) {
                prop_assert_eq!(parse(&show(duration)), Some(duration));
            }
        }
    }
}
