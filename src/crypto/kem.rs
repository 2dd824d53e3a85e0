//! Key encapsulation, for a key exchange beside another one (RFC 9370): ML-KEM (FIPS 203).

use super::{KexError, Random, Secret};
use ml_kem::kem::{Decapsulate as _, Key, KeyExport as _};
use ml_kem::ml_kem_768::{DecapsulationKey, EncapsulationKey};
use ml_kem::{B32, Seed};
use zeroize::{Zeroize as _, Zeroizing};

/// Octets of a public key of ML-KEM-768.
const PUBLIC: usize = 1184;
/// Octets of a ciphertext of ML-KEM-768.
const CIPHERTEXT: usize = 1088;

/// A key encapsulation method (IKEv2 transform types 6 to 12; IKE numbers them as the groups of type 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kem {
    /// 36 (draft-ietf-ipsecme-ikev2-mlkem)
    MlKem768,
}

impl Kem {
    /// IANA transform ID.
    pub fn id(self) -> u16 {
        match self {
            Self::MlKem768 => 36,
        }
    }
    /// From the IANA transform ID.
    pub fn from_id(id: u16) -> Option<Self> {
        (id == Self::MlKem768.id()).then_some(Self::MlKem768)
    }
}

/// The initiator's key pair of one exchange; the private key is zeroized when dropped.
pub struct KemKey {
    private: DecapsulationKey,
    public: Vec<u8>,
}

impl KemKey {
    /// Draws a key pair of ML-KEM-768: FIPS 203's d and z, 64 octets.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut seed = Zeroizing::new(Seed::default());
        random.fill(seed.as_mut_slice());
        let private = DecapsulationKey::from_seed(*seed);
        let public = private.encapsulation_key().to_bytes().to_vec();
        Self { private, public }
    }

    /// Which method.
    pub fn kem(&self) -> Kem {
        Kem::MlKem768
    }

    /// The octets of the initiator's KE payload.
    pub fn public_value(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret in the responder's KE payload. A ciphertext that somebody has changed gives another secret, and no error
    /// (FIPS 203 6.3).
    ///
    /// # Errors
    /// [`KexError::Length`]
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, KexError> {
        let shared = self.private.decapsulate_slice(ciphertext);
        let mut shared =
            shared.map_err(|_| KexError::Length { found: ciphertext.len(), expected: CIPHERTEXT })?;
        let secret = Secret::from(shared.as_slice());
        shared.zeroize();
        Ok(secret)
    }
}

/// The responder's side of ML-KEM-768: the octets of its KE payload, and the shared secret.
///
/// # Errors
/// [`KexError::Length`]; [`KexError::NotInGroup`] for a public key with a coefficient that is out of range (FIPS 203 7.2).
pub fn encapsulate(public: &[u8], random: &mut dyn Random) -> Result<(Vec<u8>, Secret), KexError> {
    let wrong = KexError::Length { found: public.len(), expected: PUBLIC };
    let key = Key::<EncapsulationKey>::try_from(public).map_err(|_| wrong)?;
    let key = EncapsulationKey::new(&key).map_err(|_| KexError::NotInGroup)?;
    let mut message = Zeroizing::new(B32::default());
    random.fill(message.as_mut_slice());
    let (ciphertext, mut shared) = key.encapsulate_deterministic(&message);
    let secret = Secret::from(shared.as_slice());
    shared.zeroize();
    Ok((ciphertext.to_vec(), secret))
}
