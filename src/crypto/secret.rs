//! Octets that must not be printed, copied about or left in memory.

use std::fmt;

/// A key, token or password: zeroized when dropped, compared in constant time, `Debug` prints a short salted tag.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes ownership of the octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }
    /// The octets, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// Length in octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// True where there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Secret {
    fn from(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }
}

impl PartialEq for Secret {
    fn eq(&self, _other: &Self) -> bool {
        todo!()
    }
}
impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
