//! Group 31 (RFC 8031, RFC 7748).

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{Group, KexError, KeyExchange, Random, Secret};

pub(super) struct X25519 {
    // Zeroizes itself; clamped at use.
    private: StaticSecret,
    public: PublicKey,
}

impl X25519 {
    pub(super) fn generate(random: &mut dyn Random) -> Self {
        let mut octets = Zeroizing::new([0; 32]);
        random.fill(octets.as_mut());
        let private = StaticSecret::from(*octets);
        let public = PublicKey::from(&private);
        Self { private, public }
    }
}

impl KeyExchange for X25519 {
    fn group(&self) -> Group {
        Group::Curve25519
    }
    fn public_value(&self) -> &[u8] {
        self.public.as_bytes()
    }
    fn agree(&self, peer: &[u8]) -> Result<Secret, KexError> {
        self.group().check_len(peer)?;
        let mut point = [0; 32];
        point.copy_from_slice(peer);
        // Any 32 octets are a public value; RFC 8031 2.3 leaves one check, that of the result.
        let shared = self.private.diffie_hellman(&PublicKey::from(point));
        if shared.was_contributory() {
            Ok(Secret::from(&shared.as_bytes()[..]))
        } else {
            Err(KexError::ZeroSecret)
        }
    }
}
