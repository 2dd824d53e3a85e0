//! Key exchange behind a trait that takes its randomness.

mod ecp;
mod modp;
mod x25519;

use super::{Random, Secret};

/// A key exchange method (IKEv2 transform type 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Group {
    /// 14
    Modp2048,
    /// 15
    Modp3072,
    /// 16
    Modp4096,
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
    const ALL: [Self; 7] = [
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Ecp256,
        Self::Ecp384,
        Self::Ecp521,
        Self::Curve25519,
    ];

    /// IANA transform ID.
    pub fn id(self) -> u16 {
        match self {
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::Modp4096 => 16,
            Self::Ecp256 => 19,
            Self::Ecp384 => 20,
            Self::Ecp521 => 21,
            Self::Curve25519 => 31,
        }
    }
    /// From the IANA transform ID.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.id() == id)
    }
    /// Octets of a public value of this group.
    pub fn public_len(self) -> usize {
        match self {
            Self::Modp2048 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
            Self::Ecp521 => 132,
            Self::Curve25519 => 32,
        }
    }
    fn check_len(self, peer: &[u8]) -> Result<(), KexError> {
        let (found, expected) = (peer.len(), self.public_len());
        if found == expected { Ok(()) } else { Err(KexError::Length { found, expected }) }
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
///
/// # Panics
/// Where 64 draws in a row are no private value of an ECP group: a working `random` does not come to a second draw.
pub fn generate(group: Group, random: &mut dyn Random) -> Box<dyn KeyExchange> {
    match group {
        Group::Modp2048 => Box::new(modp::Modp2048::generate(random)),
        Group::Modp3072 => Box::new(modp::Modp3072::generate(random)),
        Group::Modp4096 => Box::new(modp::Modp4096::generate(random)),
        Group::Ecp256 => Box::new(ecp::Ecp::<p256::NistP256>::generate(random)),
        Group::Ecp384 => Box::new(ecp::Ecp::<p384::NistP384>::generate(random)),
        Group::Ecp521 => Box::new(ecp::Ecp::<p521::NistP521>::generate(random)),
        Group::Curve25519 => Box::new(x25519::X25519::generate(random)),
    }
}

#[cfg(test)]
mod tests;
