//! What iperf3, ping and the kernel print, as numbers.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// One flow, as iperf3 (`-J`) tells its end.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Flow {
    /// What arrived, bit/s.
    pub(crate) rate: f64,
    /// What arrived, octets.
    pub(crate) octets: f64,
    /// TCP: segments that were sent again.
    pub(crate) retransmits: u64,
    /// UDP: datagrams sent, those that did not arrive, and those that one sent after them had overtaken.
    pub(crate) datagrams: u64,
    pub(crate) lost: u64,
    pub(crate) overtaken: u64,
}

/// Reads the output of `iperf3 -J`.
///
/// # Errors
/// iperf3 tells one of its own, or the text is no such output.
pub(crate) fn flow(text: &str) -> Result<Flow> {
    let told: Value = serde_json::from_str(text).context("iperf3 printed no JSON")?;
    if let Some(error) = told["error"].as_str() {
        bail!("iperf3: {error}");
    }
    let end = &told["end"];
    let received = &end["sum_received"];
    let rate = received["bits_per_second"].as_f64().context("iperf3 tells no rate")?;
    let octets = received["bytes"].as_f64().context("iperf3 tells no octets")?;
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    Ok(Flow {
        rate,
        octets,
        retransmits: count(&end["sum_sent"]["retransmits"]),
        datagrams: count(&end["sum"]["packets"]),
        lost: count(&end["sum"]["lost_packets"]),
        overtaken: count(&end["streams"][0]["udp"]["out_of_order"]),
    })
}

/// Round trips in microseconds, the shortest first.
///
/// # Errors
/// None was answered.
pub(crate) fn pings(text: &str) -> Result<Vec<f64>> {
    let time = |line: &str| {
        let (_, rest) = line.split_once("time=")?;
        let milliseconds: f64 = rest.split_whitespace().next()?.parse().ok()?;
        Some(milliseconds * 1e3)
    };
    let mut times: Vec<f64> = text.lines().filter_map(time).collect();
    ensure!(!times.is_empty(), "no ping was answered:\n{text}");
    times.sort_unstable_by(f64::total_cmp);
    Ok(times)
}

/// The smallest that so many of a hundred do not exceed; `sorted` is not empty.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

/// A line of `/proc/PID/status` such as `VmRSS:`, KiB.
pub(crate) fn memory(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time in `/proc/PID/stat`, ticks. A program's name may hold anything, its closing bracket is the last.
pub(crate) fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    // `rest` begins with field 3; utime and stime are 14 and 15.
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

/// `RcvbufErrors` of `/proc/net/snmp`: datagrams that found the buffer of their socket full, on any socket of a host.
pub(crate) fn full_buffers(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let column = lines.next()?.split_whitespace().position(|name| name == "RcvbufErrors")?;
    lines.next()?.split_whitespace().nth(column)?.parse().ok()
}

/// The drops of all sockets in `/proc/net/udp`.
pub(crate) fn drops(sockets: &str) -> u64 {
    let drops = |line: &str| line.split_whitespace().next_back()?.parse::<u64>().ok();
    sockets.lines().skip(1).filter_map(drops).sum()
}
