//! Groups 19, 20 and 21: ECP groups with x | y as public value and x as shared secret (RFC 5903 7).

use p256::elliptic_curve::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytes, FieldBytesSize, PublicKey, SecretKey};
use zeroize::Zeroize;

use super::{Group, KexError, KeyExchange, Random, Secret};

/// A curve that IKEv2 has a number for.
pub(super) trait IkeCurve: CurveArithmetic {
    const GROUP: Group;
    /// What of the first octet of a private value is below the order.
    const TOP_MASK: u8;
}
impl IkeCurve for p256::NistP256 {
    const GROUP: Group = Group::Ecp256;
    const TOP_MASK: u8 = 0xff;
}
impl IkeCurve for p384::NistP384 {
    const GROUP: Group = Group::Ecp384;
    const TOP_MASK: u8 = 0xff;
}
impl IkeCurve for p521::NistP521 {
    const GROUP: Group = Group::Ecp521;
    const TOP_MASK: u8 = 0x01;
}

pub(super) struct Ecp<C: IkeCurve> {
    // Zeroizes itself.
    private: SecretKey<C>,
    /// x | y
    public: Vec<u8>,
}

impl<C> Ecp<C>
where
    C: IkeCurve,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    /// Rejection sampling: uniform in 1 .. order.
    pub(super) fn generate(random: &mut dyn Random) -> Self {
        let mut octets = FieldBytes::<C>::default();
        for _ in 0..64 {
            random.fill(&mut octets);
            octets[0] &= C::TOP_MASK;
            if let Ok(private) = SecretKey::<C>::from_bytes(&octets) {
                octets.zeroize();
                let public = private.public_key().to_sec1_point(false).as_bytes()[1..].to_vec();
                return Self { private, public };
            }
        }
        panic!("the source of randomness is broken: 64 draws gave no private value");
    }
}

impl<C> KeyExchange for Ecp<C>
where
    C: IkeCurve,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
    SecretKey<C>: Send,
{
    fn group(&self) -> Group {
        C::GROUP
    }
    fn public_value(&self) -> &[u8] {
        &self.public
    }
    fn agree(&self, peer: &[u8]) -> Result<Secret, KexError> {
        C::GROUP.check_len(peer)?;
        // SEC 1 calls an uncompressed point 4. RFC 6989 2.3: coordinates below p and on the curve, which is what this
        // parser demands; the cofactor is 1, and the point at infinity has no such form.
        let mut point = Vec::with_capacity(1 + peer.len());
        point.push(4);
        point.extend_from_slice(peer);
        let peer = PublicKey::<C>::from_sec1_bytes(&point).map_err(|_| KexError::NotInGroup)?;
        let shared = diffie_hellman(self.private.to_nonzero_scalar(), peer.as_affine());
        Ok(Secret::from(shared.raw_secret_bytes().as_slice()))
    }
}
