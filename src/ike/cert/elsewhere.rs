//! A private key that is not in memory but on a token: what it can sign with. The signatures are made by the shell.

use super::{MAX_CERTIFICATES, OwnCertificateError, parse};
use crate::crypto::{Hash, Scheme, SignatureError, Signer};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Its schemes, best first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Elsewhere(Vec<Scheme>);

/// id-Ed25519 (RFC 8410 3).
const ED25519: &str = "1.3.101.112";
/// Shortest RSA modulus, bits.
const MIN_RSA: usize = 2048;

impl Elsewhere {
    /// Those of `can`, what the token makes, that fit the key of the certificate.
    pub(super) fn of(key: &SubjectPublicKeyInfo<'_>, can: &[Scheme]) -> Result<Self, OwnCertificateError> {
        let fit: Vec<Scheme> = match key.parsed() {
            Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= MIN_RSA => {
                let hashes = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
                hashes.map(Scheme::RsaPss).into_iter().chain(hashes.map(Scheme::RsaPkcs1)).collect()
            }
            Ok(PublicKey::EC(point)) => match point.key_size() {
                256 => vec![Scheme::EcdsaDer(Hash::Sha256), Scheme::EcdsaFixed(Hash::Sha256)],
                384 => vec![Scheme::EcdsaDer(Hash::Sha384), Scheme::EcdsaFixed(Hash::Sha384)],
                _ => Vec::new(),
            },
            _ if key.algorithm.algorithm.to_id_string() == ED25519 => vec![Scheme::Ed25519],
            _ => Vec::new(),
        };
        let both: Vec<Scheme> = fit.into_iter().filter(|scheme| can.contains(scheme)).collect();
        if both.is_empty() { Err(OwnCertificateError::Mechanism) } else { Ok(Self(both)) }
    }
}

impl Signer for Elsewhere {
    fn schemes(&self) -> &[Scheme] {
        &self.0
    }

    fn sign(&self, _: Scheme, _: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Err(SignatureError::Key)
    }
}

/// Whether it is a certificate of a CA, or none that can be read: nobody logs in with it.
pub fn is_authority(der: &[u8]) -> bool {
    let Ok(cert) = parse(der) else { return true };
    let basic = cert.basic_constraints();
    basic.is_err() || basic.is_ok_and(|basic| basic.is_some_and(|basic| basic.value.ca))
}

/// The certificate and, by the names of issuers, those of `others` between it and its root. Nothing is verified.
pub fn chain_of(leaf: &[u8], others: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut chain = vec![leaf.to_vec()];
    while let Some(last) = chain.last().filter(|_| chain.len() < MAX_CERTIFICATES)
        && let Ok(cert) = parse(last)
        && let Some(issuer) = others.iter().find(|der| {
            parse(der)
                .is_ok_and(|other| other.subject() == cert.issuer() && other.subject() != other.issuer())
                && chain.iter().all(|known| known != *der)
        })
    {
        chain.push(issuer.to_vec());
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ike::cert::OwnCertificate;
    use crate::lab::pki::{IssuedBy, Leaf, Pki};
    use crate::time::UnixTime;

    #[test]
    fn a_chain_is_found_by_names_and_a_token_signs_with_what_fits_the_key() {
        let pki = Pki::new(UnixTime::from_secs(1_800_000_000)).unwrap();
        let issued = pki.issue(&Leaf { issuer: IssuedBy::Intermediate, ..pki.leaf("anna") }).unwrap();
        let [leaf, between] = &issued.chain[..] else { panic!("{}", issued.chain.len()) };
        let all = [pki.ca(), leaf, between];
        assert_eq!(chain_of(leaf, &all), [leaf.clone(), between.clone()]);
        assert_eq!(chain_of(b"junk", &[]), [b"junk".to_vec()]);
        assert!(!is_authority(leaf) && is_authority(between) && is_authority(b"junk"));
        let own = |schemes: &[Scheme]| OwnCertificate::with_key_elsewhere(&issued.chain, schemes);
        let can = own(&[Scheme::Ed25519, Scheme::EcdsaFixed(Hash::Sha256), Scheme::RsaPkcs1(Hash::Sha256)])
            .unwrap();
        assert_eq!(can.signer().schemes().len(), 1);
        assert!(can.is_elsewhere() && can.signer().sign(can.signer().schemes()[0], b"x").is_err());
        assert_eq!(own(&[Scheme::Ed25519]), Err(OwnCertificateError::Mechanism));
        // Where the key is counts, too.
        let other = own(&[Scheme::RsaPss(Hash::Sha256)]).unwrap();
        assert!(can == can.clone() && can != other, "another place, with other mechanisms");
        // What another key has signed is none of its.
        let scheme = issued.signer.schemes()[0];
        let (good, bad) =
            (issued.signer.sign(scheme, b"x").unwrap(), issued.signer.sign(scheme, b"y").unwrap());
        assert!(can.verifies(scheme, b"x", &good) && !can.verifies(scheme, b"x", &bad));
    }
}
