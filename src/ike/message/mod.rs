//! The codec: header and payload chain, without secrets (RFC 7296 3).
//!
//! Decoding is strict about lengths and limits and lenient about what the RFC says to ignore. Encoding what was decoded
//! gives a message of the same meaning.
//!
//! `header`: the IKE header and whole unencrypted messages. `chain`: generic payload headers. `payload`: one payload of
//! each type; `proposal`, `selector`, `config`, `identity`, `notify`: what is inside them, `dn`: names in an
//! identity; `redirect`, `lifetime`, `ticket`: what is
//! inside a notify. `read`: octets and limits.

#[cfg(test)]
pub(in crate::ike) mod arbitrary;
mod chain;
mod config;
mod dn;
mod header;
mod identity;
mod lifetime;
pub mod notify;
mod payload;
mod proposal;
mod read;
mod redirect;
#[cfg(test)]
mod scapy_tests;
mod selector;
#[cfg(test)]
mod tests;
mod ticket;

pub(in crate::ike) use chain::{Chain, GENERIC_LEN};
pub use chain::{decode_payloads, encode_payloads};
pub use config::{ConfigAttribute, Configuration, cfg_kind};
pub use header::{Exchange, HEADER_LEN, Header, Outgoing, Spi, decode_message, encode_message};
pub use identity::{Identity, id_type};
pub use lifetime::AuthLifetime;
pub use notify::{Delete, Notify, find_notify, first_error_notify};
pub use payload::{Payload, payload_type};
pub use proposal::{Proposal, Transform, protocol, transform_kind};
pub use read::{DecodeError, limits};
pub use redirect::{GatewayId, Redirect};
pub use ticket::{TICKET_MAX, TicketGrant};
