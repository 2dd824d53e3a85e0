//! Being stopped as Ctrl-Z stops a program, by one that hears of it first.

use rustix::process::{Pid, Signal, getpid, kill_process};
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
    let Some(own) = Place::of(getpid()) else { return true };
    let mut ancestor = own.parent;
    for _ in 0..ANCESTORS {
        let Some(place) = ancestor.and_then(Place::of) else { return true };
        // A session of another PID namespace has no number here.
        if place.session.is_none() || place.session != own.session {
            return true;
        }
        if place.group != own.group {
            return false;
        }
        ancestor = place.parent;
    }
    true
}

/// Where a process stands; `None` for what is in another PID namespace.
#[derive(PartialEq, Eq, Debug)]
struct Place {
    parent: Option<Pid>,
    group: Option<Pid>,
    session: Option<Pid>,
}

impl Place {
    /// As proc(5) tells it: rustix takes the 0 of getsid(2) for a mistake of the kernel's.
    fn of(process: Pid) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?)
    }

    /// PID (NAME) STATE PARENT GROUP SESSION ..; the name may hold anything.
    fn read(stat: &str) -> Option<Self> {
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut numbers = after_name.split_whitespace().skip(1).map(str::parse::<i32>);
        let mut next = || numbers.next()?.ok();
        // Never negative; the check of from_raw is for debugging only.
        let (parent, group, session) = (next()?, next()?, next()?);
        let known = |number: i32| Pid::from_raw(number.max(0));
        Some(Self { parent: known(parent), group: known(group), session: known(session) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getpgrp, getppid};

    #[test]
    fn a_place_is_found_as_the_system_has_it() {
        let place = Place::of(getpid()).unwrap();
        assert_eq!((place.parent, place.group), (getppid(), Some(getpgrp())));
    }

    #[test]
    fn what_another_namespace_holds_has_no_number() {
        let place = Place::read("7 (a) b) S 0 0 0 34816 7 4194304 1\n");
        assert_eq!(place, Some(Place { parent: None, group: None, session: None }));
        for damaged in ["", "7 (a", "7 (a)", "7 (a) S 1 1", "7 (a) S 1 1 x"] {
            assert_eq!(Place::read(damaged), None, "{damaged:?}");
        }
    }
}
