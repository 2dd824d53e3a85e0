//! Key exchange behind a trait that takes its randomness.

use super::{Random, Secret};

/// A key exchange method (IKEv2 transform type 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Group {
    /// 14
    Modp2048,
    /// 19
    Ecp256,
    /// 20
    Ecp384,
    /// 21
    Ecp521,
    /// 31
    Curve25519,
}

impl Group {
    /// IANA transform ID.
    pub fn id(self) -> u16 {
        todo!()
    }
    /// From the IANA transform ID.
    pub fn from_id(_id: u16) -> Option<Self> {
        todo!()
    }
}

/// Why a peer's public value is refused (RFC 6989, RFC 8031).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KexError {
    /// Not the length of this group's public values.
    #[error("public value has {found} octets, {expected} are needed")]
    Length {
        /// Octets received.
        found: usize,
        /// Octets of the group.
        expected: usize,
    },
    /// Not on the curve, out of range, or in a small subgroup.
    #[error("public value is not a member of the group")]
    NotInGroup,
    /// X25519 came out as zero.
    #[error("the shared secret is all zero")]
    ZeroSecret,
}

/// Our half of one exchange: the private value is drawn once and zeroized when dropped.
pub trait KeyExchange: Send {
    /// Which group.
    fn group(&self) -> Group;
    /// The octets of our KE payload.
    fn public_value(&self) -> &[u8];
    /// The shared secret g^ir, as RFC 7296 2.14 / RFC 5903 / RFC 8031 lay it out.
    fn agree(&self, peer: &[u8]) -> Result<Secret, KexError>;
}

/// Draws a private value for `group`.
pub fn generate(_group: Group, _random: &mut dyn Random) -> Box<dyn KeyExchange> {
    todo!()
}
