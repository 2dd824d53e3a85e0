//! What protects packets.

use crate::interop::Suite;

/// Both are measured with both peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cipher {
    /// AES-CBC-256 with HMAC-SHA-384-192: the seed's.
    Cbc,
    /// AES-GCM-256.
    Gcm,
}

impl Cipher {
    pub(crate) const ALL: [Self; 2] = [Self::Cbc, Self::Gcm];

    /// In the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cbc => "AES-CBC-256 SHA-384",
            Self::Gcm => "AES-GCM-256",
        }
    }

    /// For `gateway serve --esp`.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Cbc => "aes-cbc256-sha384",
            Self::Gcm => "aes-gcm256",
        }
    }

    /// For strongSwan.
    pub(crate) fn suite(self) -> Suite {
        match self {
            Self::Cbc => Suite::SEED,
            Self::Gcm => Suite::GCM,
        }
    }

    /// The group of [`Cipher::suite`].
    pub(crate) fn group(self) -> u16 {
        match self {
            Self::Cbc => 19,
            Self::Gcm => 31,
        }
    }
}
