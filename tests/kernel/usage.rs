//! What the agent's process has taken so far: it must not grow with the number of faults.

use crate::person::Person;
use anyhow::{Context, Result, ensure};
use std::fs;

/// Memory may grow by so much after the first faults: a debug build's allocator settles slowly.
const ROOM_KIB: u64 = 3 << 10;

/// A look at `/proc`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident, KiB.
    resident: u64,
    /// Open descriptors.
    descriptors: usize,
    /// CPU time of all threads, ticks.
    ticks: u64,
}

impl Usage {
    /// Of this person's agent, now.
    pub(crate) fn of(person: &Person) -> Result<Self> {
        let pid = person.agent().context("an agent")?.as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its memory")?;
        let resident = resident.split_whitespace().next().context("its memory")?.parse()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').context("its times")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // utime and stime are fields 14 and 15 of the file; the name and the number before it are gone here.
        let ticks = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Self { resident, descriptors, ticks })
    }

    /// Looks of equal distance in faults: nothing grows from the second on.
    pub(crate) fn ensure_flat(all: &[Self]) -> Result<()> {
        for (at, usage) in all.iter().enumerate() {
            let spent =
                at.checked_sub(1).and_then(|before| all.get(before)).map_or(0, |b| usage.ticks - b.ticks);
            println!(
                "agent at look {at} of {}: {:6} KiB resident, {:2} descriptors, {spent:4} ticks of CPU since the last look",
                all.len() - 1,
                usage.resident,
                usage.descriptors
            );
        }
        ensure!(all.len() > 2, "too few looks: {all:?}");
        let (early, last) = (all[1], all[all.len() - 1]);
        ensure!(last.resident <= early.resident + ROOM_KIB, "memory grows: {all:?}");
        // Sockets of paths that were left linger for 10 s, eight at most.
        ensure!(last.descriptors <= early.descriptors + 8, "descriptors leak: {all:?}");
        Ok(())
    }
}
