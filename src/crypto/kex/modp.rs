//! Groups 14, 15 and 16: MODP with the safe primes of RFC 3526 3 to 5 and generator 2.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{Encoding, U2048, U3072, U4096, Uint, const_monty_params};
use zeroize::Zeroize;

use super::{Group, KexError, KeyExchange, Random, Secret};

const_monty_params!(
    Prime2048,
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
const_monty_params!(
    Prime3072,
    U3072,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
     98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
     9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33\
     A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864\
     D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2\
     08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    "The prime p of RFC 3526 4: (p - 1) / 2 is prime too."
);
const_monty_params!(
    Prime4096,
    U4096,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
     98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
     9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33\
     A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864\
     D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2\
     08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
     88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8\
     DBBBC2DB04DE8EF92E8EFC141FBECAA6287C59474E6BC05D99B2964FA090C3A2\
     233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
     93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF",
    "The prime p of RFC 3526 5: (p - 1) / 2 is prime too."
);

/// A prime of `L` limbs, and the group that it makes.
pub(super) trait Prime<const L: usize>: ConstMontyParams<L> {
    const GROUP: Group;
}

impl Prime<{ U2048::LIMBS }> for Prime2048 {
    const GROUP: Group = Group::Modp2048;
}

impl Prime<{ U3072::LIMBS }> for Prime3072 {
    const GROUP: Group = Group::Modp3072;
}

impl Prime<{ U4096::LIMBS }> for Prime4096 {
    const GROUP: Group = Group::Modp4096;
}

/// A private exponent of `E` limbs of 64 bits. 2 generates the subgroup of prime order q = (p - 1) / 2, so that twice the
/// strength of the group is enough: 224, 256 and 304 bits for 112, 128 and 152 (RFC 3526 8, RFC 7919 5.2, SP 800-56A
/// 5.6.1.1). 320, 384 and 448 leave a margin and cost a fraction of a full-length exponent. The time of an exponentiation
/// depends on this length only.
pub(super) struct Modp<M: Prime<L>, const L: usize, const E: usize> {
    private: Uint<E>,
    public: Vec<u8>,
    prime: std::marker::PhantomData<M>,
}

/// Group 14.
pub(super) type Modp2048 = Modp<Prime2048, { U2048::LIMBS }, 5>;
/// Group 15.
pub(super) type Modp3072 = Modp<Prime3072, { U3072::LIMBS }, 6>;
/// Group 16.
pub(super) type Modp4096 = Modp<Prime4096, { U4096::LIMBS }, 7>;

impl<M: Prime<L>, const L: usize, const E: usize> Modp<M, L, E>
where
    Uint<L>: Encoding,
{
    pub(super) fn generate(random: &mut dyn Random) -> Self {
        let mut octets = vec![0; Uint::<E>::BYTES];
        random.fill(&mut octets);
        let private = Uint::from_be_slice(&octets);
        octets.zeroize();
        let public = ConstMontyForm::<M, L>::new(&Uint::from_u8(2)).pow(&private).retrieve();
        Self { private, public: octets_of(&public), prime: std::marker::PhantomData }
    }
}

impl<M: Prime<L>, const L: usize, const E: usize> Drop for Modp<M, L, E> {
    fn drop(&mut self) {
        self.private.zeroize();
    }
}

impl<M: Prime<L> + Send, const L: usize, const E: usize> KeyExchange for Modp<M, L, E>
where
    Uint<L>: Encoding,
{
    fn group(&self) -> Group {
        M::GROUP
    }
    fn public_value(&self) -> &[u8] {
        &self.public
    }
    fn agree(&self, peer: &[u8]) -> Result<Secret, KexError> {
        self.group().check_len(peer)?;
        let peer = Uint::<L>::from_be_slice(peer);
        // RFC 6989 2.1: for a safe prime 1 < y < p - 1 is all, it leaves out the subgroup of order 2.
        let last = M::PARAMS.modulus().as_ref().wrapping_sub(&Uint::ONE);
        if peer <= Uint::ONE || peer >= last {
            return Err(KexError::NotInGroup);
        }
        let mut power = ConstMontyForm::<M, L>::new(&peer).pow(&self.private);
        let mut shared = power.retrieve();
        // As long as the modulus, with zeros in front where need be (RFC 7296 2.14).
        let secret = Secret::new(octets_of(&shared));
        power.zeroize();
        shared.zeroize();
        Ok(secret)
    }
}

/// As many octets as the number's type has.
fn octets_of<const L: usize>(number: &Uint<L>) -> Vec<u8>
where
    Uint<L>: Encoding,
{
    let mut octets = number.to_be_bytes();
    let copy = octets.as_ref().to_vec();
    octets.as_mut().zeroize();
    copy
}

#[cfg(test)]
mod tests;
