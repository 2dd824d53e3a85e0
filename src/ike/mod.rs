//! IKEv2 (RFC 7296) and EAP-AnyConnect: codec, keys, one IKE SA, the initiator.

pub mod auth;
pub mod cert;
pub mod dialect;
pub mod eap;
pub mod established;
pub mod initiator;
pub mod intermediate;
pub mod keys;
pub mod message;
pub mod ppk;
pub mod proposal;
pub mod sa;
pub mod sk;
