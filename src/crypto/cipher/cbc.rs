//! AES-CBC under an HMAC: encrypt then MAC (RFC 7296 3.14, RFC 3602, RFC 4868).

use std::ops::Range;

use aes::cipher::{
    Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
    InnerIvInit, KeyInit, consts::U16,
};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::{BLOCK, FRAMES, Forged, Integ};
use crate::crypto::wipe_stack;

pub(super) struct EncryptThenMac {
    aes: Aes,
    mac: hmac::Key,
    icv_len: usize,
}

/// Both directions of the key schedule, so that one type serves both.
enum Aes {
    Aes128(aes::Aes128Enc, aes::Aes128Dec),
    Aes256(aes::Aes256Enc, aes::Aes256Dec),
}

/// The cipher wipes itself; the state of the MAC, which ring leaves where it is, is written over.
impl Drop for EncryptThenMac {
    fn drop(&mut self) {
        self.mac = hmac::Key::new(self.mac.algorithm(), &[]);
        std::hint::black_box(&mut self.mac);
    }
}

impl EncryptThenMac {
    /// Key lengths were checked by the caller: `encr_key` has 16 or 32 octets.
    pub(super) fn new(integ: Integ, encr_key: &[u8], integ_key: &[u8]) -> Self {
        let algorithm = match integ {
            Integ::HmacSha256_128 => hmac::HMAC_SHA256,
            Integ::HmacSha384_192 => hmac::HMAC_SHA384,
            Integ::HmacSha512_256 => hmac::HMAC_SHA512,
        };
        Self { aes: Aes::new(encr_key), mac: hmac::Key::new(algorithm, integ_key), icv_len: integ.icv_len() }
    }

    pub(super) fn seal(&self, packet: &mut [u8], text: Range<usize>, iv_at: usize, esn_hi: Option<u32>) {
        let (front, rest) = packet.split_at_mut(text.start);
        self.aes.encrypt(&front[iv_at..], &mut rest[..text.len()]);
        let (covered, icv) = packet.split_at_mut(text.end);
        icv.copy_from_slice(&self.mac(covered, esn_hi).as_ref()[..self.icv_len]);
    }

    /// The ICV is checked before anything is decrypted.
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        text: Range<usize>,
        iv_at: usize,
        esn_hi: Option<u32>,
    ) -> Result<(), Forged> {
        let (covered, icv) = packet.split_at_mut(text.end);
        let mac = self.mac(covered, esn_hi);
        if !bool::from(mac.as_ref()[..self.icv_len].ct_eq(icv)) {
            return Err(Forged);
        }
        let (front, text) = covered.split_at_mut(text.start);
        self.aes.decrypt(&front[iv_at..], text);
        Ok(())
    }

    fn mac(&self, covered: &[u8], esn_hi: Option<u32>) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(covered);
        if let Some(high) = esn_hi {
            context.update(&high.to_be_bytes());
        }
        context.sign()
    }
}

impl Aes {
    fn new(key: &[u8]) -> Self {
        if let Ok(key) = <&Array<u8, _>>::try_from(key) {
            Self::Aes128(aes::Aes128Enc::new(key), aes::Aes128Dec::new(key))
        } else {
            let key = <&Array<u8, _>>::try_from(key).expect("16 octets or 32");
            Self::Aes256(aes::Aes256Enc::new(key), aes::Aes256Dec::new(key))
        }
    }
    fn encrypt(&self, iv: &[u8], text: &mut [u8]) {
        match self {
            Self::Aes128(key, _) => encrypt(key, iv, text),
            Self::Aes256(key, _) => encrypt(key, iv, text),
        }
        wipe_stack::<FRAMES>();
    }
    fn decrypt(&self, iv: &[u8], text: &mut [u8]) {
        match self {
            Self::Aes128(_, key) => decrypt(key, iv, text),
            Self::Aes256(_, key) => decrypt(key, iv, text),
        }
        wipe_stack::<FRAMES>();
    }
}

/// In a frame of its own, which the caller writes over.
#[inline(never)]
fn encrypt<C: BlockCipherEncrypt<BlockSize = U16>>(key: &C, iv: &[u8], text: &mut [u8]) {
    cbc::Encryptor::inner_iv_slice_init(key, iv)
        .expect("an IV of one block")
        .encrypt_blocks(blocks::<C>(text));
}

/// In a frame of its own, which the caller writes over.
#[inline(never)]
fn decrypt<C: BlockCipherDecrypt<BlockSize = U16>>(key: &C, iv: &[u8], text: &mut [u8]) {
    cbc::Decryptor::inner_iv_slice_init(key, iv)
        .expect("an IV of one block")
        .decrypt_blocks(blocks::<C>(text));
}

/// The text as whole blocks, so that the cipher takes many at a time.
fn blocks<C: BlockSizeUser<BlockSize = U16>>(text: &mut [u8]) -> &mut [Block<C>] {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    assert!(rest.is_empty(), "the text is a multiple of {BLOCK} octets");
    blocks
}
