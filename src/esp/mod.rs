//! ESP in UDP (RFC 4303, RFC 3948): seal, open, anti-replay, selectors, hand-over between SA pairs.

pub mod ecn;
pub mod inner;
mod pair;
mod replay;
mod selector;
mod set;
#[cfg(test)]
mod testing;

pub use inner::InnerPacket;
pub use pair::{HEADROOM, OpenError, SaPair, SaParams, SaStats, SealError, TAILROOM, spi_of};
pub use selector::TrafficSelector;
pub use set::SaSet;
