//! The background service: it moves bytes, time and signals in and out of [`crate::client::Client`].

pub mod clock;
pub mod connection;
pub mod crash;
pub mod desktop;
pub mod device;
pub mod driver;
mod elsewhere;
mod group;
pub mod heart;
mod helpers;
mod keylog;
pub mod learn;
pub mod lookup;
mod network;
pub(crate) mod outbox;
mod pkcs11;
mod probe;
pub(crate) mod pump;
mod questions;
pub mod report;
pub mod run;
mod scan;
pub mod service;
pub(crate) mod socket;
pub mod standing;
pub mod status;
pub mod target;
mod variables;
pub mod walk;

pub use variables::proxy_variables;
