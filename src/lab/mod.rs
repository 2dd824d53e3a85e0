//! The `lab` room.

pub mod pki;
