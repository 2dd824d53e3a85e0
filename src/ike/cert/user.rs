//! The certificate that somebody logs in with, as the gateway checks it.

use super::names::text_of;
use super::{ALGORITHMS, CertError, MAX_CERTIFICATES, Usage, chain_error, parse};
use crate::time::UnixTime;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use std::time::Duration;
use webpki::EndEntityCert;

/// A user's certificate whose chain holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedUser {
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// The common name as it stands; empty where there is none.
    pub name: String,
}

/// Whether one of `roots` (DER) vouches for the first of `certificates` (DER, at most [`MAX_CERTIFICATES`]) as a user's. The
/// others may be in any order.
///
/// # Errors
/// Why not; the texts speak of a gateway's certificate, whose rules are the same but for the extended key usage.
pub fn verify_user(
    roots: &[Vec<u8>],
    certificates: &[Vec<u8>],
    now: UnixTime,
) -> Result<VerifiedUser, CertError> {
    let (leaf_der, others) = certificates.split_first().ok_or(CertError::Missing)?;
    if certificates.len() > MAX_CERTIFICATES {
        return Err(CertError::TooMany(certificates.len()));
    }
    let leaf = parse(leaf_der)?;
    let leaf_der = CertificateDer::from(leaf_der.as_slice());
    let entity = EndEntityCert::try_from(&leaf_der).map_err(|e| CertError::Malformed(e.to_string()))?;
    let der = |der: &Vec<u8>| CertificateDer::from(der.clone());
    let (others, roots): (Vec<_>, Vec<_>) =
        (others.iter().map(der).collect(), roots.iter().map(der).collect());
    let anchors: Vec<TrustAnchor<'_>> =
        roots.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok()).collect();
    let time = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()));
    entity
        .verify_for_usage(&ALGORITHMS, &anchors, &others, time, Usage::USER, None, None)
        .map_err(|error| chain_error(&error, certificates, &leaf, now))?;
    let name = leaf.subject().iter_common_name().next().and_then(text_of);
    Ok(VerifiedUser { spki: leaf.public_key().raw.to_vec(), name: name.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::pki::{IssuedBy, Leaf, Pki, Usage as Purpose};

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    #[test]
    fn a_users_chain_is_taken_and_a_foreign_one_a_gateways_and_an_old_one_are_not() {
        let pki = Pki::new(NOW).unwrap();
        let user = Leaf { names: Vec::new(), usages: vec![Purpose::ClientAuth], ..pki.leaf("anna") };
        let verify = |leaf: &Leaf| verify_user(&[pki.ca().to_vec()], &pki.issue(leaf).unwrap().chain, NOW);
        assert_eq!(verify(&user).unwrap().name, "anna");
        assert_eq!(verify(&Leaf { issuer: IssuedBy::Intermediate, ..user.clone() }).unwrap().name, "anna");
        assert_eq!(verify(&Leaf { usages: Vec::new(), ..user.clone() }).unwrap().name, "anna");
        let foreign = verify(&Leaf { issuer: IssuedBy::OtherCa, ..user.clone() });
        assert!(matches!(foreign, Err(CertError::UnknownIssuer { .. })), "{foreign:?}");
        let server = verify(&Leaf { usages: vec![Purpose::ServerAuth], ..user.clone() });
        assert!(matches!(server, Err(CertError::Usage { .. })), "{server:?}");
        let old = verify(&Leaf { not_after: UnixTime::from_secs(NOW.as_secs() - 1), ..user.clone() });
        assert!(matches!(old, Err(CertError::Expired { .. })), "{old:?}");
        let itself = verify(&Leaf { issuer: IssuedBy::SelfSigned, ..user });
        assert!(itself.is_err(), "{itself:?}");
        assert_eq!(verify_user(&[pki.ca().to_vec()], &[], NOW), Err(CertError::Missing));
    }
}
