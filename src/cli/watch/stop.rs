//! Being stopped as Ctrl-Z stops a program, by one that hears of it first.

use rustix::process::{Pid, Signal, getpgid, getpgrp, getpid, getppid, getsid, kill_process};
use std::fs;
use std::io;

/// So many ancestors are looked at.
const ANCESTORS: usize = 64;

/// Stops this process and returns when it is continued; at once where no shell could continue it, as the kernel has it for
/// SIGTSTP (POSIX: an orphaned process group).
///
/// # Errors
/// It may not be stopped.
pub(super) fn stop() -> io::Result<()> {
    if is_orphaned() {
        return Ok(());
    }
    // SIGTSTP is ours to hear, and so has no effect of its own any more.
    Ok(kill_process(getpid(), Signal::STOP)?)
}

/// Nobody outside of this process group, but of its session, is the parent of somebody in it. Of the group only the line of
/// ancestors is known here: whoever else is in it was started by one of those.
fn is_orphaned() -> bool {
    let (group, session) = (getpgrp(), getsid(None).ok());
    let mut ancestor = getppid();
    for _ in 0..ANCESTORS {
        let Some(parent) = ancestor else { return true };
        if session.is_none() || getsid(Some(parent)).ok() != session {
            return true;
        }
        if getpgid(Some(parent)).ok() != Some(group) {
            return false;
        }
        ancestor = parent_of(parent);
    }
    true
}

fn parent_of(process: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Pid::from_raw(parent.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_as_the_system_has_it() {
        assert_eq!(parent_of(getpid()), getppid());
    }
}
