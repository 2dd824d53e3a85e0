//! Whether the clock can be right. Certificates are judged by it.

use super::{Finding, Health};
use crate::time::UnixTime;
use jiff::Timestamp;
use std::path::Path;

const WHAT: &str = "clock";
/// 2026-01-01: this program is younger.
const EARLIEST: UnixTime = UnixTime::from_secs(1_767_225_600);
/// systemd-timesyncd makes it once it has heard from a server (systemd-timesyncd.service(8)).
const HEARD: &str = "/run/systemd/timesync/synchronized";

/// What can be told of the time without asking anybody.
pub fn clock(now: UnixTime) -> Finding {
    judge(now, Path::new(HEARD).exists())
}

fn judge(now: UnixTime, heard: bool) -> Finding {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let time =
        Timestamp::from_second(seconds).map_or_else(|_| "beyond the calendar".to_owned(), |t| t.to_string());
    if now < EARLIEST {
        let found = format!("{time}, which is before this program was made: no certificate is valid then");
        return Finding::wrong(WHAT, Health::Missing, found, "sudo timedatectl set-ntp true");
    }
    let by = if heard { "; systemd-timesyncd has heard from a time server" } else { "" };
    Finding::fine(WHAT, format!("{time}{by}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_has_lost_its_battery_is_told() {
        assert_eq!(judge(UnixTime::from_secs(86_400), false).health, Health::Missing);
        let fine = judge(UnixTime::from_secs(1_800_000_000), true);
        assert_eq!(fine.health, Health::Fine);
        assert!(fine.found.starts_with("2027-01-15T08:00:00Z; systemd-timesyncd"), "{}", fine.found);
    }
}
