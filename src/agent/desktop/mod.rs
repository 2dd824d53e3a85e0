//! What a person must know, on their desktop (org.freedesktop.Notifications): one notification at a time.
//!
//! [`Board`] decides in the time it is told, without a bus; [`serve`] is a task beside the agent's own that makes the desktop
//! agree. Between them is one place for the latest word: nothing queues up, and the agent waits for no desktop, however slow.

mod board;
mod bus;
mod kept;
mod note;

pub use board::{Board, News};
pub use bus::serve;
pub use note::{About, Note};
