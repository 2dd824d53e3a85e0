//! `ikeep`: a VPN agent for IKEv2 gateways that comes back by itself.
//!
//! The map of the crate, from the outside in; imports go down this list only (see `tests/architecture.rs`).
//!
//! Shells (sockets, clock, tasks, files): [`cli`], [`lab`], [`agent`], [`netd`], [`tunnel`], [`sense`], [`store`],
//! [`bundle`], [`facts`], [`journal`], [`ipc`], [`config`], [`pkcs11`].
//!
//! Sans-IO core (no socket, no runtime, no clock, no randomness of its own): [`client`], [`gateway`],
//! [`reconnect`], [`ike`], [`esp`], [`session`], [`plan`], [`profile`], [`crypto`], [`time`].

pub mod agent;
pub mod bundle;
pub mod cli;
pub mod client;
pub mod config;
pub mod crypto;
pub mod esp;
pub mod facts;
pub mod gateway;
pub mod ike;
pub mod ipc;
pub mod journal;
pub mod lab;
pub mod netd;
pub mod pkcs11;
pub mod plan;
pub mod profile;
pub mod reconnect;
pub mod sense;
pub mod session;
pub mod store;
pub mod time;
pub mod tunnel;
