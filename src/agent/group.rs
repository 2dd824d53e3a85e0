//! Programs that we start as the first of a process group, and end with all that they have started.

use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Child;

/// The process group of a child that was started with `process_group(0)`. The number is its own until it was waited for.
pub(super) fn of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Kills all of it.
pub(super) fn kill(group: Pid) {
    // One that has ended by itself is what was wanted.
    let _ = kill_process_group(group, Signal::KILL);
}
