//! A preshared key that goes into the keys of an IKE SA: whoever breaks its key exchange later still lacks it (RFC 8784).

use super::keys::SaKeys;
use super::message::{Notify, Payload, notify};
use crate::crypto::{Prf, Secret};
use std::ops::RangeInclusive;

#[cfg(test)]
mod tests;

/// Octets of a PPK: 256 bits of entropy at least (RFC 8784 6), and a limit against a wrong file.
pub const SECRET: RangeInclusive<usize> = 32..=1024;
/// Octets of its name.
pub const NAME: RangeInclusive<usize> = 1..=255;
/// PPK_ID type "fixed": one of the configured PPKs (RFC 8784 5.1).
const FIXED: u8 = 2;

/// A PPK and its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ppk {
    id: Vec<u8>,
    secret: Secret,
    /// No IKE SA without it; else a peer that does not know it gets one as before.
    pub required: bool,
}

/// Why this is no PPK.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PpkError {
    /// Outside [`NAME`].
    #[error("a PPK's name has 1 to 255 octets")]
    Name,
    /// Outside [`SECRET`].
    #[error(
        "a PPK has 32 to 1024 octets (as they are, or twice as many hexadecimal digits after 0x), this one has {0}"
    )]
    Length(usize),
    /// `0x`, and then something else than pairs of hexadecimal digits.
    #[error("what follows 0x in a PPK are pairs of hexadecimal digits")]
    Hex,
}

impl Ppk {
    /// `text`: what its file holds: the octets, or `0x` and hexadecimal digits. A line's end after it does not count.
    ///
    /// # Errors
    /// Name or octets are too short or too long, or the digits are none.
    pub fn new(id: &str, text: &Secret, required: bool) -> Result<Self, PpkError> {
        if !NAME.contains(&id.len()) {
            return Err(PpkError::Name);
        }
        let line = text.expose();
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let secret = match line.strip_prefix(b"0x") {
            Some(digits) => Secret::new(unhex(digits).ok_or(PpkError::Hex)?),
            None => Secret::from(line),
        };
        if !SECRET.contains(&secret.len()) {
            return Err(PpkError::Length(secret.len()));
        }
        Ok(Self { id: id.as_bytes().to_vec(), secret, required })
    }

    /// PPK_IDENTITY of the initiator: which PPK it mixes in.
    pub fn identity(&self) -> Payload {
        let id = [&[FIXED], &self.id[..]].concat();
        Payload::Notify(Notify::status(notify::PPK_IDENTITY, id))
    }

    /// PPK_IDENTITY with this data names it.
    pub fn is_named(&self, data: &[u8]) -> bool {
        data.split_first().is_some_and(|(kind, id)| *kind == FIXED && id == self.id)
    }

    /// SK_d, SK_pi and SK_pr with the PPK in them: prf+(PPK, SK_d') and so on (RFC 8784 3). The others stay.
    pub fn mix(&self, prf: Prf, keys: &SaKeys) -> SaKeys {
        let mixed = |key: &Secret| prf.plus(self.secret.expose(), &[key.expose()], prf.len());
        SaKeys {
            sk_d: mixed(&keys.sk_d),
            sk_pi: mixed(&keys.sk_pi),
            sk_pr: mixed(&keys.sk_pr),
            ..keys.clone()
        }
    }
}

/// The octets of pairs of hexadecimal digits, with all their room from the start: no copy is left behind.
fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let mut octets = Vec::with_capacity(digits.len() / 2);
    for pair in digits.chunks(2) {
        let &[high, low] = pair else { return None };
        octets.push((digit(high)? * 16 + digit(low)?) as u8);
    }
    Some(octets)
}
