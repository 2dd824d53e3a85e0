//! What MS-CHAPv2 makes of a password (RFC 2759 8), and the keys that follow (RFC 3079 3).

use crate::crypto::legacy::{des, md4};
use crate::crypto::{Hash, Secret};

/// Octets of either side's challenge.
pub(super) const CHALLENGE: usize = 16;
/// Octets of what proves that the client knows the password.
pub(super) const NT_RESPONSE: usize = 24;

const SERVER_SIGNING: &[u8] = b"Magic server to client signing constant";
const SECOND_ROUND: &[u8] = b"Pad to make it do more than one iteration";
const MASTER_KEY: &[u8] = b"This is the MPPE Master Key";
const CLIENT_SENDS: &[u8] =
    b"On the client side, this is the send key; on the server side, it is the receive key.";
const CLIENT_RECEIVES: &[u8] =
    b"On the client side, this is the receive key; on the server side, it is the send key.";
/// Octets of an EAP method's key (RFC 3748 7.10).
const MSK: usize = 64;

/// One exchange of challenges, and what the password makes of it.
pub(super) struct Proof {
    nt_response: [u8; NT_RESPONSE],
    challenge: [u8; 8],
    hash_of_hash: Secret,
}

impl Proof {
    /// `user`: as it is sent; a domain before a backslash does not count (RFC 2759 8.2).
    pub(super) fn new(
        authenticator: &[u8; CHALLENGE],
        peer: &[u8; CHALLENGE],
        user: &str,
        password: &str,
    ) -> Self {
        let name = user.rsplit_once('\\').map_or(user, |(_domain, name)| name);
        let digest = Hash::Sha1.digest(&[peer, authenticator, name.as_bytes()]);
        let challenge: [u8; 8] = std::array::from_fn(|n| digest.get(n).copied().unwrap_or_default());
        let utf16 = Secret::new(password.encode_utf16().flat_map(u16::to_le_bytes).collect());
        let hash = Secret::from(&md4(utf16.expose())[..]);
        Self {
            nt_response: challenge_response(&challenge, &hash),
            challenge,
            hash_of_hash: Secret::from(&md4(hash.expose())[..]),
        }
    }

    /// What the client sends.
    pub(super) fn nt_response(&self) -> &[u8; NT_RESPONSE] {
        &self.nt_response
    }

    /// What the gateway has to send back: it knows the password too.
    pub(super) fn authenticator_response(&self) -> Secret {
        let first = Hash::Sha1.digest(&[self.hash_of_hash.expose(), &self.nt_response, SERVER_SIGNING]);
        Secret::new(Hash::Sha1.digest(&[&first, &self.challenge, SECOND_ROUND]))
    }

    /// The method's key as IKEv2 peers use it: what the client sends with, what it receives with, zeroes.
    pub(super) fn msk(&self) -> Secret {
        let master = self.master_key();
        let mut msk = vec![0; MSK];
        for (place, magic) in msk.chunks_mut(16).zip([CLIENT_SENDS, CLIENT_RECEIVES]) {
            place.copy_from_slice(start_key(&master, magic).expose());
        }
        Secret::new(msk)
    }

    fn master_key(&self) -> Secret {
        let digest = Hash::Sha1.digest(&[self.hash_of_hash.expose(), &self.nt_response, MASTER_KEY]);
        first_16(digest)
    }
}

/// RFC 3079 3.4, for keys of 128 bits.
fn start_key(master: &Secret, magic: &[u8]) -> Secret {
    first_16(Hash::Sha1.digest(&[master.expose(), &[0; 40], magic, &[0xf2; 40]]))
}

fn first_16(digest: Vec<u8>) -> Secret {
    let whole = Secret::new(digest);
    Secret::from(whole.expose().get(..16).unwrap_or_default())
}

/// The hash, filled up with zeroes, is three keys of DES (RFC 2759 8.5).
fn challenge_response(challenge: &[u8; 8], hash: &Secret) -> [u8; NT_RESPONSE] {
    let mut response = [0; NT_RESPONSE];
    for (n, part) in response.chunks_mut(8).enumerate() {
        let key = std::array::from_fn(|i| hash.expose().get(7 * n + i).copied().unwrap_or_default());
        part.copy_from_slice(&des(&key, challenge));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHENTICATOR: [u8; 16] = *b"\x5B\x5D\x7C\x7D\x7B\x3F\x2F\x3E\x3C\x2C\x60\x21\x32\x26\x26\x28";
    const PEER: [u8; 16] = *b"\x21\x40\x23\x24\x25\x5E\x26\x2A\x28\x29\x5F\x2B\x3A\x33\x7C\x7E";

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02X}")).collect()
    }

    #[test]
    fn rfc_2759_section_9_2() {
        let proof = Proof::new(&AUTHENTICATOR, &PEER, "User", "clientPass");
        assert_eq!(hex(&proof.challenge), "D02E4386BCE91226");
        assert_eq!(hex(proof.hash_of_hash.expose()), "41C00C584BD2D91C4017A2A12FA59F3F");
        assert_eq!(hex(proof.nt_response()), "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF");
        assert_eq!(hex(proof.authenticator_response().expose()), "407A5589115FD0D6209F510FE9C04566932CDA56");
    }

    #[test]
    fn rfc_3079_section_3_5_3() {
        let proof = Proof::new(&AUTHENTICATOR, &PEER, "User", "clientPass");
        let master = proof.master_key();
        assert_eq!(hex(master.expose()), "FDECE3717A8C838CB388E527AE3CDD31");
        // SendStartKey128 of the server.
        let key = start_key(&master, CLIENT_RECEIVES);
        assert_eq!(hex(key.expose()), "8B7CDC149B993A1BA118CB153F56DCCB");
        let msk = proof.msk();
        assert_eq!(msk.len(), MSK);
        assert_eq!(hex(&msk.expose()[16..32]), hex(key.expose()));
        assert_eq!(msk.expose()[32..], [0; 32]);
    }

    #[test]
    fn a_domain_does_not_count_and_every_character_does() {
        let of =
            |user: &str, password: &str| *Proof::new(&AUTHENTICATOR, &PEER, user, password).nt_response();
        assert_eq!(of("BIGCO\\User", "clientPass"), of("User", "clientPass"));
        assert_ne!(of("user", "clientPass"), of("User", "clientPass"));
        assert_ne!(of("User", "Grüße"), of("User", "Grusse"));
    }
}
