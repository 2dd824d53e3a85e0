//! The event log: what the agent and the command line tell, in the form and words of the vendor's own log (PROTOCOL
//! section 7), one block an event.
//!
//! Texts from outside (a banner, a host's name) are masked where an entry is made, so nothing that a gateway sends can move a
//! terminal's cursor or forge a block. No constructor takes a secret; a session ID may appear, as in the seed.

mod block;
mod entry;
mod follow;
mod limiter;
mod queue;
mod read;
mod reason;
mod recorder;
mod texts;
mod writer;

pub use block::{BlockError, Renderer, parse};
pub use entry::{Entry, Kind, MAX_DESCRIPTION, Place, Source};
pub use follow::Watch;
pub use limiter::{Limiter, Verdict};
pub use queue::{Queue, Sink};
pub use read::{Blocks, Reader};
pub use reason::{Class, Reason};
pub use recorder::Recorder;
pub use writer::{Journal, Rotation, WriteError};

#[cfg(test)]
mod tests;
