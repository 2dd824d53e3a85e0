//! Group 14: MODP with the 2048-bit safe prime of RFC 3526 3 and generator 2.

use crypto_bigint::modular::ConstMontyParams;
use crypto_bigint::{U320, U2048, const_monty_form, const_monty_params};
use zeroize::Zeroize;

use super::{Group, KexError, KeyExchange, Random, Secret};

const_monty_params!(
    Modulus,
    U2048,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
     98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
     9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
    "The prime p of RFC 3526 3: (p - 1) / 2 is prime too."
);
const_monty_form!(Element, Modulus);

/// A private exponent of 320 bits. The group has about 112 bits of strength and 2 generates its subgroup of prime order
/// q = (p - 1) / 2, so 224 bits are enough (RFC 7919 5.2, SP 800-56A 5.6.1.1); 320 leave a margin and cost a sixth of a
/// full-length exponent. The time of an exponentiation depends on this length only.
type Exponent = U320;
const EXPONENT_OCTETS: usize = Exponent::BYTES;

pub(super) struct Modp2048 {
    private: Exponent,
    public: [u8; U2048::BYTES],
}

impl Modp2048 {
    pub(super) fn generate(random: &mut dyn Random) -> Self {
        let mut octets = [0; EXPONENT_OCTETS];
        random.fill(&mut octets);
        let private = Exponent::from_be_slice(&octets);
        octets.zeroize();
        Self::from_private(private)
    }

    fn from_private(private: Exponent) -> Self {
        let public = Element::new(&U2048::from_u8(2)).pow(&private).retrieve();
        Self { private, public: octets_of(&public) }
    }
}

impl Drop for Modp2048 {
    fn drop(&mut self) {
        self.private.zeroize();
    }
}

impl KeyExchange for Modp2048 {
    fn group(&self) -> Group {
        Group::Modp2048
    }
    fn public_value(&self) -> &[u8] {
        &self.public
    }
    fn agree(&self, peer: &[u8]) -> Result<Secret, KexError> {
        self.group().check_len(peer)?;
        let peer = U2048::from_be_slice(peer);
        // RFC 6989 2.1: for a safe prime 1 < y < p - 1 is all, it leaves out the subgroup of order 2.
        let last = Modulus::PARAMS.modulus().as_ref().wrapping_sub(&U2048::ONE);
        if peer <= U2048::ONE || peer >= last {
            return Err(KexError::NotInGroup);
        }
        let mut power = Element::new(&peer).pow(&self.private);
        let mut shared = power.retrieve();
        let mut octets = octets_of(&shared);
        // As long as the modulus, with zeros in front where need be (RFC 7296 2.14).
        let secret = Secret::from(&octets[..]);
        power.zeroize();
        shared.zeroize();
        octets.zeroize();
        Ok(secret)
    }
}

fn octets_of(number: &U2048) -> [u8; U2048::BYTES] {
    let mut octets = [0; U2048::BYTES];
    octets.copy_from_slice(number.to_be_bytes().as_ref());
    octets
}

#[cfg(test)]
mod tests;
