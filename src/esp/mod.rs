//! ESP in UDP (RFC 4303, RFC 3948): seal, open, anti-replay, selectors, hand-over between SA pairs.

mod pair;
mod selector;
mod set;

pub use pair::{HEADROOM, OpenError, SaPair, SaParams, SaStats, SealError};
pub use selector::TrafficSelector;
pub use set::SaSet;
