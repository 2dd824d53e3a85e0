//! Suites, PRF, key exchange, signatures and secrets, behind small types.

mod cipher;
mod kem;
mod kex;
pub mod legacy;
mod pkcs12;
mod prf;
mod random;
mod secret;
mod signature;
#[cfg(test)]
mod testing;

pub use cipher::{Encr, Forged, Integ, PacketProtection};
pub use kem::{Kem, KemKey, encapsulate};
pub use kex::{Group, KexError, KeyExchange, generate};
pub use pkcs12::{MacHash, OldCipher};
pub use prf::{Hash, Prf};
pub use random::Random;
pub use secret::{Secret, wipe_stack};
pub use signature::{Scheme, SignatureError, Signer, SigningKey, verify};
