//! Protection of one packet: the same layout serves the SK payload and ESP.
//!
//! `[header .. iv_at) [IV] [plaintext -> ciphertext] [ICV]`. AEAD: additional data is the header (RFC 5282, RFC 4106, RFC 7634).
//! CBC: encrypt then MAC over header, IV and ciphertext (RFC 7296 3.14, RFC 4303).

use std::fmt;
use std::ops::Range;

use super::wipe_stack;
use ring::aead;
use zeroize::Zeroize as _;

mod cbc;

/// Octets of a block of AES.
const BLOCK: usize = 16;
/// Octets of the salt at the end of an AEAD key (RFC 4106 8.1, RFC 5282 7.1, RFC 7634 2).
const SALT: usize = 4;
/// Octets of stack that AES-CBC and key schedules use below us, in a build that is optimized: what they leave there can come into the gaps
/// of whatever is put together on the stack next, and with it into memory that lives on. (AES-GCM and ChaCha20 of ring keep to their
/// keys where these are.)
const FRAMES: usize = 4 << 10;

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
    /// 28 (RFC 7634); its key has one length, which is not said
    ChaCha20Poly1305,
}

impl Encr {
    const ALL: [Self; 5] =
        [Self::AesCbc128, Self::AesCbc256, Self::AesGcm128, Self::AesGcm256, Self::ChaCha20Poly1305];

    /// IANA transform ID.
    pub fn id(self) -> u16 {
        match self {
            Self::AesCbc128 | Self::AesCbc256 => 12,
            Self::AesGcm128 | Self::AesGcm256 => 20,
            Self::ChaCha20Poly1305 => 28,
        }
    }
    /// Key length attribute, bits; `None` where the transform has none (RFC 7634 4).
    pub fn key_bits(self) -> Option<u16> {
        match self {
            Self::AesCbc128 | Self::AesGcm128 => Some(128),
            Self::AesCbc256 | Self::AesGcm256 => Some(256),
            Self::ChaCha20Poly1305 => None,
        }
    }
    /// From ID and key length attribute; without that attribute AES says nothing (RFC 7296 3.3.5).
    pub fn from_id(id: u16, key_bits: Option<u16>) -> Option<Self> {
        Self::ALL.into_iter().find(|encr| encr.id() == id && encr.key_bits() == key_bits)
    }
    /// Combined mode: no integrity transform beside it.
    pub fn is_aead(self) -> bool {
        matches!(self, Self::AesGcm128 | Self::AesGcm256 | Self::ChaCha20Poly1305)
    }
    /// Octets of keying material (AEAD: the 4-octet salt included).
    pub fn key_len(self) -> usize {
        usize::from(self.key_bits().unwrap_or(256) / 8) + if self.is_aead() { SALT } else { 0 }
    }
    /// Octets of IV in the packet.
    pub fn iv_len(self) -> usize {
        if self.is_aead() { 8 } else { BLOCK }
    }
    /// Plaintext must be a multiple of this (AEAD in IKE: 1; ESP pads to 4 itself).
    pub fn block_len(self) -> usize {
        if self.is_aead() { 1 } else { BLOCK }
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
        match self {
            Self::HmacSha256_128 => 12,
            Self::HmacSha384_192 => 13,
            Self::HmacSha512_256 => 14,
        }
    }
    /// From the IANA transform ID.
    pub fn from_id(id: u16) -> Option<Self> {
        [Self::HmacSha256_128, Self::HmacSha384_192, Self::HmacSha512_256]
            .into_iter()
            .find(|integ| integ.id() == id)
    }
    /// Octets of key.
    pub fn key_len(self) -> usize {
        2 * self.icv_len()
    }
    /// Octets of the truncated tag.
    pub fn icv_len(self) -> usize {
        match self {
            Self::HmacSha256_128 => 16,
            Self::HmacSha384_192 => 24,
            Self::HmacSha512_256 => 32,
        }
    }
}

/// The packet is not what its sender made, or too short to be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("integrity check failed")]
pub struct Forged;

/// The keys of one direction, expanded once. `Debug` prints algorithms only.
///
/// Neither `seal` nor `open` allocates. The AES-CBC keys are zeroized when dropped; ring does not do that for its own, so
/// keys of nothing are written over them.
pub struct PacketProtection {
    encr: Encr,
    integ: Option<Integ>,
    keys: Keys,
}

enum Keys {
    Cbc(Box<cbc::EncryptThenMac>),
    Aead(Box<Aead>),
}

impl Keys {
    /// In a frame of its own, which is written over: what is moved leaves a copy.
    #[inline(never)]
    fn new(encr: Encr, integ: Option<Integ>, encr_key: &[u8], integ_key: &[u8]) -> Self {
        match integ {
            Some(integ) => Self::Cbc(Box::new(cbc::EncryptThenMac::new(integ, encr_key, integ_key))),
            None => Self::Aead(Box::new(Aead::new(encr, encr_key))),
        }
    }
}

/// AES-GCM and ChaCha20-Poly1305: nonce, additional data and tag are laid out alike.
struct Aead {
    key: aead::LessSafeKey,
    salt: [u8; SALT],
}

impl PacketProtection {
    /// `integ` is `None` exactly where `encr` is AEAD. Panics on key lengths that do not fit: they are derived, not read.
    pub fn new(encr: Encr, integ: Option<Integ>, encr_key: &[u8], integ_key: &[u8]) -> Self {
        assert_eq!(encr_key.len(), encr.key_len(), "length of the encryption key");
        assert_eq!(integ_key.len(), integ.map_or(0, Integ::key_len), "length of the integrity key");
        assert_eq!(integ.is_none(), encr.is_aead(), "AEAD stands alone, CBC does not");
        let keys = Keys::new(encr, integ, encr_key, integ_key);
        wipe_stack::<FRAMES>();
        Self { encr, integ, keys }
    }
    /// Octets of IV in the packet.
    pub fn iv_len(&self) -> usize {
        self.encr.iv_len()
    }
    /// Octets of ICV at the end of the packet.
    pub fn icv_len(&self) -> usize {
        self.integ.map_or(aead::MAX_TAG_LEN, Integ::icv_len)
    }
    /// Plaintext must be a multiple of this.
    pub fn block_len(&self) -> usize {
        self.encr.block_len()
    }
    /// Encrypts `packet[iv_at + iv_len .. len - icv_len]` in place and fills in IV and ICV. `iv`: 16 unpredictable octets
    /// (CBC) or 8 that never repeat under this key (AEAD). `esn_hi`: the high half of an extended sequence number (RFC 4303
    /// 2.2.1): AEAD puts it between SPI and sequence number in the additional data, CBC's MAC covers it last.
    ///
    /// # Panics
    /// Where `packet` has no room for IV and ICV, the plaintext is no multiple of `block_len`, `iv` is not `iv_len` long,
    /// or AEAD gets `esn_hi` and a header that is not ESP's 8 octets: all of it is the caller's layout.
    pub fn seal(&self, packet: &mut [u8], iv_at: usize, iv: &[u8], esn_hi: Option<u32>) {
        let range = self.range(packet.len(), iv_at).expect("room for IV and ICV");
        packet[iv_at..range.start].copy_from_slice(iv);
        match &self.keys {
            Keys::Cbc(keys) => keys.seal(packet, range, iv_at, esn_hi),
            Keys::Aead(keys) => keys.seal(packet, range, iv_at, esn_hi),
        }
    }
    /// Checks, then decrypts in place; the range of the plaintext (padding still in it). After an error the packet's
    /// content is of no use.
    ///
    /// # Panics
    /// Where AEAD gets `esn_hi` and `iv_at` is not 8.
    pub fn open(&self, packet: &mut [u8], iv_at: usize, esn_hi: Option<u32>) -> Result<Range<usize>, Forged> {
        let range = self.range(packet.len(), iv_at).ok_or(Forged)?;
        if !range.len().is_multiple_of(self.block_len()) {
            return Err(Forged);
        }
        match &self.keys {
            Keys::Cbc(keys) => keys.open(packet, range.clone(), iv_at, esn_hi)?,
            Keys::Aead(keys) => keys.open(packet, range.clone(), iv_at, esn_hi)?,
        }
        Ok(range)
    }
    /// Where the text is between IV and ICV; `None` for a packet too short for both.
    fn range(&self, len: usize, iv_at: usize) -> Option<Range<usize>> {
        let start = iv_at.checked_add(self.iv_len())?;
        let end = len.checked_sub(self.icv_len())?;
        (start <= end).then_some(start..end)
    }
}

impl fmt::Debug for PacketProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketProtection")
            .field("encr", &self.encr)
            .field("integ", &self.integ)
            .finish_non_exhaustive()
    }
}

impl Drop for Aead {
    fn drop(&mut self) {
        let algorithm = self.key.algorithm();
        let nothing = [0; 32];
        if let Some(Ok(key)) =
            nothing.get(..algorithm.key_len()).map(|key| aead::UnboundKey::new(algorithm, key))
        {
            self.key = aead::LessSafeKey::new(key);
        }
        self.salt.zeroize();
        // Without it the compiler may leave out what nobody would see.
        std::hint::black_box(self);
    }
}

impl Aead {
    fn new(encr: Encr, key_and_salt: &[u8]) -> Self {
        let (key, tail) = key_and_salt.split_at(key_and_salt.len() - SALT);
        let algorithm = match encr {
            Encr::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
            _ if key.len() == 16 => &aead::AES_128_GCM,
            _ => &aead::AES_256_GCM,
        };
        let key = aead::UnboundKey::new(algorithm, key).expect("the length was checked");
        let mut salt = [0; SALT];
        salt.copy_from_slice(tail);
        Self { key: aead::LessSafeKey::new(key), salt }
    }
    /// Salt | IV (RFC 4106 4, RFC 5282 4, RFC 7634 2).
    fn nonce(&self, iv: &[u8]) -> aead::Nonce {
        let mut nonce = [0; aead::NONCE_LEN];
        nonce[..SALT].copy_from_slice(&self.salt);
        nonce[SALT..].copy_from_slice(iv);
        aead::Nonce::assume_unique_for_key(nonce)
    }
    fn seal(&self, packet: &mut [u8], range: Range<usize>, iv_at: usize, esn_hi: Option<u32>) {
        let (front, rest) = packet.split_at_mut(range.start);
        let (header, iv) = front.split_at(iv_at);
        let (text, icv) = rest.split_at_mut(range.len());
        let aad = AdditionalData::new(header, esn_hi);
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(iv), aead::Aad::from(aad), text)
            .expect("a packet is shorter than the 64 GiB of one message");
        icv.copy_from_slice(tag.as_ref());
    }
    fn open(
        &self,
        packet: &mut [u8],
        range: Range<usize>,
        iv_at: usize,
        esn_hi: Option<u32>,
    ) -> Result<(), Forged> {
        let (front, text_and_icv) = packet.split_at_mut(range.start);
        let (header, iv) = front.split_at(iv_at);
        let aad = AdditionalData::new(header, esn_hi);
        let opened = self.key.open_in_place(self.nonce(iv), aead::Aad::from(aad), text_and_icv);
        opened.map(|_| ()).map_err(|_| Forged)
    }
}

/// What AEAD authenticates beside the text: the header, or with extended sequence numbers SPI | high | low (RFC 4106 5, RFC
/// 7634 2.1).
enum AdditionalData<'a> {
    Header(&'a [u8]),
    Extended([u8; 12]),
}

impl<'a> AdditionalData<'a> {
    fn new(header: &'a [u8], esn_hi: Option<u32>) -> Self {
        let Some(high) = esn_hi else { return Self::Header(header) };
        assert_eq!(header.len(), 8, "extended sequence numbers need an ESP header");
        let mut extended = [0; 12];
        extended[..4].copy_from_slice(&header[..4]);
        extended[4..8].copy_from_slice(&high.to_be_bytes());
        extended[8..].copy_from_slice(&header[4..]);
        Self::Extended(extended)
    }
}

impl AsRef<[u8]> for AdditionalData<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Header(header) => header,
            Self::Extended(extended) => extended,
        }
    }
}

#[cfg(test)]
mod tests;
