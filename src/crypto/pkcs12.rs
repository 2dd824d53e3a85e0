//! What files of keys are protected with: the key derivation of PKCS#12, its MAC, and RC2 and 3DES as older files have them
//! (RFC 7292, appendices B and C). Only such files may use it.

use des::TdesEde3;
use des::cipher::{Array, BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit, consts::U8};
use rc2::Rc2;
use ring::{digest, hmac};
use zeroize::Zeroizing;

/// The hash of a file's MAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MacHash {
    /// Older files, and those of Windows.
    Sha1,
    /// OpenSSL 3.
    Sha256,
    /// Rare.
    Sha384,
    /// Rare.
    Sha512,
}

/// A cipher of older files; all with SHA-1, in CBC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OldCipher {
    /// 3DES with three keys.
    TripleDes,
    /// RC2 with a key of 128 bits.
    Rc2Of128,
    /// RC2 with a key of 40 bits: no protection, but certificates are no secret.
    Rc2Of40,
}

impl MacHash {
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// Whether `mac` is that of `octets`. `password`: UTF-16 with the high octet first and a zero at its end. It takes `rounds`
    /// hashes.
    pub fn verifies(self, password: &[u8], salt: &[u8], rounds: u32, octets: &[u8], mac: &[u8]) -> bool {
        let hash = self.digest();
        let key = derive(hash, 3, password, salt, rounds, hash.output_len());
        hmac::verify(&hmac::Key::new(self.hmac(), &key), octets, mac).is_ok()
    }
}

impl OldCipher {
    /// Takes the protection off; `None` where the password is another one's or the text is damaged, which nobody can tell apart.
    /// It takes up to three times `rounds` hashes.
    pub fn decrypt(
        self,
        password: &[u8],
        salt: &[u8],
        rounds: u32,
        text: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let derive =
            |what, length| derive(&digest::SHA1_FOR_LEGACY_USE_ONLY, what, password, salt, rounds, length);
        let iv = derive(2, 8);
        let mut text = Zeroizing::new(text.to_vec());
        match self {
            Self::TripleDes => cbc(&TdesEde3::new_from_slice(&derive(1, 24)).ok()?, &iv, &mut text)?,
            Self::Rc2Of128 => cbc(&Rc2::new_from_slice(&derive(1, 16)).ok()?, &iv, &mut text)?,
            Self::Rc2Of40 => cbc(&Rc2::new_from_slice(&derive(1, 5)).ok()?, &iv, &mut text)?,
        }
        let padding = usize::from(*text.last()?);
        let length = text.len().checked_sub(padding).filter(|_| (1..=8).contains(&padding))?;
        if text[length..].iter().any(|octet| usize::from(*octet) != padding) {
            return None;
        }
        text.truncate(length);
        Some(text)
    }
}

fn cbc<C: BlockCipherDecrypt<BlockSize = U8>>(key: &C, iv: &[u8], text: &mut [u8]) -> Option<()> {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    cbc::Decryptor::inner_iv_slice_init(key, iv).ok()?.decrypt_blocks(blocks);
    rest.is_empty().then_some(())
}

/// Octets of RFC 7292, appendix B.2. `what`: 1 for a key, 2 for an IV, 3 for the key of a MAC.
fn derive(
    hash: &'static digest::Algorithm,
    what: u8,
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let block = hash.block_len();
    let diversifier = vec![what; block];
    let stretched = |octets: &[u8]| -> Zeroizing<Vec<u8>> {
        let length = octets.len().div_ceil(block) * block;
        Zeroizing::new(octets.iter().copied().cycle().take(length).collect())
    };
    let mut mixed = Zeroizing::new([&stretched(salt)[..], &stretched(password)].concat());
    let mut out = Zeroizing::new(Vec::with_capacity(length + hash.output_len()));
    loop {
        let mut context = digest::Context::new(hash);
        context.update(&diversifier);
        context.update(&mixed);
        let mut found = context.finish();
        for _ in 1..rounds {
            found = digest::digest(hash, found.as_ref());
        }
        out.extend_from_slice(found.as_ref());
        if out.len() >= length {
            out.truncate(length);
            return out;
        }
        // Each block of it, as a number, plus the repeated hash and one.
        for part in mixed.chunks_exact_mut(block) {
            let mut carry = 1u16;
            for (at, octet) in part.iter_mut().enumerate().rev() {
                let sum = u16::from(*octet) + u16::from(found.as_ref()[at % hash.output_len()]) + carry;
                *octet = sum as u8;
                carry = sum >> 8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_no_whole_blocks_and_none_is_told() {
        for cipher in [OldCipher::TripleDes, OldCipher::Rc2Of128, OldCipher::Rc2Of40] {
            for length in [0, 1, 7, 9, 15] {
                assert!(
                    cipher.decrypt(&[0, 0], b"salt", 1, &vec![0; length]).is_none(),
                    "{cipher:?} {length}"
                );
            }
        }
    }
}
