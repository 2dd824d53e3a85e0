//! Protection of one packet: the same layout serves the SK payload and ESP.
//!
//! `[header .. iv_at) [IV] [plaintext -> ciphertext] [ICV]`. AEAD: additional data is the header (RFC 5282, RFC 4106).
//! CBC: encrypt then MAC over header, IV and ciphertext (RFC 7296 3.14, RFC 4303).

use std::ops::Range;

/// Encryption (IKEv2 transform type 1) with its key length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encr {
    /// 12, 128 bit
    AesCbc128,
    /// 12, 256 bit
    AesCbc256,
    /// 20, 128 bit
    AesGcm128,
    /// 20, 256 bit
    AesGcm256,
}

impl Encr {
    /// IANA transform ID.
    pub fn id(self) -> u16 {
        todo!()
    }
    /// Key length attribute, bits.
    pub fn key_bits(self) -> u16 {
        todo!()
    }
    /// From ID and key length attribute.
    pub fn from_id(_id: u16, _key_bits: Option<u16>) -> Option<Self> {
        todo!()
    }
    /// Combined mode: no integrity transform beside it.
    pub fn is_aead(self) -> bool {
        todo!()
    }
    /// Octets of keying material (AEAD: the 4-octet salt included).
    pub fn key_len(self) -> usize {
        todo!()
    }
    /// Octets of IV in the packet.
    pub fn iv_len(self) -> usize {
        todo!()
    }
    /// Plaintext must be a multiple of this (AEAD in IKE: 1; ESP pads to 4 itself).
    pub fn block_len(self) -> usize {
        todo!()
    }
}

/// Integrity (IKEv2 transform type 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Integ {
    /// 12
    HmacSha256_128,
    /// 13
    HmacSha384_192,
    /// 14
    HmacSha512_256,
}

impl Integ {
    /// IANA transform ID.
    pub fn id(self) -> u16 {
        todo!()
    }
    /// From the IANA transform ID.
    pub fn from_id(_id: u16) -> Option<Self> {
        todo!()
    }
    /// Octets of key.
    pub fn key_len(self) -> usize {
        todo!()
    }
    /// Octets of the truncated tag.
    pub fn icv_len(self) -> usize {
        todo!()
    }
}

/// The packet is not what its sender made, or too short to be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("integrity check failed")]
pub struct Forged;

/// The keys of one direction, expanded once. `Debug` prints algorithms only.
pub struct PacketProtection {}

impl PacketProtection {
    /// `integ` is `None` exactly where `encr` is AEAD. Panics on key lengths that do not fit: they are derived, not read.
    pub fn new(_encr: Encr, _integ: Option<Integ>, _encr_key: &[u8], _integ_key: &[u8]) -> Self {
        todo!()
    }
    /// Octets of IV in the packet.
    pub fn iv_len(&self) -> usize {
        todo!()
    }
    /// Octets of ICV at the end of the packet.
    pub fn icv_len(&self) -> usize {
        todo!()
    }
    /// Plaintext must be a multiple of this.
    pub fn block_len(&self) -> usize {
        todo!()
    }
    /// Encrypts `packet[iv_at + iv_len .. len - icv_len]` in place and fills in IV and ICV. `iv`: 16 unpredictable octets
    /// (CBC) or 8 that never repeat under this key (GCM). `esn_hi`: the high half of an extended sequence number (RFC 4303
    /// 2.2.1): GCM puts it between SPI and sequence number in the additional data, CBC's MAC covers it last.
    pub fn seal(&self, _packet: &mut [u8], _iv_at: usize, _iv: &[u8], _esn_hi: Option<u32>) {
        todo!()
    }
    /// Checks, then decrypts in place; the range of the plaintext (padding still in it).
    pub fn open(&self, _packet: &mut [u8], _iv_at: usize, _esn_hi: Option<u32>) -> Result<Range<usize>, Forged> {
        todo!()
    }
}
