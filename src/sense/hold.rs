//! What keeps the machine awake for a moment: a lock that is shared between its holder and whoever limits it.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Delays sleep until it is dropped (logind's delay inhibitor); may hold nothing.
pub struct Hold(Lock);

/// The lock itself, for the one who must not let it be held for ever.
#[derive(Clone)]
pub(super) struct Lock(Arc<Mutex<Option<OwnedFd>>>);

impl Hold {
    /// Nothing is delayed.
    pub fn none() -> Self {
        Self(Lock(Arc::default()))
    }

    /// Whoever reads the other end of `fd` sees it closed when this is dropped.
    pub fn of(fd: OwnedFd) -> Self {
        Self(Lock(Arc::new(Mutex::new(Some(fd)))))
    }

    /// For whoever must not let it be held too long.
    pub(super) fn lock(&self) -> Lock {
        self.0.clone()
    }
}

impl Lock {
    /// Lets go now, whether the hold lives or not.
    pub(super) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn is_held(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_held() { "Hold(held)" } else { "Hold(nothing)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_hold_lets_go_when_dropped_or_when_its_time_is_over() {
        for limit in [false, true] {
            let (mut other, held) = UnixStream::pair().unwrap();
            other.set_nonblocking(true).unwrap();
            let hold = Hold::of(held.into());
            assert_eq!(format!("{hold:?}"), "Hold(held)");
            assert!(other.read(&mut [0]).is_err(), "open while it is held");
            let lock = hold.lock();
            let kept = if limit {
                lock.release();
                Some(hold)
            } else {
                drop(hold);
                None
            };
            assert_eq!(other.read(&mut [0]).unwrap(), 0, "closed");
            assert!(kept.is_none_or(|hold| format!("{hold:?}") == "Hold(nothing)"));
        }
        assert_eq!(format!("{:?}", Hold::none()), "Hold(nothing)");
    }
}
