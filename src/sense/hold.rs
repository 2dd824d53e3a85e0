//! What keeps the machine awake for a moment.

use std::fmt;
use std::os::fd::OwnedFd;

/// Delays sleep until it is dropped (logind's delay inhibitor); may hold nothing.
pub struct Hold(Option<OwnedFd>);

impl Hold {
    /// Nothing is delayed.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whoever reads the other end of `fd` sees it closed when this is dropped.
    pub fn of(fd: OwnedFd) -> Self {
        Self(Some(fd))
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hold(held)" } else { "Hold(nothing)" })
    }
}
