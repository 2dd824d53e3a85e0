//! The background service: it moves bytes, time and signals in and out of [`crate::client::Client`].

pub mod clock;
pub mod device;
pub mod driver;
pub mod report;
pub(crate) mod socket;
pub mod status;
