//! The aggregate-auth documents (`fork`, `ssl`): a small tree for reading, a writer, what the gateway says and what we say.

mod from_gateway;
mod read;
mod to_gateway;
mod write;

pub(super) use from_gateway::{Auth, Document, Kind};
pub(super) use read::{Element, parse};
pub(super) use to_gateway::{ack, auth_reply, init};
pub(super) use write::Writer;

pub use from_gateway::{MAX_INPUTS, MAX_NAME, MAX_OPTIONS, SHOWN_BANNER, SHOWN_LABEL, SHOWN_MESSAGE};

/// Elements within elements, the root included.
pub const MAX_DEPTH: usize = 32;
/// Elements in a document.
pub const MAX_ELEMENTS: usize = 4096;
/// Attributes of one element.
pub const MAX_ATTRIBUTES: usize = 64;
