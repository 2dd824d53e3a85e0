//! The user's certificate for TLS: whatever signs for IKE signs here too, a key in memory or a token.

use crate::crypto::{Hash, Scheme};
use crate::ike::cert::OwnCertificate;
use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shows the certificate to whoever asks, and keeps in mind that somebody has.
#[derive(Debug)]
pub(super) struct Shown {
    own: Arc<OwnCertificate>,
    asked: AtomicBool,
}

impl Shown {
    pub(super) fn new(own: Arc<OwnCertificate>) -> Self {
        Self { own, asked: AtomicBool::new(false) }
    }

    /// The server has asked for it.
    pub(super) fn was_asked_for(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Shown {
    // There is one certificate, and the server says what it thinks of it: its list of CAs leaves out those in between.
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        let chain = self.own.chain().iter().map(|der| CertificateDer::from(der.clone())).collect();
        Some(Arc::new(CertifiedKey::new(chain, Arc::new(Key(Arc::clone(&self.own))))))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Schemes of TLS and ours, best first: RSA-PSS before PKCS #1, which is for TLS 1.2 only.
const SCHEMES: [(SignatureScheme, Scheme); 9] = [
    (SignatureScheme::ED25519, Scheme::Ed25519),
    (SignatureScheme::ECDSA_NISTP256_SHA256, Scheme::EcdsaDer(Hash::Sha256)),
    (SignatureScheme::ECDSA_NISTP384_SHA384, Scheme::EcdsaDer(Hash::Sha384)),
    (SignatureScheme::RSA_PSS_SHA256, Scheme::RsaPss(Hash::Sha256)),
    (SignatureScheme::RSA_PSS_SHA384, Scheme::RsaPss(Hash::Sha384)),
    (SignatureScheme::RSA_PSS_SHA512, Scheme::RsaPss(Hash::Sha512)),
    (SignatureScheme::RSA_PKCS1_SHA256, Scheme::RsaPkcs1(Hash::Sha256)),
    (SignatureScheme::RSA_PKCS1_SHA384, Scheme::RsaPkcs1(Hash::Sha384)),
    (SignatureScheme::RSA_PKCS1_SHA512, Scheme::RsaPkcs1(Hash::Sha512)),
];

#[derive(Debug)]
struct Key(Arc<OwnCertificate>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let can = self.0.signer().schemes();
        let fits =
            |(theirs, ours): &&(SignatureScheme, Scheme)| offered.contains(theirs) && can.contains(ours);
        let (theirs, ours) = *SCHEMES.iter().find(fits)?;
        Some(Box::new(Signing { own: Arc::clone(&self.0), theirs, ours }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.signer().schemes().first() {
            Some(Scheme::RsaPkcs1(_) | Scheme::RsaPss(_)) | None => SignatureAlgorithm::RSA,
            Some(Scheme::EcdsaFixed(_) | Scheme::EcdsaDer(_)) => SignatureAlgorithm::ECDSA,
            Some(Scheme::Ed25519) => SignatureAlgorithm::ED25519,
        }
    }
}

#[derive(Debug)]
struct Signing {
    own: Arc<OwnCertificate>,
    theirs: SignatureScheme,
    ours: Scheme,
}

impl Signer for Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signed = self.own.signer().sign(self.ours, message);
        signed.map_err(|error| {
            rustls::Error::General(format!("the key of your certificate does not sign: {error}"))
        })
    }

    fn scheme(&self) -> SignatureScheme {
        self.theirs
    }
}
